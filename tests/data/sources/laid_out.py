"""Folders of images, laid out as people have them."""

from pathlib import Path

from cnnlit.data.sources.folders import ImageFiles, Listing

WNIDS = ["n00000001", "n00000002", "n00000003"]
ANSWERS = ["n00000003", "n00000001", "n00000001", "n00000002", "n00000003", "n00000002"]
"""The class of each validation image."""


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def numbered(number: int) -> str:
    return f"ILSVRC2012_val_{number:08d}.JPEG"


def training(folder: Path, count: int = 4) -> Path:
    """train/<wnid>/<wnid>_<number>.JPEG, without a pixel."""
    touch(*(folder / "train" / wnid / f"{wnid}_{number}.JPEG" for wnid in reversed(WNIDS) for number in range(count)))
    return folder


def flat(folder: Path) -> Path:
    touch(*(folder / numbered(number) for number in reversed(range(1, 7))))
    return folder


def by_name(files: ImageFiles | None, classes: list[str]) -> dict[str, str]:
    """The class of each file, which has to be there."""
    assert files is not None
    paths = [Path(files.path(index)) for index in range(len(files))]
    assert all(path.exists() for path in paths)
    return {path.name: classes[label] for path, label in zip(paths, files.labels.tolist(), strict=True)}


def assert_flat(listing: Listing) -> None:
    assert by_name(listing.test, listing.classes) == {numbered(n): wnid for n, wnid in enumerate(ANSWERS, 1)}
