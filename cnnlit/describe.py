"""python -m cnnlit.describe: print the layer table of a network beside the paper's, or how two networks differ.

conf/describe.yaml and the groups that it names hold all options; --help lists them.
"""

import gc
import inspect
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import hydra

from cnnlit import config
from cnnlit.config import ModelNode, Node, Values
from cnnlit.files import check_place

if TYPE_CHECKING:  # imported where needed, so that --help and mistakes are answered at once
    from torch import nn

    from cnnlit.config.provenance import SourcedValue
    from cnnlit.description.layer_table import Detail
    from cnnlit.description.network import Description
    from cnnlit.reports.tables import Page

Format = Literal["text", "html", "markdown", "json"]

SUFFIXES: dict[Format, tuple[str, ...]] = {
    "text": (".txt", ""),
    "html": (".html", ".htm"),
    "markdown": (".md", ".markdown"),
    "json": (".json",),
}
"""What the file of a description may end with."""


def describe(
    *,
    model: ModelNode,
    data: Values,
    recipe: Values,
    format: Format,  # noqa: A002  the word for it
    detail: Literal["blocks", "layers"],
    against: str | None,
    picture: str | None,
    to: str | None,
    seed: int,
) -> None:
    """Describe a network, or how two differ.

    conf/describe.yaml says what each key is for.
    """
    with config.refusing():
        one = replace(_described(_title(), model, data, detail), training=_training())
        other = _described(against, *_composed(against), detail) if against else None
        if picture:
            from cnnlit.description.diagram import draw

            draw(_outline(model), one.image, picture, detail)
        if to:
            from cnnlit.files import write_whole

            write_whole(Path(to), _written(one, other, format))
            sys.stdout.write(f"{to}\n")
            return
    if format == "text":
        from rich.console import Console

        from cnnlit.reports.tables import print_page

        print_page(_page(one, other), Console())
    else:
        sys.stdout.write(_written(one, other, format))


def _written(one: "Description", other: "Description | None", format: Format) -> str:  # noqa: A002
    from cnnlit.reports.tables import as_markdown, as_text

    if format == "json":
        return json.dumps(_as_json(one, other), indent=2) + "\n"
    page = _page(one, other)
    if format == "html":
        from cnnlit.reports.html import render

        title = f"{one.model} against {other.model}" if other else one.model
        return render("description.html", title=title, page=page)
    return as_markdown(page) if format == "markdown" else as_text(page)


def _page(one: "Description", other: "Description | None") -> "Page":
    from cnnlit.description.network import difference
    from cnnlit.reports.description_page import compared, described

    return compared(one, other, difference(one, other)) if other else described(one)


def _check_file(to: str, format: Format) -> None:  # noqa: A002
    """Refuse a file that would hold something else than its name says."""
    if Path(to).is_dir():
        raise ValueError(f"to={to}: is a folder; name a file")
    if (suffix := Path(to).suffix.lower()) not in SUFFIXES[format]:
        allowed = ", ".join(filter(None, SUFFIXES[format]))
        raise ValueError(
            f"to={to}: with format={format} it must end with {allowed}, and not with {suffix or 'nothing'}"
        )


def _as_json(one: "Description", other: "Description | None") -> dict[str, Any]:
    from cnnlit.description.network import difference

    if other is None:
        return one.as_json()
    return one.as_json() | {"against": other.as_json(), "difference": difference(one, other).as_json()}


def _described(name: str, model: Node, data: Node, detail: "Detail") -> "Description":
    """Build the network as an outline, and look up what its paper prints about it."""
    from cnnlit.description.layer_table import LayerTable
    from cnnlit.description.network import Description
    from cnnlit.description.paper_check import find

    keywords = {key: value for key, value in model.items() if key != "_target_"}
    target = hydra.utils.get_object(model["_target_"])
    defaults = {key: parameter.default for key, parameter in inspect.signature(target).parameters.items()}
    published, unlike = find(target.__name__, keywords, defaults)
    shape = {**data, **keywords}
    image = (shape["in_channels"], shape["image_size"], shape["image_size"])
    table = LayerTable(_outline(model), image)
    known = {key: value for key, value in defaults.items() if value is not inspect.Parameter.empty}
    return Description(name, image, table, detail, published, {key: keywords[key] for key in unlike}, known | keywords)


def _training() -> "list[SourcedValue]":
    """The constants of a paper's recipe, of which a loss alone is not one."""
    from cnnlit.config.hydra_internals import Composition
    from cnnlit.config.provenance import constants

    found = constants(Composition("describe", config.conf_dir(), config.command_words()), "recipe")
    return found if any("." not in each.key for each in found) else []


def _outline(model: Node) -> "nn.Module":
    from cnnlit.description.shape_inference import Outlined

    with Outlined():
        network: nn.Module = config.build(config.without_sources(model))
        return network.to("meta")


def _title() -> str:
    """The chosen model, and what the command line changes in it."""
    changed = [word for word in config.overrides() if word.startswith(("model.", "data.", "data="))]
    return " ".join([config.choice("model"), *changed])


def check_typed(*, against: str | None, to: str | None, picture: str | None, format: Format, **_: object) -> None:  # noqa: A002
    """Refuse places that cannot be written and another model that there is not, before PyTorch is imported for it."""
    if to:
        _check_file(to, format)
    for key, place in (("to", to), ("picture", picture)):
        if place:
            check_place(Path(place), key)
    if against:
        _composed(against, by_source=True)


def _composed(against: str, *, by_source: bool = False) -> tuple[Node, Node]:
    """The model and the data of another command line: this one's data, changed as `against` says."""
    first, *others = against.split()
    if "=" in first:  # the same model, changed
        kept = [word for word in config.overrides() if not word.startswith(("against=", "picture=", "to="))]
        line = [*kept, first, *others]
    else:
        kept = [word for word in config.overrides() if word.startswith(("data", "recipe"))]
        line = [*kept, f"model={first}", *others]
    composed = config.compose_again(describe, line, by_source=by_source)
    return composed["model"], composed["data"]


command = config.entry_point(describe, typed=check_typed)


def main() -> None:
    """The command. So short a process leaves no garbage worth collecting, and looking for it takes 0.3 s of 2."""
    gc.disable()
    config.quote("against", "to")
    try:
        command()
    finally:
        gc.enable()


if __name__ == "__main__":
    main()
