"""The LightningModule that trains and tests any architecture."""

import time
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn
from torchmetrics import MetricCollection

import cnnlit
from cnnlit.training.fine_tuning import freeze, hold_statistics
from cnnlit.training.losses import ClassWeighted
from cnnlit.training.metrics import Predictions, RunningTotals, of_predictions, predictions_of_all, split_metrics
from cnnlit.training.mixing import MIXING, dominant, mixed
from cnnlit.training.optimizers import StochasticDiagonalLM, limit_filters, nominal_rate
from cnnlit.training.protocol import EvaluationProtocol, ViewGroups
from cnnlit.training.recipe import Recipe
from cnnlit.training.schedules import Plateau
from cnnlit.training.step_internals import QuickHooks


class ImageClassification(QuickHooks):
    """Trains, validates and tests an image classifier.

    Logged once per epoch: `train/loss` and `train/error` (of the predictions made while training), `val/loss`,
    `val/error`, with more than ten classes `val/top5_error`, `learning_rate` (of the last step) and `seconds` (of
    training and validation so far). A test logs `test/loss` and `test/error` and fills `test_predictions`. Losses are
    means over images and errors fractions of images, regardless of batch size and number of devices.

    Where the recipe mixes images, `train/error` counts answers other than the class with the largest share.

    A step's images may pass through the network in micro-batches (`recipe.micro_batch_size`), whose gradients are
    added, each weighted by its images: the step is that of the whole batch, but for rounding. Each micro-batch draws
    its own dropout, and batch normalisation sees one of them at a time.

    Several devices share each batch, and their gradients are averaged. Each device's loss is weighted such that the
    average is the gradient of the whole batch, even when a last batch does not divide evenly. Each replica draws its
    own dropout and keeps its own batch normalisation statistics, unless `trainer.sync_batchnorm` is set; validation
    and test use those of the first device.

    Args:
        model: images float [N, C, H, W] -> logits [N, num_classes]; in training it may return a NamedTuple of the
            logits and those of auxiliary heads, each of which adds `model.auxiliary_weight` times its loss.
        recipe: the loss, the optimizer and the schedule.
        num_classes: number of classes; with more than ten, the top-5 error is measured too.
        seed: of the random numbers that the model draws during training (dropout).
        protocol: of the test; None for a single view of each image.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        recipe: Recipe,
        num_classes: int,
        seed: int,
        protocol: EvaluationProtocol | None = None,
    ) -> None:
        super().__init__()
        freeze(model, recipe.freeze)
        recipe.weigh_classes(num_classes)
        self.model = model
        self.loss = recipe.loss
        self.recipe = recipe
        self.num_classes = num_classes
        self.seed = seed
        self.protocol = protocol or EvaluationProtocol()
        self.val_metrics = split_metrics(num_classes)
        self.test_metrics = split_metrics(num_classes)
        self.test_predictions: Predictions | None = None
        self.answerable: Tensor | None
        self.register_buffer("answerable", None, persistent=False)
        self._answers: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        self.running = RunningTotals()
        self._seconds_before = 0.0
        self._began = time.perf_counter()

    def train(self, mode: bool = True) -> Self:
        """See torch.nn.Module.train; frozen normalisations stay as in evaluation."""
        super().train(mode)
        hold_statistics(self.model, self.recipe.freeze)
        return self

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: Any, *args: Any, **arguments: Any) -> "ImageClassification":
        """The module of a checkpoint; see LightningModule.load_from_checkpoint.

        Args:
            checkpoint_path: of the file.
            *args: as Lightning takes them.
            **arguments: of this class; without `model`, all are as the configuration of the run says that saved it.
        """
        if "model" not in arguments:
            arguments = {**cnnlit.module_arguments(checkpoint_path), **arguments}
        arguments.setdefault("weights_only", True)
        return super().load_from_checkpoint(checkpoint_path, *args, **arguments)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(images)
        return logits

    def configure_optimizers(self) -> Any:
        # With 16-mixed, gradients have to be unscaled before they are clipped, which fused optimizers do themselves.
        fused = self.device.type == "cuda" and self.trainer.precision != "16-mixed"
        optimizer = self._optimizer = self.recipe.optimizer_for(self.model, fused=fused)
        if self.trainer.accumulate_grad_batches > 1:
            raise ValueError(
                "accumulate_grad_batches: the micro_batch_size of the recipe does that, with exact weights"
            )
        if self.recipe.class_weights and not isinstance(self.loss, ClassWeighted):
            raise ValueError("class_weights=balanced: the recipe's weigh_classes(num_classes, labels) was not called")
        _ = self.trainer.estimated_stepping_batches  # counts the batches of an epoch
        steps = int(self.trainer.num_training_batches)
        schedule = self.recipe.schedule(optimizer, steps_per_epoch=steps, epochs=self.recipe.epochs)
        if isinstance(schedule, Plateau):
            watched = "val/error" if self.trainer.limit_val_batches else "train/error"
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "monitor": watched}}
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_start(self) -> None:
        hold_statistics(self.model, self.recipe.freeze)
        self._began = time.perf_counter()
        self.running.to(self.device)

    def on_train_epoch_start(self) -> None:
        if isinstance(self._optimizer, StochasticDiagonalLM):
            self._optimizer.estimate(self.model, self.loss, *self._curvature_sample(self._optimizer.num_samples))

    def _curvature_sample(self, count: int, *replica: int) -> tuple[Tensor, Tensor]:
        """Training images of this epoch and their labels; of one of several replicas, its own."""
        datamodule: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        images, labels = datamodule.curvature_sample(count, self.current_epoch, *replica)
        return images.to(self.dtype), labels

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        # A step's random numbers depend on its index alone, so a resumed run draws the same ones.
        # torch.manual_seed itself takes milliseconds where CUDA is installed and not in use.
        loader: Any = self.trainer.train_dataloader
        replica = loader.sampler.rank if self.trainer.world_size > 1 else 0
        seed = self._seed_of_step(replica)
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, labels = self._mixed(*batch, batch_idx) if self.recipe.mixing else batch
        if not self.recipe.micro_batch_size:
            return self._loss_of(images, labels, batch_idx)
        self._optimizer.zero_grad()
        *earlier, last = (
            (*part, len(part[1]) / len(labels))
            for part in zip(self.parts_of(images), self.parts_of(labels), strict=True)
        )
        passed = torch.zeros((), device=self.device)
        for part, its_labels, share in earlier:
            weighted = self._loss_of(part, its_labels, batch_idx) * share
            self.trainer.strategy.backward(weighted, None)
            passed = passed + weighted.detach()
        part, its_labels, share = last
        # The value is the whole batch's, the gradient that of the part for which Lightning calls backward.
        return self._loss_of(part, its_labels, batch_idx) * share + passed

    def _seed_of_step(self, purpose: int) -> int:
        """The purpose is the number of a replica, or MIXING."""
        return (self.seed * 1_000_003 + self.global_step) * 1_009 + purpose

    def _mixed(self, images: Tensor, labels: Tensor, batch_idx: int) -> tuple[Tensor, Tensor]:
        loader: Any = self.trainer.train_dataloader
        place = (loader.sampler, batch_idx) if self.trainer.world_size > 1 else None
        return mixed(self.recipe.mixing, images, labels, self._seed_of_step(MIXING), place)  # type: ignore[arg-type]

    def parts_of(self, batch: Tensor) -> Sequence[Tensor]:
        """Images or labels in as few micro-batches as the recipe allows; their lengths differ by one at most."""
        size = self.recipe.micro_batch_size
        return batch.tensor_split(-(-len(batch) // size)) if size else (batch,)

    def _loss_of(self, images: Tensor, labels: Tensor, batch_idx: int) -> Tensor:
        """The mean loss over images of a batch, weighted for the average over devices; counted in `running`."""
        outputs = self.model(images)
        # Heads in the middle of the network come after the logits, and count less (Szegedy et al. 2014, Sec. 5).
        logits, *auxiliary = outputs if isinstance(outputs, tuple) else (outputs,)
        loss: Tensor = self.loss(logits, labels)
        for head in auxiliary:
            loss = loss + self.model.auxiliary_weight * self.loss(head, labels)
        learning_rate = nominal_rate(self._optimizer)
        if self.trainer.world_size == 1:
            self.running.update(loss, logits, dominant(labels), learning_rate)
            return loss
        loader: Any = self.trainer.train_dataloader
        batches = loader.sampler
        share, everyone = batches.share(batch_idx)
        self.running.update(loss, logits[:share], dominant(labels[:share]), learning_rate)
        weighted: Tensor = loss * (share * batches.num_replicas / everyone)
        return weighted

    def optimizer_zero_grad(self, *args: Any, **kwargs: Any) -> None:
        # Lightning calls this after the training step, when all micro-batches but the last have left their gradients.
        if self.recipe.micro_batch_size is None:
            super().optimizer_zero_grad(*args, **kwargs)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        # Not at the end of the batch, where callbacks run first: they average and save the weights after the limit.
        if self.recipe.max_filter_rms:
            limit_filters(self.model, self.recipe.max_filter_rms)
        if self.trainer.is_last_batch and self.trainer.world_size > 1:
            self.running = self.running.over_all(self.trainer.strategy.reduce)

    def on_train_epoch_end(self) -> None:
        self.log_dict({**self.running.compute(), "seconds": self.seconds})
        self.running.reset()

    @property
    def seconds(self) -> float:
        """Seconds of training and validation so far, those before a resume included."""
        return self._seconds_before + time.perf_counter() - self._began

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        images, labels = batch
        if len(labels):  # none of the batch's images may have been readable
            positions = self._positions(self.trainer.val_dataloaders, batch_idx, labels)
            self._measure(self.val_metrics, self.model(images), labels, positions)

    def on_validation_epoch_end(self) -> None:
        self._report("val", self.val_metrics)

    def test_step(self, batch: tuple[Tensor | ViewGroups, Tensor], batch_idx: int) -> None:
        views, labels = batch
        if not len(labels):
            self._answers.append((labels, labels, labels, labels.float()))
            return
        positions = self._positions(self.trainer.test_dataloaders, batch_idx, labels)
        logits = self.protocol.answer(self.model, views, len(labels))
        among = self.answerable
        logits, own = (logits, labels) if among is None else (logits[:, among], torch.searchsorted(among, labels))
        self._measure(self.test_metrics, logits, own, positions)
        counted = len(positions)
        confidence, predicted = logits[:counted].softmax(dim=1).max(dim=1)
        predicted = predicted if among is None else among[predicted]
        self._answers.append((positions.to(self.device), labels[:counted], predicted, confidence))

    def on_test_epoch_end(self) -> None:
        self._report("test", self.test_metrics)
        self.test_predictions = predictions_of_all(self._answers, several=self.trainer.world_size > 1)
        self._answers.clear()

    def restrict_answers(self, classes: Tensor) -> None:
        """Let a test answer with some of the classes alone, int64 [at least 1], sorted; the images are of no others."""
        self.answerable = classes
        if isinstance(self.loss, ClassWeighted):
            self.loss = ClassWeighted(self.loss, self.loss.weight[classes])  # type: ignore[index]
        self.test_metrics = split_metrics(len(classes))

    def test_result(self) -> dict[str, float]:
        """The results of the test: `test/error`, `test/loss`, `test/num_images` and so on; errors are exact."""
        assert self.test_predictions is not None, "there was no test"
        result = {name: float(value) for name, value in self.trainer.callback_metrics.items()}
        more = {**of_predictions(self.test_predictions, self.num_classes), "num_views": self.protocol.num_views}
        return {**result, **{f"test/{name}": value for name, value in more.items()}}

    def _positions(self, loader: Any, batch_idx: int, labels: Tensor) -> Tensor:
        """Positions in the split of the images of a batch that this device accounts for, int64 [at most the batch]."""
        if self.trainer.world_size > 1:
            batches: Any = (loader[0] if isinstance(loader, list) else loader).sampler
            return batches.positions(batch_idx)[: len(labels)]  # type: ignore[no-any-return]
        first = sum(len(answers[0]) for answers in self._answers)
        return torch.arange(first, first + len(labels))

    def _measure(self, metrics: MetricCollection, logits: Tensor, labels: Tensor, positions: Tensor) -> None:
        counted = len(positions)  # with several devices, one may see an image that another accounts for
        if not counted:
            return
        logits, labels = logits[:counted], labels[:counted]
        metrics["loss"].update(self.loss(logits, labels), weight=counted)
        for name, metric in metrics.items(keep_base=True):
            if name != "loss":
                metric.update(logits, labels)

    def _report(self, split: str, metrics: MetricCollection) -> None:
        self.log_dict({f"{split}/{name}": value for name, value in metrics.compute().items()})
        metrics.reset()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        several = self.trainer.world_size > 1
        running = self.running.over_all(self.trainer.strategy.reduce) if several else self.running
        checkpoint["running"] = running.state_dict()
        checkpoint["seconds"] = self.seconds
        if isinstance(self.loss, ClassWeighted):
            checkpoint["class_weights"] = self.loss.weight

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if "class_weights" in checkpoint and not isinstance(self.loss, ClassWeighted):
            weights = checkpoint["class_weights"].to(self.device)
            among = slice(None) if self.answerable is None else self.answerable
            self.loss = ClassWeighted(self.loss, weights[among])  # type: ignore[arg-type]
        running = checkpoint["running"]
        # The sums are those of all devices, so only one of them continues from them.
        self.running.load_state_dict(running if self.global_rank == 0 else RunningTotals().state_dict())
        self._seconds_before = checkpoint["seconds"]
