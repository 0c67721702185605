"""Seeds of LeNet-5 in one process, in lock-step, beside the same seeds one after the other: the commands, on MNIST.

On a GPU 32 of them, whole epochs. On a processor, where nothing is gained, few of them and short epochs, with no
target. All in wall time, since a GPU's work is no CPU time; the cost of one seed alone is the mean of some.
"""

import itertools
import statistics
import tempfile
from pathlib import Path

import torch

from benchmarks.startup import child
from benchmarks.timing import Claim
from cnnlit.results.runs import read_metrics

ALONE = 2
"""Seeds that are trained by themselves."""


def measure(root: str) -> list[Claim]:
    """The claims on replicas, on MNIST below `root`."""
    gpu = torch.cuda.is_available()
    replicas, bound = (32, 0.25) if gpu else (3, None)
    words = ["experiment=lenet5_modern", f"data.root={Path(root).absolute()}", "logger=none", "recipe.epochs=3"]
    words += [] if gpu else ["trainer=cpu", "+trainer.limit_train_batches=40", "data.eval_batch_size=500"]
    with tempfile.TemporaryDirectory() as folder:
        whole, epochs = [], []
        for seed in range(ALONE):
            alone = Path(folder) / f"alone{seed}"
            whole.append(_seconds([*words, f"seed={seed}", f"hydra.run.dir={alone}"]))
            epochs += _epochs(alone)
        stack = Path(folder) / "stack"
        together = [_seconds([*words, f"replicas={replicas}", "replicas_as=stack", f"hydra.run.dir={stack}"])]
        steps = _epochs(stack / "0")
    device = torch.cuda.get_device_name() if gpu else "a processor, no target"
    what = f"{replicas} seeds in one process / one after the other"
    return [
        _ratio(f"{what}: an epoch ({device})", steps, epochs, replicas, bound),
        _ratio(f"{what}: the commands", together, whole, replicas, bound),
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
