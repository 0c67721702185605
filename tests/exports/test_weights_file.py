"""A safetensors file with what is needed to ask its network about images."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from cnnlit.exports.weights_file import read_about, read_weights, write_weights


def test_weights_are_under_their_own_names_and_what_is_beside_them_comes_back(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    mean_image = torch.randn(3, 4, 5)
    about = {"config": {"data": {"size": [1, 2]}}, "data_state": {"mean_image": mean_image, "class_names": ["a", "é"]}}
    write_weights(tmp_path / "w.safetensors", network, about)
    found = read_weights(tmp_path / "w.safetensors")
    assert found.state.keys() == load_file(tmp_path / "w.safetensors").keys() == network.state_dict().keys()
    assert all(torch.equal(found.state[key], value) for key, value in network.state_dict().items())
    assert torch.equal(found.about["data_state"].pop("mean_image"), mean_image)
    assert found.about == {"config": {"data": {"size": [1, 2]}}, "data_state": {"class_names": ["a", "é"]}}


def test_what_json_cannot_say_is_left_out_as_a_whole(tmp_path: Path) -> None:
    write_weights(tmp_path / "w.safetensors", nn.Linear(2, 2), {"config": {}, "data_state": {"module": object()}})
    assert read_about(tmp_path / "w.safetensors") == {}
