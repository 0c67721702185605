"""The two losses of LeNet-5. Cross-entropy is torch.nn.CrossEntropyLoss."""

from typing import Annotated

import torch
from annotated_types import Gt
from torch import Tensor, nn
from torch.nn import functional


class MeanSquaredDistance(nn.Module):
    """The mean distance y_D of the correct class's output: logits [N, K] = -y, labels int64 [N] -> scalar.

    Paper: LeCun et al. 1998, eq. 8 ("MSE").
    """

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return functional.nll_loss(logits, labels)


class MaximumAPosteriori(nn.Module):
    """Cross-entropy with one more class, for rubbish, at a constant distance j.

    logits [N, K] = -y, labels int64 [N] -> the mean of y_D + log(exp(-j) + sum_i exp(-y_i)), a scalar.

    Paper: LeCun et al. 1998, eq. 9. Unspecified: j, and whether eq. 8 or eq. 9 gave the published error.

    Args:
        rubbish_distance: j > 0. A correct output whose distance is far below j is hardly pushed any closer, nor wrong
            ones any farther.
    """

    def __init__(self, rubbish_distance: Annotated[float, Gt(0)]) -> None:
        super().__init__()
        self.rubbish_distance = rubbish_distance

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        rubbish = logits.new_full((len(logits), 1), -self.rubbish_distance)
        return functional.cross_entropy(torch.cat([logits, rubbish], dim=1), labels)
