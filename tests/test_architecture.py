"""The house: which rooms there are, who may know whom, and where private names of other packages stand."""

import ast
import importlib
import itertools
import statistics
from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from lightning import Callback

import cnnlit.__main__

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "cnnlit"
COMMANDS = {
    "dashboard",
    "describe",
    "doctor",
    "evaluate",
    "export",
    "new",
    "predict",
    "prepare",
    "report",
    "sweep",
    "train",
}

KNOWS = {
    "systems": set(),
    "files": {"systems"},
    "config": {"files", "systems"},
    "models": set(),
    "data": {"files", "systems"},
    "training": set(),
    "runs": {"files"},
    "inference": set(),
    "analysis": {"files", "runs", "inference"},
    "description": {"files"},
    "editors": {"files", "config"},
    "drawings": {"files"},
    "attribution": {"files", "drawings"},
    "exports": {"files", "models", "data"},
    "projects": {"files"},
    "tracking": {"files", "runs"},
    "reports": {"files", "runs", "analysis", "inference", "description"},
    "parallel": {"files", "systems", "runs", "models"},
    "callbacks": {"files", "runs", "parallel", "drawings"},
    "experiment": {
        *("files", "config", "models", "data", "training", "runs", "drawings", "attribution"),
        *("tracking", "parallel", "callbacks", "exports"),
    },
    "sweeps": {"files", "systems", "config", "runs", "parallel", "analysis"},
}
"""The rooms, and those of ours that each may import; commands may import all of them."""

PACKAGES = {
    "hydra": {"config", "sweeps", "commands"},
    "omegaconf": {"config", "sweeps", "commands"},
    "wandb": {"tracking"},
    "wandb_workspaces": {"tracking"},
    "optuna": {"sweeps"},
    "matplotlib": {"drawings", "attribution", "callbacks", "reports", "experiment", "commands"},
    "lightning": {"data", "training", "callbacks", "parallel", "runs", "tracking", "experiment", "commands"},
    "torchmetrics": {"training"},
    "torchvision": {"models", "data", "experiment"},
    "sklearn": {"data"},
}
"""Other packages, and the rooms that may import them."""

MOST_MODULES = 12
MOST_LINES = 300
MEDIAN_LINES, MOST_LINES_OF_NINE_IN_TEN = 6, 22


def modules() -> dict[str, Path]:
    """All modules of the package, by their dotted names."""
    return {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}


CONTEXT = {"contextlib", "contextvars"}


def imports(path: Path) -> Iterator[str]:
    """All modules that a file imports, wherever in it, and all names in them."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path.name}: imports are absolute here"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call):
            function = node.func
            name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            if name in ("import_module", "__import__") and isinstance(node.args[0], ast.Constant):
                yield str(node.args[0].value)


def room_of(module: str) -> str:
    """`runs` for cnnlit.runs.folder; `commands` for all of these."""
    room = module.split(".")[1]
    return "commands" if room in {*COMMANDS, "__main__"} else room


def rooms() -> list[Path]:
    """All folders of modules, those within others too."""
    return sorted({path.parent for path in PACKAGE.rglob("*.py")})


def classes() -> Iterator[tuple[str, Path]]:
    for path in modules().values():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                yield node.name, path


def test_the_package_holds_the_commands_the_ground_floor_and_the_rooms() -> None:
    names = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert names - {"__init__", "__main__"} == COMMANDS | set(KNOWS)
    assert set(cnnlit.__main__.COMMANDS) == COMMANDS


@pytest.mark.parametrize("room", KNOWS)
def test_a_room_knows_only_its_neighbours(room: str) -> None:
    for module, path in modules().items():
        if module == "cnnlit" or room_of(module) != room:
            continue
        known = {room_of(each) for each in imports(path) if each.startswith("cnnlit.")} - {room, "__version__"}
        assert known <= KNOWS[room], f"{path.name} imports {known - KNOWS[room]}"


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_is_known_only_where_it_serves(package: str) -> None:
    for module, path in modules().items():
        if package in {each.partition(".")[0] for each in imports(path)}:
            assert room_of(module) in PACKAGES[package], f"{module} imports {package}"


def test_models_know_torch_and_their_layers_alone() -> None:
    allowed = {"torch", "typing", "collections", "math", "functools", "annotated_types"}
    for path in (PACKAGE / "models").glob("*.py"):
        # weights.py fetches and reads files
        known = allowed | ({"torchvision", "logging", "pathlib", *CONTEXT} if path.stem == "weights" else set())
        for module in imports(path):
            shared = module.startswith(("cnnlit.models.layers", "cnnlit.models.weights"))
            assert shared or module.partition(".")[0] in known, f"{path.name} imports {module}"


def test_there_is_no_circle_of_imports() -> None:
    known = modules()
    graph = {module: {each for each in imports(path) if each in known} - {module} for module, path in known.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_no_room_has_more_than_twelve_modules() -> None:
    doors = {"__init__", "__main__"}  # by which Python enters, and not what is in the room
    sizes = {room: len([path for path in room.glob("*.py") if path.stem not in doors]) for room in rooms()}
    assert {str(room): size for room, size in sizes.items() if size > MOST_MODULES} == {}


def test_no_room_is_a_drawer() -> None:
    drawers = {"utils", "helpers", "base", "common", "registry", "factory", "manager"}
    assert not drawers & {path.stem for path in PACKAGE.rglob("*")}


def test_one_name_is_one_thing() -> None:
    names = Counter(name for name, _ in classes())
    assert [name for name, number in names.items() if number > 1] == []
    files = Counter(path.stem for path in modules().values() if path.stem != "__init__")
    assert [name for name, number in files.items() if number > 1] == []


def test_names_that_meant_two_things_are_gone() -> None:
    former = {"Views", "Replicas", "Sheet", "Pictures", "Comparison", "Difference", "Answer", "Published"}
    assert not former & {name for name, _ in classes()}


def test_every_module_of_callbacks_defines_a_callback() -> None:
    for path in (PACKAGE / "callbacks").rglob("*.py"):
        if path.stem == "__init__":
            continue
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        module = importlib.import_module(name)
        own = [each for each in vars(module).values() if getattr(each, "__module__", "") == name]
        public = [each for each in own if isinstance(each, type) and not each.__name__.startswith("_")]
        assert any(issubclass(each, Callback) for each in public), path.name


def test_the_tests_mirror_the_rooms() -> None:
    folders = {path.parent for path in (ROOT / "tests").rglob("test_*.py")}
    for folder in folders - {ROOT / "tests", ROOT / "tests" / "faults"}:
        assert (PACKAGE / folder.relative_to(ROOT / "tests") / "__init__.py").is_file(), folder


def test_files_and_functions_are_short() -> None:
    long = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in modules().values()}
    long = {path: lines for path, lines in long.items() if lines > MOST_LINES and "models" not in path}
    assert long == {}
    trees = [ast.parse(path.read_text()) for path in modules().values()]
    functions = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    lengths = sorted((node.end_lineno or 0) - node.lineno + 1 for node in functions)
    assert statistics.median(lengths) <= MEDIAN_LINES
    assert lengths[int(0.9 * len(lengths))] <= MOST_LINES_OF_NINE_IN_TEN


def test_every_module_says_what_it_is() -> None:
    silent = [module for module, path in modules().items() if not ast.get_docstring(ast.parse(path.read_text()))]
    assert not silent


def test_no_one_imports_a_command() -> None:
    commands = {f"cnnlit.{name}" for name in COMMANDS}
    for module, path in itertools.chain(modules().items(), [("hydra_plugins", ROOT / "hydra_plugins" / "cnnlit.py")]):
        if module.removeprefix("cnnlit.") not in COMMANDS - {"train"}:
            assert not commands & set(imports(path)), module
