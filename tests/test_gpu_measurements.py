"""`python -m benchmarks gpu` runs to its end in small on a CPU, whatever a measurement does on the way."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.gpu import budgets, child, command
from benchmarks.gpu.measuring import Row, Scale, missing, ratio
from benchmarks.gpu.page import table, write
from benchmarks.gpu.pixels import Interval, crops, overlap

ROOT = Path(__file__).parents[1]
SMALL = Scale(torch.device("cpu"), small=True)


def test_each_row_has_a_peer_of_the_same_run() -> None:
    both, *each = crops(SMALL)
    assert both.unit == "x"
    assert [row.unit for row in each] == ["images/s"] * 2
    assert both.rounds == pytest.approx([a / b for a, b in zip(each[0].rounds, each[1].rounds, strict=True)])


def test_a_ratio_meets_its_goal_from_the_right_side() -> None:
    rates = {"a": [1.0, 3.0, 4.0], "b": [2.0, 2.0, 2.0]}
    assert ratio("a / b", rates, "a", "b", 1.5).holds is True
    assert ratio("a / b", rates, "a", "b", 1.51).holds is False
    assert ratio("a / b", rates, "a", "b", 1.0, at_most=True).holds is False
    assert ratio("a / b", rates, "a", "b", None).holds is None
    assert missing("a", "there is\nnone", goal=1.0).holds is None


def test_every_measurement_has_its_time_and_all_fit_into_two_goes() -> None:
    assert set(child.measurements()) == set(budgets.BUDGETS)
    assert sum(budgets.BUDGETS.values()) < 2 * budgets.WHOLE


def test_copies_overlap_with_what_is_computed_meanwhile() -> None:
    copies = [Interval(0, 10), Interval(20, 30)]
    assert overlap(copies, [Interval(5, 8), Interval(7, 22)]) == 3 + 2 + 2
    assert overlap(copies, [Interval(10, 20)]) == 0


SCRIPT = """
import json, os, sys, time
names, to = sys.argv[1:sys.argv.index("--to")], sys.argv[sys.argv.index("--to") + 1]
with open(to, "a") as file:
    tell = lambda **what: (file.write(json.dumps({**what, "at": time.time()}) + "\\n"), file.flush())
    tell(measured_on="here", versions="1")
    for name in names:
        tell(begins=name)
        if name == "resnet50":
            os._exit(3)
        if name == "lenet5":
            time.sleep(60)
        tell(row={"what": name, "value": 2, "unit": "x", "goal": 1, "at_most": False, "note": "", "rounds": [2],
                  "holds": True}, of=name)
        tell(ended=name)
"""


def test_what_dies_or_hangs_is_a_row_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "CHILD", [sys.executable, "-c", SCRIPT])
    monkeypatch.setattr(command, "GRACE_SECONDS", 0.2)
    monkeypatch.setitem(command.BUDGETS, "lenet5", 0.1)
    rows = {line["of"]: line["row"] for line in command.measured(["resnet50", "lenet5", "copies"], "", small=False)
            if "row" in line}  # fmt: skip
    assert rows["resnet50"]["note"] == "its process ended with exit code 3"
    assert rows["lenet5"]["note"] == "its time was over"
    assert rows["copies"]["value"] == 2


def test_what_has_not_begun_in_time_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "WHOLE", -1)
    told = list(command.measured(["copies", "cifar"], "", small=False))
    assert [line["row"]["note"].partition(":")[0] for line in told] == ["not begun"] * 2


def test_a_second_go_on_the_same_card_keeps_what_the_first_one_found(tmp_path: Path) -> None:
    def told(card: str, name: str, value: float) -> list[dict[str, object]]:
        row = Row(f"{name} of {card}", value, "x", 1.0).as_json()
        return [{"measured_on": card, "versions": "1"}, {"row": row, "of": name}]

    write(told("A", "copies", 2), tmp_path)
    write(told("A", "cifar", 0.5), tmp_path)
    page = write(told("A", "copies", 3), tmp_path).read_text()
    assert "| copies of A | 3 x |" in page
    assert "| cifar of A | 0.5 x |  | at least 1 | **no** |" in page
    assert "| 2 x |" not in page
    assert "cifar of A" not in write(told("B", "copies", 3), tmp_path).read_text()
    assert list(json.loads((tmp_path / "performance_gpu.json").read_text())["rows"]) == ["copies"]


def test_a_row_without_a_value_says_why_in_the_table() -> None:
    line = list(table([missing("kornia", "is not installed | here").as_json()]))[2]
    assert line == "| kornia | not measured |  |  |  | is not installed / here |"


BARE = """
import importlib.util, sys
absent = {"hydra", "omegaconf", "wandb", "pydantic", "annotated_types", "simplejpeg", "timm"}
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name in absent - sys.modules.keys() else found(name, *more)
from benchmarks.gpu import child
child.main()
"""


@pytest.mark.slow
def test_it_runs_to_its_end_on_a_machine_with_little_but_pytorch(tmp_path: Path) -> None:
    to = tmp_path / "rows.jsonl"
    names = ["resnet18", "lenet5", "replicas", "transforms", "copies", "decoding", "cifar", "command"]
    words = [*names, "--to", str(to), "--root", str(ROOT / "../shared/data"), "--small"]
    ended = subprocess.run([sys.executable, "-c", BARE, *words], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    told = [json.loads(line) for line in to.read_text().splitlines()]
    assert [line["ended"] for line in told if "ended" in line] == names
    rows = {line["row"]["what"]: line["row"] for line in told if "row" in line}
    assert not [row for row in rows.values() if "Error" in row["note"]]
    assert rows["ResNet-18: timm"]["note"] == "timm is not installed"
    assert "not installed" in rows["MNIST to 99.0 %, from the command to the result"]["note"]
    assert rows["ResNet-18: the whole framework / our bare step"]["value"] > 0


@pytest.mark.slow
def test_the_command_runs_to_its_end_in_small(tmp_path: Path) -> None:
    words = ["gpu", "--small", "--to", str(tmp_path), "--root", str(ROOT / "../shared/data")]
    ended = subprocess.run([sys.executable, "-m", "benchmarks", *words], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    rows = json.loads((tmp_path / "performance_gpu.json").read_text())["rows"]
    assert set(rows) == set(budgets.BUDGETS)
    assert not [row for each in rows.values() for row in each if "Error" in row["note"]]


def test_without_a_gpu_it_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert command.main(["copies"]) == 2
    assert "--small" in capsys.readouterr().err
