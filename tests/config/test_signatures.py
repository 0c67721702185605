"""Signatures read from source are those that an import shows."""

import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import pytest
from annotated_types import Ge

from cnnlit.config import schema
from cnnlit.config.signatures import Foreign, read_signature

ROOT = Path(__file__).parents[2]
NAMED = {
    target
    for path in (ROOT / "conf").rglob("*.yaml")
    for target in re.findall(r"_target_: (cnnlit\.[\w.]+)", path.read_text())
} | {"cnnlit.experiment.settings.TrainSettings", "cnnlit.report.report", "cnnlit.describe.describe"}


def imported(found: Any) -> dict[str, Any]:
    """The parameters and resolved annotations of a class or function."""
    function = found.__init__ if inspect.isclass(found) else found
    return {name: schema._annotation(function, name) for name in inspect.signature(found).parameters}


def as_imported(told: Any) -> str:
    """An annotation with the class that an import shows in place of the one that stands for it."""
    return str(told).replace(f"{Foreign.__module__}.Foreign", "torch.Tensor")


@pytest.mark.parametrize("target", sorted(NAMED))
def test_what_the_source_tells_is_what_an_import_shows(target: str) -> None:
    told = read_signature(target)
    module, _, name = target.rpartition(".")
    shown = imported(getattr(importlib.import_module(module), name))
    if told is None:  # the constructor is that of a base which is not ours
        assert "__init__" not in vars(getattr(importlib.import_module(module), name))
        return
    assert list(told) == list(shown)
    empty = inspect.Parameter.empty
    for key, parameter in told.items():
        assert parameter.annotation is empty or as_imported(parameter.annotation) == str(shown[key]), key
    choices = {key for key, each in shown.items() if re.search(r"Literal|Annotated|int|float|bool", str(each))}
    assert choices <= {key for key, parameter in told.items() if parameter.annotation is not empty}


@pytest.mark.parametrize(
    "target", ["torchvision.models.vgg11", "own.Model", "cnnlit.models.lenet5.nosuch", "cnnlit.nosuch.A"]
)
def test_what_is_not_ours_or_not_there_is_left_open(target: str) -> None:
    assert read_signature(target) is None


@pytest.mark.parametrize(
    "target",
    [
        *(f"torch.optim.{name}" for name in ("SGD", "Adam", "AdamW", "NAdam", "RMSprop", "Adagrad", "LBFGS")),
        *(f"torch.optim.lr_scheduler.{name}" for name in ("StepLR", "OneCycleLR", "CosineAnnealingLR")),
        "lightning.pytorch.Trainer",
    ],
)
def test_pytorchs_and_lightnings_sources_tell_what_an_import_shows(target: str) -> None:
    told = read_signature(target)
    module, _, name = target.rpartition(".")
    shown = schema.options_of(getattr(importlib.import_module(module), name))
    assert told
    assert list(told) == list(shown.known)
    assert not shown.takes_any
    for key, parameter in told.items():
        if parameter.annotation is not inspect.Parameter.empty:
            both = (as_imported(parameter.annotation), str(shown.known[key]))
            one, other = (sorted(re.findall(r"[\w.]+", each)) for each in both)
            assert one == other, key  # typing keeps Unions of equal members in the order in which it saw them first


def test_a_rate_is_a_number_or_a_tensor_which_no_command_line_has() -> None:
    told = read_signature("torch.optim.AdamW")
    assert told
    assert told["lr"].annotation == float | Foreign
    with pytest.raises(ValueError, match=r"^lr=fast: must be a valid number$"):
        schema._check_value("fast", told["lr"].annotation, "lr")
    schema._check_value(1, told["lr"].annotation, "lr")


def test_a_parameter_says_what_its_docstring_says() -> None:
    told = read_signature("cnnlit.models.lenet5.LeNet5")
    assert told
    assert told["num_classes"] == (Annotated[int, Ge(2)], 'number of outputs; `head="rbf"` has codes for ten only.', 10)


def test_reading_imports_nothing_heavy() -> None:
    program = (
        "import sys; from cnnlit.config.signatures import read_signature as read\n"
        f"assert any(read(target) for target in {sorted(NAMED)})\n"
        "print('torch' in sys.modules)"
    )
    outcome = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert outcome.stdout == "False\n"


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"pooling": "maxx"}, "model.pooling=maxx: must be one of max, average, subsample; did you mean max?"),
    ({"poolin": "max"}, "model.poolin: no such option; did you mean pooling?"),
    ({"dropout": 1.0}, "model.dropout=1.0: must be less than 1"),
]


@pytest.mark.parametrize(("wrong", "message"), WRONG)
def test_the_source_refuses_in_the_words_of_an_import(wrong: dict[str, Any], message: str) -> None:
    node = {"model": {"_target_": "cnnlit.models.lenet5.LeNet5", **wrong}}
    for check in (
        lambda: schema.check_source(node, "cnnlit.experiment.settings.TrainSettings"),
        lambda: schema.check(node["model"], importlib.import_module("cnnlit.models.lenet5").LeNet5, "model"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            check()


def test_nodes_in_lists_and_below_others_are_seen() -> None:
    flip = {"_target_": "cnnlit.data.transforms.geometry.Flip", "often": 2}
    with pytest.raises(ValueError, match=r"recipe\.augmentation\[0\]\.often: no such option"):
        schema.check_source(
            {"recipe": {"_target_": "cnnlit.training.recipe.Recipe", "augmentation": [flip]}},
            "cnnlit.experiment.settings.TrainSettings",
        )
