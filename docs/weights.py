"""python docs/weights.py FOLDER: make the weights that come with cnnlit from trained runs, and write docs/weights.md.

FOLDER/lenet5, FOLDER/lenet5_modern and FOLDER/compact are runs as the page's commands make them: with relative paths,
so that the page and the files name no machine's folders. Without FOLDER the page is written again from the files.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from cnnlit.experiment.initial_weights import SHIPPED
from cnnlit.exports.weights_file import read_weights
from cnnlit.files import write_whole
from cnnlit.runs.reading import read

DOCS = Path(__file__).parent

RUNS = {
    "lenet5": ("LeNet5.MNIST", "LeNet-5 as published, fresh distortions in every epoch"),
    "lenet5_modern": ("LeNet5.MNIST_MODERN", "LeNet-5 with ReLU, max-pooling, softmax"),
    "compact": ("CompactNet.MNIST", "as many weights, built as one would today; tested by nine shifts"),
}
"""Folder of a run -> its weights, and what they are of."""

OPENING = """\
# Weights that come with cnnlit

<!-- Written by `python docs/weights.py` from cnnlit/models/shipped. -->

Trained by our own commands, in the wheel: nothing is downloaded, and no data are needed to ask them.

    python -m cnnlit.predict model=lenet5 model.weights=MNIST images=digit.png
    python -m cnnlit.evaluate model=compact model.weights=MNIST protocol=shifts data.root=<folder with MNIST>
    python -m cnnlit.export model=lenet5 model.weights=MNIST_MODERN format=onnx to=lenet5
    python -m cnnlit.export model=lenet5 model.weights=MNIST format=web to=page   # a page to draw on: web_page.md
    python -m cnnlit.train model=lenet5 model.weights=MNIST data=digits recipe.epochs=3   # goes on from them

From Python: `cnnlit.load("LeNet5.MNIST").predict("digit.png")`. Each file is what `python -m cnnlit.export
format=safetensors` writes of a run: weights under the network's own names, and beside them, as metadata, the run's
configuration, so that nothing has to be said again; a file that you export is asked in the same way
(`model.weights=network.safetensors`). These are single runs, seed 0, of experiments whose means over seeds are in
[results.md](results.md); the test images chose nothing.

A digit may be drawn or photographed, dark on paper or bright on black, small and off centre: it is brought to 28x28
pixels as MNIST's were, `predictions.png` shows it as the network saw it, and what is blank, two digits or doubtful is
called none of these, with the reason. Printed letters that look like digits can pass for them.

What calls a drawing none of these is CompactNet, whichever network is asked: its highest logit, on average over eight
small changes of the drawing, has to be at least 7.75, and has to be that of the same digit. Of bounds in steps of
0.25, 7.75 is the highest that gives up no more digits than 7.25 does, on 400 digits drawn from training images in ten
manners; of 325 printed letters that look like no digit (DejaVu), 89 % are then none of these, and 96 to 99 of 100
scribbles. By the probability of the answer, which decided before, it was 43 %, 60 % and 83 % of the letters at the
same number of digits kept.

Of 100 digits drawn from test images, and 50 other drawings (25 letters, 15 scribbles, 10 blank sheets, in even and
uneven light): LeNet-5 answers 99 right, 94 of these without doubt, LeNet-5 modern 100 and 94, CompactNet 98 and 94;
each calls 45 of the others none of these, and in a second draw LeNet-5 46, with 92 digits right and not doubted.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the weights that come with cnnlit, and their page.")
    parser.add_argument("folder", type=Path, nargs="?", help="holds the runs")
    folder = parser.parse_args().folder
    if folder:
        sys.exit("\n".join(refusals(folder)) or None) if refusals(folder) else make(folder)
    write_whole(DOCS / "weights.md", "\n".join([OPENING, *rows()]) + "\n")


def refusals(folder: Path) -> list[str]:
    """Why the runs cannot be shipped: a line for each that is unfinished, or of code that no commit has."""
    lines = []
    for name in RUNS:
        record = read(folder / name)
        if record["state"] != "finished":
            lines.append(f"{folder / name}: {record['state']}; only finished runs are shipped")
        elif not record["commit"] or record["commit"].endswith("-dirty"):
            lines.append(f"{folder / name}: commit {record['commit']}; train it from a clean checkout")
        elif "/" in record["command"]:
            lines.append(f"{folder / name}: its command names a path; use relative ones ({record['command']})")
    return lines


def make(folder: Path) -> None:
    """Export each run into the package."""
    SHIPPED.mkdir(exist_ok=True)
    with TemporaryDirectory() as aside:
        for name, (weights, _) in RUNS.items():
            words = [f"run={folder / name}", "format=safetensors", f"to={aside}/{name}"]
            subprocess.run([sys.executable, "-m", "cnnlit.export", *words], check=True, stdout=subprocess.DEVNULL)
            content = (Path(aside) / name / "network.safetensors").read_bytes()
            write_whole(SHIPPED / f"{weights}.safetensors", content)


def rows() -> Iterator[str]:
    """The page's table and its commands."""
    yield "| model, weights | network | parameters | file | MNIST's test images | trained by |"
    yield "|---|---|---|---|---|---|"
    for model, (weights, what) in RUNS.items():
        path = SHIPPED / f"{weights}.safetensors"
        kept = read_weights(path)
        record, config = kept.about["record"], kept.about["config"]
        errors = "; ".join(
            f"{100 * each['test/error']:.2f} % ({round(each['test/error'] * each['test/num_images'])} of "
            f"{int(each['test/num_images']):,})"
            for each in kept.about["results"].values()
        )
        trainable = sum(value.numel() for key, value in kept.state.items() if _counts(key))
        yield (
            f"| `model={model.partition('_')[0]} model.weights={weights.partition('.')[2]}` | {what} | {trainable:,} | "
            f"{path.stat().st_size / 1000:.0f} kB | {errors} | `{record['command']}`, seed {config['seed']}, commit "
            f"{record['commit'][:10]}, torch {record['versions']['torch']}, {record['device']}, "
            f"{record['seconds'] / 60:.0f} min |"
        )


def _counts(key: str) -> bool:
    return not key.endswith(("running_mean", "running_var", "num_batches_tracked", "codes"))


if __name__ == "__main__":
    main()
