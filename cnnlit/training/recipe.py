"""A recipe: how a paper, or today's practice, trains."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from cnnlit.training.fine_tuning import check_rates, freeze
from cnnlit.training.losses import ClassWeighted, balanced_weights
from cnnlit.training.mixing import Mixing
from cnnlit.training.optimizers import Exempt, leaves_the_kernel_open, parameter_groups, scale_rates


@dataclass(kw_only=True)
class Recipe:
    """The training section of a paper.

    Args:
        batch_size: images per step, over all devices.
        micro_batch_size: images that a device takes through the network at once; the gradients of a step's
            micro-batches are added, so that a step is the same with less memory. Null for all at once.
        epochs: passes over the training set.
        order: a new random order each epoch, a constant one, or a new one each epoch in which all classes are equally
            frequent, whatever their numbers of images.
        loss: (logits float [N, K], labels int64 [N]) -> the mean over the batch, a scalar.
        mixing: mixes the images of a training batch with one another: (images, labels int64 [N]) -> (images, shares of
            classes float [N, K]), such as torchvision.transforms.v2.MixUp; null for none. It draws from torch's random
            numbers on the CPU. A device's memory holds the whole batch for it.
        class_weights: how much an image counts in the loss, by its class, see losses.ClassWeighted: a number for each
            class; `balanced` for numbers with which all classes count the same; null for one each.
        optimizer: parameters -> optimizer.
        schedule: (optimizer, steps_per_epoch, epochs) -> schedule, stepped once per batch.
        decay_exempt: parameters that are exempt from the optimizer's weight decay.
        gradient_clip_norm: a longer gradient, of all parameters together, is scaled down to this norm; null for never.
        max_filter_rms: after each step, filters with a larger root mean square are scaled down to it
            (Zeiler, Fergus 2013, Sec. 3); null for never.
        early_stopping_patience: training ends after so many epochs without a new lowest validation error; null to train
            all epochs.
        checkpoint: the network that is tested, and that every command loads: that of the `last` epoch, or of the
            `best`, which is the first with the lowest validation error.
        averaging_decay: decay of the running mean of the weights (Polyak) that is validated and tested in their
            place; null for none.
        half_precision: whether `trainer.precision=auto` may be bfloat16; papers' networks were trained in float32.
        dropout: what `model.dropout` shall be; null for the model's default.
        initialization: what `model.initialization` shall be; null for the model's default.
        freeze: names of layers that keep their weights, and their normalisations their running statistics; an optimizer
            never sees them.
        layer_rates: for the name of a layer the factor of its learning rate; null for one rate.
        bias_rate: factor of the learning rate of all biases of convolutional and linear layers; null for one rate.
        normalization: the scale of the input, as in `data.normalization`.
        augmentation: transforms of the training images, in this order, as in `data.augmentation`.
    """

    batch_size: Annotated[int, Ge(1)]
    epochs: Annotated[int, Ge(1)]
    order: Literal["fresh", "constant", "balanced"]
    loss: nn.Module
    optimizer: Callable[..., Optimizer]
    schedule: Callable[..., LRScheduler]
    micro_batch_size: Annotated[int, Ge(1)] | None = None
    mixing: Mixing | None = None
    class_weights: list[Annotated[float, Gt(0)]] | Literal["balanced"] | None = None
    decay_exempt: list[Exempt] = field(default_factory=list)
    gradient_clip_norm: Annotated[float, Gt(0)] | None = None
    max_filter_rms: Annotated[float, Gt(0)] | None = None
    early_stopping_patience: Annotated[int, Ge(1)] | None = None
    checkpoint: Literal["last", "best"] = "last"
    averaging_decay: Annotated[float, Gt(0), Lt(1)] | None = None
    half_precision: bool = False
    dropout: Annotated[float, Ge(0), Lt(1)] | None = None
    initialization: str | None = None
    freeze: list[str] = field(default_factory=list)
    layer_rates: dict[str, Annotated[float, Gt(0)]] | None = None
    bias_rate: Annotated[float, Gt(0)] | None = None
    normalization: str = "mean_std"
    augmentation: list[Any] = field(default_factory=list)

    def fewest_images(self, images: int, replicas: int) -> int:
        """The fewest images that pass through a network at once in an epoch.

        Args:
            images: presentations in an epoch.
            replicas: devices that share each batch.
        """
        batches = {min(images, self.batch_size), images % self.batch_size or self.batch_size}
        shares = [max(1, batch // replicas) for batch in batches]
        return min(share // -(-share // (self.micro_batch_size or share)) for share in shares)

    def weigh_classes(self, num_classes: int, labels: Callable[[], Tensor] | None = None) -> None:
        """Put the weights of the classes into the loss, once.

        Args:
            num_classes: K.
            labels: of all training images, int64 [N]; None where they are not at hand, and the weights that are
                balanced come with a checkpoint.

        Raises:
            ValueError: one line, for a loss that takes none, and for another number of them.
        """
        given = self.class_weights
        if given is None or isinstance(self.loss, ClassWeighted):
            return
        if not isinstance(self.loss, nn.CrossEntropyLoss):
            raise ValueError(
                f"recipe.class_weights: {type(self.loss).__name__} takes none; add recipe/loss=cross_entropy"
            )
        if given == "balanced":
            if labels is None:
                return
            try:
                weights = balanced_weights(labels(), num_classes)
            except ValueError as error:
                raise ValueError(f"recipe.class_weights=balanced: {error}") from None
        elif len(given) != num_classes:
            raise ValueError(f"recipe.class_weights={given}: {len(given)} weights for data.num_classes={num_classes}")
        else:
            weights = torch.tensor(given)
        self.loss = ClassWeighted(self.loss, weights)

    def optimizer_for(self, network: nn.Module, *, fused: bool = False) -> Optimizer:
        """An optimizer of the network's parameters that learn; see parameter_groups.

        Args:
            network: to be trained.
            fused: let torch update all parameters in one kernel, where the optimizer can and nothing says how.
        """
        how = {"fused": True} if fused and leaves_the_kernel_open(self.optimizer) else {}
        groups = parameter_groups(network, self.decay_exempt, self.layer_rates, self.bias_rate)
        optimizer = self.optimizer(groups, **how)
        scale_rates(optimizer)
        return optimizer

    def try_on(self, network: nn.Module) -> None:
        """Build an optimizer and a schedule and throw them away, so that what they refuse is refused early.

        Freezes the layers that are to be frozen.

        Raises:
            ValueError: what they refuse, in one line.
        """
        freeze(network, self.freeze)
        check_rates(network, self.layer_rates or {})
        try:
            optimizer = self.optimizer_for(network)
        except ValueError as error:
            raise ValueError(f"recipe.optimizer: {error}") from None
        try:
            schedule = self.schedule(optimizer, steps_per_epoch=1, epochs=self.epochs)
        except ValueError as error:
            raise ValueError(f"recipe.schedule: {error}") from None
        rates = [group["lr"] / group.get("rate_factor", 1.0) for group in optimizer.param_groups]
        if not all(math.isclose(rate, rates[0]) for rate in rates):
            key = "layer_rates" if self.layer_rates else "bias_rate"
            raise ValueError(f"recipe.{key}: {type(schedule).__name__} sets one rate for all parameters")
