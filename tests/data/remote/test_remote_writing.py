"""A store is prepared into an object store, from a folder or from another address, to the bytes of one in a folder."""

from pathlib import Path

import pytest
from as_typed import here
from data.remote.object_store import Proxy, upload

pytest.importorskip("moto")
pytest.importorskip("s3fs")


def contents(address: str) -> dict[str, bytes]:
    import s3fs

    files = s3fs.S3FileSystem(skip_instance_cache=True)
    found: list[str] = files.find(address)
    return {path.rpartition("/")[2]: files.cat_file(path) for path in found}


def test_prepare_reads_shards_at_an_address_and_writes_a_store_to_one(
    store: Proxy, sets: dict[str, Path], tmp_path: Path
) -> None:
    root, to = upload(sets["tar"], "tar"), "s3://pictures/made"
    words = ["data=folder", "data.num_classes=3", f"data.root={root}", f"prepare.to={to}", "prepare.side=32"]
    store.faults.update(busy=2)
    done = here(tmp_path, "prepare", *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{to}: 24 training images and 12 validation images of 3 classes")
    assert done.stdout.strip().endswith(f"data.root={to}")
    made = contents(to)
    local = {path.name: path.read_bytes() for path in sets["store"].iterdir() if path.is_file()}
    assert made.keys() == local.keys()
    assert {name for name in local if local[name] != made[name]} == {"prepared.json"}  # which says where it is from
    assert not list((tmp_path / "cache" / "cnnlit" / "preparing").iterdir())
    assert "was prepared before" in here(tmp_path, "prepare", *words).stdout
    other = here(tmp_path, "prepare", *words[:-1], "prepare.side=40")
    assert "with side=32, this is side=40" in other.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("prepare.to=https://host/store",), "prepare.to=https://host/store: a server on the web is only read"),
        (("prepare.to=s3://pictures/x", "prepare.shard=1/2"), "shares, verify and replace_damaged are for a folder"),
    ],
)
def test_what_cannot_be_written_is_refused(
    store: Proxy, photographs: Path, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    refused = here(tmp_path, "prepare", f"data.root={photographs}", *words)
    assert refused.returncode == 2
    (line,) = refused.stderr.strip().splitlines()
    assert said in line
