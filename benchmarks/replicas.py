"""Seeds of LeNet-5 in one process, in lock-step, beside the same seeds one after the other: the commands, on MNIST.

On a GPU 32 of them, whole epochs. On a processor, where stacking gains something only if a step is mostly what it costs
to begin it, five of the 1998 training, one image a step, and without a target three of today's. All in wall time, since
a GPU's work is no CPU time; the cost of one seed alone is the mean of some.
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
"""Seeds that are trained by themselves."""


class Training(NamedTuple):
    """One that is measured.

    Attributes:
        what: its name.
        words: of its command.
        replicas: how many seeds.
        bound: of their time together, as a share of one after the other.
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
            Training("a processor, one image a step", ["experiment=lenet5_1998", *one_image], 5, 0.5),
            Training("a processor, 64 images a step, no target", ["experiment=lenet5_modern", *short], 3, None),
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
    what = f"{training.replicas} seeds in one process / one after the other"
    return [
        _ratio(f"{what}: an epoch ({training.what})", steps, epochs, training.replicas, training.bound),
        _ratio(f"{what}: the commands", together, whole, training.replicas, training.bound),
    ]


def _seconds(words: list[str]) -> float:
    return child(["-m", "cnnlit.train", *words], ends_with=0).wall


def _epochs(folder: Path) -> list[float]:
    """Seconds of training and validation of each epoch but the first, in which a device warms up."""
    so_far = [float(row["seconds"]) for row in read_metrics(folder)]
    return [after - before for before, after in itertools.pairwise(so_far)]


def _ratio(what: str, together: list[float], alone: list[float], replicas: int, bound: float | None) -> Claim:
    one = statistics.mean(alone) * replicas
    values = [seconds / one for seconds in together]
    middle = statistics.median(values)
    return Claim(what, middle, bound, True, "x", middle, (min(values), max(values)))
