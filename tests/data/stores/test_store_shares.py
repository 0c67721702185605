"""Several processes make one store, at the same time or not, to the bytes of one that a single process makes."""

from pathlib import Path
from typing import Any

import pytest
from as_typed import here
from data.stores.stored import found, store

from cnnlit.data.stores import store_folder
from cnnlit.data.stores.store_shares import StoreShare, at_work, working


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_folder, "LEAST_IN_SHARD", 5)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "prepared.json"}


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2)])
def test_shares_make_the_store_that_one_process_makes(photographs: Path, tmp_path: Path, order: Any) -> None:
    store(photographs, tmp_path / "whole")
    made = [store(photographs, tmp_path / "shared", shard=f"{number}/3") for number in order]
    assert [each.num_missing > 0 for each in made] == [True, True, False]
    assert contents(tmp_path / "shared") == contents(tmp_path / "whole")
    assert len(found(tmp_path / "shared").train) == 24
    assert store(photographs, tmp_path / "shared", shard="2/3").was_there


def test_a_share_that_was_interrupted_makes_what_is_missing_alone(photographs: Path, tmp_path: Path) -> None:
    first = store(photographs, tmp_path / "shared", shard="1/2")
    shards = sorted((tmp_path / "shared").glob("*.bin"))
    before = {path: path.stat().st_mtime_ns for path in shards[1:]}
    shards[0].unlink()
    again = store(photographs, tmp_path / "shared", shard="1/2")
    assert again.num_missing == first.num_missing
    assert {path: path.stat().st_mtime_ns for path in shards[1:]} == before
    assert shards[0].is_file()


def test_one_process_completes_what_shares_began(photographs: Path, tmp_path: Path) -> None:
    store(photographs, tmp_path / "shared", shard="2/2")
    store(photographs, tmp_path / "shared")
    store(photographs, tmp_path / "whole")
    assert contents(tmp_path / "shared") == contents(tmp_path / "whole")


def test_shares_through_the_command(photographs: Path, tmp_path: Path) -> None:
    words = [f"data.root={photographs}", "prepare.to=store", "prepare.side=32"]
    first, second = (here(tmp_path, "prepare", *words, f"prepare.shard={number}/2") for number in (1, 2))
    assert "this share is made; 4 shards are missing, which other shares make" in first.stdout
    assert second.stdout.startswith("store: 24 training images and 12 validation images of 3 classes")
    for wrong in ("0/2", "3/2", "half"):
        refused = here(tmp_path, "prepare", *words, f"prepare.shard={wrong}")
        assert f"prepare.shard={wrong}: say which share of how many, such as 3/16" in refused.stderr
    refused = here(tmp_path, "prepare", *words, "prepare.shard=1/2", "prepare.verify=true")
    assert "prepare.verify=true: is for a complete store; say it without prepare.shard" in refused.stderr


def test_a_share_is_made_by_one_process_at_a_time(photographs: Path, tmp_path: Path) -> None:
    import subprocess
    import sys

    folder = tmp_path / "store"
    code = (
        "import sys, pathlib; from cnnlit.data.stores.store_shares import StoreShare, working\n"
        f"with working(pathlib.Path({str(folder)!r}), StoreShare(1, 2)): print('holds', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout is not None
    assert other.stdout.readline() == b"holds\n"
    assert at_work(folder)
    with pytest.raises(ValueError, match="another process is making this share"), working(folder, StoreShare(1, 2)):
        pass
    with pytest.raises(ValueError, match="other processes are making shares of this store"):
        store(photographs, folder)
    assert store(photographs, folder, shard="2/2").num_missing
    other.communicate()
    assert not store(photographs, folder, shard="1/2").num_missing
