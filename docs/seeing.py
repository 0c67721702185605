"""The pictures of docs/seeing.md, made again by the commands that it names.

python docs/seeing.py
"""

import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits, load_sample_images

FOLDER = Path(__file__).with_name("seeing")
WIDEST = 960  # pixels
COLOURS = 64

SHOWN = {
    "training_images.png": "training_digits",
    "photographs/training_images.png": "training_photographs",
    "five_maps.png": "maps",
    "five_saliency.png": "saliency",
    "five_occlusion.png": "occlusion",
    "run/pictures/schedule.png": "schedule",
    "run/pictures/class_errors.png": "class_errors",
    "run/pictures/calibration.png": "calibration",
}
"""Files that the commands write -> what they are called in the page."""

A_FIVE = 15
"""Its place among scikit-learn's digits."""

ASK = "predict model=lenet5 model.weights=MNIST images=digit.png to=five.png"
COMMANDS = (
    (".", "doctor data=digits data.distortion=affine1998 pictures=true"),
    (
        "photographs",
        "doctor data=folder data.root=. data.num_classes=2 data.num_workers=0 doctor.seconds=0 recipe=krizhevsky2012 "
        "pictures=true",
    ),
    (".", f"{ASK} inside=maps"),
    (".", f"{ASK} inside=saliency"),
    (".", f"{ASK} inside=occlusion"),
    (".", "train recipe.epochs=5 logger=none trainer=cpu hydra.run.dir=run"),
)
"""Folders, and the commands that are typed there."""


def make(folder: Path) -> None:
    """Write the images that the commands need, and type the commands.

    Raises:
        subprocess.CalledProcessError: if one of them fails.
    """
    digit = Image.fromarray((255 - load_digits().images[A_FIVE] * 255 / 16).astype(np.uint8))
    digit.resize((96, 96), Image.Resampling.BICUBIC).save(folder / "digit.png")
    random = np.random.default_rng(0)
    for name, photograph in zip(("tower", "flower"), load_sample_images().images, strict=True):
        (folder / "photographs" / name).mkdir(parents=True)
        for number in range(80):
            height, width = (int(side) for side in random.integers(180, 400, 2))
            top, left = int(random.integers(427 - height)), int(random.integers(640 - width))
            cut = photograph[top : top + height, left : left + width]
            Image.fromarray(cut).save(folder / "photographs" / name / f"{number}.jpg")
    for place, command in COMMANDS:
        subprocess.run([sys.executable, "-m", "cnnlit", *shlex.split(command)], cwd=folder / place, check=True)


def keep(source: Path, name: str) -> None:
    """Keep a picture of no more pixels and colours than a page needs."""
    with Image.open(source) as opened:
        picture = opened.convert("RGB")
    picture.thumbnail((WIDEST, 10 * WIDEST))
    picture.quantize(COLOURS).save(FOLDER / f"{name}.png", optimize=True)


def main() -> None:
    """Make all pictures, and say how large they are together."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="seeing-") as folder:
        make(Path(folder))
        for file, name in SHOWN.items():
            keep(Path(folder) / file, name)
    print(f"{sum(path.stat().st_size for path in FOLDER.iterdir()) / 1000:.0f} kB in {FOLDER}")  # noqa: T201


if __name__ == "__main__":
    main()
