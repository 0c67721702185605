"""Every layout that docs/data.md shows under *Folders and archives* is made here as it is shown, and read."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from data.stores.stored import store
from PIL import Image

from cnnlit.data.image_folders import ImageNet
from cnnlit.data.sources.folders import Listing
from cnnlit.data.sources.layouts import find_images

DOCS = Path(__file__).parents[3] / "docs" / "data.md"
CLASSES = ("n02086240", "n02087394")


class Tools(NamedTuple):
    """What archives are made with."""

    pack: Callable[..., Path]
    kit: Callable[..., dict[str, bytes]]


class Form(NamedTuple):
    """A layout."""

    make: Callable[[Path, Tools], None]
    layout: str
    images: tuple[int, int]
    """To train on, and to test with."""


def content(suffix: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), "green").save(stream, Image.registered_extensions()[suffix.lower()])
    return stream.getvalue()


def images(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content(Path(name).suffix))


def parts(folder: Path, _: Tools) -> None:
    images(folder, "train/cat/1.jpg", "train/cat/kittens/2.tif", "train/dog/1.png", "val/cat/1.jpg", "val/dog/1.webp")


def classes_alone(folder: Path, _: Tools) -> None:
    images(folder, "cat/1.jpg", "cat/2.jfif", "dog/1.gif", "dog/2.avif")


def flat_validation(folder: Path, _: Tools) -> None:
    images(folder, *(f"train/{wnid}/{wnid}_1.JPEG" for wnid in CLASSES))
    images(folder, *(f"val/ILSVRC2012_val_0000000{number}.JPEG" for number in (1, 2)))
    (folder / "val" / "synsets.txt").write_text("\n".join(CLASSES))


def class_tar(folder: Path, wnid: str, tools: Tools) -> bytes:
    place = tools.pack(folder / "inner.tar", {f"{wnid}_1.JPEG": content(".jpeg")})
    packed = place.read_bytes()
    place.unlink()
    return packed


def official(folder: Path, tools: Tools) -> None:
    inner = {f"{wnid}.tar": class_tar(folder, wnid, tools) for wnid in CLASSES}
    tools.pack(folder / "ILSVRC2012_img_train.tar", inner)
    held = {f"ILSVRC2012_val_0000000{number}.JPEG": content(".jpeg") for number in (1, 2)}
    tools.pack(folder / "ILSVRC2012_img_val.tar", held)
    files = tools.kit(list(CLASSES), list(CLASSES))
    packed = {f"ILSVRC2012_devkit_t12/{name}": part for name, part in files.items()}
    tools.pack(folder / "ILSVRC2012_devkit_t12.tar.gz", packed)


def archives_of_classes(folder: Path, tools: Tools) -> None:
    (folder / "train").mkdir(parents=True)
    for wnid in CLASSES:
        (folder / "train" / f"{wnid}.tar").write_bytes(class_tar(folder, wnid, tools))
        images(folder, f"val/{wnid}/1.JPEG")


def kaggle(folder: Path, _: Tools) -> None:
    data = "ILSVRC/Data/CLS-LOC"
    images(folder, *(f"{data}/train/{wnid}/{wnid}_1.JPEG" for wnid in CLASSES))
    images(folder, *(f"{data}/val/ILSVRC2012_val_0000000{number}.JPEG" for number in (1, 2)))
    rows = [f"ILSVRC2012_val_0000000{number},{wnid} 1 1 8 8" for number, wnid in enumerate(CLASSES, 1)]
    (folder / "LOC_val_solution.csv").write_text("\n".join(["ImageId,PredictionString", *rows]))


def tiny(folder: Path, _: Tools) -> None:
    for wnid in CLASSES:
        images(folder, f"train/{wnid}/images/{wnid}_0.JPEG")
        (folder / "train" / wnid / f"{wnid}_boxes.txt").touch()
    images(folder, "val/images/val_0.JPEG", "val/images/val_1.JPEG")
    rows = [f"val_{number}.JPEG\t{wnid}\t0\t0\t9\t9\n" for number, wnid in enumerate(CLASSES)]
    (folder / "val" / "val_annotations.txt").write_text("".join(rows))


def sorted_tiny(folder: Path, tools: Tools) -> None:
    tiny(folder, tools)
    for number, wnid in enumerate(CLASSES):
        (folder / "val" / wnid).mkdir()
        (folder / "val" / "images" / f"val_{number}.JPEG").rename(folder / "val" / wnid / f"val_{number}.JPEG")
    (folder / "val" / "images").rmdir()


def validation_alone(folder: Path, _: Tools) -> None:
    images(folder, *(f"val/{wnid}/1.JPEG" for wnid in CLASSES))


def prepared(folder: Path, tools: Tools) -> None:
    aside = folder.parent / "originals"
    parts(aside, tools)
    store(aside, folder, side=8)


def tar_shards(folder: Path, tools: Tools) -> None:
    for split in ("train", "val"):
        members = {f"00000{n}.{end}": c for n in (0, 1) for end, c in (("cls", b"%d" % n), ("jpg", content(".jpg")))}
        tools.pack(folder / f"imagenet-{split}-0000.tar", members)


def shards_in_folders(folder: Path, tools: Tools) -> None:
    for split in ("train", "val"):
        tools.pack(folder / split / "00000.tar", {f"{name}/1.jpg": content(".jpg") for name in ("cat", "dog")})


def parquet_files(folder: Path, _: Tools) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    (folder / "data").mkdir()
    for name in ("train-00000-of-00001", "validation-00000-of-00001"):
        images = [{"bytes": content(".jpg"), "path": f"{number}.jpg"} for number in (0, 1)]
        parquet.write_table(pa.table({"image": images, "label": [0, 1]}), folder / "data" / f"{name}.parquet")


FORMS = {
    "parts": Form(parts, "class folders", (3, 2)),
    "classes alone": Form(classes_alone, "class folders", (4, 0)),
    "flat validation": Form(flat_validation, "flat validation", (2, 2)),
    "official archives": Form(official, "class folders", (2, 2)),
    "archives of classes": Form(archives_of_classes, "class folders", (2, 2)),
    "Kaggle": Form(kaggle, "Kaggle", (2, 2)),
    "Tiny ImageNet": Form(tiny, "Tiny ImageNet", (2, 2)),
    "Tiny ImageNet, sorted": Form(sorted_tiny, "Tiny ImageNet", (2, 2)),
    "validation alone": Form(validation_alone, "class folders", (0, 2)),
    "tar shards": Form(tar_shards, "tar shards", (2, 2)),
    "tar shards in folders": Form(shards_in_folders, "tar shards", (2, 2)),
    "parquet files": Form(parquet_files, "parquet files", (2, 2)),
    "prepared": Form(prepared, "prepared", (3, 2)),
}


def tree(folder: Path, indent: str = "") -> Iterator[str]:
    """Files, then folders, each sorted by name."""
    for path in sorted(folder.iterdir(), key=lambda path: (path.is_dir(), path.name)):
        yield f"{indent}{path.name}{'/' if path.is_dir() else ''}"
        if path.is_dir():
            yield from tree(path, indent + "  ")


def read(folder: Path) -> Listing:
    data = ImageNet(root=str(folder), num_classes=2, image_size=8, batch_size=1)
    data.prepare_data()
    return find_images(folder)


@pytest.mark.parametrize("name", FORMS)
def test_a_layout_of_the_docs_is_shown_as_it_is_made_and_is_read(
    tmp_path: Path, pack: Any, kit: Any, name: str
) -> None:
    form, root = FORMS[name], tmp_path / "root"
    root.mkdir()
    form.make(root, Tools(pack, kit))
    section = DOCS.read_text().partition("## Folders and archives")[2].partition("\n## ")[0]
    assert "```\n" + "\n".join(tree(root)) + "\n```" in section
    listing = read(root)
    assert listing.layout == form.layout
    assert (len(listing.train), len(listing.test or ())) == form.images
    assert len(listing.classes) == 2
    assert not any("left out" in remark for remark in listing.remarks)
    for part in (listing.train, listing.test or ()):
        assert all(part.open(index).rgb().shape[2] == 3 for index in range(len(part)))
