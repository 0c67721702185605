"""Pages of networks, opened in a browser."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from cnnlit.data.small_images import SmallImages
from cnnlit.exports.web.web_page import PageNetwork, write_page

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ROOT = Path(__file__).parents[3]
CLASSES = [str(digit) for digit in range(10)]
MNIST = next((each for each in [ROOT.parent / "shared" / "data" / "MNIST"] if each.is_dir()), None)


@contextmanager
def browser() -> Iterator[Any]:
    """Chromium; skips the test where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)}")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@contextmanager
def opened(chromium: Any, file: Path, width: int = 1280, **options: Any) -> Iterator[Any]:
    """A page from the disk, without network; whatever it complains about fails the test."""
    height = 844 if width < 500 else 900
    context = chromium.new_context(viewport={"width": width, "height": height}, offline=True, **options)
    tab, said = context.new_page(), []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.goto(file.as_uri())
    tab.wait_for_function("window.cnnlit && document.querySelector('.answer b').textContent")
    yield tab
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert said == []
    context.close()


def shown(network: torch.nn.Module, **model: Any) -> PageNetwork:
    """A network whose node is `model`, of digits."""
    name = type(network)
    node = {"_target_": f"{name.__module__}.{name.__name__}", "in_channels": 1, **model}
    data = {"distortion": "none", "image_size": node["image_size"]}
    return PageNetwork(network.eval(), node, data, SmallImages(image_size=node["image_size"]), CLASSES, {})


def page_of(folder: Path, *networks: PageNetwork) -> Path:
    write_page(folder / "network.html", networks, [], "python -m cnnlit.export")
    return folder / "network.html"


def answers_in(tab: Any, digits: Tensor, place: int = 0) -> Tensor:
    """The page's logits for uint8 [N, 28, 28]."""
    script = """([place, digits]) => digits.map((digit) => [...cnnlit.networks[place].answerDigit(
        cnnlit.grid(28, 28, Float32Array.from(digit)))])"""
    return torch.tensor(tab.evaluate(script, [place, digits.flatten(1).tolist()]), dtype=torch.double)


def image_in(tab: Any, expression: str, *arguments: Any) -> Tensor:
    """What an expression of the page makes, an image [H, W]."""
    width, values = tab.evaluate(
        f"(given) => {{ const made = ({expression})(...given); return [made.width, [...made.values]]; }}", arguments
    )
    return torch.tensor(values).view(-1, width)
