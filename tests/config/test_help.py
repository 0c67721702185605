"""What --help says."""

import re
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Gt, Lt

from cnnlit.config.help import describe, print_help
from cnnlit.evaluate import evaluate
from cnnlit.predict import predict
from cnnlit.train import train


def page(capsys: pytest.CaptureFixture[str], command: Any, *words: str) -> str:
    print_help(command, words)
    return capsys.readouterr().out


def flat(text: str) -> str:
    return " ".join(text.split())


def test_every_group_has_its_choices_and_every_key_its_value_choices_and_comment(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = flat(page(capsys, train))
    assert "model (lenet5) alexnet, compact, googlenet, lenet5," in text
    assert "experiment (none) activation, activation_photographs" in text
    assert "model.pooling=subsample max, average or subsample; the paper's: sum, trainable coefficient" in text
    assert "recipe.epochs=20 an integer >= 1; passes over the training set" in text
    assert "data.batch_size=64 an integer >= 1; follows recipe.batch_size" in text
    assert "checkpoint_minutes=30 a number > 0 or null; between two checkpoints" in text
    assert "recipe.optimizer.lr=0.005" in text
    assert "trainer.precision=auto auto, 32-true, bf16-mixed, 16-mixed" in text  # Lightning's and one of ours


@pytest.mark.parametrize("columns", [80, 200])
def test_no_line_is_wider_than_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = page(capsys, train).splitlines()
    own = lines[: lines.index("Examples:")]
    longest = max(map(len, own))
    assert longest <= min(columns, 120)
    assert longest > min(columns, 120) - 12, "the width there is is used"


def test_choices_change_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    text = flat(page(capsys, train, "model=alexnet", "recipe.epochs=7"))
    assert "model=alexnet:" in text
    assert "recipe.epochs=7" in text
    assert "model.c3" not in text


def test_a_papers_constant_says_what_it_is_and_who_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    text = flat(page(capsys, train, "recipe=he2015", "recipe"))
    assert "recipe.batch_size=256 an integer >= 1; images per step, over all devices (paper)" in text


def test_a_group_lists_its_choices_with_what_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    text = flat(page(capsys, train, "experiment"))
    assert "experiment=pooling Does max-pooling work better than average-pooling?" in text
    text = flat(page(capsys, train, "recipe.optimizer"))
    assert "recipe/optimizer=szegedy2014 SGD with momentum (Szegedy et al. 2014, Sec. 6)." in text
    assert "recipe.optimizer.weight_decay=0.01" in text


def test_a_single_key_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    text = page(capsys, train, "model.head")
    assert re.match(r"  model\.head=rbf +rbf or linear; ", text)
    assert len(text.splitlines()) <= 2


def test_an_unknown_part_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"--help model\.poling: no such group or key; did you mean model\.pooling\?"):
        print_help(train, ["model.poling"])


@pytest.mark.parametrize("command", [predict, evaluate])
def test_commands_that_are_told_a_run_do_not_list_what_the_run_decides(
    capsys: pytest.CaptureFixture[str], command: Any
) -> None:
    text = page(capsys, command)
    assert "run=null" in text
    assert "from the run, where there is one; its keys: --help model" in text
    assert "model.shortcut" not in text
    assert "recipe.epochs" not in text
    assert "model.shortcut" in page(capsys, command, "model")


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (Literal["a"], "a"),
        (Literal[1, 2, 3], "1, 2 or 3"),
        (Annotated[int, Ge(1)] | Literal["auto"] | None, "an integer >= 1 or auto or null"),
        (Annotated[float, Gt(0), Lt(1)], "a number > 0 and < 1"),
        (bool, "true or false"),
        (str, ""),
        (str | None, ""),
        (list[int], ""),
    ],
)
def test_an_annotation_in_words(annotation: Any, words: str) -> None:
    assert describe(annotation) == words
