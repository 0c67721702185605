"""A root that is no folder is refused before the classes are imported that would look into it."""

import importlib
from pathlib import Path

import pytest

from cnnlit.data.sources.found_files import ROOTED, check_root


@pytest.mark.parametrize("target", ROOTED)
def test_the_sets_that_have_to_be_there_are_those_of_the_classes(target: str, tmp_path: Path) -> None:
    module, _, name = target.rpartition(".")
    assert getattr(importlib.import_module(module), name).source == ROOTED[target]
    check_root({"_target_": target, "root": str(tmp_path)}, [])
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nope; expected class folders"):
        check_root({"_target_": target, "root": str(tmp_path / "nope")}, [])


def test_a_root_that_is_downloaded_to_may_be_missing(tmp_path: Path) -> None:
    for target in ("cnnlit.data.image_folders.Imagenette", "cnnlit.data.small_images.SmallImages"):
        check_root({"_target_": target, "source": "mnist", "root": str(tmp_path / "new")}, ["data.root=new"])


def test_digits_have_no_root() -> None:
    digits = {"_target_": "cnnlit.data.small_images.SmallImages", "source": "sklearn", "root": "data"}
    check_root(digits, ["data.val_split=90"])
    with pytest.raises(ValueError, match=r"^data\.root=x: scikit-learn brings these digits along"):
        check_root(digits, ["data.root=x"])
