"""What the commands show on a terminal of any width: no line is wider, nor coloured where colours are unwanted."""

import re
from pathlib import Path

import as_typed
import pytest
from drawn_sevens import draw_seven

STYLES = {"", "0", "1", "2", "3", "4", "7", "22", "23", "24", "27"}
"""Bold, dim, italic, underlined and reversed letters, and what ends these."""

COMMANDS = [
    "cnnlit",
    "cnnlit.train --help",
    "cnnlit.train --help recipe.optimizer",
    "cnnlit.train --config",
    "cnnlit.train recipe.epochs=2 logger=none trainer=cpu data.val_split=0.9",
    "cnnlit.evaluate run=run",
    "cnnlit.predict run=run images=digit.png",
    "cnnlit.describe model=lenet5",
    "cnnlit.describe model=resnet20 against=plain20",
    "cnnlit.doctor",
    "cnnlit.doctor data=digits",
    "cnnlit.report runs=run",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("terminal")
    words = ("recipe.epochs=2", "logger=none", "trainer=cpu", "hydra.run.dir=run")
    assert as_typed.cnnlit(folder, "train", *words).returncode == 0
    draw_seven(folder / "digit.png")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80, 200])
@pytest.mark.parametrize("line", COMMANDS)
def test_no_line_is_wider_than_the_terminal_nor_coloured_with_no_color(folder: Path, line: str, columns: int) -> None:
    shown = as_typed.on_terminal(folder, *line.split(), columns=columns, NO_COLOR="1")
    styles = {style for each in re.findall(r"\x1b\[([\d;]*)m", shown) for style in each.split(";")}
    assert styles <= STYLES
    # A bar is drawn over itself: what follows a carriage return begins at the left again.
    lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[[\d;?]*[a-zA-Z]|\x1b\].*?\x1b\\", "", shown))
    prose = [each for each in lines if "python -m cnnlit" not in each and "/" not in each]
    assert len(prose) > 2
    assert max(map(len, prose)) <= columns, max(prose, key=len)
