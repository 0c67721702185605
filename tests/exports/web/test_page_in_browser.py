"""The page of a network in a real browser, from the disk: it answers as torch does, and prepares as predict does."""

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from exports.web.pages import MNIST, answers_in, browser, image_in, opened, page_of, shown
from scipy import ndimage
from torch import Tensor

import cnnlit
from cnnlit.data.small_images import SmallImages
from cnnlit.data.small_sets.drawn_digits import SURE, find_drawing, varied
from cnnlit.data.transforms.distortions import warp
from cnnlit.exports.web.web_page import PageNetwork
from cnnlit.models.compact import CompactNet
from cnnlit.models.lenet5 import LeNet5

SHIPPED = ("LeNet5.MNIST", "LeNet5.MNIST_MODERN", "CompactNet.MNIST")

DRAWINGS = {
    "nothing": "",
    "a dot": "M70 70L70.01 70",
    "a small 7 in a corner": "M100 100L122 100L108 126",
    "a 1 over the whole sheet": "M70 2L70 138",
    "a lying line": "M20 70L120 72",
    "two digits": "M30 40L30 100M80 40C120 40 120 100 80 100C50 100 50 40 80 40",
    "a blot": "M40 40L100 44L40 50L100 54L40 60L100 64L40 70L100 74L40 80L100 84L40 90L100 94L40 100",
    "a star": "M70 18L92 116L30 52L110 52L46 116L70 18",
    "a speck beside a 3": "M42 30C62 12 102 20 94 46C90 60 72 66 62 66C88 64 108 84 92 108M12 12L14 14",
    "a 2 with an edge": "M40 30L100 30L60 70L100 110L40 110",
    "a 4, or a 9": "M88 20L46 66C56 74 84 70 92 64M88 20L84 122",
}  # fmt: skip


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def loaded() -> dict[str, Any]:
    return {name: cnnlit.load(name) for name in SHIPPED}


@pytest.fixture(scope="module")
def pages(loaded: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: page_of(tmp_path_factory.mktemp(name), _shipped(each)) for name, each in loaded.items()}


def _shipped(each: Any) -> PageNetwork:
    return PageNetwork(each.network, each.config["model"], each.config["data"], each.datamodule, each.class_names, {})


@pytest.fixture(scope="module")
def digits() -> Tensor:
    """100 test images of MNIST where it is at hand, of scikit-learn's elsewhere."""
    source = {"source": "mnist", "root": str(MNIST)} if MNIST else {"source": "sklearn"}
    data = SmallImages(**source)  # type: ignore[arg-type]
    data.setup("test")
    return data.test_images[:100]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_hundred_digits_are_answered_as_torch_does(
    name: str, chromium: Any, pages: dict[str, Path], loaded: dict[str, Any], digits: Tensor
) -> None:
    exactly = copy.deepcopy(loaded[name].network).double()
    expected = exactly(loaded[name].transform(list(digits)).double()).detach()
    with opened(chromium, pages[name]) as tab:
        assert torch.allclose(answers_in(tab, digits), expected, atol=1e-4, rtol=0)


VARIANTS: dict[str, Any] = {
    "average-pooling of 3x3 at stride 2": (LeNet5, {"image_size": 40, "pooling": "average", "pool_window": 3}),
    "overlapping sub-sampling": (LeNet5, {"image_size": 36, "pool_window": 3, "activation": "tanh", "c3": "full"}),
    "batch normalisation": (LeNet5, {"image_size": 32, "normalization": "batch", "head": "linear", "pooling": "max"}),
    "CompactNet without it": (CompactNet, {"image_size": 28, "normalization": "none", "pooling": "average"}),
    **{
        activation: (LeNet5, {"image_size": 28, "activation": activation, "head": "linear"})
        for activation in ("sigmoid", "leaky_relu", "elu", "gelu", "silu")
    },
}


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_are_answered_as_torch_does(name: str, chromium: Any, digits: Tensor, tmp_path: Path) -> None:
    kind, options = VARIANTS[name]
    torch.manual_seed(0)
    network = kind(**options)
    for _ in range(3):  # statistics of batch normalisation that are not those it begins with
        network.train()(torch.randn(4, 1, options["image_size"], options["image_size"]))
    each = shown(network, **{"activation": "relu" if kind is CompactNet else "scaled_tanh", **options})
    images = each.datamodule.as_input(list(digits[:20, None].expand(-1, 3, -1, -1)))
    expected = copy.deepcopy(network).double()(images.double()).detach()
    with opened(chromium, page_of(tmp_path, each)) as tab:
        assert torch.allclose(answers_in(tab, digits[:20]), expected, atol=1e-4, rtol=0)


def _drawn(tab: Any, path: str) -> Tensor:
    tab.evaluate("(path) => path ? cnnlit.pad.showPath(path) : cnnlit.pad.clear()", path)
    return image_in(tab, "() => cnnlit.pad.pixels()").to(torch.uint8)[None].expand(3, -1, -1)


@pytest.mark.slow
def test_drawings_are_prepared_as_predict_does_to_the_same_pixels(chromium: Any, pages: dict[str, Path]) -> None:
    with opened(chromium, pages["LeNet5.MNIST"]) as tab:
        plain = tab.evaluate("[...document.querySelectorAll('.examples button')].length")
        for number in range(plain):
            tab.locator(".examples button").nth(number).click()
            _check_prepared(tab, image_in(tab, "() => cnnlit.pad.pixels()").to(torch.uint8)[None].expand(3, -1, -1))
        for path in DRAWINGS.values():
            _check_prepared(tab, _drawn(tab, path))


def _check_prepared(tab: Any, sheet: Tensor) -> None:
    expected = find_drawing(sheet)
    found = image_in(tab, "() => cnnlit.findDrawing(cnnlit.pad.pixels(), cnnlit.rules).digit")
    assert torch.equal(found.to(torch.uint8), expected.digit)
    assert tab.evaluate("cnnlit.findDrawing(cnnlit.pad.pixels(), cnnlit.rules).why") == expected.why_none


def test_what_is_none_of_these_is_what_the_network_calls_so_in_python(
    chromium: Any, pages: dict[str, Path], loaded: dict[str, Any]
) -> None:
    said = (
        "() => { const d = cnnlit.findDrawing(cnnlit.pad.pixels(), cnnlit.rules), n = cnnlit.networks[0];"
        "const l = [...n.answerDigit(d.digit)]; return n.doubt(d, l.indexOf(Math.max(...l)), cnnlit.rules); }"
    )
    each, doubted = loaded["LeNet5.MNIST"], 0
    with opened(chromium, pages["LeNet5.MNIST"]) as tab:
        for path in (
            *DRAWINGS.values(),
            "M40 30L100 30L60 70L100 110L40 110",
            "M88 20L46 66C56 74 84 70 92 64M88 20L84 122",
        ):
            sheet = _drawn(tab, path)
            why, views = each.datamodule.doubtful(sheet)
            if why is None:
                answer = int(each(each.transform(sheet)).argmax())
                sure = each(views).softmax(1).mean(0)[answer].item()
                why = None if sure >= SURE else f"varied a little, it is {sure:.0%} {answer}"
                doubted += why is not None
            _check_same(tab.evaluate(said), why)
    assert doubted


def _check_same(found: str | None, expected: str | None) -> None:
    """The same words; a percentage may be rounded to the other side."""
    numbers = [[int(each) for each in re.findall(r"\d+(?=%)", words or "")] for words in (found, expected)]
    assert numbers[0] == pytest.approx(numbers[1], abs=1)
    assert re.sub(r"\d+%", "", found or "") == re.sub(r"\d+%", "", expected or "")


def test_views_distortions_and_strokes_are_those_of_other_libraries(
    chromium: Any, pages: dict[str, Path], digits: Tensor
) -> None:
    digit, given = digits[0], digits[0].flatten().tolist()
    with opened(chromium, pages["LeNet5.MNIST"]) as tab:
        image = "cnnlit.grid(28, 28, Float32Array.from(digit))"
        for place, view in enumerate(varied(digit)):
            found = image_in(tab, f"(digit) => cnnlit.viewed({image}, cnnlit.rules.views[{place}])", given)
            assert (found - view).abs().max() <= 1  # where float32 rounds a half to the other side
        change = {"scaling": 1.2, "squeezing": 0.93, "shear": 0.11, "right": 1.3, "down": -0.7, "rotation": 0}
        found = image_in(
            tab, f"(digit, change) => cnnlit.distorted({image}, 32, change, cnnlit.page.bottom)", given, change
        )
        affine = torch.tensor([[1.2 * 0.93, 0.11 * 1.2 / 0.93, 1.2 / 0.93, -1.3, 0.7]])
        assert torch.allclose(found * 1.275 / 255 - 0.1, warp(digit[None], affine, 32)[0, 0], atol=1e-4)
        cross = ndimage.generate_binary_structure(2, 1)
        for part, changed in ((0.6, ndimage.grey_dilation), (-0.6, ndimage.grey_erosion)):
            found = image_in(tab, f"(digit, part) => cnnlit.thickened({image}, part)", given, part)
            other = torch.from_numpy(changed(digit.numpy().astype(np.float32), footprint=cross))
            assert torch.allclose(found, digit + abs(part) * (other - digit), atol=1e-3)
