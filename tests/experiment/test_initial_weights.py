"""`model.weights`: a run's folder, a checkpoint, a safetensors file or torchvision's names, for any network."""

import logging
from pathlib import Path
from typing import Any

import hydra
import pytest
import torch
import torchvision
import yaml
from omegaconf import OmegaConf
from safetensors.torch import save_file
from torch import nn

from cnnlit import config
from cnnlit.config.hydra_internals import DEFAULTS
from cnnlit.experiment.settings import TrainSettings

COMPACT = ("model=compact", "data.image_size=28")


def settings(*overrides: str) -> TrainSettings:
    with hydra.initialize_config_dir(str(config.conf_dir()), **DEFAULTS):
        composed = hydra.compose("train", overrides=["logger=none", *overrides])
    node: Any = OmegaConf.to_container(composed, resolve=True)
    return TrainSettings(**node)


def compact(weights: Any = None, *more: str) -> nn.Module:
    return settings(*COMPACT, *([f"model.weights={weights}"] if weights else []), *more).build_network()


@pytest.fixture
def trained() -> dict[str, torch.Tensor]:
    """The weights of a network with seven classes, none of which a new one begins with."""
    network = settings(*COMPACT, "seed=9", "model.num_classes=7").build_network()
    return {key: value + 1 if value.is_floating_point() else value for key, value in network.state_dict().items()}


def files(folder: Path, state: dict[str, torch.Tensor]) -> dict[str, Path]:
    """The same weights in every kind of file."""
    (folder / "run" / "checkpoints").mkdir(parents=True)
    inside = {f"model.{key}": value for key, value in state.items()} | {"loss.class_weights": torch.ones(7)}
    torch.save({"state_dict": inside}, folder / "run" / "checkpoints" / "last.ckpt")
    torch.save(state, folder / "plain.pt")
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, folder / "ddp.pth")
    save_file(state, folder / "weights.safetensors")
    last = folder / "run" / "checkpoints" / "last.ckpt"
    return {"folder": folder / "run", "checkpoint": last, "plain": folder / "plain.pt", "ddp": folder / "ddp.pth",
            "safetensors": folder / "weights.safetensors"}  # fmt: skip


@pytest.mark.parametrize("kind", ["folder", "checkpoint", "plain", "ddp", "safetensors"])
def test_weights_from_any_file_fill_the_network_and_a_new_head_is_said(
    tmp_path: Path, trained: dict[str, torch.Tensor], kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = files(tmp_path, trained)[kind]
    same = compact(path, "model.num_classes=7").state_dict()
    assert all(torch.equal(same[key], value) for key, value in trained.items())
    assert not caplog.messages
    with caplog.at_level(logging.WARNING):
        other, fresh = compact(path), compact()
    assert caplog.messages == [f"model.weights={path} has 7 classes, the model 10: output starts from random weights"]
    assert torch.equal(other.output.weight, fresh.output.weight), "with the seed's own random weights"  # type: ignore[union-attr, arg-type]
    assert all(torch.equal(value, trained[key]) for key, value in other.state_dict().items() if "output" not in key)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("model.width=2.0",), "stages.0.weight is [16, 1, 3, 3] there and [32, 1, 3, 3] here, and so stages"),
        (("model.in_channels=3",), "stages.0.weight is [16, 1, 3, 3] there and [16, 3, 3, 3] here"),
        (("model.stages=[[16],[32,32],[56,56],[64]]",), "it has no stages.18, stages.19"),
        (("model.stages=[[16],[32,32],[56]]",), "does not fit: the model has no stages.15, stages.14"),
        (("model.normalization=none",), "does not fit: it has no stages.0, stages.4"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_its_layers(
    tmp_path: Path, trained: dict[str, torch.Tensor], change: tuple[str, ...], says: str
) -> None:
    path = files(tmp_path, trained)["safetensors"]
    with pytest.raises(ValueError, match="does not fit") as refusal:
        compact(path, *change)
    assert says in str(refusal.value)


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ("runs/nowhere", "there is no runs/nowhere; name a run's folder"),
        ("gone.safetensors", "there is no gone.safetensors"),
        ("IMAGENET1K_V1", "no such file or folder, and cnnlit.models.zfnet.ZFNet has no published weights"),
        ("damaged.ckpt", "damaged.ckpt cannot be read (UnpicklingError"),
        ("empty.safetensors", "empty.safetensors holds no weights"),
    ],
)
def test_weights_that_are_not_there_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, weights: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("damaged.ckpt").write_bytes(b"no checkpoint")
    save_file({}, "empty.safetensors")
    with pytest.raises((ValueError, OSError)) as refusal:
        settings("model=zfnet", "data=synthetic", "model.width=0.1", f"model.weights={weights}").build_network()
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_weights_of_a_run_on_another_scale_are_refused(tmp_path: Path, trained: dict[str, torch.Tensor]) -> None:
    photographs = ("model=resnet18", "data=synthetic", "model.width=0.1", "recipe=modern_images")
    state = {f"model.{key}": value for key, value in settings(*photographs).build_network().state_dict().items()}
    checkpoint = {"state_dict": state, "config": {"data": {"normalization": "mean_rgb"}}}
    torch.save(checkpoint, tmp_path / "last.ckpt")
    chosen = settings(*photographs, f"model.weights={tmp_path}/last.ckpt")
    with pytest.raises(ValueError, match=r"were trained on mean_rgb; add data.normalization=mean_rgb"):
        chosen.build_network()
    chosen.data["normalization"] = "mean_rgb"
    chosen.build_network()


def test_torchvisions_names_fill_its_own_networks_with_any_number_of_classes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    theirs = torchvision.models.mobilenet_v3_small().state_dict()
    entry = torchvision.models.MobileNet_V3_Small_Weights
    monkeypatch.setattr(entry, "get_state_dict", lambda *_, **__: theirs)
    model = {"_target_": "torchvision.models.mobilenet_v3_small", "num_classes": 7, "weights": "IMAGENET1K_V1"}
    base = settings("data=synthetic", "model=alexnet", "data.num_classes=7", "recipe=modern_images")
    chosen = TrainSettings(**{**vars(base), "model": model})
    config.check({"model": chosen.model}, TrainSettings)
    with caplog.at_level(logging.WARNING):
        state = chosen.build_network().state_dict()
    assert torch.equal(state["features.0.0.weight"], theirs["features.0.0.weight"])
    assert state["classifier.3.weight"].shape == (7, 1024)
    assert "has 1000 classes, the model 7: classifier.3 starts from random weights" in caplog.text


def test_a_resumed_run_reads_no_initial_weights(tmp_path: Path) -> None:
    settings(*COMPACT, f"model.weights={tmp_path}/gone.ckpt").build_network(from_checkpoint=True)


def test_every_model_lists_where_weights_may_come_from() -> None:
    for path in (config.conf_dir() / "model").glob("*.yaml"):
        node = yaml.safe_load(path.read_text())
        assert "_target_" not in node or node["weights"] is None, path.name
