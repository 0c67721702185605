"""397 pictures in shards of 130 are shown once each, on any number of processes and workers, and resumed to the bit."""

import itertools
import signal
from pathlib import Path

import pytest
import torch
from data.presented import assert_same
from data.shards.presented_by_ranks import KINDS, PICTURES, TESTED, digests, in_each_form, loaded, shown, training
from data.shards.sharded import tar_shards
from faults.training import assert_same_end, await_line, run, start


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return in_each_form(tmp_path_factory.mktemp("pictures"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("ranks", "workers"),
    [(1, 2), (3, 0), *(pytest.param(*each, marks=pytest.mark.slow) for each in ((1, 0), (2, 0), (2, 2), (3, 2)))],
)
def test_each_picture_is_shown_once_and_a_run_that_was_cut_off_goes_on(
    sets: dict[str, Path], kind: str, ranks: int, workers: int
) -> None:
    one = shown(sets[kind], 0, 1)[0]
    each = shown(sets[kind], workers, ranks)
    assert sum(len(labels) for batches in each for _, labels in batches) == PICTURES
    assert digests(itertools.chain(*each)) == digests(one)
    if kind != "store":  # whose pictures are encoded anew
        assert digests(one) == digests(shown(sets["folders"], 0, 1)[0])
    for whole, rest in zip(each, shown(sets[kind], 2 - workers, ranks, skipped=3), strict=True):
        assert_same(whole[3:], rest)
    assert [len(batches) for batches in each] == [8] * ranks


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_pictures_to_test_with_are_shown_once_in_their_order(sets: dict[str, Path], kind: str) -> None:
    data = loaded(sets[kind], 0)
    labels = torch.cat([batch[1] for batch in data.test_dataloader()])
    assert torch.equal(labels, data._splits["test"].labels)
    assert len(labels) == TESTED


def test_an_order_does_not_depend_on_how_tar_shards_are_cut(sets: dict[str, Path], tmp_path: Path) -> None:
    other = tar_shards(sets["folders"], tmp_path / "other", size=57, label="json")
    for one, another in zip(shown(sets["tar"], 0, 1), shown(other, 0, 1), strict=True):
        assert_same(one, another)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_a_run_told_to_stop_in_mid_epoch_ends_with_the_bits_of_one_that_was_not(
    sets: dict[str, Path], tmp_path: Path, kind: str, ranks: int
) -> None:
    words = training(sets[kind], ranks)
    whole = run(tmp_path, *words, "data.num_workers=2", f"hydra.run.dir={tmp_path}/whole")
    assert whole.returncode == 0, whole.stderr
    process = start(tmp_path, *words, "data.num_workers=0", f"hydra.run.dir={tmp_path}/cut")
    await_line(process, "epoch 1/6")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    resumed = run(tmp_path, f"resume={tmp_path}/cut")
    assert resumed.returncode == 0, resumed.stderr
    assert_same_end(tmp_path / "cut", tmp_path / "whole")
