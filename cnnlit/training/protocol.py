"""How a network is tested: on which views of each image, and how its answers to them are combined."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

ViewGroups = list[tuple[Tensor, Tensor]]
"""V views of each of N images, grouped by size: views [M, C, h, w] and their places int64 [M] among all N * V, where
place n * V + v is that of view v of image n."""


@dataclass(kw_only=True)
class EvaluationProtocol:
    """Which views of an image the network is tested on, and how its answers to them are combined.

    The softmax is averaged over the views (Krizhevsky et al. 2012, Sec. 4.1; Szegedy et al. 2014, Sec. 7). Uncropped
    views are given to the network's `dense` form, which first averages its scores over all positions in a view
    (Simonyan, Zisserman 2014, Sec. 3.2).

    Args:
        views: transforms, as in `data.views`; null for one view, the same as in validation.
    """

    views: list[Any] | None = None

    @property
    def dense(self) -> bool:
        """Whether views are uncropped."""
        return any(getattr(step, "uncropped", False) for step in self.views or ())

    @property
    def num_views(self) -> int:
        """The number of views of each image."""
        return math.prod(getattr(step, "num_views", 1) for step in self.views or ())

    def try_on(self, network: nn.Module, data: Mapping[str, Any]) -> None:
        """Refuse what cannot be tested this way.

        Args:
            network: the network to be tested.
            data: the options of its data.

        Raises:
            ValueError: for data without views, and for a network without a dense form.
        """
        if self.views is not None and "views" not in data:
            raise ValueError("protocol: these images are tested as they are; use protocol=single_crop")
        if self.dense and not hasattr(network, "dense"):
            raise ValueError(
                f"protocol: {type(network).__name__} sees images of one size alone; "
                "use a protocol of crops, such as ten_crop, or of digits shifts"
            )

    def answer(self, network: nn.Module, views: Tensor | ViewGroups, count: int) -> Tensor:
        """The network's answers, as logits.

        Args:
            network: images [M, C, h, w] -> logits [M, K].
            views: one view of each image, float [count, C, H, W], or several.
            count: the number of images.

        Returns:
            float [count, K]: for one view the network's logits; for several the logarithm of their average softmax,
            which is its own log-softmax, so that losses and errors mean the same.
        """
        classify = network.dense if self.dense else network
        if isinstance(views, Tensor):
            return classify(views)  # type: ignore[no-any-return, operator]
        logits = torch.cat([classify(images) for images, _ in views]).float()  # type: ignore[operator]
        places = torch.cat([places for _, places in views])
        answers = torch.empty_like(logits).index_copy_(0, places, logits)
        if len(answers) == count:
            return answers
        each = functional.log_softmax(answers, dim=1).view(count, -1, answers.shape[1])  # [count, V, K]
        return each.logsumexp(dim=1) - math.log(each.shape[1])
