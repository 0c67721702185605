"""Shards as other programs write them, of images in class folders."""

import io
import itertools
import json
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

IN_SHARD = 130


def pictures(folder: Path) -> list[tuple[Path, int]]:
    """The images in class folders and their labels, shuffled as whoever writes shards does."""
    classes = sorted(path.name for path in folder.iterdir())
    listed = [(path, label) for label, name in enumerate(classes) for path in sorted((folder / name).iterdir())]
    order = torch.randperm(len(listed), generator=torch.Generator().manual_seed(3)).tolist()
    return [listed[number] for number in order]


def in_shards(listed: Sequence[tuple[Path, int]], size: int) -> Iterator[Sequence[tuple[Path, int]]]:
    for first in range(0, len(listed), size):
        yield listed[first : first + size]


def write_tar(path: Path, members: dict[str, bytes], form: int = tarfile.USTAR_FORMAT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=form) as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def tar_shards(originals: Path, to: Path, *, size: int = IN_SHARD, label: str = "cls") -> Path:
    """train-0000.tar, val-0000.tar and so on: `<number>.jpg` beside `.cls` or `.json`; or `<class>/<number>.jpg`."""
    for split in ("train", "val"):
        numbers = itertools.count()
        for number, shard in enumerate(in_shards(pictures(originals / split), size)):
            members: dict[str, bytes] = {}
            for path, its in shard:
                key = f"{next(numbers):06d}"
                if label == "key":
                    key = f"{path.parent.name}/{key}"
                elif label == "cls":
                    members[f"{key}.cls"] = str(its).encode()
                else:
                    members[f"{key}.json"] = json.dumps({"filename": path.name, "label": its}).encode()
                members[f"{key}.jpg"] = path.read_bytes()
            write_tar(to / f"{split}-{number:04d}.tar", members)
    return to


def parquet_shards(originals: Path, to: Path, *, size: int = IN_SHARD, rows: int = 20, names: bool = True) -> Path:
    """train-00000-of-00003.parquet and so on, as `datasets` writes them."""
    import pyarrow as pa
    from pyarrow import parquet

    to.mkdir(parents=True, exist_ok=True)
    classes = sorted(path.name for path in (originals / "train").iterdir())
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": classes}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})} if names else None
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema([("image", image), ("label", pa.int64())], metadata)
    for split, called in (("train", "train"), ("val", "validation")):
        shards = list(in_shards(pictures(originals / split), size))
        for number, shard in enumerate(shards):
            images = [{"bytes": path.read_bytes(), "path": path.name} for path, _ in shard]
            table = pa.table({"image": images, "label": [label for _, label in shard]}, schema)
            parquet.write_table(table, to / f"{called}-{number:05d}-of-{len(shards):05d}.parquet", row_group_size=rows)
    return to
