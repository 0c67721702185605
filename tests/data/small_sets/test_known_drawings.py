"""Digits of MNIST's test images, drawn in ten manners, and what is no digit, as `predict` answers them."""

import gzip
import json
from pathlib import Path

import as_typed
import numpy as np
import pytest
from drawn_manners import MANNERS, no_digits


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory, real_mnist: Path) -> tuple[Path, list[int]]:
    """A folder of a hundred digits and one of fifty other drawings, with the labels of the first."""
    folder, random = tmp_path_factory.mktemp("drawings"), np.random.default_rng(0)
    raw = real_mnist / "MNIST" / "raw"
    packed = [gzip.decompress((raw / f"t10k-{kind}-ubyte.gz").read_bytes()) for kind in ("images-idx3", "labels-idx1")]
    images = np.frombuffer(packed[0], np.uint8, offset=16).reshape(-1, 28, 28)
    labels = np.frombuffer(packed[1], np.uint8, offset=8)
    chosen = random.choice(len(images), 100, replace=False)
    for kind, made in (
        ("digits", [MANNERS[place % len(MANNERS)](images[number], random) for place, number in enumerate(chosen)]),
        ("others", no_digits(random)),
    ):
        (folder / kind).mkdir()
        for place, drawing in enumerate(made):
            drawing.save(folder / kind / f"{place:03d}.png")
    return folder, labels[chosen].tolist()


@pytest.mark.slow
@pytest.mark.parametrize("network", ["lenet5 MNIST", "lenet5 MNIST_MODERN", "compact MNIST"])
def test_a_shipped_network_knows_drawn_digits_from_other_drawings(
    drawings: tuple[Path, list[int]], network: str
) -> None:
    (folder, labels), (model, weights) = drawings, network.split()

    def answers(kind: str) -> list[dict[str, object]]:
        words = (f"model={model}", f"model.weights={weights}", f"images={folder / kind}", "format=json", "to=null")
        found = json.loads(as_typed.cnnlit(folder, "predict", *words).stdout)
        return sorted(found, key=lambda each: each["image"])

    digits = answers("digits")
    right = [each["answers"][0]["class"] == str(label) for each, label in zip(digits, labels, strict=True)]  # type: ignore[index]
    undoubted = [own for own, each in zip(right, digits, strict=True) if "none_of_these" not in each]
    assert sum(right) >= 97
    assert sum(undoubted) >= 93
    assert len(undoubted) == sum(undoubted), "what is wrong is doubted"
    assert sum("none_of_these" in each for each in answers("others")) >= 45
