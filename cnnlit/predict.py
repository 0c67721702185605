"""python -m cnnlit.predict: ask a trained network what images show, and where in them it looks.

What can be configured is in conf/predict.yaml; --help lists it.
"""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge

from cnnlit import config
from cnnlit.data.sources.found_files import find_given
from cnnlit.experiment.settings import NetworkSettings

if TYPE_CHECKING:  # imported where they are needed, so that --help and mistakes are answered at once
    from matplotlib.figure import Figure

    from cnnlit.experiment.prediction import Prediction, Predictor

OWN = (
    "run=",
    "images",
    "top=",
    "format=",
    "to=",
    "inside=",
    "layer=",
    "square=",
    "stride=",
    "protocol",
    "num_threads=",
)
"""How the words of the command line begin that say nothing about the run."""


@dataclass(frozen=True, kw_only=True)
class PredictSettings(NetworkSettings):
    """What `python -m cnnlit.predict` takes; see conf/predict.yaml."""

    run: str | None
    images: list[str] | str | None
    top: Annotated[int, Ge(1)]
    format: Literal["text", "json"]
    to: str | None
    inside: Literal["maps", "saliency", "occlusion", "deconvnet"] | None
    layer: str | None
    square: Annotated[int, Ge(1)] | None
    stride: Annotated[int, Ge(1)] | None
    num_threads: Annotated[int, Ge(1)] | None

    def check_typed(self) -> None:
        """See NetworkSettings."""
        if not self.images:
            raise ValueError("images=null: name a file or a folder of images, or several: images=[a.png,folder]")
        if self.to and Path(self.to).is_dir():
            raise ValueError(f"to={self.to}: is a folder; name a file")
        if self.to and Path(self.to).suffix not in (".png", ".svg", ".pdf"):
            raise ValueError(f"to={self.to}: must end with .png, .svg or .pdf")
        if self.inside and not self.to:
            raise ValueError(f"to=null: name a file, beside which inside={self.inside} is drawn")
        for key, takers in {"layer": ("maps", "deconvnet"), "square": ("occlusion",), "stride": ("occlusion",)}.items():
            if getattr(self, key) is not None and self.inside not in takers:
                allowed = " or ".join(f"inside={each}" for each in takers)
                raise ValueError(f"{key}={getattr(self, key)}: only with {allowed}; leave it out")
        find_given(self.places)
        self.check_origin(self.run)

    @property
    def places(self) -> list[str]:
        """The files and folders of images."""
        if isinstance(self.images, str):
            return [self.images] if Path(self.images).exists() else self.images.split(",")
        return self.images or []


def predict(settings: PredictSettings) -> None:
    """Print and draw what a network predicts for images. The data that it was trained on are not needed."""
    with config.refusing():
        given = find_given(settings.places)
        predictor = _open(settings)
        predictions, refusals = predictor.predict(given.files, settings.top)
        figures = _draw(settings, predictor, predictions) if settings.to and predictions else {}
    (_print_json if settings.format == "json" else _print_table)(predictor, predictions)
    for line in (*given.remarks, *refusals):
        print(f"cnnlit: {line}", file=sys.stderr)  # noqa: T201
    with config.refusing(exit_code=1):  # the answers are out, whatever becomes of the pictures
        for path, figure in figures.items():
            _write(path, figure)
            print(path, file=sys.stderr if settings.format == "json" else sys.stdout)
    if refusals:
        sys.exit(1)


def _open(settings: PredictSettings) -> "Predictor":
    settings = settings.of_run_or_weights(settings.run, predict, OWN)
    import torch

    from cnnlit.experiment.prediction import Predictor
    from cnnlit.experiment.trained_network import DigitJudge

    if settings.num_threads:
        torch.set_num_threads(settings.num_threads)
    return Predictor(settings, Path(settings.run) if settings.run else None, judge=DigitJudge())


def _draw(
    settings: PredictSettings, predictor: "Predictor", predictions: "Sequence[Prediction]"
) -> "dict[Path, Figure]":
    """The predictions and, if that is asked for, what they come from, drawn for their files."""
    from cnnlit.experiment import explanation

    path = Path(settings.to or "")
    figures = {path: explanation.draw_predictions(predictor, predictions)}
    beside = path.with_stem(f"{path.stem}_{settings.inside}")
    draw = {
        "maps": lambda: explanation.draw_maps(predictor, predictions, settings.layer),
        "saliency": lambda: explanation.draw_saliency(predictor, predictions),
        "occlusion": lambda: explanation.draw_occlusion(predictor, predictions, settings.square, settings.stride),
        "deconvnet": lambda: explanation.draw_deconvnet(predictor, predictions, settings.layer),
    }
    return figures | ({beside: draw[settings.inside]()} if settings.inside else {})


def _write(path: Path, figure: "Figure") -> None:
    from cnnlit.drawings.tiled_figure import encoded
    from cnnlit.files import write_whole

    write_whole(path, encoded(figure, path.suffix.removeprefix(".")))


def _named(predictor: "Predictor", prediction: "Prediction") -> list[tuple[str, float]]:
    """The names of its classes and their probabilities."""
    names = [predictor.class_names[number] for number in prediction.classes.tolist()]
    return list(zip(names, prediction.probabilities.tolist(), strict=True))


def _print_json(predictor: "Predictor", predictions: "Sequence[Prediction]") -> None:
    objects: list[dict[str, Any]] = []
    for each in predictions:
        answers = [{"class": name, "probability": probability} for name, probability in _named(predictor, each)]
        optional = {"label": predictor.label_of(each.path), "remark": each.remark, "none_of_these": each.none}
        known = {key: value for key, value in optional.items() if value is not None}
        objects.append({"image": each.path, "answers": answers} | known)
    sys.stdout.write(json.dumps(objects, indent=2, ensure_ascii=False) + "\n")


def _print_table(predictor: "Predictor", predictions: "Sequence[Prediction]") -> None:
    if not predictions:
        return
    from rich.console import Console

    from cnnlit.reports.tables import Table, print_page

    folder = os.path.commonpath([os.path.dirname(each.path) for each in predictions])
    rows = []
    for each in predictions:
        (name, probability), *others = _named(predictor, each)
        remarks = ", ".join(filter(None, (each.none, each.remark)))
        if each.none:
            name, others = "none of these", [(name, probability), *others]
        following = ", ".join(f"{other} {p:.1%}" for other, p in others)
        place, label = os.path.relpath(each.path, folder or "."), predictor.label_of(each.path) or ""
        rows.append((place, name, "" if each.none else f"{probability:.1%}", following, label, remarks))
    heads = ("image", "answer", "probability", "next", "label", "remark")
    used = [place for place in range(len(heads)) if place < 3 or any(row[place] for row in rows)]
    picked = [tuple(row[place] for place in used) for row in rows]
    print_page([Table.of(folder or ".", tuple(heads[place] for place in used), picked)], Console())


command = config.entry_point(predict)


def main() -> None:
    """The command, with paths as people write them."""
    config.quote("run", "images", "to")
    command()


if __name__ == "__main__":
    main()
