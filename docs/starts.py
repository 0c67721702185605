"""python docs/starts.py FOLDER [--data ROOT]: does each recipe start to learn? Writes docs/starts.md and starts.png.

Trains what is missing in FOLDER, one short run after the other, on ten classes of Tiny ImageNet below ROOT; without
--data, the page is written again from the runs that are there.
"""

import argparse
import math
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from cnnlit.files import write_whole
from cnnlit.runs.reading import read, read_metrics

DOCS = Path(__file__).parent
CLASSES = 10
BOUND = math.log(CLASSES) - 0.05
"""Of the training loss: a network that answers all classes alike has ln K."""

AUXILIARY = 1.6
"""GoogLeNet's training loss is the sum of three heads', two of which count 0.3."""


class Start(NamedTuple):
    """A recipe that is tried."""

    name: str
    said: str
    """What is typed, apart from the data."""
    epochs: int
    heads: float = 1.0
    """How often a head counts in the training loss."""


STARTS = (
    Start("krizhevsky2012", "model=alexnet model.width=0.5", 9),
    Start("krizhevsky2012_printed", "model=alexnet model.width=0.5 recipe=krizhevsky2012_printed", 9),
    Start("zeiler2013", "model=zfnet", 9),
    Start("simonyan2014", "model=vgg11 model.width=0.5", 6),
    Start("simonyan2014, glorot2010", "model=vgg11 model.width=0.5 recipe.initialization=glorot2010", 6),
    Start(
        "simonyan2014, 16 layers, Glorot's bounds", "model=vgg16 model.width=0.5 recipe.initialization=glorot2010", 6
    ),
    Start("szegedy2014", "model=googlenet", 5, AUXILIARY),
    Start("he2015", "model=resnet18", 6),
    Start("he2015_cifar", "model=resnet20", 6),
)

OPENING = f"""\
# Do the papers' recipes start to learn?

<!-- Written by `python docs/starts.py` from runs. -->

Each paper's own training on 4,500 photographs of ten classes (Tiny ImageNet, 64x64 pixels), with the paper's batches
and rates, for some epochs. A network that answers all classes alike has a training loss of ln 10 = 2.303; one whose
mean over the last epoch is below {BOUND:.3f} has started. Some are half as wide as the paper's, and all see smaller
images and fewer classes: what starts here may still not on ImageNet.

    python docs/starts.py <folder of runs> --data <folder with Tiny ImageNet's ten classes>

![Training loss by step](starts.png)

| recipe | command | steps | loss of the last epoch | training error | starts |
|---|---|---|---|---|---|
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Train each paper's recipe for a while, and write docs/starts.md.")
    parser.add_argument("folder", type=Path, help="of the runs")
    parser.add_argument("--data", type=Path, help="holds Tiny ImageNet's ten classes; trains what is missing")
    asked = parser.parse_args()
    if asked.data:
        for start in STARTS:
            train(start, place(asked.folder, start), asked.data)
    found = [(start, curve(place(asked.folder, start))) for start in STARTS]
    found = [(start, rows) for start, rows in found if rows]
    if not found:
        sys.exit(f"{asked.folder} has no run; add --data <folder with the images>")
    tried = [start for start, _ in found]
    page = OPENING + "\n".join(row(*each) for each in found) + closing(asked.folder, tried)
    write_whole(DOCS / "starts.md", page)
    draw(found).savefig(DOCS / "starts.png", dpi=110, metadata={"Software": None})


def place(folder: Path, start: Start) -> Path:
    """The folder of a run."""
    return folder / "".join(letter if letter.isalnum() else "_" for letter in start.name)


def words(start: Start) -> list[str]:
    """What is typed after `python -m cnnlit.train`, apart from where things are."""
    return [*start.said.split(), "data=tiny_imagenet", f"data.num_classes={CLASSES}", f"recipe.epochs={start.epochs}"]


def train(start: Start, folder: Path, data: Path) -> None:
    """Train a run, unless it is there; one that was cut off goes on."""
    if folder.exists() and read(folder)["state"] == "finished":
        return
    new = [*words(start), f"hydra.run.dir={folder}", "logger=none", "num_threads=1"]
    where = [f"resume={folder}"] if folder.exists() else new
    subprocess.run([sys.executable, "-m", "cnnlit.train", *where, f"data.root={data}"], check=True)


def curve(folder: Path) -> list[tuple[int, float, float]]:
    """Of each epoch of a run: steps so far, training loss, training error; empty without a run."""
    rows = read_metrics(folder) if folder.exists() else []
    return [(int(row["step"]), float(row["train/loss"]), float(row["train/error"])) for row in rows]


def row(start: Start, rows: list[tuple[int, float, float]]) -> str:
    """A line of the table."""
    steps, loss, error = rows[-1]
    starts = "yes" if loss / start.heads < BOUND else "no"
    return f"| {start.name} | `{start.said}` | {steps} | {loss / start.heads:.3f} | {error:.1%} | {starts} |"


def closing(folder: Path, tried: list[Start]) -> str:
    """By which code and on what the runs were trained, and what is still to be tried."""
    runs = [read(place(folder, start)) for start in tried]
    made = {f"commit {run['commit'][:7]}, {run['device']}, torch {run['versions']['torch']}" for run in runs}
    untried = [f"`{start.said}`" for start in STARTS if start not in tried]
    rest = f" Not tried yet: {', '.join(untried)}." if untried else ""
    return f"\n\nSeed 0; {'; '.join(sorted(made))}.{rest}\n"


def draw(found: list[tuple[Start, list[tuple[int, float, float]]]]) -> Figure:
    """The training loss of each recipe by steps."""
    figure = Figure(figsize=(9, 4.8), layout="constrained")
    axes = figure.subplots()
    for start, rows in found:
        axes.plot([each[0] for each in rows], [each[1] / start.heads for each in rows], marker=".", label=start.name)
    axes.axhline(math.log(CLASSES), color="grey", linewidth=1, linestyle=":")
    axes.annotate(f"ln {CLASSES}", (0, math.log(CLASSES)), xytext=(4, 4), textcoords="offset points", color="grey")
    axes.set(xlabel="steps", ylabel="training loss", ylim=(1.2, 3.0), xlim=(0, None))
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    return figure


if __name__ == "__main__":
    main()
