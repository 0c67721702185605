"""What is an address, and what is a folder."""

import pathlib
import sys

import pytest

from cnnlit.data.remote.addresses import Address, as_address, is_address


@pytest.mark.parametrize(
    "root", ["C:\\images", "C:/images", "c:images", "s3", "s3:", "./s3:/x", "/data/s3:/x", "hdfs://host/x", "s3:x"]
)
def test_a_folder_is_no_address_on_windows_either(root: str) -> None:
    assert not is_address(root)
    assert not is_address(pathlib.PureWindowsPath(root))


@pytest.mark.parametrize("root", ["s3://bucket/set", "s3:/bucket/set/", "https://host/set", "gs://bucket/set"])
def test_an_address_has_both_strokes_whatever_a_path_made_of_it(root: str) -> None:
    assert is_address(root)
    scheme = root.partition(":")[0]
    assert as_address(root) == str(Address(root)) == root.replace(":/", "://").replace(":///", "://").rstrip("/")
    assert str(Address(root) / "train.tar").startswith(f"{scheme}://")
    assert Address(root).absolute() == Address(root)


def test_an_address_is_a_path_of_this_system() -> None:
    assert issubclass(Address, pathlib.WindowsPath if sys.platform == "win32" else pathlib.PosixPath)
