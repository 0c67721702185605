"""The LightningModule that trains and tests any architecture."""

import time
from typing import Any, NamedTuple

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric, MetricCollection

from cnnlit.training.metrics import RunningTotals, TopKError
from cnnlit.training.optimizers import StochasticDiagonalLM, limit_filters
from cnnlit.training.recipe import Recipe
from cnnlit.training.schedules import Plateau


class Predictions(NamedTuple):
    """What a network answered, image by image in the order of the test set."""

    labels: Tensor
    """int64 [N], the truth."""
    predicted: Tensor
    """int64 [N], the class of the largest logit."""
    confidence: Tensor
    """float32 [N], the softmax of that logit."""


class ImageClassification(LightningModule):
    """Trains `model` to give the label's logit the highest value; measures error and loss.

    Logged once per epoch: `train/loss` and `train/error` (of the predictions made while training), `val/loss`,
    `val/error`, with more than ten classes `val/top5_error`, `learning_rate` (of the last step),
    `seconds` (of training and validation, so far). After a test: `test/loss`, `test/error`, and `test_predictions`.
    Losses are means over images, errors fractions of images, whatever the batches.

    Args:
        model: images float [N, C, H, W] -> logits [N, num_classes]; or, in training, a NamedTuple of the logits and
            those of auxiliary heads, each of which adds `model.auxiliary_weight` times its loss.
        recipe: the loss, the optimizer and the schedule.
        config: the resolved configuration in plain containers, kept in every checkpoint; its `seed` decides
            what the model draws while it trains (dropout), its data's `num_classes` what is measured.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        recipe: Recipe,
        config: dict[str, Any],
    ) -> None:
        super().__init__()
        self.model = model
        self.loss = recipe.loss
        self.recipe = recipe
        self.config = config
        self.val_metrics = _metrics(config["data"]["num_classes"])
        self.test_metrics = _metrics(config["data"]["num_classes"])
        self.test_predictions: Predictions | None = None
        self._answers: list[tuple[Tensor, Tensor, Tensor]] = []
        self.running = RunningTotals()
        self._seconds_before = 0.0
        self._began = time.perf_counter()

    def __setattr__(self, name: str, value: Any) -> None:
        # Lightning sets this name around each of its hooks, 50 times a step; torch's way of looking whether a value
        # is a parameter takes a tenth of a small network's step.
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(images)
        return logits

    def configure_optimizers(self) -> Any:
        optimizer = self._optimizer = self.recipe.optimizer_for(self.model)
        epochs = self.recipe.epochs
        steps = int(self.trainer.estimated_stepping_batches) // epochs
        schedule = self.recipe.schedule(optimizer, steps_per_epoch=steps, epochs=epochs)
        if isinstance(schedule, Plateau):
            watched = "val/error" if self.trainer.limit_val_batches else "train/error"
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "monitor": watched}}
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_start(self) -> None:
        self._began = time.perf_counter()
        self.running.to(self.device)

    def on_train_epoch_start(self) -> None:
        if isinstance(self._optimizer, StochasticDiagonalLM):
            datamodule: Any = self.trainer.datamodule  # type: ignore[attr-defined]
            images, labels = datamodule.curvature_sample(self._optimizer.num_samples, self.current_epoch)
            self._optimizer.estimate(self.model, self.loss, images, labels)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        # What a step draws depends on nothing but its number, so a resumed run draws the same.
        # torch.manual_seed itself takes milliseconds where CUDA is installed and not in use.
        seed = (self.config["seed"] * 1_000_003 + self.global_step) * 1_009 + self.global_rank
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, labels = batch
        outputs = self.model(images)
        # Heads in the middle of the network come after the logits, and count less (Szegedy et al. 2014, Sec. 5).
        logits, *auxiliary = outputs if isinstance(outputs, tuple) else (outputs,)
        loss: Tensor = self.loss(logits, labels)
        for head in auxiliary:
            loss = loss + self.model.auxiliary_weight * self.loss(head, labels)
        self.running.update(loss, logits, labels, self._optimizer.param_groups[0]["lr"])
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.recipe.max_filter_rms:
            limit_filters(self.model, self.recipe.max_filter_rms)

    def on_train_epoch_end(self) -> None:
        self.log_dict({**self.running.compute(), "seconds": self.seconds}, sync_dist=True)
        self.running.reset()

    @property
    def seconds(self) -> float:
        """Seconds of training and validation so far, those before a resume included."""
        return self._seconds_before + time.perf_counter() - self._began

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._measure(self.val_metrics, batch)

    def on_validation_epoch_end(self) -> None:
        self._report("val", self.val_metrics)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        logits = self._measure(self.test_metrics, batch)
        confidence, predicted = logits.softmax(dim=1).max(dim=1)
        self._answers.append((batch[1], predicted, confidence))

    def on_test_epoch_end(self) -> None:
        self._report("test", self.test_metrics)
        labels, predicted, confidence = (torch.cat(parts) for parts in zip(*self._answers, strict=True))
        self.test_predictions = Predictions(labels, predicted, confidence)
        self._answers.clear()

    def test_result(self) -> dict[str, float]:
        """What the test came to: `test/error`, `test/loss`, `test/num_images` and so on, errors exact."""
        assert self.test_predictions is not None, "there was no test"
        result = {name: float(value) for name, value in self.trainer.callback_metrics.items()}
        wrong = (self.test_predictions.predicted != self.test_predictions.labels).sum().item()
        images = len(self.test_predictions.labels)
        return {**result, "test/error": wrong / images, "test/num_errors": wrong, "test/num_images": images}

    def _measure(self, metrics: MetricCollection, batch: tuple[Tensor, Tensor]) -> Tensor:
        images, labels = batch
        logits: Tensor = self.model(images)
        metrics["loss"].update(self.loss(logits, labels), weight=len(labels))
        for name, metric in metrics.items(keep_base=True):
            if name != "loss":
                metric.update(logits, labels)
        return logits

    def _report(self, split: str, metrics: MetricCollection) -> None:
        self.log_dict({f"{split}/{name}": value for name, value in metrics.compute().items()})
        metrics.reset()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["config"] = self.config
        checkpoint["running"] = self.running.state_dict()
        checkpoint["seconds"] = self.seconds

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.running.load_state_dict(checkpoint["running"])
        self._seconds_before = checkpoint["seconds"]


def _metrics(num_classes: int) -> MetricCollection:
    """Loss weighted by image, top-1 error and, where five guesses are fewer than half of the classes, top-5."""
    metrics: dict[str, Metric | MetricCollection] = {"loss": MeanMetric(), "error": TopKError(1)}
    if num_classes > 10:
        metrics["top5_error"] = TopKError(5)
    return MetricCollection(metrics)
