"""Private and patched names of other packages stand in files named *_internals.py, so that an upgrade breaks there."""

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("cnnlit", "hydra_plugins", "benchmarks")


class Allowed(NamedTuple):
    """A private name outside the files named *_internals.py."""

    file: str
    name: str
    reason: str


ALLOWED = (
    Allowed("cnnlit/__init__.py", "sys.excepthook", "Ctrl-C while a command imports, when nothing can catch it yet"),
    Allowed(
        "cnnlit/data/transforms/resampling.py", "_upsample_bilinear2d_aa",
        "the public interpolate takes a size or a scale, but not both, and rounds the last pixel off",
    ),
    Allowed("cnnlit/tracking/wandb_runs.py", "_runtime", "a documented key of every W&B run's summary"),
)  # fmt: skip

DOCUMENTED = {
    *("_replace", "_asdict", "_fields", "_make"),  # of every NamedTuple
    *("_target_", "_convert_", "_partial_", "_recursive_", "_args_", "_self_", "_global_"),  # Hydra's keys
    "_exit",  # of os
}
"""Public in spite of their underscore."""

LOOPS = {"fit_loop", "epoch_loop", "val_loop", "validate_loop", "test_loop", "predict_loop"}
"""A Trainer's loops, which belong to Lightning though their names are public."""


def is_private(name: str) -> bool:
    """Whether a name begins with exactly one underscore and is not documented all the same."""
    begins = name.startswith("_") and not name.startswith("__") and name != "_"
    return begins and name.isidentifier() and name not in DOCUMENTED


class Names(ast.NodeVisitor):
    """The private and patched names of other packages in a file.

    Args:
        ours: private names that are defined somewhere in this project.

    Attributes:
        found: those names, in order; a patch as it stands (`trainer.fit_loop.restarting`).
    """

    def __init__(self, ours: set[str]) -> None:
        self.found: list[str] = []
        self._ours = ours
        self._imported: set[str] = set()
        self._functions: set[str] = set()

    def visit_Module(self, node: ast.Module) -> None:
        for each in ast.walk(node):
            if isinstance(each, ast.Import | ast.ImportFrom):
                self._note_import(each)
            elif isinstance(each, ast.FunctionDef):
                self._functions.add(each.name)
        self.generic_visit(node)

    def _note_import(self, node: ast.Import | ast.ImportFrom) -> None:
        module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
        for alias in node.names:
            path = f"{module}.{alias.name}".strip(".")
            if path.partition(".")[0] in FOLDERS:
                continue
            self._imported.add(alias.asname or alias.name.partition(".")[0])
            self.found += [part for part in path.split(".") if is_private(part)]

    def visit_Attribute(self, node: ast.Attribute) -> None:
        own = is_own(node.value) and node.attr in self._ours
        if is_private(node.attr) and not own:
            self.found.append(node.attr)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        self._note_strings([*node.args, *(keyword.value for keyword in node.keywords)])
        self.found += [each.arg for each in node.keywords if each.arg and is_private(each.arg)]
        sets = isinstance(node.func, ast.Name) and node.func.id == "setattr"
        if sets and root_of(node.args[0]) in self._imported:
            self.found.append(ast.unparse(node))
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        self._note_strings([node.left, *node.comparators])
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self._note_strings([node.slice])
        self.generic_visit(node)

    def visit_Dict(self, node: ast.Dict) -> None:
        self._note_strings([key for key in node.keys if key])
        self.generic_visit(node)

    def visit_MatchValue(self, node: ast.MatchValue) -> None:
        self._note_strings([node.value])
        self.generic_visit(node)

    def _note_strings(self, nodes: list[ast.expr]) -> None:
        strings = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
        self.found += [text for text in strings if is_private(text) and text not in self._ours]

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            if isinstance(target, ast.Attribute) and not is_own(target.value) and self._patches(target, node.value):
                self.found.append(ast.unparse(target))
        self.generic_visit(node)

    def _patches(self, target: ast.Attribute, value: ast.expr) -> bool:
        within = {each.attr for each in ast.walk(target.value) if isinstance(each, ast.Attribute)}
        method = isinstance(value, ast.Attribute) and is_own(value.value) and value.attr in self._functions
        function = isinstance(value, ast.Name) and value.id in self._functions
        replaced = isinstance(value, ast.Lambda) or function or method
        return replaced or root_of(target) in self._imported or bool(within & LOOPS)


def is_own(node: ast.expr) -> bool:
    """`self`, `cls` or `super()`."""
    if isinstance(node, ast.Call):
        node = node.func
    return isinstance(node, ast.Name) and node.id in ("self", "cls", "super")


def root_of(node: ast.expr) -> str | None:
    """`torch` of `torch.nn.functional`; None for what begins with a call or a literal."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def files() -> dict[str, ast.Module]:
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text()) for path in sorted(paths)}


def defined_in(trees: list[ast.Module]) -> set[str]:
    """Private names of methods, functions, classes, fields and attributes of `self` that are this project's own."""
    names: set[str] = set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_own(node.value):
            names.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def overridden() -> Iterator[tuple[str, str]]:
    """What a class of ours replaces of the private names of another package's class behind it, with the file."""
    for file in files():
        module = importlib.import_module(".".join(Path(file).with_suffix("").parts).removesuffix(".__init__"))
        for own in vars(module).values():
            if inspect.isclass(own) and own.__module__ == module.__name__:
                yield from overrides_of(own)


def overrides_of(own: type) -> Iterator[tuple[str, str]]:
    """The private names that a class, or a mixin of ours behind it, replaces, with the file where it does so."""
    ours = [each for each in own.__mro__ if each.__module__.partition(".")[0] in FOLDERS]
    foreign = {name for each in own.__mro__ if each not in ours for name in vars(each)}
    for each in ours:
        file = Path(inspect.getfile(each))
        written = defined_in([ast.parse(file.read_text())])  # abc and typing add names of their own
        replaced = {name for name in vars(each) if is_private(name)} & foreign & written
        yield from ((str(file.relative_to(ROOT)), name) for name in replaced)


def names_in(tree: ast.Module, ours: set[str]) -> list[str]:
    names = Names(ours)
    names.visit(tree)
    return names.found


@pytest.fixture(scope="module")
def found() -> set[tuple[str, str]]:
    """All private and patched names of other packages, each with the file in which it stands."""
    trees = files()
    ours = defined_in(list(trees.values()))
    read = {(file, name) for file, tree in trees.items() for name in names_in(tree, ours)}
    return read | set(overridden())


@pytest.mark.slow
def test_private_names_stand_behind_their_fence(found: set[tuple[str, str]]) -> None:
    outside = {(file, name) for file, name in found if not file.endswith("_internals.py")}
    assert outside - {(each.file, each.name) for each in ALLOWED} == set()


def test_every_exception_is_needed_and_says_why(found: set[tuple[str, str]]) -> None:
    assert {(each.file, each.name) for each in ALLOWED} - found == set()
    assert all(each.reason for each in ALLOWED)
    assert not [each.file for each in ALLOWED if each.file.endswith("_internals.py")]


def test_a_file_of_internals_has_some(found: set[tuple[str, str]]) -> None:
    internals = {file for file in files() if file.endswith("_internals.py")}
    assert internals - {file for file, _ in found} == set()


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("from hydra._internal.utils import get_args_parser", "_internal"),
        ("import torch._dynamo.config", "_dynamo"),
        ("from torch.nn.modules.batchnorm import _NormBase", "_NormBase"),
        ("torch._foreach_add(a, b)", "_foreach_add"),
        ("trainer._signal_connector.teardown()", "_signal_connector"),
        ("self._conv_forward(maps)", "_conv_forward"),
        ("super()._call_children_scripts()", "_call_children_scripts"),
        ("getattr(module, '_current_fx_name')", "_current_fx_name"),
        ("name == '_current_fx_name'", "_current_fx_name"),
        ("vars(module)['_device']", "_device"),
        ("KINDS = {'_BatchNorm': 'normalization'}", "_BatchNorm"),
        ("match name:\n  case '_to_copy': pass", "_to_copy"),
        ("make(_recursive=False)", "_recursive"),
        ("trainer.fit_loop.restarting = False", "trainer.fit_loop.restarting"),
        ("trainer.fit_loop.epoch_loop.skip = lambda: None", "trainer.fit_loop.epoch_loop.skip"),
        ("from lightning import Trainer\nTrainer.fit = None", "Trainer.fit"),
        ("import hydra\nhydra.core.plugins.Plugins.check = None", "hydra.core.plugins.Plugins.check"),
        ("import hydra\nsetattr(hydra.main, 'x', 1)", "setattr(hydra.main, 'x', 1)"),
        ("def ours(): pass\nmodule.configure_model = ours", "module.configure_model"),
    ],
)
def test_a_private_or_patched_name_is_found(line: str, name: str) -> None:
    assert names_in(ast.parse(line), ours=set()) == [name]


@pytest.mark.parametrize(
    "line",
    [
        "row._replace(start=1)",
        "os._exit(1)",
        "node['_target_']",
        "self._ours = super()._ours",
        "setattr(layer, '_ours', value)",
        "from cnnlit.files import _ours",
        "name + ('_changed' if changed else '')",
        "f'{name}_val'",
        "self.strategy = lambda: None",
        "layer.groups = 1",
        "__slots__ = ('_ours',)",
    ],
)
def test_a_name_of_ours_or_a_documented_one_is_not(line: str) -> None:
    assert names_in(ast.parse(line), ours={"_ours"}) == []


def test_a_private_method_that_is_replaced_is_found() -> None:
    from cnnlit.parallel.strategies import DataParallel

    assert ("cnnlit/parallel/lightning_internals.py", "_configure_launcher") in set(overrides_of(DataParallel))
