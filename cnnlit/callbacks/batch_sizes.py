"""How fast a training step is with other batch sizes, and which of them fit into memory."""

import csv
import io
import time
from copy import deepcopy
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch
from annotated_types import Ge, Gt
from lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from cnnlit.drawings.step_speeds import draw_speeds
from cnnlit.drawings.tiled_figure import encoded
from cnnlit.files import write_whole
from cnnlit.parallel.trainer import print_note
from cnnlit.runs.folder import RunError

NEARLY = 0.9
"""Of the highest speed; a batch that is larger for less is not worth it."""


class StepSpeed(NamedTuple):
    """What a step forwards and backwards took."""

    batch_size: int
    images_per_second: float
    gigabytes: float
    """The most memory that a GPU had in use; 0 on a CPU."""


class BatchSizes(Callback):
    """Before the first step, measures steps of 1, 2, 4, 8 ... images on a copy of the network; then training goes on.

    It ends at the first size that does not fit into memory, or whose step takes long. Leaves batch_sizes.csv and
    pictures/batch_sizes.png in the run's folder, and says from which size on larger ones hardly gain. The batch size
    changes what is learnt, so none is chosen: `recipe.micro_batch_size` takes a size that fits at the same batch size.

    Args:
        largest: the last size that is tried.
        longest_step: seconds.
    """

    def __init__(self, *, largest: Annotated[int, Ge(1)] = 4096, longest_step: Annotated[float, Gt(0)] = 5.0) -> None:
        self.largest = largest
        self.longest_step = longest_step
        self.speeds: list[StepSpeed] = []

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.world_size > 1:
            raise RunError("callbacks=batch_sizes: measures a network on one device; add trainer.devices=1")

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if self.speeds:
            return
        images, labels = batch
        network: Any = deepcopy(pl_module.model)
        size, fits = 1, True
        while fits and size <= self.largest:
            fits = self._measure(trainer, network, pl_module.loss, _repeated(images, size), _repeated(labels, size))
            size *= 2
        self._tell(Path(trainer.default_root_dir), fits)

    def _measure(self, trainer: Trainer, network: nn.Module, loss: Any, images: Tensor, labels: Tensor) -> bool:
        """Add the speed of a size; whether the next one is worth trying."""
        on_gpu = images.device.type == "cuda"
        seconds = []
        try:
            if on_gpu:
                torch.cuda.reset_peak_memory_stats(images.device)
            for _ in range(3):
                began = time.perf_counter()
                with trainer.precision_plugin.forward_context():
                    outputs = network(images)
                    value = loss(outputs[0] if isinstance(outputs, tuple) else outputs, labels)
                value.backward()
                if on_gpu:
                    torch.cuda.synchronize(images.device)
                seconds.append(time.perf_counter() - began)
        except torch.OutOfMemoryError:
            return False
        except ValueError:  # batch normalisation of one image
            return len(images) == 1
        gigabytes = torch.cuda.max_memory_allocated(images.device) / 2**30 if on_gpu else 0.0
        self.speeds.append(StepSpeed(len(images), len(images) / min(seconds), gigabytes))
        return min(seconds) < self.longest_step

    def enough(self) -> StepSpeed:
        """The smallest size that is nearly as fast as the fastest."""
        highest = max(each.images_per_second for each in self.speeds)
        return next(each for each in self.speeds if each.images_per_second >= NEARLY * highest)

    def _tell(self, folder: Path, fits: bool) -> None:
        table = io.StringIO()
        csv.writer(table, lineterminator="\n").writerows([StepSpeed._fields, *self.speeds])
        write_whole(folder / "batch_sizes.csv", table.getvalue())
        enough, picture = self.enough(), folder / "pictures" / "batch_sizes.png"
        write_whole(picture, encoded(draw_speeds(self.speeds, enough.batch_size)))
        end = "" if fits else f"; {self.speeds[-1].batch_size} is the largest that was tried with success"
        print_note(
            f"batch sizes: {enough.batch_size} images at once are nearly as fast as any number, "
            f"{enough.images_per_second:.0f} a second{end} ({picture})"
        )


def _repeated(batch: Tensor, size: int) -> Tensor:
    """A batch of this size, of the images that there are."""
    return batch[torch.arange(size, device=batch.device) % len(batch)]
