"""Sets that other libraries have written for themselves: refused by name, with the line that converts them."""

import json
from pathlib import Path
from typing import Any

TAR = (
    "python -c \"import io, tarfile, {imports}; t = tarfile.open('{to}', 'w'); "
    "add = lambda n, b: t.addfile((i := tarfile.TarInfo(n), setattr(i, 'size', len(b)))[0], io.BytesIO(b)); "
    "[(add(f'{{k:07d}}.jpg', {image}), add(f'{{k:07d}}.cls', str({label}).encode())) "
    'for k, x in enumerate({samples})]; t.close()"'
)
"""What writes a tar shard of a set that another library reads."""


def refuse_foreign_shards(folder: Path) -> None:
    """Refuse what only another library reads.

    Raises:
        ValueError: one line that names it, and the command that makes a tar shard of it.
    """
    for place in (folder, folder / "train", folder / "val"):
        if (library := _library(place)) is not None:
            name, line = library
            raise ValueError(f"{place} is a set of {name}, which is not read; this makes a tar shard of it: {line}")


def _library(folder: Path) -> tuple[str, str] | None:
    """Whose set a folder holds, and the line that converts it."""
    to = f"{folder.name}-00000.tar"
    index = _json(folder / "index.json")
    if "shards" in index and isinstance(index["shards"], list):
        made = f"streaming.StreamingDataset(local='{folder}', shuffle=False, batch_size=1)"
        return "mosaicml-streaming (MDS)", _line("streaming", to, made)
    if "chunks" in index:
        return "litdata", _line("litdata", to, f"litdata.StreamingDataset('{folder}')")
    if (folder / "features.json").is_file() and (folder / "dataset_info.json").is_file():
        split = next(iter(_splits(folder)), "train")
        made = f"tfds.builder_from_directory('{folder}').as_data_source('{split}')"
        image = "simplejpeg.encode_jpeg(x['image'], 95)"  # TFDS hands out pixels, and not the bytes of files
        return "TFDS", _line("simplejpeg, tensorflow_datasets as tfds", f"{split}-00000.tar", made, image)
    return None


def _line(imports: str, to: str, samples: str, image: str = "") -> str:
    image = image or "(x['image'].save(b := io.BytesIO(), 'JPEG', quality=95), b.getvalue())[1]"
    return TAR.format(imports=imports, to=to, samples=samples, image=image, label="x['label']")


def _splits(folder: Path) -> list[str]:
    told = _json(folder / "dataset_info.json").get("splits", [])
    return [each["name"] for each in told if isinstance(each, dict) and "name" in each]


def _json(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}
