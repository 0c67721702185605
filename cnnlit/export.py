"""python -m cnnlit.export: write a trained network for other programs, with how to make its input, and a model card.

What can be configured is in conf/export.yaml; --help lists it.
"""

import json
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from annotated_types import Ge, Le

from cnnlit import config
from cnnlit.experiment.settings import NetworkSettings
from cnnlit.exports.web.shown_networks import check_network, check_shown
from cnnlit.files import check_place

if TYPE_CHECKING:  # imported where they are needed, so that --help and mistakes are answered at once
    from cnnlit.experiment.prediction import Predictor
    from cnnlit.exports.web.web_page import HardImage, PageNetwork

OWN = ("run=", "format=", "to=", "beside=", "pictures=")
"""How the words of the command line begin that say nothing about the run."""

OF_THIS_MACHINE = ("to=", "data.root=")
"""Likewise, those that a page does not repeat to whoever gets it."""

ON_CARDS = ("command", "commit", "device", "seconds", "seed", "versions")
"""What of a run's record a card tells, and a safetensors file keeps."""


@dataclass(frozen=True, kw_only=True)
class ExportSettings(NetworkSettings):
    """What `python -m cnnlit.export` takes; see conf/export.yaml."""

    run: str | None
    format: Literal["onnx", "torch_export", "safetensors", "web"]
    to: str | None
    beside: str | None
    pictures: Annotated[int, Ge(0), Le(60)]

    def check_typed(self) -> None:
        """See NetworkSettings."""
        if self.format != "web" and (self.beside or self.pictures):
            said = f"beside={self.beside}" if self.beside else f"pictures={self.pictures}"
            raise ValueError(f"{said}: only a page shows that; say format=web, or leave it out")
        check_place(self.folder, "to")
        if self.format == "web" and not self.run:
            check_network(self.model)
        self.check_origin(self.run)

    @property
    def folder(self) -> Path:
        """The folder to write.

        Raises:
            ValueError: if nothing says where, or something is there; and for a protocol, which has no effect here.
        """
        if self.protocol["views"]:
            raise ValueError("protocol: an exported network answers views one by one; leave the protocol out")
        if not self.to and not self.run:
            raise ValueError("to=null: name a folder to write, or run=<folder of a run>")
        folder = Path(self.to) if self.to else Path(str(self.run)) / "exports" / self.format
        if folder.exists():
            raise ValueError(f"to={folder}: is there already; remove it or name another folder")
        return folder


def export(settings: ExportSettings) -> None:
    """Write the network of a run, or one with published weights, and print the files."""
    with config.refusing():
        from cnnlit.exports.formats import require

        folder = settings.folder
        require(settings.format)
        settings = settings.of_run_or_weights(settings.run, export, OWN)
        if settings.format == "web":
            check_shown(settings.model)
        from cnnlit.experiment.prediction import Predictor

        predictor = Predictor(settings, Path(settings.run) if settings.run else None)
        aside = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        try:
            _write(settings, predictor, aside)
            aside.rename(folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    for path in sorted(folder.iterdir()):
        print(path)  # noqa: T201


def _write(settings: ExportSettings, predictor: "Predictor", folder: Path) -> None:
    from cnnlit.exports.card import render_card
    from cnnlit.exports.formats import NAMES, write
    from cnnlit.exports.input_form import write_input
    from cnnlit.files import write_whole

    network, datamodule = predictor.network, predictor.datamodule
    side = settings.data["image_size"]
    image = (settings.data["in_channels"], side, side)
    name = NAMES[settings.format]
    about = _about(settings, predictor)
    if settings.format == "web":
        difference = _write_page(settings, predictor, about.get("results", {}), folder / name)
    else:
        difference = write(network, image, settings.format, folder / name, about)
    write_input(folder, datamodule.input_form(), image, predictor.class_names, datamodule.class_folders)
    facts = {
        "file": name,
        "format": settings.format,
        "difference": difference,
        "network": type(network).__name__,
        "parameters": sum(each.numel() for each in network.parameters()),
        "images": ["N", *image],
        "classes": predictor.class_names,
        "data": settings.data.get("source", settings.data["_target_"]) if about else None,
        "weights": settings.model.get("weights"),
        # Weights that say nothing of their training need not have had the command line's recipe.
        "recipe": yaml.safe_dump(settings.recipe, sort_keys=False).strip() if about else None,
    }
    write_whole(folder / "card.md", render_card(about.get("record", {}), about.get("results", {}), facts))


def _write_page(settings: ExportSettings, predictor: "Predictor", results: dict[str, Any], path: Path) -> float:
    from cnnlit.exports.web.web_page import PageNetwork, write_page

    first = PageNetwork(
        *(predictor.network, settings.model, settings.data, predictor.datamodule, predictor.class_names, results)
    )
    shown = [first, _beside(settings.beside, first)] if settings.beside else [first]
    words = [word for word in config.overrides() if not word.startswith(OF_THIS_MACHINE)]
    command = shlex.join(["python", "-m", "cnnlit.export", *words])
    return write_page(path, shown, _hardest(settings, predictor) if settings.pictures else [], command)


def _beside(named: str, first: "PageNetwork") -> "PageNetwork":
    """The network that `beside` names, as `cnnlit.load` does."""
    from cnnlit.experiment.initial_weights import shipped, told_by
    from cnnlit.experiment.trained_network import load
    from cnnlit.exports.web.web_page import PageNetwork

    other = load(named)
    check_shown(other.config["model"])
    if other.class_names != first.class_names:
        raise ValueError(
            f"beside={named}: its {len(other.class_names)} classes are not those of the network it is beside"
        )
    folder = Path(named)
    results = _results(folder) if folder.is_dir() else told_by({"weights": str(shipped(named) or folder)})["results"]
    return PageNetwork(
        *(other.network, other.config["model"], other.config["data"], other.datamodule, other.class_names, results)
    )


def _hardest(settings: ExportSettings, predictor: "Predictor") -> list["HardImage"]:
    """The images of the test whose class the network finds least probable."""
    import torch

    from cnnlit.exports.web.web_page import HardImage

    data = settings.build_test_data()
    data.prepare_data()
    data.setup("test")
    with torch.inference_mode():
        parts = [(predictor.network(images).softmax(1), labels) for images, labels in data.test_dataloader()]
    probable = torch.cat([each.gather(1, labels[:, None])[:, 0] for each, labels in parts])
    labels = torch.cat([labels for _, labels in parts])
    pixels, names = data.test_images, predictor.class_names
    numbers = probable.argsort()[: settings.pictures].tolist()
    return [HardImage(pixels[number], number, names[int(labels[number])]) for number in numbers]


def _about(settings: ExportSettings, predictor: "Predictor") -> dict[str, Any]:
    """What a safetensors file says beside its weights, so that it can be asked without its run, and has a card."""
    from cnnlit.experiment import initial_weights

    if not settings.run:
        return initial_weights.told_by(settings.model)
    from cnnlit.runs.reading import read

    configuration = {key: getattr(settings, key) for key in ("model", "data", "recipe", "seed")}
    record = {key: value for key, value in read(Path(settings.run)).items() if key in ON_CARDS}
    return {
        "config": configuration | {"model": settings.model | {"weights": None}},
        "data_state": predictor.data_state,
        "record": record,
        "results": _results(Path(settings.run)),
    }


def _results(run: Path) -> dict[str, Any]:
    """The results of a run's tests by protocol."""
    tests = {path.stem: path for path in sorted((run / "evaluations").glob("*.json"))}
    tests = {"at the end of training": run / "test.json", **tests}
    results = {name: json.loads(path.read_text()) for name, path in tests.items() if path.is_file()}
    wanted = ("test/error", "test/num_images")
    return {name: {key: each[key] for key in wanted} for name, each in results.items() if "test/error" in each}


main = config.entry_point(export)

if __name__ == "__main__":
    main()
