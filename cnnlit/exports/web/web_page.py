"""The page of a network, or of two side by side: one HTML file with everything in it."""

import base64
import inspect
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from torch import Tensor, nn
from torch.nn import functional

from cnnlit.data.small_images import SmallImages
from cnnlit.data.small_sets import drawn_digits as drawn
from cnnlit.data.transforms.distortions import BOTTOM
from cnnlit.exports.formats import TOLERANCE, difference
from cnnlit.exports.input_form import each_channel
from cnnlit.exports.web.shown_networks import TITLES
from cnnlit.exports.web.web_answers import answers_of, read_page
from cnnlit.exports.web.web_layers import SHOWN, layers_of
from cnnlit.files import write_whole

TEMPLATES = Path(__file__).with_name("templates")

SCRIPTS = (
    "numbers",
    "filters",
    "ink",
    "changes",
    "network",
    "field",
    "pad",
    "examples",
    "network_view",
    "controls",
    "page",
)

WORDS = {
    "activation": {"scaled_tanh": "scaled tanh", "tanh": "tanh", "sigmoid": "sigmoid", "relu": "ReLU",
                   "leaky_relu": "leaky ReLU", "elu": "ELU", "gelu": "GELU", "silu": "SiLU"},
    "pooling": {"subsample": "sub-sampling", "max": "max-pooling", "average": "average-pooling"},
    "c3": {"table": "connections of Table I", "full": "C3 sees all"},
    "head": {"rbf": "RBF codes", "linear": "softmax"},
    "normalization": {"batch": "batch normalisation"},
    "distortion": {"none": "no distortions", "affine1998": "distortions of 1998", "elastic2003": "elastic distortions"},
}  # fmt: skip
"""What a page says of a network's options."""

Node = Mapping[str, Any]


class PageNetwork(NamedTuple):
    """A network that a page shows, and how it is asked about digits."""

    network: nn.Module
    model: Node
    """Its node in the configuration."""
    data: Node
    datamodule: Any
    """Makes its input of images, see ResumableData."""
    class_names: list[str]
    results: Node
    """Protocol -> measured values of its tests."""


class HardImage(NamedTuple):
    """A test image that a network finds hard."""

    pixels: Tensor
    """uint8 [28, 28]."""
    number: int
    label: str


def write_page(path: Path, networks: Sequence[PageNetwork], pictures: Sequence[HardImage], command: str) -> float:
    """Write a page and compare what is in it with the networks.

    Args:
        path: of the HTML file.
        networks: one, or two of the same classes.
        pictures: to begin with, beside some that are drawn.
        command: that wrote it.

    Returns:
        The largest difference of the page's answers from those of the networks, as of `formats.write`.

    Raises:
        ValueError: one line, if a network cannot be shown, or the page answers otherwise.
    """
    networks_shown = [_network(each) for each in networks]
    content = {
        "networks": networks_shown,
        "pictures": [_picture(each) for each in pictures],
        "rules": RULES,
        "ranges": {
            key: _default(f"distortion_{key}") for key in ("scaling", "squeezing", "shear", "translation_pixels")
        },
        "bottom": BOTTOM,
    }
    _tell_apart(networks_shown)
    titles = [each["title"] for each in networks_shown]
    title = "Two networks" if len(titles) > len(set(titles)) else " and ".join(titles)
    values = {"title": title, "count": len(networks), "page": content, "scripts": [f"{each}.js" for each in SCRIPTS]}
    write_whole(path, _environment().get_template("page.html").render(**values, command=command))
    written = zip(read_page(path)["networks"], networks, strict=True)
    found = max(difference(each.network, answers_of(own), (1, own["image"], own["image"])) for own, each in written)
    if found > TOLERANCE:
        raise ValueError(f"format=web: the page's answers differ from the network's by {found:.1e} of the largest")
    return found


RULES = {
    "side": drawn.SIDE, "inkBox": drawn.INK_BOX, "faintest": drawn.FAINTEST, "clearest": drawn.CLEAREST,
    "sure": drawn.SURE, "stroke": drawn.STROKE, "mostHoles": drawn.MOST_HOLES, "speck": drawn.SPECK,
    "views": drawn.VIEWS, "clear": drawn.CLEAR,
}  # fmt: skip
"""How a drawing is brought into the form of MNIST, and when it is doubted."""


def _default(option: str) -> Any:
    return list(inspect.signature(SmallImages).parameters[option].default)


def _network(shown: PageNetwork) -> dict[str, Any]:
    model = shown.model
    assert isinstance(shown.network, SHOWN)
    multiply, add = _scale(shown)
    found = layers_of(shown.network, model)
    return {
        "title": TITLES[str(model["_target_"]).rpartition(".")[2]],
        "facts": list(_facts(shown)),
        "classes": shown.class_names,
        "image": model["image_size"],
        "multiply": multiply,
        "add": add,
        "layers": found.layers,
        "weights": _base64(found.numbers),
    }


def _facts(shown: PageNetwork) -> list[str]:
    said = {**shown.data, **shown.model}
    facts = [words[said[key]] for key, words in WORDS.items() if said.get(key) in words]
    return [*facts, *map(_measured, list(shown.results.values())[:1])]


def _measured(test: Node) -> str:
    return f"{100 * test['test/error']:.2f} % of {int(test['test/num_images']):,} test images wrong"


def _tell_apart(shown: Sequence[dict[str, Any]]) -> None:
    """Say of each network what it has of its `own`, and a `label`: its title, or two of these if the titles are one."""
    for each in shown:
        others = [other for other in shown if other is not each]
        each["own"] = [fact for fact in each["facts"] if any(fact not in other["facts"] for other in others)]
        same = any(other["title"] == each["title"] for other in others)
        each["label"] = ", ".join(each["own"][:2]) if same and each["own"] else each["title"]


def _scale(shown: PageNetwork) -> tuple[Any, Any]:
    """What pixels are multiplied by and what is added, numbers or arrays of one for each pixel."""
    form, side = shown.datamodule.input_form(), shown.model["image_size"]
    digit = torch.zeros(28, 28, dtype=torch.uint8)
    digit[4:24, 6:20] = torch.arange(20 * 14).view(20, 14).remainder(200) + 55
    edge = (side - 28) // 2
    framed = functional.pad(digit, (edge, side - 28 - edge, edge, side - 28 - edge)) if side >= 28 else None
    if (
        not shown.datamodule.takes_drawings
        or framed is None
        or not torch.allclose(
            shown.datamodule.as_input([digit.expand(3, -1, -1)])[0], framed * form["multiply"] + form["add"], atol=1e-4
        )
    ):
        raise ValueError(
            "format=web: a page shows characters of 28x28 pixels, padded to data.image_size, and no other images"
        )
    return _constant(form["multiply"]), _constant(form["add"])


def _constant(values: Tensor) -> Any:
    same = each_channel(values)
    return _base64(values) if same is None else same[0]


def _picture(picture: HardImage) -> dict[str, Any]:
    return {"pixels": _base64(picture.pixels), "number": picture.number, "label": picture.label}


def _base64(values: Tensor) -> str:
    return base64.b64encode(values.contiguous().numpy().tobytes()).decode()


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.globals["source"] = lambda name: Markup((TEMPLATES / name).read_text(encoding="utf-8").rstrip())
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    return environment
