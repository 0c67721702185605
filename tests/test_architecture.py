"""Who may know whom: the rooms of the house and the doors between them."""

import ast
import itertools
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMMANDS = {path.stem for path in (ROOT / "cnnlit").glob("*.py")} - {"__init__", "config"}
EVERYWHERE = {"annotated_types"}
"""Words to annotate arguments with, the schema of the configuration."""

FORBIDDEN = {
    "models": {"lightning", "hydra", "omegaconf", "wandb", "cnnlit.data", "cnnlit.training", "cnnlit.callbacks"},
    "data": {"hydra", "omegaconf", "wandb", "cnnlit.models", "cnnlit.training", "cnnlit.callbacks", "cnnlit.results"},
    "training": {"hydra", "omegaconf", "wandb", "cnnlit.data", "cnnlit.models", "cnnlit.callbacks", "cnnlit.results"},
    "callbacks": {"hydra", "omegaconf", "cnnlit.data", "cnnlit.models", "cnnlit.training"},
    "parallel": {"cnnlit.data", "cnnlit.training", "cnnlit.callbacks"},
    "results": {"hydra", "omegaconf", "cnnlit.data", "cnnlit.models", "cnnlit.training", "cnnlit.callbacks"},
}


def imports(path):
    """All modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(module, packages):
    return any(module == package or module.startswith(package + ".") for package in packages)


@pytest.mark.parametrize("room", FORBIDDEN)
def test_a_room_knows_only_its_neighbours(room):
    for path in (ROOT / "cnnlit" / room).glob("*.py"):
        strangers = [module for module in imports(path) if within(module, FORBIDDEN[room])]
        assert not strangers, f"{path.name} imports {strangers}"


def test_models_know_torch_and_their_layers_alone():
    for path in (ROOT / "cnnlit" / "models").glob("*.py"):
        for module in imports(path):
            top = module.partition(".")[0]
            known = {"torch", "typing", "collections", "math", "functools"} | EVERYWHERE
            if path.stem == "weights":  # which fetches and reads files
                known |= {"torchvision", "logging", "pathlib"}
            shared = ("cnnlit.models.layers", "cnnlit.models.weights")
            assert top in known or module.startswith(shared), f"{path.name} imports {module}"


def test_no_one_imports_a_command():
    commands = {f"cnnlit.{name}" for name in COMMANDS}
    for path in itertools.chain((ROOT / "cnnlit").glob("*/**/*.py"), [ROOT / "cnnlit" / "config.py"]):
        assert not [module for module in imports(path) if within(module, commands)], path


def test_beside_the_commands_the_package_holds_its_configuration_alone():
    assert {"dashboard", "describe", "doctor", "evaluate", "predict", "prepare", "report", "sweep", "train"} == COMMANDS


def test_no_room_is_a_drawer():
    drawers = {"utils", "helpers", "base", "common", "registry", "factory", "manager"}
    assert not drawers & {path.stem for path in (ROOT / "cnnlit").rglob("*")}
