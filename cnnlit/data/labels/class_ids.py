"""Classes matched by their ids, never by their places among the folders of a set."""

import functools
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from cnnlit.data.loading.image_set import ImageSet, Relabelled
from cnnlit.data.sources.folders import Listing, some

IMAGENETV2 = "imagenetv2"
"""The class map of ImageNetV2, whose folders are called 0 to 999: a class's place among ImageNet's WordNet ids."""

LEFT_OUT = -1


class KnownClasses(NamedTuple):
    """The classes that a network was trained on, in the order of its labels."""

    ids: Sequence[str]
    names: Sequence[str]
    """What each is called."""


class Matched(NamedTuple):
    """Images whose labels are those of a network that was trained on others."""

    listing: Listing
    """Its classes are the network's."""
    absent: list[int]
    """Labels of the classes of which there are no images."""
    remarks: list[str]
    """What whoever reads the result has to know, a sentence each."""


@functools.cache
def imagenet_ids() -> Sequence[str]:
    """The WordNet ids of ImageNet's thousand classes, sorted. Source: ILSVRC2012's synsets."""
    return (Path(__file__).parent / "imagenet_ids.txt").read_text().split()


def read_class_map(place: str) -> dict[str, str]:
    """The class of each folder.

    Args:
        place: `imagenetv2`, or a file: JSON, an object of folder and class (or of folder and [class, name], as
            torchvision's imagenet_class_index.json has it) or a list of classes for folders called 0, 1 and so on; or
            text, with a folder and its class in each line, or a class alone for the folder called as the lines before.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no class map.
    """
    if place == IMAGENETV2:
        return {str(number): wnid for number, wnid in enumerate(imagenet_ids())}
    path = Path(place).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f"data.class_map={place}: there is no such file; name a file of folders and their classes, or {IMAGENETV2}"
        )
    text = path.read_text(errors="replace")
    pairs = _of_json(text, place) if text.lstrip()[:1] in ("{", "[") else _of_lines(text, place)
    class_of = dict(pairs)
    if len(class_of) != len(pairs):
        twice = [folder for folder, count in Counter(folder for folder, _ in pairs).items() if count > 1]
        raise ValueError(f"data.class_map={place}: says two classes of {some(twice)}")
    return class_of


def renamed(listing: Listing, place: str) -> Listing:
    """A listing whose classes are those of a class map; folders of one class become one.

    Raises:
        FileNotFoundError, ValueError: one line; see read_class_map.
    """
    class_of = read_class_map(place)
    if untold := [each for each in listing.classes if each not in class_of]:
        raise ValueError(f"data.class_map={place}: says no class of {some(untold)}; complete it")
    new = [class_of[each] for each in listing.classes]
    names = {one: name for one, old, name in zip(new, listing.classes, listing.class_names, strict=True) if name != old}
    classes = sorted(set(new))
    return _relabelled(listing, new, classes, [names.get(each, each) for each in classes])


def matched(listing: Listing, known: KnownClasses, options: Mapping[str, Any]) -> Matched:
    """Images with the labels of a network, whose classes are matched by id, or else by a name that only one has.

    Args:
        listing: of the images.
        known: what the network was trained on.
        options: of the data: with a `class_map`, classes that the network does not know are left out; with
            `mask_absent` the network may answer with the classes alone of which there are images.

    Raises:
        ValueError: one line about classes that the network does not know, or another number of them.
    """
    if (said := options["num_classes"]) != (has := len(known.ids)):
        raise ValueError(f"data.num_classes={said}: the network has {has}, matched by their ids; leave it out")
    chosen, masked, folder = bool(options.get("class_map")), bool(options.get("mask_absent")), listing.folder
    id_of = _ids_by_word(known)
    unknown = [each for each in listing.classes if each not in id_of]
    if unknown and (not chosen or len(unknown) == len(listing.classes)):
        raise ValueError(_refusal(listing, unknown, known, folder))
    here = {id_of[each] for each in listing.classes if each in id_of}
    found = _relabelled(listing, [id_of.get(each) for each in listing.classes], list(known.ids), list(known.names))
    absent = [label for label, each in enumerate(known.ids) if each not in here]
    remarks = []
    if unknown:
        remarks.append(
            f"{len(unknown):,} of {len(listing.classes):,} classes in {folder} are none of the network's "
            f"({some(unknown)}); their images are left out"
        )
    if absent:
        names = some(known.names[label] for label in absent)
        may = "may be no others" if masked else "may be others too, unless data.mask_absent=true"
        share = f"{len(here):,} of the network's {len(known.ids):,} classes"
        remarks.append(f"{folder} has {share}, none of {names}: its answers {may}")
    elif masked:
        remarks.append(f"data.mask_absent=true: every class of the network is in {folder}, so none is left out")
    return Matched(found, absent, remarks)


def name_by_word(known: KnownClasses) -> dict[str, str]:
    """The name of a class by its id, or by its name where no other class has it."""
    name_of = dict(zip(known.ids, known.names, strict=True))
    return {word: name_of[each] for word, each in _ids_by_word(known).items()}


def _ids_by_word(known: KnownClasses) -> dict[str, str]:
    """The id of a class by its id, or by its name where no other class has it."""
    count = Counter(known.names)
    by_name = {name: each for each, name in zip(known.ids, known.names, strict=True) if count[name] == 1}
    return by_name | {each: each for each in known.ids}


def _refusal(listing: Listing, unknown: Sequence[str], known: KnownClasses, folder: Path) -> str:
    numbered = all(each.isdecimal() for each in listing.classes)
    return (
        f"{folder} has {len(unknown):,} classes that the network was not trained on ({some(unknown)}); its own are "
        f"{some(known.ids)}: data.class_map=<file> tells the class of each folder"
        + (f", data.class_map={IMAGENETV2} of ImageNetV2's numbers" if numbered else "")
    )


def _relabelled(listing: Listing, new: Sequence[str | None], classes: list[str], names: list[str]) -> Listing:
    """A listing with other classes.

    Args:
        listing: of images.
        new: the class in place of each of its classes; None to leave its images out.
        classes: all classes there are to be, in the order of labels.
        names: of these.
    """
    if list(new) == classes:
        return listing._replace(classes=classes, class_names=names)
    label_of: Mapping[str | None, int] = {each: label for label, each in enumerate(classes)}
    labels = torch.tensor([label_of.get(each, LEFT_OUT) for each in new], dtype=torch.int64)

    def relabel(images: ImageSet | None) -> Any:
        if images is None:
            return None
        its = labels[images.labels]
        kept = (its != LEFT_OUT).nonzero()[:, 0]
        return Relabelled(images.subset(kept), its[kept])

    sets = {split: relabel(getattr(listing, split)) for split in ("train", "val", "test")}
    return listing._replace(**sets, classes=classes, class_names=names)


def _of_json(text: str, place: str) -> list[tuple[str, str]]:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"data.class_map={place}: is no JSON ({error})") from None
    pairs = enumerate(content) if isinstance(content, list) else content.items()
    found = [(str(folder), each[0] if isinstance(each, list) and each else each) for folder, each in pairs]
    if wrong := [folder for folder, each in found if not isinstance(each, str)]:
        raise ValueError(f"data.class_map={place}: the class of {some(wrong)} is no text; write its id or name")
    return found


def _of_lines(text: str, place: str) -> list[tuple[str, str]]:
    separator = r"\t" if "\t" in text else "," if "," in text else r"\s+"
    rows = [[part.strip() for part in re.split(separator, line.strip(), maxsplit=1)] for line in text.splitlines()]
    rows = [row for row in rows if row != [""]]
    if not rows or len({len(row) for row in rows}) > 1 or not all(all(row) for row in rows):
        raise ValueError(f"data.class_map={place}: write a folder and its class in each line, or a class alone")
    if len(rows[0]) == 1:
        return [(str(number), row[0]) for number, row in enumerate(rows)]
    return [(folder, each) for folder, each in rows]
