"""Runs on shards in an object store are those on the same shards on a disk, to the bit, cut off and resumed or not."""

import itertools
import signal
from pathlib import Path

import pytest
from data.presented import assert_same
from data.remote.object_store import Proxy, upload
from data.shards.presented_by_ranks import KINDS, PICTURES, in_each_form, shown, training
from faults.training import assert_same_end, await_line, run, start

pytest.importorskip("moto")
pytest.importorskip("s3fs")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return in_each_form(tmp_path_factory.mktemp("pictures"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("ranks", "workers"), list(itertools.product((1, 2, 3), (0, 2))))
def test_each_picture_is_shown_once_and_a_run_that_was_cut_off_goes_on(
    store: Proxy, pictures: dict[str, Path], kind: str, ranks: int, workers: int
) -> None:
    address = upload(pictures[kind], kind)
    near, far = shown(pictures[kind], 0, ranks), shown(address, workers, ranks)
    assert sum(len(labels) for batches in far for _, labels in batches) == PICTURES
    for one, other, rest in zip(near, far, shown(address, 2 - workers, ranks, skipped=3), strict=True):
        assert_same(one, other)
        assert_same(one[3:], rest)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_a_run_told_to_stop_in_mid_epoch_ends_with_the_bits_of_one_on_a_disk(
    store: Proxy, pictures: dict[str, Path], tmp_path: Path, kind: str, ranks: int
) -> None:
    whole = run(tmp_path, *training(pictures[kind], ranks), "data.num_workers=2", f"hydra.run.dir={tmp_path}/whole")
    assert whole.returncode == 0, whole.stderr
    words = training(upload(pictures[kind], kind), ranks)
    process = start(tmp_path, *words, "data.num_workers=0", f"hydra.run.dir={tmp_path}/cut")
    await_line(process, "epoch 1/6")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    resumed = run(tmp_path, f"resume={tmp_path}/cut")
    assert resumed.returncode == 0, resumed.stderr
    assert_same_end(tmp_path / "cut", tmp_path / "whole")
