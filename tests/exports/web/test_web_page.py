"""What is in the page of a network, and what has none."""

import json
import re
from pathlib import Path

import pytest
import torch
from as_typed import here
from exports.web.pages import MNIST, page_of, shown

from cnnlit.data.small_images import SmallImages
from cnnlit.exports.formats import TOLERANCE, difference
from cnnlit.exports.web import web_page
from cnnlit.exports.web.web_answers import answers_of, numbers_of, read_page
from cnnlit.models.lenet5 import C3_TABLE, LeNet5, digit_codes


def test_the_page_of_lenet5_is_one_small_file_that_loads_nothing(tmp_path: Path) -> None:
    done = here(tmp_path, "export", "model=lenet5", "model.weights=MNIST", "format=web", "to=out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [f"out/{name}" for name in ("card.md", "input.json", "network.html")]
    assert (tmp_path / "out" / "network.html").stat().st_size <= 600_000
    text = (tmp_path / "out" / "network.html").read_text()
    assert not re.search(r"\b(src|import|fetch|url)\s*[=(]|@import|<iframe", text.partition('id="page"')[0])
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "0.60 % of 10,000 test images wrong" in json.dumps(read_page(tmp_path / "out" / "network.html"))
    assert "opens in any browser" in (tmp_path / "out" / "card.md").read_text()


def test_layers_are_those_of_the_paper(tmp_path: Path) -> None:
    network = read_page(page_of(tmp_path, shown(LeNet5(), image_size=32, activation="scaled_tanh")))["networks"][0]
    names = [(each["name"], each["count"], each["side"]) for each in network["layers"]]
    assert names == [("C1", 6, 28), ("S2", 6, 14), ("C3", 16, 10), ("S4", 16, 5), ("C5", 120, 1), ("F6", 84, 1),
                     ("Output", 10, 1)]  # fmt: skip
    assert network["layers"][2]["from"] == [list(seen) for seen in C3_TABLE]
    start, length = network["layers"][-1]["weights"]
    assert torch.equal(numbers_of(network["weights"])[start : start + length], digit_codes().flatten())


def test_a_page_that_answers_otherwise_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here its first bias is lost on the way."""
    network = shown(LeNet5(), image_size=32, activation="scaled_tanh")
    found = read_page(page_of(tmp_path, network))["networks"][0]
    found["layers"][0]["bias"] = found["layers"][1]["bias"]
    assert difference(network.network, answers_of(found), (1, 32, 32)) > TOLERANCE
    monkeypatch.setattr(web_page, "read_page", lambda path: {"networks": [found]})
    with pytest.raises(ValueError, match="format=web: the page's answers differ"):
        page_of(tmp_path, network)


def test_digits_that_are_shown_otherwise_than_padded_are_refused(tmp_path: Path) -> None:
    network = shown(LeNet5(), image_size=32, activation="scaled_tanh")
    network = network._replace(datamodule=SmallImages(image_size=32, enlarge="resize"))
    with pytest.raises(ValueError, match=r"padded to data\.image_size"):
        page_of(tmp_path, network)


LENET5 = ["model=lenet5", "model.weights=MNIST"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["model=alexnet", "model.weights=IMAGENET1K_V1", "format=web"], "CompactNet by itself, not AlexNet, which"),
        ([*LENET5, "format=onnx", "beside=LeNet5.MNIST"], "beside=LeNet5.MNIST: only a page shows that"),
        ([*LENET5, "format=onnx", "pictures=3"], "pictures=3: only a page shows that"),
        ([*LENET5, "format=web", "pictures=61"], "pictures=61"),
        ([*LENET5, "format=web", "beside=nowhere"], "nowhere"),
    ],
)  # fmt: skip
def test_what_a_page_cannot_show_is_one_line_and_leaves_nothing(words: list[str], says: str, tmp_path: Path) -> None:
    done = here(tmp_path, "export", *words, "to=out")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert says in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(MNIST is None, reason="MNIST is not at ../shared/data")
def test_two_networks_are_told_apart_and_the_hardest_images_are_in_the_page(tmp_path: Path) -> None:
    words = [*LENET5, "format=web", "beside=LeNet5.MNIST_MODERN", "pictures=4", f"data.root={MNIST}", "to=out"]
    done = here(tmp_path, "export", *words)
    assert done.returncode == 0, done.stderr
    content = read_page(tmp_path / "out" / "network.html")
    labels = [each["label"] for each in content["networks"]]
    assert labels == ["scaled tanh, sub-sampling", "ReLU, max-pooling"]
    assert len(content["pictures"]) == 4
    assert {each["label"] for each in content["pictures"]} <= {str(digit) for digit in range(10)}
