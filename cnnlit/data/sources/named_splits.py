"""The parts of a set: its folders called train, val, test or otherwise, used as they are named."""

from pathlib import Path
from typing import NamedTuple

from cnnlit.data.sources.folders import WNID, folders_in, some

NAMES = {
    "train": ("train", "training"),
    "val": ("val", "validation", "valid", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
"""What folders of each part are called, in letters of any case."""

SPLITS = {name for names in NAMES.values() for name in names}
"""Names of folders that are parts of a set, never classes."""


class Named(NamedTuple):
    """The folders that options of data name, below the root or anywhere; None for those called as usual."""

    train: str | None = None
    val: str | None = None
    test: str | None = None

    def said(self) -> str:
        """The options, as they are typed."""
        return " ".join(f"data.{part}={name}" for part, name in self._asdict().items() if name)


AS_USUAL = Named()


class Parts(NamedTuple):
    """The folders of a set."""

    train: Path
    val: Path | None
    """To validate with; None to hold images out of `train`."""
    test: Path | None
    """To test with: a folder called val, where no other is there, as ImageNet's is; None to hold images out."""


def find_parts(folder: Path, named: Named) -> Parts | None:
    """The parts of a set in a folder; None if it has none to train on.

    Raises:
        FileNotFoundError: if a folder that is named is not there.
        ValueError: if two folders are the same part.
    """
    chosen = {part: _named(folder, part, name) for part, name in named._asdict().items() if name}
    found = {part: chosen.get(part) or _usual(folder, part, [*chosen.values()]) for part in NAMES}
    train, val, test = (found[part] for part in NAMES)
    if train is None:
        return None
    if test is not None and "test" not in chosen and not folders_in(test):
        test = None  # images without classes, as ImageNet's are
    if val is not None and test is None and "val" not in chosen:
        val, test = None, val
    return Parts(train, val, test)


def find_parts_of_0_1(folder: Path) -> Parts | None:
    """The parts that version 0.1.0 saw, whose runs go on with them: a validation set is tested, test/ if there is none.

    Raises:
        ValueError: if there are two validation sets.
    """
    if not (folder / "train").is_dir():
        return None
    found = [folder / name for name in ("val", "validation") if (folder / name).is_dir()]
    if len(found) > 1:
        raise ValueError(f"{folder} has both val and validation; move one away")
    test = folder / "test"
    return Parts(folder / "train", None, found[0] if found else test if test.is_dir() and folders_in(test) else None)


def remarks_on(folder: Path, parts: Parts, classes: list[str]) -> tuple[str, ...]:
    """What of a set is not used, and what is used otherwise than its name says; a sentence each.

    Args:
        folder: that holds the parts.
        parts: of the set.
        classes: those of ImageNet, whose validation set is everyone's test set, need no word on that.
    """
    used = [part for part in parts if part]
    unused = [name for name in folders_in(folder) if name.lower() in SPLITS and folder / name not in used]
    remarks = [f"{some(unused)} in {folder}: not used; data.val= and data.test= name what is"] if unused else []
    if parts.val:
        test = f"{parts.test.name} is for the test" if parts.test else "images for the test are held out of train"
        remarks.append(f"{folder}: {parts.val.name} is for validation, in place of data.val_split; {test}")
    elif parts.test and parts.test.name.lower() in NAMES["val"] and not all(map(WNID.fullmatch, classes)):
        remarks.append(
            f"{folder}: there is no test set, so {parts.test.name} is for the test, and images for validation are held "
            f"out of {parts.train.name}; data.val={parts.test.name} validates with it"
        )
    return tuple(remarks)


def is_called_test(folder: Path) -> bool:
    """Whether a folder is called as test sets are."""
    return folder.name.lower() in NAMES["test"]


def _named(folder: Path, part: str, name: str) -> Path:
    place = folder / Path(name).expanduser()
    if not place.is_dir():
        raise FileNotFoundError(
            f"data.{part}={name}: there is no folder {place}; {folder} holds {some(folders_in(folder)) or 'no folder'}"
        )
    return place


def _usual(folder: Path, part: str, taken: list[Path]) -> Path | None:
    """The folder that is called as those of a part are."""
    found = [name for name in folders_in(folder) if name.lower() in NAMES[part] and folder / name not in taken]
    if len(found) > 1:
        raise ValueError(f"{folder} has both {' and '.join(found)}; data.{part}={found[0]} chooses, or move one away")
    return folder / found[0] if found else None
