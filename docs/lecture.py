"""python docs/lecture.py [FOLDER] [--data DATA]: the lecture, slide by slide, with every figure drawn from runs.

Trains what is missing in FOLDER, one short run after the other, with the images below DATA (MNIST and ten classes of
Tiny ImageNet), draws the figures into docs/lecture, notes what was measured in docs/lecture/facts.json and writes the
pages. The same runs give the same figures, byte for byte. Without FOLDER, the pages are written again from facts.json,
docs/results/*.json and what is counted in the networks; their words are in docs/lecture/templates.
"""

import argparse
import functools
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from lecture_figures import counted, curves, digits, judged, photographs
from lecture_figures.house_style import encoded, house_style
from matplotlib.figure import Figure

from cnnlit.files import write_json, write_whole
from cnnlit.models.alexnet import AlexNet
from cnnlit.models.googlenet import GoogLeNet
from cnnlit.models.lenet5 import LeNet5
from cnnlit.models.vgg import VGG
from cnnlit.models.zfnet import ZFNet
from cnnlit.parallel.communication import exchanges
from cnnlit.runs.reading import read, read_test

DOCS = Path(__file__).parent
PAGES = DOCS / "lecture"
FACTS = PAGES / "facts.json"

RUNS = {
    "alexnet": "experiment=views protocol=ten_crop model.width=0.5 recipe.initialization=cuda_convnet2",
    "zfnet": "experiment=tiny_imagenet model=zfnet model.width=0.5 recipe.epochs=6 recipe.initialization=cuda_convnet2",
    **{name: f"experiment=activation model.activation={name} recipe.epochs=40" for name in ("relu", "tanh", "sigmoid")},
}
"""Run -> what is typed after `python -m cnnlit.train`, apart from where things are."""


@functools.cache
def results() -> dict[str, dict[str, Any]]:
    """The content of docs/results/*.json, by experiment."""
    return {path.stem: json.loads(path.read_text()) for path in sorted((DOCS / "results").glob("*.json"))}


class Sources(NamedTuple):
    """What figures are drawn from.

    Attributes:
        runs: the folder of RUNS.
        data: the folder of the images.
    """

    runs: Path
    data: Path


class Drawing(NamedTuple):
    """A figure of a page.

    Attributes:
        file: its name in docs/lecture; the form is that of its ending.
        draw: draws it.
        runs: the runs that it is drawn from.
        images: whether it shows images, or is of answers to them.
    """

    file: str
    draw: Callable[[Sources], Figure]
    runs: tuple[str, ...] = ()
    images: bool = False


class Topic(NamedTuple):
    """A page.

    Attributes:
        name: of its file and of its template.
        title: of the page.
        claim: what the slides say, for the overview.
        drawings: its figures.
        answers: the reports that answer it: experiment, and which of its reports.
        counted: whether the claim, or a part of it, needs no training.
    """

    name: str
    title: str
    claim: str
    drawings: tuple[Drawing, ...]
    answers: tuple[tuple[str, int], ...] = ()
    counted: bool = False


TOPICS = (
    Topic(
        "lenet5", "LeNet-5, layer by layer", "seven layers: C1, S2, C3, S4, C5, F6 and the output",
        (Drawing("lenet5.png", lambda of: digits.draw_maps(of.data), images=True),),
        counted=True,
    ),
    Topic(
        "distortions", "Distorted digits", "540,000 distorted images bring 0.95 % to 0.8 %",
        (Drawing("distortions.png", lambda of: digits.draw_distortions(of.data), images=True),),
        (("distortions_1998", 0), ("distortions_mnist", 0)),
    ),
    Topic(
        "errors", "The errors that are left", "LeNet-5 makes 82 errors",
        (Drawing("errors.png", lambda of: digits.draw_gallery(of.data), images=True),),
        counted=True,
    ),
    Topic(
        "pooling", "Pooling windows", "the maximum works better than the average; windows may overlap",
        (Drawing("pooling.svg", lambda of: judged.draw_poolings(results())),),
        (("pooling", 0), ("pooling_tiny_imagenet", 0), ("overlapping_pooling", 0)),
    ),
    Topic(
        "ilsvrc", "ILSVRC, year by year", "the winners' top-5 errors",
        (Drawing("ilsvrc.svg", lambda of: counted.draw_winners()),),
        counted=True,
    ),
    Topic(
        "alexnet", "AlexNet: filters and towers", "60 million parameters, on two GPUs that talk in certain layers only",
        (
            Drawing("filters.png", lambda of: photographs.draw_first_filters(of.runs / "alexnet"), ("alexnet",)),
            Drawing("towers.svg", lambda of: counted.draw_exchanges()),
        ),
        counted=True,
    ),
    Topic(
        "relu", "ReLU against tanh", "ReLU learns about six times faster",
        (
            Drawing("relu.svg", lambda of: curves.draw_activations(of.runs, results()), curves.RUNS),
        ),
        (("activation", 0), ("activation_photographs", 0)),
    ),
    Topic(
        "ten_crops", "Ten crops", "random crops, reflections and dropout in training, ten crops in the test",
        (
            Drawing(
                "ten_crops.jpg", lambda of: photographs.draw_ten_crops(of.runs / "alexnet", of.data), ("alexnet",), True
            ),
        ),
        (("views", 0), ("augmentation", 0), ("dropout", 0)),
    ),
    Topic(
        "top5", "Five answers", "a softmax, trained for maximum likelihood",
        (Drawing("top5.jpg", lambda of: photographs.draw_answers(of.runs / "alexnet", of.data), ("alexnet",), True),),
        counted=True,
    ),
    Topic(
        "zfnet", "ZFNet: what excites a feature", "AlexNet with 7x7/2 first and 512, 1024, 512 maps",
        (Drawing("zfnet.jpg", lambda of: photographs.draw_features(of.runs / "zfnet", of.data), ("zfnet",), True),),
        counted=True,
    ),
    Topic(
        "vgg", "VGG: small filters, deep stacks",
        "3x3 after 3x3 sees as far as a large filter, for less; 19 layers beat 16",
        (Drawing("vgg.svg", lambda of: counted.draw_fields()),),
        (("vgg_depth", 0),),
        counted=True,
    ),
    Topic(
        "inception", "Inception: four ninths", "1x1 reductions leave at most 4/9 of the work",
        (Drawing("inception.svg", lambda of: counted.draw_reductions()),),
        counted=True,
    ),
    Topic(
        "auxiliary_heads", "Auxiliary heads", "they inject gradients into early layers",
        (Drawing("auxiliary_heads.svg", lambda of: judged.draw_heads(results())),),
        (("auxiliary_heads", 1), ("auxiliary_heads", 0)),
    ),
    Topic(
        "residual", "Plain against residual", "skip connections make very deep networks trainable",
        (Drawing("residual.svg", lambda of: judged.draw_depths(results())),),
        (("skip_connections", 0), ("skip_connections", 1)),
    ),
)  # fmt: skip
"""The pages, in the order of the slides."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python docs/lecture.py", description="Draw the lecture and write its pages.")
    parser.add_argument("folder", nargs="?", type=Path, help="of the runs; what is missing is trained into it")
    parser.add_argument("--data", type=Path, help="holds MNIST and ten classes of Tiny ImageNet")
    every = [topic.name for topic in TOPICS]
    parser.add_argument("--only", choices=every, nargs="+", metavar="PAGE", help="draw these pages' figures")
    asked = parser.parse_args()
    if asked.folder and not (asked.data and asked.data.is_dir()):
        parser.error("figures show images: add --data <folder with MNIST and ten classes of Tiny ImageNet>")
    if asked.folder:
        topics = [topic for topic in TOPICS if not asked.only or topic.name in asked.only]
        make(topics, Sources(asked.folder.resolve(), asked.data.resolve()))
    for name, page in pages().items():
        write_whole(PAGES / f"{name}.md", page)


def make(topics: Sequence[Topic], sources: Sources) -> None:
    """Train what is missing, draw the figures, and note what was measured."""
    drawings = [drawing for topic in topics for drawing in topic.drawings]
    for run in dict.fromkeys(run for drawing in drawings for run in drawing.runs):
        train(run, sources)
    for drawing in drawings:
        write_whole(PAGES / drawing.file, drawn(drawing, sources))
    write_json(FACTS, facts() | measured([topic.name for topic in topics], sources))


def train(run: str, sources: Sources) -> None:
    """Train a run, unless it is there; one that was cut off goes on."""
    folder = sources.runs / run
    if folder.exists() and read(folder)["state"] == "finished":
        return
    new = [*RUNS[run].split(), f"hydra.run.dir={folder}", "logger=none", "num_threads=1"]
    words = [f"resume={folder}"] if folder.exists() else new
    # Digits come with scikit-learn and have no folder.
    where = [] if "experiment=activation " in f"{RUNS[run]} " else [f"data.root={sources.data}"]
    subprocess.run([sys.executable, "-m", "cnnlit.train", *words, *where], check=True)


def drawn(drawing: Drawing, sources: Sources) -> bytes:
    """A figure as the content of its file."""
    with house_style():
        return encoded(drawing.draw(sources), drawing.file.rpartition(".")[2])


def measured(topics: Sequence[str], sources: Sources) -> dict[str, Any]:
    """What pages say about what their figures show."""
    found: dict[str, Any] = {}
    if "errors" in topics:
        found["errors"] = digits.errors_of_1998(sources.data)._asdict()
    if "ten_crops" in topics:
        found["ten_crops"] = photographs.measure_crops(sources.runs / "alexnet", sources.data)
    runs = [run for topic in TOPICS if topic.name in topics for drawing in topic.drawings for run in drawing.runs]
    found["matplotlib"] = matplotlib.__version__
    found["runs"] = facts().get("runs", {}) | {run: origin(sources.runs / run) for run in runs}
    return found


def origin(run: Path) -> dict[str, Any]:
    """By which code and on what a run was trained, for how long, and its errors."""
    record = read(run)
    test = read_test(run)
    return {
        "commit": record["commit"],
        "device": record["device"],
        "torch": record["versions"]["torch"],
        "seconds": round(record["seconds"]),
        "test_error": test["test/error"],
        "epochs": len(curves.training_errors(run)),
    }


def facts() -> dict[str, Any]:
    """What was measured when the figures were drawn."""
    return json.loads(FACTS.read_text()) if FACTS.is_file() else {}


def pages() -> dict[str, str]:
    """The pages and their overview, by name."""
    words = Environment(
        loader=FileSystemLoader(PAGES / "templates"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True, autoescape=False,
    )  # fmt: skip
    words.filters |= {"thousands": "{:,}".format, "percent": percent, "megabytes": megabytes}
    words.globals |= {"verdict": verdict, "report": report, "outcome": outcome, "facts": facts(), "topics": TOPICS}
    words.globals |= {"results": results()}
    words.globals |= {"runs": RUNS, "counts": counts(), "stacks": counted.stacks(), "reductions": counted.reductions()}
    rendered = {"index": words.get_template("index.md.jinja").render()}
    for place, topic in enumerate(TOPICS):
        before, after = TOPICS[place - 1] if place else None, TOPICS[place + 1] if place + 1 < len(TOPICS) else None
        template = words.get_template(f"{topic.name}.md.jinja")
        rendered[topic.name] = template.render(topic=topic, before=before, after=after)
    return rendered


@functools.cache
def counts() -> dict[str, Any]:
    """The networks' layer tables, and the sums of what AlexNet's two devices send in a step."""
    photograph = (3, 224, 224)
    sent = exchanges(batch_size=counted.BATCH)
    return {
        "lenet5": counted.outlined(LeNet5, (1, 32, 32)),
        "alexnet": counted.outlined(AlexNet, photograph),
        "zfnet": counted.outlined(ZFNet, photograph),
        "zfnet_slides": counted.outlined(lambda: ZFNet(variant="slides"), photograph),
        "vgg16": counted.outlined(lambda: VGG(configuration="D"), photograph),
        "vgg19": counted.outlined(lambda: VGG(configuration="E"), photograph),
        "googlenet": counted.outlined(GoogLeNet, photograph),
        "naive": counted.outlined(lambda: GoogLeNet(reductions=False), photograph),
        "towers": sum(row.towers for row in sent),
        "if_joined": sum(row.if_joined for row in sent),
        "replicas": sum(row.replicas for row in sent),
    }


def verdict(experiment: str, place: int = 0) -> str:
    """The sentence that answers a report's claim, its outcome in bold letters."""
    found = results()[experiment]["reports"][place]["verdict"]
    claim = claim_of(experiment, place)
    sentence = re.sub(rf"{found['outcome']}(?: [\d.]+ pp)?", r"**\g<0>**", found["sentence"], count=1)
    if claim and sentence.startswith(claim):
        sentence = f"`{claim}`{sentence.removeprefix(claim)}"
    return f"{sentence}. ([All numbers](../results/{experiment}.md))"


def claim_of(experiment: str, place: int) -> str:
    """The claim of a report, as it is typed; empty if it has none."""
    words = dict(word.partition("=")[::2] for word in shlex.split(report(experiment, place)))
    return words.get("claim", "")


def report(experiment: str, place: int = 0) -> str:
    """The command that judges an experiment."""
    line: str = results()[experiment]["reports"][place]["line"]
    return line


def outcome(topic: Topic) -> str:
    """What came out, for the overview."""
    found = [results()[experiment]["reports"][place]["verdict"]["outcome"] for experiment, place in topic.answers]
    told = [each.replace("no difference larger than", "no difference") for each in found]
    return "; ".join(dict.fromkeys(["counted"] * topic.counted + told))


def percent(fraction: float, digits: int = 1) -> str:
    """0.256 -> `25.6 %`."""
    return f"{100 * fraction:.{digits}f} %"


def megabytes(count: int) -> str:
    """Bytes as megabytes, whole ones."""
    return f"{count / 1e6:.0f} MB"


if __name__ == "__main__":
    main()
