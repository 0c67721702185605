"""A run's figures, drawn when it is tested."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from cnnlit.drawings.class_errors import MOST_BARS, draw_class_errors
from cnnlit.drawings.confusion_matrix import draw_confusion_matrix
from cnnlit.drawings.first_filters import draw_filters
from cnnlit.drawings.layer_profiles import draw_layers, measured_layers
from cnnlit.drawings.learning_rates import draw_schedule
from cnnlit.drawings.reliability import draw_reliability
from cnnlit.drawings.tiled_figure import encoded
from cnnlit.drawings.training_curves import draw_learning_curves
from cnnlit.drawings.training_images import MIXED, draw_training_images
from cnnlit.drawings.wrong_images import draw_errors
from cnnlit.files import write_whole
from cnnlit.runs.evaluations import Answers, most_confused, predictions_table, reliability
from cnnlit.runs.reading import read_metrics

if TYPE_CHECKING:
    from matplotlib.figure import Figure


MOST_STEPS = 1000
"""Steps whose learning rate is drawn."""


class ErrorsOf1998(NamedTuple):
    """A network's errors beside the 82 that LeNet-5 made in 1998, on the same test set."""

    errors: int
    """Errors of this network."""
    published_errors: int
    """Errors of LeNet-5 in 1998."""
    repeated: int
    """Images that both got wrong."""
    repeated_same_answer: int
    """Images that both got wrong in the same way."""


def compare_with_1998(predicted: Tensor, labels: Tensor, published: Mapping[int, int]) -> ErrorsOf1998:
    """Count a network's errors and those it shares with the published network.

    Args:
        predicted: int64 [N].
        labels: int64 [N].
        published: test index -> the class that LeNet-5 answered. Paper: LeCun et al. 1998, Fig. 8.
    """
    wrong = (predicted != labels).cpu()
    indices = torch.tensor(list(published))
    same = predicted.cpu()[indices] == torch.tensor(list(published.values()))
    return ErrorsOf1998(
        errors=int(wrong.sum()),
        published_errors=len(published),
        repeated=int(wrong[indices].sum()),
        repeated_same_answer=int((wrong[indices] & same).sum()),
    )


class RunFigures(Callback):
    """Draws figures of a run into `<folder>/pictures/`, and sends them to the loggers that accept images.

    Writes training_images.png when training begins, or if it is not there then, when the network is tested; and of the
    tested network learning_curves.png (if the folder has a metrics.csv), schedule.png (if a rate is known),
    layers.png (if there are LayerStatistics), filters.png, confusion_matrix.png, class_errors.png, calibration.png,
    errors.png, and `<folder>/test_predictions.csv`, each whole or not at all. What cannot be made is left out with a
    one-line warning: no figure is worth a finished run.

    Reads `test_predictions`, `test_result`, `model` and `recipe` of the LightningModule, and `training_images`,
    `test_images`, `class_names` and `published_errors` of the datamodule.

    Args:
        folder: the run's folder.

    Attributes:
        paths: the files written, by name (`errors`, `test_predictions`).
        comparison: with LeNet-5 of 1998, if the datamodule has its errors and the whole test set was classified.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.paths: dict[str, Path] = {}
        self.comparison: ErrorsOf1998 | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._draw_training_images(trainer, pl_module, trainer.train_dataloader)
        # Each callback costs every step, and this one is not needed again before the test.
        trainer.callbacks = [each for each in trainer.callbacks if each is not self]  # type: ignore[attr-defined]

    def _draw_training_images(self, trainer: Trainer, module: Any, loader: Any) -> None:
        data, name = trainer.datamodule, "training_images"  # type: ignore[attr-defined]
        path = self.folder / "pictures" / f"{name}.png"
        if not trainer.is_global_zero or path.exists():
            return
        remark = MIXED if module.recipe.mixing else ""
        with _or_warn(str(path.relative_to(self.folder))):
            if images := data.training_images(loader):
                self._draw(trainer, name, lambda: draw_training_images(images, data.class_names, remark))

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        module: Any = pl_module
        filters = _first_filters(module.model)
        if not trainer.is_global_zero:
            return
        self.paths, self.comparison = {}, None
        self._draw_training_images(trainer, module, trainer.datamodule.train_dataloader())  # type: ignore[attr-defined]
        if (self.folder / "metrics.csv").exists():
            rows = read_metrics(self.folder)
            self._draw(trainer, "learning_curves", lambda: draw_learning_curves(rows))
            if rates := _rates(trainer, rows):
                self._draw(trainer, "schedule", lambda: draw_schedule(list(rates), list(rates.values())))
            if measured_layers(rows):
                self._draw(trainer, "layers", lambda: draw_layers(rows))
        self._draw(trainer, "filters", lambda: draw_filters(filters()))
        with _or_warn("The figures of the test"):
            self._show_test(trainer, module, trainer.datamodule)  # type: ignore[attr-defined]

    def _show_test(self, trainer: Trainer, module: Any, data: Any) -> None:
        labels, predicted, confidence = (answers.cpu() for answers in module.test_predictions)
        complete = len(labels) == len(data.test_images)
        if trainer.world_size > 1 and (not complete or getattr(data, "unreadable", None)):
            raise ValueError("it is not known which images the other devices left out")
        images = data.test_images[: len(labels)]  # a test may be limited to its first batches
        most = 1 + int(torch.cat([labels, predicted]).max())
        names = list(data.class_names) or [str(number) for number in range(most)]
        self._draw(trainer, "confusion_matrix", lambda: draw_confusion_matrix(labels, predicted, names))
        answers = Answers(labels.numpy(), predicted.numpy(), confidence.double().numpy())
        confused = most_confused([answers], MOST_BARS)
        self._draw(trainer, "class_errors", lambda: draw_class_errors(labels, predicted, names, confused))
        error = module.test_result()["test/calibration_error"]
        self._draw(trainer, "calibration", lambda: draw_reliability(reliability([answers]), error))
        self._draw(trainer, "errors", lambda: draw_errors(images, labels, predicted, confidence, names))
        self._write(
            "test_predictions", "test_predictions.csv", lambda: predictions_table(labels, predicted, confidence)
        )
        if complete and data.published_errors:
            self.comparison = compare_with_1998(predicted, labels, data.published_errors)

    def _draw(self, trainer: Trainer, name: str, draw: Callable[[], "Figure"]) -> None:
        self._write(name, f"pictures/{name}.png", lambda: encoded(draw()))
        if name in self.paths:
            for logger in trainer.loggers:
                with _or_warn(f"{name} in {type(logger).__name__}"):
                    _log_picture(logger, f"pictures/{name}", self.paths[name], trainer.global_step)

    def _write(self, name: str, place: str, content: Callable[[], str | bytes]) -> None:
        with _or_warn(place):
            write_whole(self.folder / place, content())
            self.paths[name] = self.folder / place


def _rates(trainer: Trainer, rows: Sequence[Mapping[str, str]]) -> dict[float, float]:
    """The learning rate by the epochs that had passed: of steps, where it is a function of the step; else of epochs.

    Args:
        trainer: after training.
        rows: of metrics.csv.
    """
    schedule = next((each.scheduler for each in trainer.lr_scheduler_configs), None)
    steps, of_epoch = trainer.global_step, trainer.num_training_batches
    if not (isinstance(schedule, LambdaLR) and steps and 0 < of_epoch < math.inf):
        known = [(float(row["epoch"]) + 1, row.get("learning_rate", "")) for row in rows]
        return {epoch: float(rate) for epoch, rate in known if rate}
    group = schedule.optimizer.param_groups[0]
    rate = group["initial_lr"] / group.get("rate_factor", 1.0)
    drawn = torch.linspace(0, steps - 1, min(steps, MOST_STEPS)).round().int().tolist()
    return {step / of_epoch: rate * schedule.lr_lambdas[0](step) for step in drawn}


@contextmanager
def _or_warn(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        rank_zero_warn(f"{what} left out: {type(error).__name__}: {' '.join(str(error).split())}")


def _first_filters(model: nn.Module) -> Callable[[], Tensor]:
    """A function that returns the first convolution's weight, or raises; a sharded weight is gathered here."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            weight: Any = module.weight
            whole: Tensor = weight.full_tensor() if hasattr(weight, "full_tensor") else weight
            return lambda: whole

    def missing() -> Tensor:
        raise ValueError("the model has no Conv2d")

    return missing


def _log_picture(logger: Any, key: str, path: Path, step: int) -> None:
    # Told apart by what they can do, because importing W&B and TensorBoard for their classes takes seconds.
    if hasattr(logger, "log_image"):
        logger.log_image(key=key, images=[str(path)])
    elif hasattr(getattr(logger, "experiment", None), "add_image"):
        from matplotlib.image import imread

        logger.experiment.add_image(key, imread(path)[..., :3], step, dataformats="HWC")
