"""W&B's sweeps: every command line that an agent will run composes and passes its schema."""

import importlib
import re
import sys
from pathlib import Path

import hydra
import pytest
import yaml

from cnnlit import config
from cnnlit.config.hydra_internals import DEFAULTS
from cnnlit.sweep import main
from cnnlit.tracking.wandb_sweep_file import command_lines, read_sweep
from cnnlit.train import train

SWEEPS = sorted((Path(__file__).parents[1] / "sweeps").glob("*.yaml"))


def composed(lines):
    assert all(line[:2] == ["-m", "cnnlit.train"] for line in lines)
    with hydra.initialize_config_dir(str(config.conf_dir()), **DEFAULTS):
        return [config.compose_again(train, line[2:]) for line in lines]


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_value_of_a_sweep_composes_and_passes_its_schema(path):
    nodes = composed(command_lines({**read_sweep(path), "method": "random"}))
    assert len(nodes) > 4
    assert all(node not in nodes[:number] for number, node in enumerate(nodes)), "each changes something"


@pytest.mark.slow
@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_command_line_of_an_agent_composes_and_passes_its_schema(path):
    composed(command_lines(read_sweep(path)))


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_a_sweep_opens_with_its_question_and_sets_no_whole_node(path):
    assert path.read_text().startswith("# Question: ")
    assert f"python -m cnnlit.sweep file=sweeps/{path.name}" in path.read_text()
    # W&B locks the keys that it sets: a whole node among them would be missing from the run's configuration.
    assert not {"model", "data", "recipe", "trainer", "logger"} & read_sweep(path)["parameters"].keys()


SAME = [path for path in SWEEPS if f"experiment={path.stem}" in read_sweep(path)["command"]]


@pytest.mark.parametrize("path", SAME, ids=lambda path: path.stem)
def test_the_experiment_and_the_sweep_of_one_question_are_the_same(path):
    def values(words):
        span = re.fullmatch(r"range\((\d+),(\d+)\)", str(words))
        return list(range(*map(int, span.groups()))) if span else yaml.safe_load(f"[{words}]")

    node = yaml.safe_load((config.conf_dir() / "experiment" / path.name).read_text())["hydra"]["sweeper"]["params"]
    swept = {key: [float(each) if str(each)[0].isdigit() else each for each in values(words)]
             for key, words in node.items()}  # fmt: skip
    uploaded = {key: parameter["values"] for key, parameter in read_sweep(path)["parameters"].items()}
    # Lists and nodes are strings there, since W&B would write them as Python does.
    assert swept == {
        key: [yaml.safe_load(value) if str(value).startswith("[") else value for value in values]
        for key, values in uploaded.items()
    }


GOOD = yaml.safe_load("""
method: bayes
metric: {name: val/error, goal: minimize}
parameters:
  recipe.optimizer.lr: {min: 0.001, max: 0.1}
  recipe.batch_size: {values: [32, 64]}
  model.dropout: {value: 0.5}
command: ["${env}", "${interpreter}", -m, cnnlit.train, "${args_no_hyphens}"]
""")


def test_a_search_is_checked_at_each_value_and_bound():
    fixed = ["model.dropout=0.5"]
    assert [line[2:] for line in command_lines(GOOD)] == [
        ["recipe.optimizer.lr=0.001", "recipe.batch_size=32", *fixed],
        ["recipe.optimizer.lr=0.1", "recipe.batch_size=32", *fixed],
        ["recipe.optimizer.lr=0.001", "recipe.batch_size=64", *fixed],
    ]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"parameters": {"model.poling": {"values": ["max"]}}}, "did you mean model.pooling?"),
        ({"parameters": {"model.pooling": {"values": ["max", "maxx"]}}}, "model.pooling=maxx"),
        ({"parameters": {"model.dropout": {"min": 0.1, "max": 1.5}}}, "model.dropout=1.5"),
        ({"parameters": {"num_threads": {"values": [1, None]}}}, "null arrives as the word None"),
        ({"parameters": {"seed": {"mu": 1}}}, "parameters.seed: must have a value, values, or min and max"),
        ({"metric": {"name": "val/eror"}}, "metric.name=val/eror"),
        ({"metric": {"name": "test/error"}}, "metric.name=test/error"),
        ({"method": "bayesian"}, "method=bayesian"),
        ({"command": ["${interpreter}", "-m", "cnnlit.train", "${args}"]}, "${args_no_hyphens}"),
        ({"command": ["${interpreter}", "train.py", "${args_no_hyphens}"]}, "-m cnnlit.train"),
        ({"parameters": None}, "method, metric, parameters and command"),
        (None, "no such file"),
    ],
    ids=str,
)
def test_a_wrong_sweep_is_one_line(tmp_path, monkeypatch, capfd, change, says):
    path = tmp_path / "sweep.yaml"
    if change is not None:
        path.write_text(yaml.safe_dump({**GOOD, **change}))
    monkeypatch.setattr(sys, "argv", ["sweep.py", f"file={path}"])
    with pytest.raises(SystemExit) as stop:
        main()
    out, err = capfd.readouterr()
    assert stop.value.code == 2
    assert says in err
    assert err.count("\n") == 1
    assert not out


def test_a_valid_sweep_says_how_to_start_it(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(sys, "argv", ["sweep.py", f"file={SWEEPS[0].parent / 'lenet5_learning_rate.yaml'}"])
    main()
    out, _ = capfd.readouterr()
    assert "(40 runs)" in out
    assert "wandb sweep " in out
    assert importlib.util.find_spec("wandb")
