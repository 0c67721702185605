"""The file of a W&B sweep: read, checked, and unfolded into the command lines that its agents will run."""

import itertools
from pathlib import Path
from typing import Any

import yaml

METRICS = ("val/error", "val/top5_error", "val/loss", "train/error", "train/loss")
"""Metrics that a sweep may optimize: those logged in each epoch. The test error must not be used for selection."""


def read_sweep(path: Path) -> dict[str, Any]:
    """Read the file of a sweep.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it does not describe a sweep that cnnlit can run.
    """
    if not path.is_file():
        raise FileNotFoundError(f"file={path}: no such file")
    sweep = yaml.safe_load(path.read_text())
    if not isinstance(sweep, dict) or not isinstance(sweep.get("parameters"), dict) or "command" not in sweep:
        raise ValueError(f"{path}: a sweep has method, metric, parameters and command")
    if sweep.get("method") not in ("grid", "random", "bayes"):
        raise ValueError(f"{path}: method={sweep.get('method')}: must be one of grid, random, bayes")
    metric = sweep.get("metric", {}).get("name")
    if metric not in METRICS and (metric or sweep["method"] == "bayes" or "early_terminate" in sweep):
        raise ValueError(f"{path}: metric.name={metric}: must be one of {', '.join(METRICS)}")
    if "${args_no_hyphens}" not in sweep["command"]:
        raise ValueError(f"{path}: command must hold ${{args_no_hyphens}}, which is key=value for each parameter")
    return sweep


def command_lines(sweep: dict[str, Any]) -> list[list[str]]:
    """The arguments that a sweep's agents will pass to `python`: all of a grid; otherwise each value and bound once.

    Raises:
        ValueError: if a parameter has no values, or one that cannot be written on a command line.
    """
    candidates = {name: _candidates(name, parameter) for name, parameter in sweep["parameters"].items()}
    if sweep["method"] == "grid":
        chosen = [dict(zip(candidates, values, strict=True)) for values in itertools.product(*candidates.values())]
    else:
        first = {name: values[0] for name, values in candidates.items()}
        chosen = [first] + [{**first, name: value} for name, values in candidates.items() for value in values[1:]]
    return [_words(sweep["command"], values) for values in chosen]


def _candidates(name: str, parameter: dict[str, Any]) -> list[Any]:
    if "value" in parameter:
        values = [parameter["value"]]
    elif "values" in parameter:
        values = parameter["values"]
    elif "min" in parameter and "max" in parameter:
        values = [parameter["min"], parameter["max"]]
    else:
        raise ValueError(f"parameters.{name}: must have a value, values, or min and max")
    if None in values:
        raise ValueError(f"parameters.{name}: null arrives as the word None; leave it out, or name it in the command")
    return list(values)


def _words(command: list[str], values: dict[str, Any]) -> list[str]:
    from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

    arguments = create_sweep_command_args({"args": {name: {"value": value} for name, value in values.items()}})
    words: list[str] = []
    for word in command:
        words += arguments["args_no_hyphens"] if word == "${args_no_hyphens}" else [word]
    return [word for word in words if not word.startswith("${")]  # ${env} and ${interpreter}
