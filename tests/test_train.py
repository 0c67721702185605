"""python -m cnnlit.train as a user types it, in a process of its own, from a folder that is not the checkout's."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import torch
import yaml
from as_typed import environment

from cnnlit.runs.reading import read, read_metrics

ROOT = Path(__file__).parents[1]
PICTURES = (
    *("training_images", "learning_curves", "schedule", "filters"),
    *("confusion_matrix", "class_errors", "calibration", "errors"),
)
SHORT = ("recipe.epochs=2", "data.passes_per_epoch=1", "recipe.optimizer.lr=0.002")


def command(*arguments):
    return [sys.executable, "-m", "cnnlit.train", *arguments]


def run(folder, *arguments, **extra):
    return subprocess.run(
        command(*arguments), cwd=folder, env=environment(**extra), capture_output=True, text=True, timeout=240
    )


def weights(folder):
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run with everything at its default but its length."""
    folder = tmp_path_factory.mktemp("user")
    outcome = run(folder, *SHORT)
    assert outcome.returncode == 0, outcome.stderr
    (made,) = folder.glob("runs/*/*")
    return outcome, made


@pytest.mark.slow
def test_channels_last_is_the_same_to_rounding(tmp_path):
    words = ["model=compact", "recipe/loss=cross_entropy", "recipe.epochs=1", "data.passes_per_epoch=1", "logger=none"]
    words.append("recipe.optimizer.lr=1e-5")  # or what was rounded otherwise grows from step to step
    losses = []
    for channels_last in ("false", "true"):
        folder = tmp_path / channels_last
        outcome = run(tmp_path, *words, f"channels_last={channels_last}", f"hydra.run.dir={folder}")
        assert outcome.returncode == 0, outcome.stderr
        losses.append(float(read_metrics(folder)[0]["val/loss"]))
        kernels = weights(folder)["model.stages.4.weight"]
        assert kernels.is_contiguous(memory_format=torch.channels_last) == (channels_last == "true")
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_a_run_leaves_a_folder_that_says_everything(finished):
    _, folder = finished
    record = json.loads((folder / "run.json").read_text())
    assert record["state"] == "finished"
    assert record["seed"] == 0
    assert record["command"] == f"python -m cnnlit.train {' '.join(SHORT)}"
    assert {"commit", "versions", "device", "seconds"} <= set(record)
    test = json.loads((folder / "test.json").read_text())
    assert test["test/num_images"] == 360
    assert test["test/error"] == test["test/num_errors"] / 360
    assert test["test/loss"] > 0
    settings = yaml.safe_load((folder / "config.yaml").read_text())
    assert settings["model"]["num_classes"] == 10
    assert settings["recipe"]["epochs"] == 2
    assert [row["epoch"] for row in read_metrics(folder)] == ["0", "1"]
    assert {"train/loss", "train/error", "val/loss", "val/error", "learning_rate", "seconds"} <= set(
        read_metrics(folder)[0]
    )
    pictures = {path.name for path in (folder / "pictures").iterdir()}
    assert pictures == {f"{name}.png" for name in PICTURES}
    assert len((folder / "test_predictions.csv").read_text().splitlines()) == 361
    hidden = [path.name for path in folder.rglob(".*") if path.is_file() and path.parent.name != "wandb"]
    assert hidden == [".lock"]


def test_a_checkpoint_is_plain_and_describes_itself(finished):
    _, folder = finished
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["config"] == yaml.safe_load((folder / "config.yaml").read_text())


def test_elsewhere_than_on_a_terminal_there_is_a_plain_line_per_epoch_and_per_result(finished):
    outcome, folder = finished
    lines = outcome.stderr.splitlines()
    start, first, _, *following = lines
    counts = r"\(1,257 train, 180 val, 360 test images\)"
    assert re.match(rf"LeNet5, 60,000 parameters; sklearn {counts}; cpu: .*, 1 thread; run runs/", start)
    assert re.match(r"epoch 1/2  loss \d+\.\d+  train error \d+\.\d+%  val error \d+\.\d+%", first)
    assert following[0].startswith(f"next: python -m cnnlit.evaluate run={folder.relative_to(folder.parents[2])} ")
    assert outcome.stdout.startswith("test error: ")
    assert f"run: {folder}" in outcome.stdout
    assert "\x1b" not in outcome.stdout + outcome.stderr


def records(path):
    """The records of W&B's log: LevelDB's format in blocks of 32 KiB after a header of 7 bytes."""
    from wandb.proto import wandb_internal_pb2

    content, position, parts = path.read_bytes(), 7, b""
    while position + 7 <= len(content):
        if 32768 - position % 32768 < 7:
            position += 32768 - position % 32768
            continue
        length, kind = int.from_bytes(content[position + 4 : position + 6], "little"), content[position + 6]
        parts = (parts if kind in (3, 4) else b"") + content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            yield record


def test_wandb_has_configuration_curves_pictures_and_the_exit_code_without_an_account(finished):
    outcome, folder = finished
    (log,) = folder.glob("wandb/offline-run-*/*.wandb")
    assert f"wandb sync {log.parent}" in outcome.stdout
    config, history, media, exit_code = {}, [], set(), None
    for record in records(log):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            assert record.run.run_id == read(folder)["id"]
        for update in (*record.run.config.update, *record.config.update):
            if update.key:
                config[update.key] = json.loads(update.value_json)
        if kind == "history":
            history.append({item.key or "/".join(item.nested_key): item.value_json for item in record.history.item})
        if kind == "exit":
            exit_code = record.exit.exit_code
    media = {path.name.split("_")[0] for path in log.parent.rglob("*.png")}
    assert config["model"]["pooling"] == "subsample"
    assert config["recipe"]["optimizer"]["lr"] == 0.002
    assert sum("val/error" in row for row in history) == 2
    assert any("test/error" in row for row in history)
    assert {"errors", "confusion", "learning", "filters"} <= media
    assert exit_code == 0


def test_the_same_seed_gives_the_same_weights_to_the_bit(finished, tmp_path):
    _, folder = finished
    outcome = run(tmp_path, *SHORT, "logger=csv", f"hydra.run.dir={tmp_path}/again")
    assert outcome.returncode == 0, outcome.stderr
    assert equal(weights(folder), weights(tmp_path / "again"))


BREAKS = """
from cnnlit.models.lenet5 import LeNet5

class Breaks(LeNet5):
    steps = 0

    def forward(self, images):
        self.steps += self.training
        if self.steps == 5:
            raise RuntimeError("the fifth step")
        return super().forward(images)
"""


@pytest.mark.slow
def test_a_run_that_breaks_is_marked_failed_here_and_in_wandb(tmp_path):
    (tmp_path / "breaks.py").write_text(BREAKS)
    outcome = run(
        tmp_path, *SHORT, "model._target_=breaks.Breaks", f"hydra.run.dir={tmp_path}/run",
        PYTHONPATH=f"{ROOT}:{tmp_path}",
    )  # fmt: skip
    assert outcome.returncode == 1
    assert "RuntimeError: the fifth step" in outcome.stderr
    record = read(tmp_path / "run")
    assert record["state"] == "failed"
    assert record["error"] == "RuntimeError: the fifth step"
    (log,) = (tmp_path / "run").glob("wandb/offline-run-*/*.wandb")
    assert [record.exit.exit_code for record in records(log) if record.WhichOneof("record_type") == "exit"] == [1]


LONGER = ("recipe.epochs=6", "data.passes_per_epoch=3", "logger=csv", "model.dropout=0.2")


def cut_off(folder, number):
    """A run that gets the signal `number` in its third epoch, and is resumed."""
    process = subprocess.Popen(
        command(*LONGER, f"hydra.run.dir={folder}"), cwd=folder.parent, env=environment(), stderr=subprocess.PIPE
    )
    for said in (b"60,000 parameters", b"epoch 1/6", b"epoch 2/6"):
        assert said in process.stderr.readline()
    process.send_signal(number)
    process.wait(timeout=60)
    assert process.returncode == (143 if number == signal.SIGTERM else -9)
    assert read(folder)["state"] == "interrupted"
    resumed = run(folder.parent, f"resume={folder}")
    assert resumed.returncode == 0, resumed.stderr
    assert "epoch 6/6" in resumed.stderr
    assert "epoch 1/6" not in resumed.stderr


@pytest.mark.slow
def test_a_run_that_is_cut_off_goes_on_to_the_same_bits(tmp_path):
    whole = run(tmp_path, *LONGER, f"hydra.run.dir={tmp_path}/whole")
    assert whole.returncode == 0, whole.stderr
    columns = ("epoch", "step", "train/loss", "train/error", "val/loss", "val/error", "learning_rate")
    curves = [[row[name] for name in columns] for row in read_metrics(tmp_path / "whole")]
    assert len(curves) == 6
    for number in (signal.SIGTERM, signal.SIGKILL):
        folder = tmp_path / number.name
        cut_off(folder, number)
        assert read(folder)["state"] == "finished"
        assert equal(weights(tmp_path / "whole"), weights(folder))
        assert (tmp_path / "whole/test.json").read_text() == (folder / "test.json").read_text()
        assert [[row[name] for name in columns] for row in read_metrics(folder)] == curves


@pytest.mark.slow
def test_resuming_takes_no_other_options(finished, tmp_path):
    _, folder = finished
    outcome = run(tmp_path, f"resume={folder}", "seed=2")
    assert outcome.returncode == 2
    assert "leave out seed=2" in outcome.stderr
    assert (folder / "run.json").is_file()


@pytest.mark.slow
def test_on_a_terminal_there_is_one_bar_and_a_table(tmp_path):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command(*SHORT, "logger=csv"), cwd=tmp_path, env=environment(TERM="xterm", COLUMNS="120"),
        stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    shown, deadline = b"", time.monotonic() + 120
    while time.monotonic() < deadline:
        if select.select([ours], [], [], 0.2)[0]:
            try:
                shown += os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
    assert process.wait(timeout=10) == 0
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    assert "epoch 2/2" in text
    assert "100 %" in text
    assert "test error" in text
    assert "Warning" not in text
    before = text[: text.index("epoch 1/2")].splitlines()
    said = [line.split()[0] for line in before if line.strip()]
    assert said == ["importing", "LeNet5,", "training"], "neither silence nor noise"
    assert re.search(r"epoch 1/2  loss .*\n(.*\n)*.*epoch 2/2  loss", text), "the history stays"


@pytest.mark.parametrize("flag", ["--help", "--cfg=job", "--config", "--version"])
def test_help_and_configuration_are_answered_without_the_heavy_imports(tmp_path, flag):
    script = (
        "import sys, atexit; atexit.register(lambda: print('heavy:', 'torch' in sys.modules, file=sys.stderr));"
        f"sys.argv = ['train.py', *{flag.split('=')!r}];"
        "from cnnlit.train import main; main()"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    assert outcome.returncode == 0, outcome.stderr
    assert "heavy: False" in outcome.stderr
    said = {"--help": ("model.pooling=subsample", "recipe.epochs=20"), "--version": ("cnnlit ",)}
    for words in said.get(flag, ("pooling: subsample", "epochs: 20")):
        assert words in outcome.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("line", ["train --help", "train --cfg job", "describe model=lenet5 format=json"])
def test_a_reader_that_has_seen_enough_ends_a_command_quietly(tmp_path, line):
    name, *words = line.split()
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as nobody:
        outcome = subprocess.run(
            [sys.executable, "-m", f"cnnlit.{name}", *words],
            cwd=tmp_path, env=environment(), stdout=nobody, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    assert (outcome.returncode, outcome.stderr) == (141, "")


def test_the_shell_completes_groups_choices_and_keys(tmp_path):
    install = run(tmp_path, "--shell-completion", "install=bash")
    assert "complete" in install.stdout
    for typed, completed in (("model=l", "model=lenet5"), ("model.pool", "model.pooling="), ("data=m", "data=mnist")):
        line = f"cnnlit-train {typed}"
        query = run(tmp_path, "--shell-completion", "query=bash", COMP_LINE=line, COMP_POINT=str(len(line)))
        assert completed in query.stdout.split(), (typed, query.stdout, query.stderr)


def test_a_wheel_brings_its_configuration_along(tmp_path):
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    outcome = run(tmp_path, "--cfg", "job", PYTHONPATH=str(tmp_path / "site"))
    assert outcome.returncode == 0, outcome.stderr
    assert "_target_: cnnlit.models.lenet5.LeNet5" in outcome.stdout
    configured = {str(path.relative_to(ROOT / "conf")) for path in (ROOT / "conf").rglob("*.yaml")}
    packed = tmp_path / "site" / "cnnlit" / "conf"
    assert {str(path.relative_to(packed)) for path in packed.rglob("*.yaml")} == configured


def test_the_version_is_stated_once():
    from cnnlit import __version__

    assert 'dynamic = ["version"]' in (ROOT / "pyproject.toml").read_text()
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+)?", __version__)


@pytest.mark.slow
def test_real_mnist_trains_from_one_command(real_mnist, tmp_path):
    outcome = run(
        tmp_path, "data=mnist", f"data.root={real_mnist}", "recipe.epochs=1", "logger=tensorboard",
        f"hydra.run.dir={tmp_path}/run",
    )  # fmt: skip
    assert outcome.returncode == 0, outcome.stderr
    test = json.loads((tmp_path / "run" / "test.json").read_text())
    assert test["test/num_images"] == 10_000
    assert test["test/error"] < 0.05
    assert test["errors_of_1998/published_errors"] == 82
    assert "of the 82 images that LeNet-5 got wrong in 1998 (LeCun et al., Fig. 8) are wrong here too" in outcome.stdout
    assert list((tmp_path / "run" / "tensorboard").glob("events*"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_names_the_command_that_goes_on_with_it(tmp_path, number):
    process = subprocess.Popen(
        command(*LONGER), cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    for line in process.stderr:
        if line.startswith("epoch 1/"):
            break
    process.send_signal(number)
    said = process.stderr.read().splitlines()[-1]
    assert process.wait(timeout=60) == 128 + number
    name = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
    assert said.startswith(f"cnnlit: {name}; this goes on with the run: python -m cnnlit.train resume=runs/"), said
    resumed = run(tmp_path, said.split()[-1])
    assert resumed.returncode == 0, resumed.stderr
    assert "goes on in runs/" in resumed.stderr
    assert "epoch 1/" not in resumed.stderr


@pytest.mark.slow
def test_what_comes_next_works_as_printed(finished):
    outcome, folder = finished
    lines = [line.removeprefix("next:").strip() for line in outcome.stderr.splitlines() if "python -m cnnlit." in line]
    assert [line.split()[2] for line in lines] == ["cnnlit.evaluate", "cnnlit.predict", "cnnlit.report"]
    for line in lines:
        words = line.replace("<file or folder>", str(folder / "pictures" / "errors.png")).split()
        done = subprocess.run(
            [sys.executable, *words[1:]], cwd=folder.parents[2], env=environment(), capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_dumb_terminal_gets_lines(tmp_path):
    outcome = run(tmp_path, *SHORT, "logger=none", TERM="dumb", FORCE_COLOR="1")
    assert "epoch 2/2" in outcome.stderr
    assert "\x1b" not in outcome.stderr
