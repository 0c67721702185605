"""Initial weights that are not random: published ones under our names, new heads, earlier runs."""

import logging
import urllib.error
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from cnnlit.models.alexnet import TORCHVISION_NAMES, AlexNet
from cnnlit.models.weights import fill, from_torchvision, read_run


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No network access, and an empty download cache, which is returned."""

    def unreachable(*_: Any, **__: Any) -> None:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(torch.hub, "_get_dir", lambda: str(tmp_path), raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "urlopen", unreachable)
    return tmp_path / "checkpoints"


def test_without_a_network_published_weights_are_refused_with_a_way_out(offline: Path) -> None:
    with pytest.raises(OSError, match="cannot be downloaded") as refusal:
        AlexNet(variant="torchvision", weights="IMAGENET1K_V1")
    message = str(refusal.value)
    assert "model.weights=IMAGENET1K_V1" in message
    assert "alexnet-owt-7be5be79.pth" in message
    assert str(offline) in message
    assert "\n" not in message
    assert not list(offline.glob("*")), "nothing half-written is left behind"


def test_a_download_with_another_hash_is_refused(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(url: str, place: str, hash_prefix: str | None, progress: bool = True) -> None:
        raise RuntimeError(f'invalid hash value (expected "{hash_prefix}", got "0")')

    monkeypatch.setattr(torch.hub, "download_url_to_file", damaged)
    with pytest.raises(OSError, match="invalid hash value"):
        AlexNet(variant="torchvision", weights="IMAGENET1K_V1")


@pytest.mark.parametrize("num_classes", [1000, 37])
def test_published_weights_fill_the_network_and_a_new_head_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, num_classes: int
) -> None:
    theirs = torchvision.models.alexnet(weights=None)
    state = theirs.state_dict()
    monkeypatch.setattr(torchvision.models.AlexNet_Weights, "get_state_dict", lambda *_, **__: state)
    with caplog.at_level(logging.WARNING):
        ours = AlexNet(variant="torchvision", weights="IMAGENET1K_V1", num_classes=num_classes)
    assert torch.equal(ours.conv1.weight, theirs.features[0].weight)
    assert torch.equal(ours.fc7.bias, theirs.classifier[4].bias)
    assert ours.fc8.weight.shape == (num_classes, 4096)
    if num_classes == 1000:
        assert torch.equal(ours.fc8.weight, theirs.classifier[6].weight)
        assert not caplog.messages
    else:
        assert caplog.messages == [
            "model.weights=IMAGENET1K_V1 has 1000 classes, the model 37: fc8 starts from random weights",
        ]


def test_what_torchvision_does_not_publish_is_refused() -> None:
    from cnnlit.models.weights import load_published

    with pytest.raises(ValueError, match="for alexnet torchvision publishes IMAGENET1K_V1"):
        load_published(nn.Linear(1, 1), "alexnet", "IMAGENET1K_V2", {}, heads=())


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ({"weight": torch.zeros(2, 3)}, "it has no bias"),
        ({"weight": torch.zeros(2, 4), "bias": torch.zeros(2)}, r"weight is \[2, 4\] there and \[2, 3\] here"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_by_its_first_misfit(state: Any, says: str) -> None:
    layer = nn.Linear(3, 2)
    before = layer.weight.clone()
    with pytest.raises(ValueError, match=f"model.weights=X does not fit: {says}"):
        fill(layer, state, "model.weights=X", heads=())
    assert torch.equal(layer.weight, before)


def test_a_layer_that_the_map_does_not_have_is_an_error() -> None:
    with pytest.raises(KeyError, match="features"):
        from_torchvision({"features.99.weight": torch.zeros(1)}, TORCHVISION_NAMES)


def test_a_run_gives_the_network_of_its_last_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    state = {"model.conv1.weight": torch.ones(2), "loss.weight": torch.zeros(1)}
    torch.save({"state_dict": state}, tmp_path / "checkpoints" / "last.ckpt")
    assert {key: value.tolist() for key, value in read_run(str(tmp_path)).items()} == {"conv1.weight": [1.0, 1.0]}


def test_a_folder_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"model.init_from=.*name the folder of a finished run"):
        read_run(str(tmp_path))
