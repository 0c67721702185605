"""Recognise how a set of images is laid out in a folder, or say what is there instead.

A layout is a function from a folder to a `Listing`, or to None if the folder is not laid out so; if it is, but damaged,
it is refused. `LAYOUTS` are tried in order.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from pathlib import Path

from cnnlit.data.shards.foreign_shards import refuse_foreign_shards
from cnnlit.data.shards.shard_layouts import find_loose_shards, find_shards
from cnnlit.data.sources.archives import class_archives, unextracted
from cnnlit.data.sources.class_names import class_names
from cnnlit.data.sources.folders import (
    ImageFiles,
    Listing,
    folders_in,
    held_in,
    images_in,
    label_images,
    list_images,
    not_read,
    some,
    without_later_kinds,
)
from cnnlit.data.sources.found_files import EXPECTED, SOUGHT
from cnnlit.data.sources.named_splits import AS_USUAL, Named
from cnnlit.data.sources.parted_folders import one_folder, train_and_validation, training_classes, validation_alone
from cnnlit.data.stores.store import find_prepared
from cnnlit.files import refuse_address

INSIDE = ("", "ILSVRC/Data/CLS-LOC", "Data/CLS-LOC", "CLS-LOC")
"""Where the images may be in a folder: in itself, or where Kaggle's archive has them."""


def find_images(
    root: str | Path, source: str = "imagenet", named: Named = AS_USUAL, *, as_0_1: bool = False
) -> Listing:
    """Images and their classes, from a folder of any known layout.

    Args:
        root: the folder that holds them, or one with a folder named after the set that does.
        source: a key of SOUGHT, which says where else to look, and what to advise if nothing is found.
        named: the folders of its parts, where they are not called as usual.
        as_0_1: with the parts that version 0.1.0 saw.

    Raises:
        FileNotFoundError: if nothing is recognised; says what was found, what is expected, and how to obtain it.
        ValueError: if what is recognised is incomplete or contradicts itself, or if there are two sets.
    """
    refuse_address("data.root", root)
    root = Path(root).expanduser().absolute()
    layouts = _layouts(named, as_0_1)
    if found := _in_one(root, layouts):
        return _finished(found, as_0_1)
    below = {folder: found for folder in _below(root, source) if (found := _in_one(folder, layouts))}
    if len(below) > 1:
        names = " and ".join(folder.name for folder in below)
        raise ValueError(f"{root} holds {len(below)} sets, {names}; point data.root to one of them")
    if below:
        return _finished(next(iter(below.values())), as_0_1)
    raise FileNotFoundError(f"{held_in(root)}; expected {EXPECTED}; {SOUGHT[source].obtain}")


def _finished(listing: Listing, as_0_1: bool) -> Listing:
    """With a word on files that are not read; without the images that version 0.1.0 did not read either."""
    if as_0_1:
        train, val, test = map(without_later_kinds, (listing.train, listing.val, listing.test))
        assert train is not None
        return listing._replace(train=train, val=val, test=test)
    unread = [*not_read(listing.train), *not_read(listing.val), *not_read(listing.test)]
    return listing._replace(remarks=(*listing.remarks, *unread))


Layout = Callable[[Path], Listing | None]


def _layouts(named: Named, as_0_1: bool) -> Sequence[Layout]:
    if as_0_1:
        return [
            partial(train_and_validation, as_0_1=True) if each is train_and_validation else each for each in LAYOUTS
        ]
    if any(named):
        return [
            partial(_refuse_store, named),
            *(partial(each, named=named) for each in (find_shards, train_and_validation, validation_alone)),
        ]
    return LAYOUTS


def _refuse_store(named: Named, folder: Path) -> None:
    if find_prepared(folder):
        raise ValueError(f"{named.said()}: {folder} is a store, which has parts of its own; leave it out")


def _in_one(folder: Path, layouts: Sequence[Layout]) -> Listing | None:
    """The set in one folder, or where Kaggle's archive has it in there.

    Raises:
        FileNotFoundError: if it is in archives that are not extracted yet.
    """
    inside = [place for name in INSIDE if (place := folder / name).is_dir()]
    for place in inside:
        if packed := class_archives(place):
            raise FileNotFoundError(
                f"{place} holds {some(path.name for path in packed)} in train, which are not extracted yet: training "
                "with data=imagenet does so, beside them"
            )
    for layout, place in product(layouts, inside):
        if listing := layout(place):
            return listing
    for place in inside:
        if archives := unextracted(place):
            raise FileNotFoundError(
                f"{place} holds {some(path.name for path in archives.values())}, which are not extracted yet: "
                "training does so, beside them"
            )
    return None


def places(root: str | Path, source: str) -> list[Path]:
    """The folders in which to look for a set: the root, and those below it that are named after the set."""
    root = Path(root).expanduser().absolute()
    return [place for each in [root, *_below(root, source)] for name in INSIDE if (place := each / name).is_dir()]


def _below(root: Path, source: str) -> list[Path]:
    patterns = SOUGHT[source].below if root.is_dir() else ()
    found = [folder for pattern in patterns for folder in sorted(root.glob(pattern)) if folder.is_dir()]
    return list(dict.fromkeys(found))


def tiny_imagenet(folder: Path) -> Listing | None:
    """Tiny ImageNet: train/<wnid>/images/*.JPEG, val/images/*.JPEG and val/val_annotations.txt; or val/<wnid>/*.JPEG.

    Its test images have no labels, and are left out.
    """
    annotations, wnids = folder / "val" / "val_annotations.txt", folder / "wnids.txt"
    if not ((folder / "train").is_dir() and (annotations.is_file() or wnids.is_file())):
        return None
    held = folder / "val" / "images"
    annotated = held.is_dir() and bool(images_in(held))
    if not ((annotated and annotations.is_file()) or ((folder / "val").is_dir() and not annotated)):
        return None
    classes = training_classes(folder / "train")
    train = _of_tiny_classes(folder / "train", classes)
    test = _annotated(held, annotations, classes) if annotated else _of_tiny_classes(folder / "val", classes)
    return Listing("Tiny ImageNet", train, test, classes, class_names(classes, [folder]))


def _of_tiny_classes(folder: Path, classes: list[str]) -> ImageFiles:
    """The images of each class, which are in a folder of their own beside the list of boxes, or sorted by somebody."""
    inner = {name: f"{name}/images" if (folder / name / "images").is_dir() else name for name in classes}
    others = set(folders_in(folder)) - inner.keys() - {"images"}
    if others:
        raise ValueError(f"{folder} holds {some(sorted(others))}, which the training set has no class of")
    return list_images(folder, inner.items())


def _annotated(held: Path, annotations: Path, classes: list[str]) -> ImageFiles:
    """The images of one folder, whose classes the annotations tell."""
    # Lines of a name, a class and a box, separated by tabs.
    rows = [line.split("\t")[:2] for line in annotations.read_text().splitlines() if line.strip()]
    for row in rows:
        if len(row) != 2 or row[1] not in classes:
            raise ValueError(f"{annotations}: {' '.join(row)} names no class of the training set")
    class_of: dict[str, str] = dict(rows)
    images = set(images_in(held))
    if missing := sorted(class_of.keys() - images):
        raise ValueError(f"{held} lacks {some(missing)}, which val_annotations.txt names")
    if unnamed := sorted(images - class_of.keys()):
        raise ValueError(f"{annotations} tells no class of {some(unnamed)}; move them away, or complete it")
    return label_images(held, class_of, classes)


LAYOUTS: tuple[Layout, ...] = (
    find_prepared,
    refuse_foreign_shards,
    tiny_imagenet,
    find_shards,
    train_and_validation,
    one_folder,
    validation_alone,
    find_loose_shards,
)
