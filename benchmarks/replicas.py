"""Seeds of LeNet-5 in one process, in lock-step, against the same seeds in sequence: whole commands, on MNIST.

On a GPU, 32 seeds and whole epochs. On a CPU, where stacking only helps if a step is mostly fixed overhead, five seeds
of the 1998 training, one image per step, and, without a target, three of today's. All in wall time, since a GPU's work
is not CPU time; the cost of a single seed is the mean over `ALONE` seeds.
"""

import itertools
import statistics
import tempfile
from pathlib import Path
from typing import NamedTuple

import torch

from benchmarks.startup import child
from benchmarks.timing import Claim
from cnnlit.runs.reading import read_metrics

ALONE = 2
"""Seeds that are trained on their own."""


class Training(NamedTuple):
    """A training to measure.

    Attributes:
        what: its name.
        words: arguments of the command.
        replicas: number of seeds.
        bound: on their time together, relative to the seeds in sequence.
    """

    what: str
    words: list[str]
    replicas: int
    bound: float | None


def measure(root: str) -> list[Claim]:
    """The claims on replicas, on MNIST below `root`."""
    if torch.cuda.is_available():
        trainings = [Training(torch.cuda.get_device_name(), ["experiment=lenet5_modern"], 32, 0.25)]
    else:
        short = ["trainer=cpu", "+trainer.limit_train_batches=40", "data.eval_batch_size=500"]
        one_image = ["trainer=cpu", "+trainer.limit_train_batches=3000", "compile=true"]
        trainings = [
            Training("a CPU, one image per step", ["experiment=lenet5_1998", *one_image], 5, 0.5),
            Training("a CPU, 64 images per step, no target", ["experiment=lenet5_modern", *short], 3, None),
        ]
    return [claim for training in trainings for claim in _claims(training, root)]


def _claims(training: Training, root: str) -> list[Claim]:
    words = [*training.words, f"data.root={Path(root).absolute()}", "logger=none", "recipe.epochs=3"]
    with tempfile.TemporaryDirectory() as folder:
        whole, epochs = [], []
        for seed in range(ALONE):
            alone = Path(folder) / f"alone{seed}"
            whole.append(_seconds([*words, f"seed={seed}", f"hydra.run.dir={alone}"]))
            epochs += _epochs(alone)
        stack = Path(folder) / "stack"
        stacked = [f"replicas={training.replicas}", "replicas_as=stack", f"hydra.run.dir={stack}"]
        together = [_seconds([*words, *stacked])]
        steps = _epochs(stack / "0")
    what = f"{training.replicas} seeds in one process / in sequence"
    return [
        _ratio(f"{what}: per epoch ({training.what})", steps, epochs, training.replicas, training.bound),
        _ratio(f"{what}: the whole command", together, whole, training.replicas, training.bound),
    ]


def _seconds(words: list[str]) -> float:
    return child(["-m", "cnnlit.train", *words], ends_with=0).wall


def _epochs(folder: Path) -> list[float]:
    """Seconds of training and validation in each epoch but the first, in which the device warms up."""
    so_far = [float(row["seconds"]) for row in read_metrics(folder)]
    return [after - before for before, after in itertools.pairwise(so_far)]


def _ratio(what: str, together: list[float], alone: list[float], replicas: int, bound: float | None) -> Claim:
    one = statistics.mean(alone) * replicas
    values = [seconds / one for seconds in together]
    middle = statistics.median(values)
    return Claim(what, middle, bound, True, "x", middle, (min(values), max(values)))
