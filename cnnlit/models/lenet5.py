"""LeNet-5: LeCun, Bottou, Bengio, Haffner 1998, *Gradient-based learning applied to document recognition*."""

from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Lt
from torch import Tensor, nn
from torch.compiler import is_exporting
from torch.nn import functional

from cnnlit.models.layers import (
    Activation,
    FullConv2d,
    Pooling,
    Subsample,
    UnfoldedConv2d,
    activation_layer,
    batch_norm_layer,
    pooled,
    pooling_layer,
    unfolded_conv2d,
)

C3_TABLE = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)  # fmt: skip
"""Paper: Table I. The feature maps of S2 that each of the 16 feature maps of C3 is connected to."""

DIGIT_CODES = """
.#####. ...##.. .#####. ####### .#####. .#####. ..####. ####### .#####. .#####.
....... ..###.. ....... .....## ....... ....... .##.... .....## ##...## ##..###
..###.. .####.. .#####. ....##. ....... ####### ##..... .....## ##...## ##...##
.##.##. ...##.. ##...## ...##.. .##..## ##..... ##..... ....##. ##...## ##...##
##...## ...##.. #....## ..####. .##..## ##..... ######. ...##.. .#####. ##..###
##...## ...##.. ....##. .....## ###..## .####.. ###..## ...##.. ##...## .######
##...## ...##.. ..###.. .....## ##...## ..####. ##...## ..##... ##...## .....##
##...## ...##.. .##.... .....## ##...## .....## ##...## ..##... ##...## .....##
.##.##. ...##.. ##..... ##...## ##..### ##...## ###..## ..##... ##...## ....##.
..###.. .###### ####### .#####. .###### .#####. .#####. ..##... .#####. .####..
....... ....... ....... ....... .....## ....... ....... ....... ....... .......
....... ....... ....... ....... .....## ....... ....... ....... ....... .......
"""
"""Paper: Fig. 3. The targets of F6 for the digits 0 to 9, as 7x12 bitmaps; # is +1, . is -1."""


def digit_codes() -> Tensor:
    """The ten codes of Fig. 3 as float32 [10, 84] of -1 and +1, each flattened row by row from the top left."""
    rows = [line.split() for line in DIGIT_CODES.split("\n") if line]
    return torch.tensor([[1.0 if ink == "#" else -1.0 for row in rows for ink in row[digit]] for digit in range(10)])


class TableConv2d(nn.Module):
    """A convolution whose output channels each see only the input channels that a table lists.

    [N, in_channels, H, W] -> [N, len(table), H - side + 1, W - side + 1]. Only existing connections are
    parameters: `weight` is float32 [connections, side, side], in the table's order.

    Args:
        in_channels: number of input channels.
        table: for each output channel, the input channels it is connected to.
        side: side of the square kernels, in pixels.
    """

    def __init__(self, in_channels: int, table: tuple[tuple[int, ...], ...], side: int) -> None:
        super().__init__()
        self.dense_shape = (len(table), in_channels, side, side)
        self.inputs_per_map = [len(inputs) for inputs in table]
        pairs = [out * in_channels + into for out, inputs in enumerate(table) for into in inputs]
        self.pairs: Tensor
        self.register_buffer("pairs", torch.tensor(pairs), persistent=False)
        self.weight = nn.Parameter(torch.empty(len(pairs), side, side))
        self.bias = nn.Parameter(torch.empty(len(table)))

    def forward(self, maps: Tensor) -> Tensor:
        out, into, side, _ = self.dense_shape
        dense = self.weight.new_zeros(out * into, side, side).index_copy(0, self.pairs, self.weight)
        # For a single image, as in the paper's training, torch's kernel costs more to set up than to run.
        alone = not is_exporting() and len(maps) == 1 and maps.device.type == "cpu"
        convolve = unfolded_conv2d if alone else functional.conv2d
        return convolve(maps, dense.view(self.dense_shape), self.bias)


class RadialBasisFunctions(nn.Module):
    """Minus the squared Euclidean distance to each class's fixed code: [N, 84] -> [N, 10].

    Paper: eq. 7, y_i = sum_j (x_j - w_ij)^2, where the smallest wins; negated here, so that the largest wins, as with
    any other logits. The codes are fixed, so the layer has no parameters.
    """

    def __init__(self, codes: Tensor) -> None:
        super().__init__()
        self.codes: Tensor
        self.register_buffer("codes", codes, persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        # The square expanded: one matrix product instead of an [N, 10, 84] tensor of differences.
        lengths = features.square().sum(1, keepdim=True) + self.codes.square().sum(1)
        return torch.addmm(-lengths, features, self.codes.T, alpha=2)


class LeNet5(nn.Module):
    """LeNet-5 as published; images [N, 1, 32, 32] float -> logits [N, 10].

    ======  ==========================================  ============  ==========  ===========
    layer   operation                                   output        parameters  connections
    ======  ==========================================  ============  ==========  ===========
    c1      convolution 5x5                             6 x 28 x 28   156         122,304
    s2      sub-sampling 2x2, coefficient and bias      6 x 14 x 14   12          5,880
    c3      convolution 5x5, connections of Table I     16 x 10 x 10  1,516       151,600
    s4      sub-sampling 2x2, coefficient and bias      16 x 5 x 5    32          2,000
    c5      convolution 5x5, full                       120 x 1 x 1   48,120      48,120
    f6      fully connected                             84            10,164      10,164
    output  Euclidean radial basis functions, fixed     10            0           840
    ======  ==========================================  ============  ==========  ===========

    The activation follows every layer from c1 to f6, sub-sampling included (Sec. II-B). The outputs are the negated
    RBF distances. Inputs: background -0.1, ink 1.175.

    Unspecified in the paper:
        The bounds +-2.4/F of the initial weights: whether F counts the bias, and its value for sub-sampling layers.
        Here F is the number of inputs without the bias (4 for a 2x2 window), and biases and coefficients are drawn
        from the same interval as the layer's weights.
    Deviations:
        None with the default arguments. `pooling="max"` and `"average"` are today's layers, without coefficient, bias
        and squashing. `initialization="lecun1998_sqrt"` draws from +-2.4/sqrt(F): with 2.4/F as printed, the signal
        all but vanishes on its way to f6, and the paper's own step sizes, which follow the curvature, drive f6 into
        saturation within the first images (docs/fidelity.md). `initialization="eblearn"` is that of EBLearn, the code
        of LeCun's group ten years later: +-1/sqrt(F), biases of zero, sub-sampling that starts as the mean of its
        window. `initialization="he2015"` is that of He et al., for ReLU.

    Args:
        num_classes: number of outputs; `head="rbf"` has codes for ten only.
        in_channels: number of channels of the images.
        image_size: side of the square images, in pixels; c5 covers whatever s4 leaves.
        activation: the squashing function.
        pooling: type of s2 and s4; subsample is the paper's, a sum with trainable coefficient and bias.
        pool_window: side of the pooling windows, in pixels.
        pool_stride: stride of the pooling windows, in pixels.
        c3: the connections of c3: those of Table I, or all.
        head: the output layer: the paper's RBF units, or a trainable linear layer.
        normalization: batch normalisation after c1, c3 and c5, or none.
        dropout: fraction of the outputs of c5 and f6 set to zero during training.
        initialization: distribution of the initial weights.

    Raises:
        ValueError: if arguments cannot be combined.
    """

    def __init__(
        self,
        *,
        num_classes: Annotated[int, Ge(2)] = 10,
        in_channels: Annotated[int, Ge(1)] = 1,
        image_size: Annotated[int, Ge(16)] = 32,
        activation: Activation = "scaled_tanh",
        pooling: Pooling = "subsample",
        pool_window: Annotated[int, Ge(1)] = 2,
        pool_stride: Annotated[int, Ge(1)] = 2,
        c3: Literal["table", "full"] = "table",
        head: Literal["rbf", "linear"] = "rbf",
        normalization: Literal["none", "batch"] = "none",
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
        initialization: Literal["lecun1998", "lecun1998_sqrt", "eblearn", "he2015"] = "lecun1998",
    ) -> None:
        super().__init__()
        if head == "rbf" and num_classes != 10:
            raise ValueError(f"head=rbf has codes for ten digits, not num_classes={num_classes}; use head=linear")
        side = pooled(pooled(image_size - 4, pool_window, pool_stride) - 4, pool_window, pool_stride)
        if side < 1:
            raise ValueError(
                f"image_size={image_size} with pool_window={pool_window} and pool_stride={pool_stride} "
                "leaves nothing for c5; use larger images or smaller steps"
            )
        self.c1 = UnfoldedConv2d(in_channels, 6, 5)
        self.norm1 = batch_norm_layer(normalization, 6)
        self.s2 = pooling_layer(pooling, 6, pool_window, pool_stride)
        self.c3 = TableConv2d(6, C3_TABLE, 5) if c3 == "table" else nn.Conv2d(6, 16, 5)
        self.norm3 = batch_norm_layer(normalization, 16)
        self.s4 = pooling_layer(pooling, 16, pool_window, pool_stride)
        self.c5 = FullConv2d(16, 120, side)
        self.norm5 = batch_norm_layer(normalization, 120)
        self.f6 = nn.Linear(120, 84)
        self.output = RadialBasisFunctions(digit_codes()) if head == "rbf" else nn.Linear(84, num_classes)
        self.activation = activation_layer(activation)
        self.squash = self.activation if pooling == "subsample" else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self._initialize(initialization)

    def forward(self, images: Tensor) -> Tensor:
        x = self.activation(self.norm1(self.c1(images)))  # [N, 6, 28, 28]
        x = self.squash(self.s2(x))  # [N, 6, 14, 14]
        x = self.activation(self.norm3(self.c3(x)))  # [N, 16, 10, 10]
        x = self.squash(self.s4(x))  # [N, 16, 5, 5]
        x = self.dropout(self.activation(self.norm5(self.c5(x)))).flatten(1)  # [N, 120]
        x = self.dropout(self.activation(self.f6(x)))  # [N, 84]
        logits: Tensor = self.output(x)  # [N, num_classes]
        return logits

    @torch.no_grad()
    def _initialize(self, law: str) -> None:
        for layer in (self.c1, self.s2, self.c3, self.s4, self.c5, self.f6, self.output):
            if not list(layer.parameters()):
                continue
            weight, bias = layer.parameters()
            weight_fan_in, bias_fan_in = _fan_in(layer)
            if law.startswith("lecun1998"):  # Paper: App. B, uniform in +-2.4/F
                power = 0.5 if law == "lecun1998_sqrt" and not isinstance(layer, Subsample) else 1.0
                weight.uniform_(-1, 1).mul_(2.4 / weight_fan_in**power)
                bias.uniform_(-1, 1).mul_(2.4 / bias_fan_in**power)
            elif not isinstance(layer, Subsample):  # sub-sampling starts as the mean of its window
                if law == "eblearn":
                    weight.uniform_(-1, 1).div_(weight_fan_in.sqrt())
                else:
                    weight.normal_().mul_((2 / weight_fan_in).sqrt())
                bias.zero_()


def _fan_in(layer: Any) -> tuple[Tensor, Tensor]:
    """The fan-in of the unit that each weight and each bias belongs to, as two tensors that broadcast to them."""
    if isinstance(layer, TableConv2d):
        fan_in = [inputs * layer.weight[0].numel() for inputs in layer.inputs_per_map]
        per_kernel = [fan for fan, inputs in zip(fan_in, layer.inputs_per_map, strict=True) for _ in range(inputs)]
        return torch.tensor(per_kernel)[:, None, None], torch.tensor(fan_in)
    size = layer.window**2 if isinstance(layer, Subsample) else layer.weight[0].numel()
    return torch.tensor(size), torch.tensor(size)
