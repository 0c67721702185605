"""Data sets give what they are asked for."""

import shutil
from pathlib import Path

import pytest
import torch
from data.presented import (
    photographed,
)

pytestmark = pytest.mark.filterwarnings("ignore")


def test_a_sequence_decodes_what_it_is_asked_for_alone(photographs: Path, tmp_path: Path) -> None:
    shutil.copytree(photographs, tmp_path, dirs_exist_ok=True)
    (tmp_path / "val" / "n00000001" / "n00000001_0.JPEG").write_bytes(b"no image")
    shown = photographed(tmp_path).test_images
    assert torch.equal(shown[-1], photographed(photographs).test_images[11])
    assert torch.equal(shown[3:7][1], shown[4])
    assert len(shown[3:7]) == 4
    with pytest.raises(IndexError):
        shown[12]
