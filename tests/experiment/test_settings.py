"""What a command takes is one frozen dataclass: its schema, and all that is built."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import hydra
import pytest
import torch
import yaml
from omegaconf import OmegaConf

from cnnlit import config
from cnnlit.config.hydra_internals import DEFAULTS
from cnnlit.evaluate import EvaluateSettings, evaluate
from cnnlit.experiment.settings import TrainSettings
from cnnlit.predict import PredictSettings, predict
from cnnlit.train import train

COMMANDS = [(train, TrainSettings), (evaluate, EvaluateSettings), (predict, PredictSettings)]


def settings(*overrides: str) -> TrainSettings:
    with hydra.initialize_config_dir(str(config.conf_dir()), **DEFAULTS):
        composed = hydra.compose("train", overrides=["logger=none", *overrides])
    node: Any = OmegaConf.to_container(composed, resolve=True)
    return TrainSettings(**node)


@pytest.mark.parametrize(("command", "fields"), COMMANDS, ids=lambda each: each.__name__)
def test_a_commands_file_holds_the_keys_of_its_settings(command: Any, fields: Any) -> None:
    path = config.conf_dir() / f"{command.__name__}.yaml"
    file: dict[str, Any] = yaml.safe_load(path.read_text())
    groups = [key for each in file.pop("defaults") if isinstance(each, dict) for key in each]
    own = {key for key in (*file, *groups) if key not in ("hydra", "experiment") and not key.startswith("override")}
    assert own == {field.name for field in dataclasses.fields(fields)}


def test_settings_cannot_be_changed_after_the_check() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings().seed = 1  # type: ignore[misc]


def test_a_runs_configuration_leaves_out_where_and_how_it_was_made_and_its_other_seeds() -> None:
    kept = settings("replicas=3", "seed=5").of_one_run()
    assert kept["seed"] == 5
    assert kept["replicas"] == 1
    assert not {"resume", "run_root", "replicas_as"} & set(kept)
    config.check({**kept, "resume": "x"}, train)


def test_the_seed_decides_the_initial_weights() -> None:
    one, same, other = (settings(f"seed={seed}").build_network().state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_a_network_from_a_checkpoint_fetches_no_other_weights(tmp_path: Path) -> None:
    chosen = settings("model=vgg11", "data=synthetic", f"model.init_from={tmp_path}/nowhere", "model.width=0.05")
    chosen.build_network(from_checkpoint=True)
    with pytest.raises(Exception, match="nowhere"):
        chosen.build_network()


def test_what_excludes_one_another_is_refused_before_anything_is_built() -> None:
    with pytest.raises(ValueError, match=r"^layer_statistics=true: .*compile=false$"):
        settings("compile=true", "layer_statistics=true").check()


def test_cuda_graphs_are_refused_without_a_gpu() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ValueError, match=r"^compile=cuda_graphs: .*compile=true compiles for a CPU$"):
        settings("compile=cuda_graphs").check()


def test_a_run_keeps_what_auto_stood_for() -> None:
    chosen = settings("recipe=lecun1998", "trainer=cpu").with_precision()
    assert chosen.of_one_run()["trainer"]["precision"] == "32-true"
    assert chosen.of_one_run()["compile"] == "auto"
    assert chosen.with_compiler(10).of_one_run()["compile"] is False
    assert chosen.with_compiler(10**6).compile is (shutil.which("g++") is not None)
    asked = settings("recipe=lecun1998", "trainer=cpu", "trainer.precision=bf16-mixed", "compile=false")
    assert asked.with_precision().with_compiler(10**6).of_one_run() == asked.of_one_run()


def test_a_papers_recipe_stays_with_float32_and_todays_for_photographs_need_not() -> None:
    for recipe in ("krizhevsky2012", "he2015", "szegedy2014", "simonyan2014", "zeiler2013", "lecun1998"):
        assert settings(f"recipe={recipe}").recipe["half_precision"] is False
    assert settings("recipe=modern_images").recipe["half_precision"] is True
