"""The user's own classes: built whatever their signatures, checked as far as these say, their bugs shown in place."""

import sys
from pathlib import Path
from typing import Any

import pytest

from cnnlit.config import own_code
from cnnlit.train import main

MODULE = '''
from torch import nn

from cnnlit.models.lenet5 import LeNet5


class Missing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        {}["missing"]


class Odd(nn.Module):
    def __init__(self, width: int = 3) -> None:
        raise ValueError("width must be even")


class Plain(nn.Module):
    """Knows neither num_classes nor in_channels."""

    def __init__(self, width: int = 8, outputs=10) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, width, 5, stride=2)
        self.norm = nn.BatchNorm2d(width)
        self.head = nn.Linear(width, outputs)

    def forward(self, images):
        return self.head(self.norm(self.conv(images)).relu().mean((2, 3)))


def factory(**options):
    return Plain(**options)


class Mine(LeNet5):
    def __init__(self, *, extra: int = 1, **options):
        super().__init__(**options)


class Broken(nn.Module):
    def forward(self, logits, labels):
        return {}["missing"]


class LateLoss(nn.Module):
    """Breaks in the third step, after what is tried before training."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, logits, labels):
        self.calls += 1
        return {}["missing"] if self.calls > 3 else nn.functional.cross_entropy(logits, labels)
'''

GOES_ON = "this goes on with the run"

QUICK = ("recipe.epochs=1", "logger=csv", "recipe.batch_size=500", "data.passes_per_epoch=1")


class Ended:
    """How a command ended."""

    def __init__(self, code: int | None, err: str) -> None:
        self.code, self.err = code, err

    @property
    def line(self) -> str:
        """Its refusal, or the error that ended it."""
        lines = [line for line in self.err.splitlines() if line.startswith("cnnlit: ") and GOES_ON not in line]
        assert len(lines) == 1, self.err
        return lines[0]


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Any:
    """Train with a package of one's own, `own_nets`, in the current folder."""
    (tmp_path / "own_nets.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own_nets", raising=False)

    def run(*words: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["train.py", *QUICK, *words])
        try:
            main()
        except SystemExit as stop:
            return Ended(stop.code, capfd.readouterr().err)  # type: ignore[arg-type]
        return Ended(None, capfd.readouterr().err)

    return run


def test_an_error_in_an_own_network_shows_its_file_and_line(train: Any, tmp_path: Path) -> None:
    ended = train("model._target_=own_nets.Missing")
    assert ended.code == 1
    assert ended.line == "cnnlit: KeyError: 'missing' (own_nets.py, line 10, in __init__)"
    assert '{}["missing"]' in ended.err
    assert "site-packages" not in ended.err
    assert "cnnlit/" not in ended.err, "frames of ours and of libraries say nothing"
    assert not (tmp_path / "runs").exists()


def test_what_an_own_class_refuses_is_one_line_with_its_place(train: Any) -> None:
    ended = train("model._target_=own_nets.Odd")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert ended.line == "cnnlit: width must be even (own_nets.py, line 15, in __init__)"


def test_an_error_in_an_own_loss_shows_its_line_before_training_and_in_it(train: Any, tmp_path: Path) -> None:
    early = train("recipe.loss._target_=own_nets.Broken")
    assert "KeyError: 'missing' (own_nets.py, line 42, in forward)" in early.line
    assert not (tmp_path / "runs").exists()
    late = train("recipe.loss._target_=own_nets.LateLoss", "recipe.batch_size=100")
    assert late.code == 1
    assert "KeyError: 'missing' (own_nets.py, line 54, in forward)" in late.line
    assert GOES_ON in late.err.splitlines()[-1]


def test_an_error_while_an_own_module_is_imported_shows_its_line(train: Any, tmp_path: Path) -> None:
    (tmp_path / "own_broken.py").write_text("import math\nmath.nothing\n")
    ended = train("model._target_=own_broken.Net")
    assert ended.code == 2
    assert "own_broken.Net: cannot be imported" in ended.line
    assert "(own_broken.py, line 2, in <module>)" in ended.line
    (tmp_path / "own_typo.py").write_text("def f(:\n")
    assert "SyntaxError" in (typo := train("model._target_=own_typo.Net")).line
    assert "own_typo.py, line 1" in typo.line


def test_a_workers_error_is_found_in_the_text_that_it_sends() -> None:
    text = (
        "Caught KeyError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n"
        '  File "/opt/lib/python3.11/site-packages/torch/utils/data/x.py", line 3, in fetch\n    data\n'
        '  File "/home/me/sets.py", line 7, in __getitem__\n    table["missing"]\nKeyError: \'missing\'\n'
    )
    found = own_code.find(RuntimeError(text))
    assert found is not None
    assert (found.what, found.place) == ("KeyError: 'missing'", "/home/me/sets.py, line 7, in __getitem__")


def test_an_error_of_libraries_and_of_ours_is_not_taken_for_the_users() -> None:
    assert own_code.find(ValueError("has no traceback")) is None
    with pytest.raises(ValueError, match="x") as here:
        int("x")
    assert own_code.find(here.value), "this test's own file is neither"


@pytest.mark.parametrize(
    ("words", "unchecked"),
    [
        (("model._target_=own_nets.Plain",), None),
        (("model._target_=own_nets.factory", "+model.outputs=10"), "model.outputs"),
        (("model._target_=own_nets.Plain", "+model.outputs=10"), "model.outputs"),
        (("model._target_=own_nets.Mine", "+model.extra=2", "+model.more=1"), "model.more"),
    ],
)
def test_an_own_network_is_built_and_what_cannot_be_checked_is_said(
    train: Any, words: tuple[str, ...], unchecked: str | None
) -> None:
    ended = train(*words, "recipe/loss=cross_entropy", "recipe.epochs=1")
    said = [line for line in ended.err.splitlines() if line.startswith("not checked")]
    assert said == ([f"not checked, for nothing says what they may be: {unchecked}"] if unchecked else [])
    if unchecked == "model.more":
        assert "unexpected keyword argument 'more'" in ended.line
    else:
        assert ended.code is None, ended.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("model._target_=own_nets.Plain", "+model.outputs=7"), "Plain returns [N, 7]; it must return logits"),
        (("model._target_=own_nets.Mine", "model.pooling=maxx"), "model.pooling=maxx: must be one of"),
        (("model._target_=own_nets.Plain", "+model.widht=7"), "did you mean width?"),
        (("model._target_=own_nets.Plain", "model.activation=relu"), "model.activation: no such option"),
        (("recipe.loss._target_=own_nets.Broken", "+recipe.loss.k=1"), "recipe.loss.k: no such option"),
        (("model._target_=torchvision.models.mobilenet_v3_small",), "cannot take images [2, 1, 32, 32]"),
    ],
)
def test_what_can_be_checked_of_an_own_class_is(train: Any, tmp_path: Path, words: Any, says: str) -> None:
    ended = train(*words)
    assert ended.code == 2
    assert says in ended.line
    assert not (tmp_path / "runs").exists()
