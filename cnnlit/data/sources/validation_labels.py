"""The labels of validation images in one folder, read from lists beside them and never guessed.

Labels are matched by name or by number, and every image must have a label and every label an image: one that is missing
would shift all labels after it.
"""

import csv
import io
import re
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from cnnlit.data.sources.class_names import first_word
from cnnlit.data.sources.folders import WNID, some

KIT = "ILSVRC2012_devkit_t12"
GROUND_TRUTH = "data/ILSVRC2012_validation_ground_truth.txt"
META = "data/meta.mat"
SOLUTION = "LOC_val_solution.csv"
NUMBERED = re.compile(r"ILSVRC2012_val_\d{8}\.\w+", re.IGNORECASE)
MOST_BYTES = 10_000_000
"""The largest text file that may be a list of synsets; ImageNet's have 0.5 MB and 2 MB."""


class Labels(NamedTuple):
    """The classes of validation images."""

    layout: str
    """See Listing."""
    class_of: dict[str, str]
    """File name -> id of the class."""
    names: dict[str, str]
    """Id of a class -> its name, as far as these are listed too."""


class Kit(NamedTuple):
    """What the development kit says about the validation images."""

    path: Path
    wnids: list[str]
    """The class of each validation image, in the order of their numbers."""
    names: dict[str, str]
    """Id of a class -> its name."""


def find_labels(held: Path, names: list[str], folders: list[Path]) -> Labels:
    """The classes of ImageNet's validation images.

    They are read from Kaggle's LOC_val_solution.csv; from the development kit, unpacked or not; or from a list of
    synsets, a text file of one WordNet id for each image, in the order of their names, or of `name id` pairs.

    Args:
        held: the folder or archive that holds the images.
        names: the names of their files.
        folders: where to look for labels.

    Raises:
        ValueError: if there are no labels, or labels for only some images, or for images that are missing.
    """
    for folder in folders:
        if (folder / SOLUTION).is_file():
            return Labels("Kaggle", _matched(names, _read_solution(folder / SOLUTION), folder / SOLUTION), {})
        kit = find_kit(folder)
        if kit:
            told = {f"ILSVRC2012_val_{number:08d}": wnid for number, wnid in enumerate(kit.wnids, 1)}
            return Labels("flat validation", _matched(names, told, kit.path), kit.names)
        listed = _find_list(folder, names)
        if listed:
            return Labels("flat validation", listed, {})
    raise ValueError(
        f"{held} holds {len(names):,} images ({some(sorted(names))}) and no class folders, and nothing tells "
        f"their classes: put beside it {KIT}.tar.gz, the development kit (image-net.org, 2.5 MB), Kaggle's {SOLUTION}, "
        "or a text file of one WordNet id for each image in the order of their names"
    )


def find_kit(folder: Path) -> Kit | None:
    """The development kit in a folder: unpacked, its archive, or its data folder.

    Raises:
        ValueError: if it cannot be read.
    """
    for place in (folder, folder / KIT):
        if (place / GROUND_TRUTH).is_file() and (place / META).is_file():
            return _kit(place, (place / GROUND_TRUTH).read_text(), (place / META).read_bytes())
    archive = next(
        (path for suffix in (".tar.gz", ".tgz", ".tar") if (path := folder / f"{KIT}{suffix}").is_file()), None
    )
    if archive is None:
        return None
    found = {}
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                file = tar.extractfile(member) if member.isfile() else None
                wanted = next((end for end in (GROUND_TRUTH, META) if member.name.endswith(end)), None)
                if file and wanted:
                    found[wanted] = file.read()
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ValueError(f"{archive} is damaged ({error}); download it again") from None
    if len(found) != 2:
        raise ValueError(f"{archive} lacks {' and '.join({GROUND_TRUTH, META} - found.keys())}; download it again")
    return _kit(archive, found[GROUND_TRUTH].decode(), found[META])


def _kit(path: Path, ground_truth: str, meta: bytes) -> Kit:
    """Read the kit, which numbers classes in an order of its own, where labels here follow the WordNet ids."""
    from numpy import atleast_1d
    from scipy.io import loadmat

    try:
        synsets = atleast_1d(loadmat(io.BytesIO(meta), squeeze_me=True)["synsets"])
        # Those with children are no classes, but what stands above them in WordNet.
        leaves = [each for each in synsets if int(each["num_children"]) == 0]
        wnid_of = {int(each["ILSVRC2012_ID"]): str(each["WNID"]) for each in leaves}
        names = {str(each["WNID"]): first_word(str(each["words"])) for each in leaves}
        wnids = [wnid_of[int(number)] for number in ground_truth.split()]
    except (ValueError, KeyError, IndexError, TypeError, NotImplementedError) as error:
        raise ValueError(f"{path}: {META} and {GROUND_TRUTH} do not fit together or are damaged ({error})") from None
    return Kit(path, wnids, names)


def _read_solution(path: Path) -> dict[str, str]:
    """Kaggle's lines `ImageId,PredictionString`, the second a class and its box, several times for several boxes."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    try:
        return {row["ImageId"]: row["PredictionString"].split()[0] for row in rows}
    except (KeyError, IndexError, AttributeError):
        raise ValueError(f"{path}: a line is not `ImageId,PredictionString` with a class and a box") from None


def _find_list(folder: Path, names: list[str]) -> dict[str, str] | None:
    """The classes from the text file in the folder that lists synsets for so many images.

    Raises:
        ValueError: if there are only lists for more or fewer images, or lists that contradict each other.
    """
    found: dict[Path, dict[str, str]] = {}
    others = []
    known = {Path(name).stem for name in names}
    for path in sorted(folder.glob("*.txt")):
        rows = list(_rows(path))
        if not rows or _is_list_of_classes(rows):
            continue
        if len(rows[0]) == 1 and len(rows) != len(names):
            others.append(f"{path.name} of {len(rows):,}")
        elif len(rows[0]) == 1 or any(Path(name).stem in known for name, _ in rows):
            found[path] = _listed(path, rows, names)
    if not found and others:
        raise ValueError(f"{folder}: {len(names):,} images, and a list of synsets ({some(others)})")
    if any(each != next(iter(found.values())) for each in found.values()):
        raise ValueError(f"{folder}: {some(path.name for path in found)} do not agree on the classes of the images")
    return next(iter(found.values()), None)


def _rows(path: Path) -> Iterator[list[str]]:
    """The lines of a list of synsets, `id` or `name id`; none if the file is no such list."""
    if path.stat().st_size > MOST_BYTES:
        return
    rows = [line.replace(",", " ").split() for line in path.read_text(errors="replace").splitlines() if line.strip()]
    if rows and all(len(row) == len(rows[0]) <= 2 and WNID.fullmatch(row[-1]) for row in rows):
        yield from rows


def _is_list_of_classes(rows: list[list[str]]) -> bool:
    """Whether each class comes once, in order, as the images of no set do."""
    ids = [row[0] for row in rows]
    return len(rows) >= 100 and ids == sorted(set(ids)) and all(len(row) == 1 for row in rows)


def _listed(path: Path, rows: list[list[str]], names: list[str]) -> dict[str, str]:
    if len(rows[0]) == 2:
        return _matched(names, {row[0]: row[1] for row in rows}, path)
    ordered = sorted(names)
    if all(NUMBERED.fullmatch(name) for name in ordered):
        _matched(names, {f"ILSVRC2012_val_{number:08d}": "" for number in range(1, len(rows) + 1)}, path)
    return dict(zip(ordered, (row[0] for row in rows), strict=True))


def _matched(names: Iterable[str], told: dict[str, str], path: Path) -> dict[str, str]:
    """The classes of the files, matched by name, with or without the suffix."""
    told = {Path(name).stem: wnid for name, wnid in told.items()}
    names = list(names)
    file_of = {Path(name).stem: name for name in names}
    if len(file_of) != len(names):
        twice = sorted(set(names) - set(file_of.values()))
        raise ValueError(f"{path} cannot tell {some(twice)} from another image of that name but for the suffix")
    untold = [file_of[stem] for stem in sorted(file_of.keys() - told.keys())]
    if untold:
        raise ValueError(f"{path} tells no class of {some(untold)}; move them away, or complete it")
    missing = sorted(told.keys() - file_of.keys())
    if missing:
        raise ValueError(
            f"{path} tells the classes of {len(told):,} images, of which {len(missing):,} are not there "
            f"({some(missing)}): unpack the validation images again"
        )
    return {name: told[stem] for stem, name in file_of.items()}
