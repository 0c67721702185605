"""A digit of one's own."""

from pathlib import Path

from PIL import Image, ImageDraw


def draw_seven(path: Path) -> None:
    """A seven, as one draws it with a pen on white paper."""
    paper = Image.new("L", (240, 240), 255)
    ImageDraw.Draw(paper).line([(70, 60), (170, 60), (110, 190)], fill=20, width=18, joint="curve")
    paper.save(path)
