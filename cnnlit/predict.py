"""python -m cnnlit.predict: ask a trained network what pictures show, and where in them it looks.

What can be configured is in conf/predict.yaml; --help lists it.
"""

import io
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from annotated_types import Ge

from cnnlit import config
from cnnlit.config import Node

if TYPE_CHECKING:  # imported where they are needed, so that --help and mistakes are answered at once
    from matplotlib.figure import Figure
    from torch import Tensor, nn

    from cnnlit.data.datamodule import ResumableData
    from cnnlit.training.protocol import EvaluationProtocol

BATCH = 32
MOST_DRAWN, MOST_INSIDE = 60, 12
"""Pictures on a sheet; of the others there are the words alone."""


class Answered(NamedTuple):
    """A picture and what the network says of it."""

    path: str
    picture: "Tensor"
    """uint8 [3, H, W]; no larger than it is drawn, once it has been answered."""
    probabilities: "Tensor"
    """float32 [top]."""
    classes: "Tensor"
    """int64 [top], the most probable first."""
    remark: str | None


def predict(
    *,
    run: str | None,
    images: list[str] | str | None,
    top: Annotated[int, Ge(1)],
    format: Literal["text", "json"],  # noqa: A002  the word for it
    to: str | None,
    inside: Literal["occlusion", "deconvnet"] | None,
    layer: str | None,
    square: Annotated[int, Ge(1)] | None,
    stride: Annotated[int, Ge(1)] | None,
    model: Node,
    data: Node,
    recipe: Node,
    protocol: Node,
    seed: Annotated[int, Ge(0)],
    num_threads: Annotated[int, Ge(1)] | None,
) -> None:
    """Print and draw what a network answers to pictures. The data that it was trained on are not needed.

    Args:
        run: the folder of a run.
        images: files and folders; several as a list, or with commas between.
        top: answers to each picture.
        format: of what is printed.
        to: the file that the pictures are drawn into, with their answers; null for none.
        inside: what else is drawn, beside it: where the answer comes from, or what the features of a layer saw.
        layer: of the deconvnet; null for the last convolution.
        square: side of occlusion's grey square, in pixels; null for a fifth of the image.
        stride: its steps, in pixels; null for a sixteenth of the image.
        model: without a run, an architecture with published weights.
        data: without a run, what it says about sizes and scales.
        recipe: without a run, a cnnlit.training.recipe.Recipe: its input's scale.
        protocol: a cnnlit.training.protocol.EvaluationProtocol.
        seed: of the data; changes nothing here.
        num_threads: of the processor, for the arithmetic; null for torch's choice.
    """
    with config.refusing():
        from cnnlit.data.user_images import find_given
        from cnnlit.runs.reading import read_config

        places = images
        if isinstance(images, str):
            places = [images] if Path(images).exists() else images.split(",")
        if not places:
            raise ValueError("images=null: name a file or a folder of pictures, or several: images=[a.png,folder]")
        if to and Path(to).is_dir():
            raise ValueError(f"to={to}: is a folder; name a file")
        if to and Path(to).suffix not in (".png", ".svg", ".pdf"):
            raise ValueError(f"to={to}: must end with .png, .svg or .pdf")
        if inside and not to:
            raise ValueError(f"to=null: name a file, beside which inside={inside} is drawn")
        files = find_given(places)
        settings: Node = {"model": model, "data": data, "recipe": recipe}
        if run:
            what = ("run=", "images", "top=", "protocol", "num_threads=")
            own = (*what, "format=", "to=", "inside=", "layer=", "square=", "stride=")
            settings = config.overridden(read_config(Path(run)), data, predict, own, Path(run))
        else:
            config.require_weights(model)
        config.check_scale(settings["model"].get("weights"), settings["data"].get("normalization"))
        import torch

        if num_threads:
            torch.set_num_threads(num_threads)
        network, datamodule = _open(settings, run, protocol)
        views = config.build(protocol)
        answered, refused = _answer(network, datamodule, views, files, top)
        names = _names(settings, datamodule, run)
        drawn = {}
        if to and answered:
            drawn[Path(to)] = _draw(answered[:MOST_DRAWN], names, datamodule)
        if inside and answered:
            path = Path(to or "").with_stem(f"{Path(to or '').stem}_{inside}")
            first = answered[:MOST_INSIDE]
            if inside == "occlusion":
                drawn[path] = _draw_occlusion(network, datamodule, first, names, square, stride)
            else:
                drawn[path] = _draw_deconvnet(network, datamodule, first, names, layer)
        for path, figure in drawn.items():
            _write(path, figure)
    _print(answered, names, datamodule, format)
    for path in drawn:
        print(path, file=sys.stderr if format == "json" else sys.stdout)
    for line in refused:
        print(f"cnnlit: {line}", file=sys.stderr)  # noqa: T201
    if refused:
        sys.exit(1)


def _open(settings: Node, run: str | None, protocol: Node) -> "tuple[nn.Module, ResumableData]":
    """The network with its weights, and the data as the checkpoint describes them."""

    from cnnlit.runs.checkpoint_io import read_checkpoint
    from cnnlit.runs.reading import checkpoint_of

    network: nn.Module = config.build(config.without_sources(settings["model"]) if run else settings["model"])
    config.build(protocol).try_on(network, settings["data"])
    shown = {"views": protocol["views"]} if "views" in settings["data"] else {}
    datamodule: ResumableData = config.build({**settings["data"], **shown, "batch_size": 1})
    if run:
        checkpoint = read_checkpoint(checkpoint_of(Path(run)))
        state = {key.removeprefix("model."): value for key, value in checkpoint["state_dict"].items()}
        known = network.state_dict().keys()
        network.load_state_dict({key: value for key, value in state.items() if key in known})
        datamodule.load_state_dict(checkpoint[type(datamodule).__qualname__])
    return network.eval(), datamodule


def _answer(
    network: "nn.Module", datamodule: "ResumableData", views: "EvaluationProtocol", files: list[str], top: int
) -> tuple[list[Answered], list[str]]:
    """The answers to the pictures that can be read, and a line on each of the others."""
    import torch

    from cnnlit.data.loading.decoding import open_image
    from cnnlit.drawings.top_predictions import thumbnail
    from cnnlit.files import progress

    answered: list[Answered] = []
    refused: list[str] = []
    starts = range(0, len(files), BATCH)
    for start in progress(starts, "looking at pictures", len(starts)):
        pictures: list[tuple[str, Tensor]] = []
        for path in files[start : start + BATCH]:
            try:
                pictures.append((path, torch.from_numpy(open_image(path).rgb()).movedim(-1, 0)))
            except ValueError as error:
                refused.append(str(error))
        if not pictures:
            continue
        with torch.inference_mode():
            seen = datamodule.as_input([picture for _, picture in pictures])
            logits = views.answer(network, seen, len(pictures))
            probabilities, classes = logits.softmax(dim=1).topk(min(top, logits.shape[1]))
        for (path, picture), probable, its_classes in zip(pictures, probabilities, classes, strict=True):
            remark = datamodule.remark(picture)
            if len(answered) >= MOST_INSIDE:
                picture = thumbnail(picture) if len(answered) < MOST_DRAWN else picture[:, :0]
            answered.append(Answered(path, picture, probable, its_classes, remark))
    return answered, refused


def _names(settings: Node, datamodule: "ResumableData", run: str | None) -> list[str]:
    """What the classes are called, or their numbers."""
    names: list[str] = list(getattr(datamodule, "class_names", ()))
    if not names and not run and settings["data"]["num_classes"] == 1000:
        from torchvision.models import ResNet50_Weights

        names = ResNet50_Weights.IMAGENET1K_V1.meta["categories"]  # which all of torchvision's weights share
    return names or [str(number) for number in range(settings["data"]["num_classes"])]


def _label(path: str, names: list[str], datamodule: "ResumableData") -> str | None:
    """The class whose folder a picture lies in; Tiny ImageNet has another folder, `images`, between."""
    folder = Path(path).absolute().parent
    folder = folder.parent if folder.name == "images" else folder
    folders = list(getattr(datamodule, "class_folders", ()))
    if folder.name in folders:
        return names[folders.index(folder.name)]
    return folder.name if folder.name in names else None


def _draw(answered: list[Answered], names: list[str], datamodule: "ResumableData") -> "Figure":
    from cnnlit.drawings.top_predictions import TopPredictions, draw_top_predictions, thumbnail

    answers = [
        TopPredictions(
            [names[number] for number in each.classes.tolist()],
            each.probabilities.tolist(),
            _label(each.path, names, datamodule),
            Path(each.path).name,
        )
        for each in answered
    ]
    title = "What the network answers"
    return draw_top_predictions([thumbnail(each.picture) for each in answered], answers, title)


def _draw_occlusion(
    network: "nn.Module",
    datamodule: "ResumableData",
    answered: list[Answered],
    names: list[str],
    square: int | None,
    stride: int | None,
) -> "Figure":
    from cnnlit.attribution.drawing import draw_occlusion
    from cnnlit.attribution.occlusion import occlusion_map
    from cnnlit.files import progress

    pictures = [each.picture for each in answered]
    inputs, seen = datamodule.as_input(pictures), datamodule.as_seen(pictures)
    if isinstance(inputs, list):
        raise ValueError("inside=occlusion: covers one view of a picture; use protocol=single_crop")
    side = inputs.shape[-1]
    square, stride = square or max(1, side // 5), stride or max(1, side // 16)
    maps = [
        occlusion_map(network, image, int(each.classes[0]), square=square, stride=stride)
        for image, each in progress(list(zip(inputs, answered, strict=True)), "covering pictures", len(answered))
    ]
    captions = [_caption(each, names) for each in answered]
    return draw_occlusion(list(seen), maps, captions, square=square, stride=stride)


def _draw_deconvnet(
    network: "nn.Module", datamodule: "ResumableData", answered: list[Answered], names: list[str], layer: str | None
) -> "Figure":
    from torch import nn

    from cnnlit.attribution.deconvnet import project
    from cnnlit.attribution.drawing import draw_projections

    pictures = [each.picture for each in answered]
    inputs, seen = datamodule.as_input(pictures), datamodule.as_seen(pictures)
    if isinstance(inputs, list):
        raise ValueError("inside=deconvnet: looks at one view of a picture; use protocol=single_crop")
    layer = layer or [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d)][-1]
    try:
        found = [project(network, image, layer) for image in inputs]
    except ValueError as error:
        raise ValueError(f"inside=deconvnet: {error}") from None
    return draw_projections(list(seen), found, [_caption(each, names) for each in answered], layer)


def _caption(each: Answered, names: list[str]) -> str:
    return f"{Path(each.path).name}: {names[int(each.classes[0])]} {float(each.probabilities[0]):.0%}"


def _write(path: Path, figure: "Figure") -> None:
    from cnnlit.files import write_whole

    content = io.BytesIO()
    figure.savefig(content, format=path.suffix.removeprefix("."))
    write_whole(path, content.getvalue())


def _print(answered: list[Answered], names: list[str], datamodule: "ResumableData", format: str) -> None:  # noqa: A002
    found = [
        (
            each,
            [(names[number], p) for number, p in zip(each.classes.tolist(), each.probabilities.tolist(), strict=True)],
        )
        for each in answered
    ]
    if format == "json":
        objects: list[dict[str, Any]] = []
        for each, answers in found:
            listed = [{"class": name, "probability": probability} for name, probability in answers]
            optional = {"label": _label(each.path, names, datamodule), "remark": each.remark}
            known = {key: value for key, value in optional.items() if value is not None}
            objects.append({"image": each.path, "answers": listed} | known)
        sys.stdout.write(json.dumps(objects, indent=2, ensure_ascii=False) + "\n")
        return
    if not found:
        return
    from rich.console import Console

    from cnnlit.reports.tables import Table, print_page

    folder = os.path.commonpath([os.path.dirname(each.path) for each in answered])
    rows = []
    for each, ((name, probability), *others) in found:
        truth, remark = _label(each.path, names, datamodule) or "", each.remark or ""
        following = ", ".join(f"{other} {p:.1%}" for other, p in others)
        rows.append((os.path.relpath(each.path, folder or "."), name, f"{probability:.1%}", following, truth, remark))
    heads = ("image", "answer", "probability", "next", "label", "remark")
    used = [place for place in range(6) if place < 3 or any(row[place] for row in rows)]
    picked = [tuple(row[place] for place in used) for row in rows]
    print_page([Table.of(folder or ".", tuple(heads[place] for place in used), picked)], Console())


command = config.entry_point(predict)


def main() -> None:
    """The command, with paths as people write them."""
    config.quote("run", "images", "to")
    command()


if __name__ == "__main__":
    main()
