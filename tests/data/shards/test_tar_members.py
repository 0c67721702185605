"""The members of tar files are those that tarfile finds, in every format; damaged ones are refused."""

import tarfile
from pathlib import Path

import pytest
from data.shards.sharded import write_tar

from cnnlit.data.shards.tar_members import DamagedTarError, HeaderBlocks, members

FILES = {
    "a.jpg": b"x" * 513,
    "a.cls": b"7",
    "empty.txt": b"",
    "much/" * 17 + "longer/than/a/hundred/letters.jpg": b"y" * 10_000,
    "ünïcode-" + "w" * 150 + ".jpg": b"z" * 512,
}


def found(path: Path) -> list[tuple[str, int, int]]:
    with path.open("rb") as file:

        def read(offset: int, length: int) -> bytes:
            file.seek(offset)
            return file.read(length)

        return [tuple(member) for member in members(HeaderBlocks(read))]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_are_those_that_tarfile_finds(tmp_path: Path, form: int) -> None:
    files = dict(list(FILES.items())[:4]) if form == tarfile.USTAR_FORMAT else FILES
    path = write_tar(tmp_path / "some.tar", files, form)
    with tarfile.open(path) as tar:
        expected = [(member.name, member.offset_data, member.size) for member in tar]
    assert found(path) == expected


def test_folders_are_passed_over_and_links_refused(tmp_path: Path) -> None:
    for kind in (tarfile.DIRTYPE, tarfile.SYMTYPE):
        with tarfile.open(tmp_path / "some.tar", "w") as tar:
            for name, its in (("a", kind), ("b", tarfile.REGTYPE)):
                member = tarfile.TarInfo(name)
                member.type = its
                tar.addfile(member)
        if kind == tarfile.DIRTYPE:
            assert [name for name, _, _ in found(tmp_path / "some.tar")] == ["b"]
        else:
            with pytest.raises(DamagedTarError, match="a in it is a link or a device"):
                found(tmp_path / "some.tar")


@pytest.mark.parametrize("kept", [0, 300, 512, 700, 1536, 2048])
def test_a_tar_that_was_cut_short_is_damaged_wherever_it_was_cut(tmp_path: Path, kept: int) -> None:
    path = write_tar(tmp_path / "some.tar", dict(list(FILES.items())[:2]))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DamagedTarError, match="its end is missing"):
        found(path)


def test_a_header_that_has_changed_is_damaged(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "some.tar", {"a.jpg": b"x" * 600, "b.jpg": b"y"})
    content = bytearray(path.read_bytes())
    content[1536] ^= 1  # the name of the second
    path.write_bytes(content)
    with pytest.raises(DamagedTarError, match=r"the header of c.jpg does not add up"):
        found(path)
