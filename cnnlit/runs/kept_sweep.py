"""A sweep as one small file: what its numbers can be computed from again, answers to each test image included."""

import contextlib
import io
import json
import lzma
import re
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import yaml

from cnnlit.files import write_whole
from cnnlit.runs.evaluations import ANSWERS, read_answers
from cnnlit.runs.reading import read, run_folders
from cnnlit.runs.sweep_folder import JOBS, MULTIRUN, read_command

KEPT = ("config.yaml", "metrics.csv", "test.json")
NOT_KEPT = ("pid", "host", "id", "wandb_id", "log")
"""Entries of run.json that mean nothing elsewhere."""


def keep(sweep: Path, archive: Path) -> None:
    """Keep what a sweep's numbers come from, without paths of this machine.

    Args:
        sweep: its folder.
        archive: the file to write; it is the same to the byte whenever and wherever it is written.

    Raises:
        ValueError: if the folder holds no run.
        FileNotFoundError: if it holds no sweep.
    """
    sweep = sweep.resolve()
    files = {MULTIRUN: _command_kept(sweep)}
    if (sweep / JOBS).is_file():
        files[JOBS] = _without_places((sweep / JOBS).read_text(), sweep)
    for folder in run_folders(sweep):
        name = str(folder.relative_to(sweep))
        record = {key: value for key, value in read(folder).items() if key not in NOT_KEPT}
        files[f"{name}/run.json"] = _without_places(json.dumps(record, indent=1), sweep)
        for kept in KEPT:
            if (folder / kept).is_file():
                files[f"{name}/{kept}"] = _without_places((folder / kept).read_text(), sweep)
        if (answers := read_answers(folder)) is not None:
            rows = zip(answers.labels.tolist(), answers.predicted.tolist(), strict=True)
            lines = ["index,label,predicted", *(f"{index},{one},{two}" for index, (one, two) in enumerate(rows))]
            files[f"{name}/{ANSWERS}"] = "\n".join(lines) + "\n"
    if not any(name.endswith("run.json") for name in files):
        raise ValueError("holds no run")
    write_whole(archive, _packed(files))


def _packed(files: dict[str, str]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        # Files of a kind lie side by side: answers that differ in a few images compress to these.
        for place in sorted(files, key=lambda name: (Path(name).name, _number(name), name)):
            content = files[place].encode()
            entry = tarfile.TarInfo(place)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return lzma.compress(packed.getvalue(), preset=9 | lzma.PRESET_EXTREME)


def _number(name: str) -> int:
    """Of the job that a file belongs to: 10 comes after 9."""
    return int("".join(filter(str.isdigit, name.partition("/")[0])) or 0)


@contextlib.contextmanager
def unpacked(archive: Path) -> Iterator[Path]:
    """The folder of a kept sweep, as long as the context lasts."""
    with tempfile.TemporaryDirectory() as folder:
        sweep = Path(folder).resolve() / archive.name.removesuffix(".tar.xz")
        with tarfile.open(archive) as tar:
            tar.extractall(sweep, filter="data")
        yield sweep


def _command_kept(sweep: Path) -> str:
    """The part of multirun.yaml that `read_command` reads."""
    command = read_command(sweep)
    words = [re.sub(r"=/.*", "=<folder>", word) for word in command.overrides]
    hydra = {"overrides": {"task": words}, "sweeper": {"_target_": command.sweeper, "params": command.params}}
    return yaml.safe_dump({"hydra": hydra}, sort_keys=False)


def _without_places(text: str, sweep: Path) -> str:
    """The text without paths of this machine; those within the sweep begin with its name."""
    text = re.sub(rf"/\S*/{re.escape(sweep.name)}\b", sweep.name, text)
    return re.sub(r"(?<=[\s=\"'\[:])/(?:[\w.+-]+/)+[\w.+-]*", "<folder>", text)
