"""Jobs as processes, with a script in place of the training."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from cnnlit.sweeps.jobs import Job
from cnnlit.sweeps.process_pool import ProcessPool
from cnnlit.sweeps.resources import Resources

ROOT = Path(__file__).parents[2]

STUB = """
import json, os, signal, subprocess, sys, time
from pathlib import Path
from cnnlit.sweeps.process_pool import end_with_parent
from cnnlit.files import write_json

arguments = dict(word.split("=", 1) for word in sys.argv[1:])
folder = Path(arguments.get("hydra.run.dir") or arguments["resume"])
end_with_parent()
signal.signal(signal.SIGTERM, lambda *_: (finish("interrupted"), sys.exit(143)))
began = time.time()

def finish(state, **more):
    seen = {name: os.environ.get(name) for name in ("RANK", "MASTER_PORT", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS",
                                                    "CNNLIT_SWEEP_PROCESS", "WANDB_RUN_GROUP")}
    write_json(folder / "run.json", {"state": state, "seconds": 1.0, "host": os.uname().nodename, "pid": os.getpid(),
               "arguments": sys.argv[1:], "environment": seen, "cores": sorted(os.sched_getaffinity(0)),
               "span": [began, time.time()], **more})

finish("running")
if "child" in arguments:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    (folder / "child").write_text(str(child.pid))
time.sleep(float(arguments.get("sleep", 0)))
if "raises" in arguments:
    finish("failed", error=arguments["raises"])
    raise RuntimeError(arguments["raises"])
if "refuses" in arguments:
    (folder / "run.json").unlink()
    print("cnnlit:", arguments["refuses"], file=sys.stderr)
    sys.exit(2)
if "dies" in arguments:
    os.kill(os.getpid(), signal.SIGKILL)
print("a line")
write_json(folder / "test.json", {"test/error": 0.25})
finish("finished", **{"val/error": float(arguments.get("error", 0.5))})
"""


@pytest.fixture
def command(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (tmp_path / "stub.py").write_text(STUB)
    return [sys.executable, str(tmp_path / "stub.py")]


def jobs(folder, *lines, settings=None):
    return [
        Job(number, line.split(), line, folder / str(number), settings or {"trainer": {}})
        for number, line in enumerate(lines)
    ]


def record(job):
    return json.loads((job.folder / "run.json").read_text())


def alive(number):
    """Whether a process runs; a zombie does not."""
    status = Path(f"/proc/{number}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_each_job_has_its_result(tmp_path, command):
    batch, told = jobs(tmp_path, "error=0.5", "error=0.125"), []
    ProcessPool(command, tell=told.append).run(batch)
    assert [(job.state, job.objective, job.test_error) for job in batch] == [
        ("finished", 0.5, 0.25),
        ("finished", 0.125, 0.25),
    ]
    assert batch[1].log.read_text() == "a line\n"
    assert told[0] == "job 0 starts: error=0.5"
    assert "job 1 finished" in told[3]
    assert "validation error 12.50%" in told[3]


def test_a_job_does_not_become_part_of_whatever_started_the_sweep(tmp_path, command, monkeypatch):
    for name in ("RANK", "MASTER_PORT"):
        monkeypatch.setenv(name, "1")
    (job,) = jobs(tmp_path, "error=0.5")
    ProcessPool(command, environment={"WANDB_RUN_GROUP": "mine"}).run([job])
    seen = record(job)["environment"]
    assert seen["RANK"] is None
    assert seen["MASTER_PORT"] is None
    assert seen["CNNLIT_SWEEP_PROCESS"] is None, "it is for the job alone, not for its ranks"
    assert seen["WANDB_RUN_GROUP"] == "mine"


@pytest.mark.parametrize(
    ("line", "reason"),
    [("raises=ValueError:no", "ValueError:no"), ("refuses=model=x", "model=x"), ("dies=1", "killed by SIGKILL")],
)
def test_a_failure_has_its_reason_and_the_others_go_on(tmp_path, command, line, reason):
    batch, told = jobs(tmp_path, "error=0.5", line, "error=0.25"), []
    ProcessPool(command, tell=told.append).run(batch)
    assert [job.state for job in batch] == ["finished", "failed", "finished"]
    assert batch[1].reason == reason
    assert batch[1].objective is None
    (said,) = [each for each in told if "failed" in each]
    for words in ("job 1", reason, line, str(batch[1].log)):
        assert words in said


def test_on_error_stop_ends_the_other_jobs(tmp_path, command):
    batch = jobs(tmp_path, "sleep=60", "raises=no", "error=3")
    pool = ProcessPool(command, on_error="stop", at_once=2)
    began = time.monotonic()
    pool.run(batch)
    assert time.monotonic() - began < 50
    assert pool.stopped
    assert [job.state for job in batch] == ["interrupted", "failed", "not started"]
    assert record(batch[0])["state"] == "interrupted", "it was told to save its state"


def test_the_children_of_a_failed_job_end_with_it(tmp_path, command):
    (job,) = jobs(tmp_path, "child=1 raises=no")
    ProcessPool(command).run([job])
    child = int((job.folder / "child").read_text())
    wait_for(lambda: not alive(child))


def test_as_many_run_at_once_as_asked_for_each_with_its_own_gpus_and_cores(tmp_path, command, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    batch = jobs(tmp_path, *["sleep=1"] * 4, settings={"trainer": {"accelerator": "gpu", "devices": 2}})
    cores = sorted(os.sched_getaffinity(0))
    ProcessPool(command, at_once=2, resources=Resources(2, ["4", "5", "6", "7"], cores)).run(batch)
    records = [record(job) for job in batch]
    spans = [each["span"] for each in records]
    together = [sum(one[0] <= moment < one[1] for one in spans) for moment, _ in spans]
    assert max(together) == 2
    for one, other in ((0, 1), (2, 3)):
        given = [set(records[each]["environment"]["CUDA_VISIBLE_DEVICES"].split(",")) for each in (one, other)]
        assert [len(gpus) for gpus in given] == [2, 2]
        assert not given[0] & given[1]
        assert records[one]["environment"]["OMP_NUM_THREADS"] == str(max(1, len(cores) // 2))
        if len(cores) > 1:
            assert not set(records[one]["cores"]) & set(records[other]["cores"])


def test_a_signal_that_arrives_while_a_line_is_told_waits(tmp_path, command):
    """Whoever is told writes files, which must not be written again halfway."""
    told, telling = [], False

    def tell(line):
        nonlocal telling
        assert not telling
        telling = True
        told.append(line)
        if "starts" in line:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)  # the handler runs here
        telling = False

    batch = jobs(tmp_path, "sleep=60", "error=0.5")
    pool = ProcessPool(command, tell=tell)
    pool.run(batch)
    assert pool.received == signal.SIGINT
    assert [job.state for job in batch] == ["interrupted", "not started"]
    assert told[0].startswith("job 0 starts")
    assert told[1].startswith("the jobs that run save their state and end")


def before(job, state, settings=None, pid=2**22 + 1):
    """Leave in the job's folder what an earlier run would have left."""
    job.folder.mkdir()
    (job.folder / "config.yaml").write_text(yaml.safe_dump(settings or {"seed": 3}))
    content = {"state": state, "host": os.uname().nodename, "pid": pid, "seconds": 2.0, "val/error": 0.75}
    (job.folder / "run.json").write_text(json.dumps(content))
    (job.folder / "test.json").write_text('{"test/error": 0.5}')


SETTINGS = {"seed": 3, "resume": None, "run_root": "runs"}


def test_a_sweep_goes_on_where_it_stopped(tmp_path, command):
    batch = jobs(tmp_path, *["error=0.5"] * 6, settings=SETTINGS)
    for job, state in zip(batch, ["finished", "interrupted", "failed", "running"], strict=False):
        before(job, state)
    batch[4].folder.mkdir()
    (batch[4].folder / "run.json").touch()  # killed as it began
    ProcessPool(command).run(batch)
    assert [job.state for job in batch] == ["finished"] * 6
    assert batch[0].objective == 0.75
    assert "arguments" not in record(batch[0]), "it did not run again"
    assert [record(job)["arguments"] for job in batch[1:]] == [
        *([f"resume={job.folder}"] for job in batch[1:4]),
        *(["error=0.5", f"hydra.run.dir={job.folder}"] for job in batch[4:]),
    ]


def test_a_changed_or_running_job_is_refused_before_any_starts(tmp_path, command):
    for name, state, settings, pid, says in (
        ("changed", "finished", {"seed": 4}, 2**22 + 1, "seed=4, where this job has 3"),
        ("runs", "running", None, os.getpid(), f"process {os.getpid()}"),
    ):
        batch = jobs(tmp_path / name, "error=0.5", "error=0.5", settings=SETTINGS)
        (tmp_path / name).mkdir()
        before(batch[1], state, settings, pid)
        with pytest.raises(ValueError, match=says):
            ProcessPool(command).run(batch)
        assert not batch[0].folder.exists()


def test_a_folder_may_have_any_name(tmp_path):
    from hydra.core.override_parser.overrides_parser import OverridesParser

    (job,) = jobs(tmp_path / 'a=b, {c} "d" \\e', "seed=1")
    (*_, word) = job.arguments()
    assert OverridesParser.create().parse_override(word).value() == str(job.folder)


PARENT = """
import sys
from pathlib import Path
from cnnlit.sweeps.jobs import Job
from cnnlit.sweeps.process_pool import ProcessPool

folder = Path(sys.argv[1])
pool = ProcessPool(sys.argv[2:])
pool.run([Job(n, ["sleep=60"], "", folder / str(n), {}) for n in range(2)])
print(pool.received)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_when_the_sweep_is_killed_its_jobs_save_their_state_and_end(tmp_path, command, number):
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), *command], stdout=subprocess.PIPE, text=True
    )
    first = tmp_path / "0" / "run.json"
    wait_for(first.exists)
    child = json.loads(first.read_text())["pid"]
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    wait_for(lambda: not alive(child))
    assert json.loads(first.read_text())["state"] == "interrupted"
    assert not (tmp_path / "1").exists()
    if number != signal.SIGKILL:
        assert process.returncode == 0
        assert said == f"{int(number)}\n"
