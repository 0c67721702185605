"""GoogLeNet: Szegedy et al. 2014, *Going deeper with convolutions*."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal, NamedTuple

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn

from cnnlit.models.layers import (
    Activation,
    Initialization,
    Normalization,
    activation_layer,
    initialize,
    pooled,
    pooling_layer,
    response_norm_layer,
    scaled,
)
from cnnlit.models.weights import check_variant, load_published


class Widths(NamedTuple):
    """Output channels of each convolution of an Inception module, in the order of Table 1's columns."""

    conv1x1: int  # "#1x1"
    conv3x3_reduce: int  # "#3x3 reduce"
    conv3x3: int  # "#3x3"
    conv5x5_reduce: int  # "#5x5 reduce"
    conv5x5: int  # "#5x5"
    pool_proj: int  # "pool proj"


TABLE_1 = {
    "inception_3a": Widths(64, 96, 128, 16, 32, 32),
    "inception_3b": Widths(128, 128, 192, 32, 96, 64),
    "inception_4a": Widths(192, 96, 208, 16, 48, 64),
    "inception_4b": Widths(160, 112, 224, 24, 64, 64),
    "inception_4c": Widths(128, 128, 256, 24, 64, 64),
    "inception_4d": Widths(112, 144, 288, 32, 64, 64),
    "inception_4e": Widths(256, 160, 320, 32, 128, 128),
    "inception_5a": Widths(256, 160, 320, 32, 128, 128),
    "inception_5b": Widths(384, 192, 384, 48, 128, 128),
}
"""Paper: Table 1, the rows of the Inception modules. The stem is conv1, conv2_reduce and conv2 below."""


class GoogLeNetForm(NamedTuple):
    """What a variant uses where an argument is None, and how else it differs from the paper."""

    normalization: Normalization
    dropout: float
    initialization: Initialization
    transform_input: bool
    kernel: int  # of the layers called 5x5
    narrow_pool4: bool  # windows of at most 2x2


FORMS = {
    "paper": GoogLeNetForm("lrn", 0.4, "glorot2010", False, 5, False),
    "torchvision": GoogLeNetForm("batch", 0.2, "he2015", True, 3, True),
}


def _torchvision_names() -> dict[str, str]:
    stem = {"conv1": "conv1", "conv2": "conv2_reduce", "conv3": "conv2"}
    heads = {"aux1": "auxiliary_4a", "aux2": "auxiliary_4d"}
    places = ("branch1", "branch2.0", "branch2.1", "branch3.0", "branch3.1", "branch4.1")
    modules = {
        f"{module.replace('_', '')}.{theirs}": f"{module}.{ours}"
        for module in TABLE_1
        for theirs, ours in zip(places, Widths._fields, strict=True)
    }
    convolutions = stem | modules | {f"{theirs}.conv": f"{ours}.conv" for theirs, ours in heads.items()}
    parts = {"conv": "conv", "bn": "norm"}
    names = {f"{theirs}.{a}": f"{ours}.{b}" for theirs, ours in convolutions.items() for a, b in parts.items()}
    names |= {f"{theirs}.{fc}": f"{ours}.{fc}" for theirs, ours in heads.items() for fc in ("fc1", "fc2")}
    return names | {"fc": "fc"}


TORCHVISION_NAMES = _torchvision_names()
"""torchvision's layer names -> ours."""

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's, for red, green and blue in [0, 1], with which images for torchvision's networks are normalised."""


class Convolution(nn.Module):
    """A convolution that preserves the size at stride 1, optional batch normalisation, and the activation.

    [N, in_channels, H, W] -> [N, maps, H', W'] with H' = ceil(H / stride).

    Args:
        in_channels: number of input channels.
        maps: number of output channels.
        side: side of the square kernels, in pixels; odd.
        stride: stride of the convolution, in pixels.
        activation: the activation function.
        batch_norm: normalise before the activation; the convolution then has no biases.
    """

    def __init__(
        self,
        in_channels: int,
        maps: int,
        side: int,
        stride: int = 1,
        *,
        activation: Activation = "relu",
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, maps, side, stride, padding=side // 2, bias=not batch_norm)
        self.norm = nn.BatchNorm2d(maps, eps=1e-3) if batch_norm else nn.Identity()
        self.activation = activation_layer(activation, inplace=True)

    def forward(self, maps: Tensor) -> Tensor:
        output: Tensor = self.activation(self.norm(self.conv(maps)))
        return output


class Inception(nn.Module):
    """Convolutions of several sizes in parallel, [N, in_channels, H, W] -> [N, out_channels, H, W].

    Concatenates the channels of conv1x1, conv3x3, conv5x5 and pool_proj. With reductions, 1x1 convolutions precede
    conv3x3 and conv5x5, and another, pool_proj, follows the max pool. Without, the three convolutions see the input
    itself, and the pooled input is concatenated as it is, so that modules grow wider from one to the next.

    Paper: Fig. 2(b), with reductions; Fig. 2(a), the naive module, without.

    Args:
        in_channels: number of input channels.
        widths: a row of Table 1; without reductions, only conv1x1, conv3x3 and conv5x5 count.
        reductions: whether to build the module of Fig. 2(b).
        kernel: kernel side of conv5x5, in pixels.
        convolution: builds a convolution from (in_channels, maps, side).

    Attributes:
        out_channels: number of output channels.
    """

    def __init__(
        self,
        in_channels: int,
        widths: Widths,
        *,
        reductions: bool = True,
        kernel: int = 5,
        convolution: Callable[..., nn.Module] = Convolution,
    ) -> None:
        super().__init__()
        to_3x3, to_5x5 = (widths.conv3x3_reduce, widths.conv5x5_reduce) if reductions else (in_channels, in_channels)
        pooled_maps = widths.pool_proj if reductions else in_channels
        self.out_channels = widths.conv1x1 + widths.conv3x3 + widths.conv5x5 + pooled_maps
        self.conv1x1 = convolution(in_channels, widths.conv1x1, 1)
        self.conv3x3_reduce = convolution(in_channels, to_3x3, 1) if reductions else nn.Identity()
        self.conv3x3 = convolution(to_3x3, widths.conv3x3, 3)
        self.conv5x5_reduce = convolution(in_channels, to_5x5, 1) if reductions else nn.Identity()
        self.conv5x5 = convolution(to_5x5, widths.conv5x5, kernel)
        self.pool = nn.MaxPool2d(3, stride=1, padding=1)
        self.pool_proj = convolution(in_channels, pooled_maps, 1) if reductions else nn.Identity()

    def forward(self, maps: Tensor) -> Tensor:
        branches = (
            self.conv1x1(maps),
            self.conv3x3(self.conv3x3_reduce(maps)),
            self.conv5x5(self.conv5x5_reduce(maps)),
            self.pool_proj(self.pool(maps)),
        )
        return torch.cat(branches, dim=1)


class AuxiliaryHead(nn.Module):
    """A small classifier in the middle of the network, [N, in_channels, side, side] -> logits [N, num_classes].

    Paper: Sec. 5: 5x5 average pool with stride 3, 1x1 convolution to 128 channels, 1,024 units, 70 % dropout, linear.

    Args:
        in_channels: number of input channels.
        side: side of the input feature maps, in pixels; below 5, one window covers them.
        num_classes: number of outputs.
        width: multiplies the 128 channels and the 1,024 units.
        adaptive: average to 4x4 whatever the side, as torchvision does; windows then differ from the paper's.
        activation: follows conv and fc1.
        convolution: builds a convolution from (in_channels, maps, side).
    """

    def __init__(
        self,
        in_channels: int,
        side: int,
        num_classes: int,
        *,
        width: float = 1.0,
        adaptive: bool = False,
        activation: Activation = "relu",
        convolution: Callable[..., nn.Module] = Convolution,
    ) -> None:
        super().__init__()
        window = min(5, side)
        left = 4 if adaptive else pooled(side, window, 3)
        maps, units = scaled(128, width), scaled(1024, width)
        self.pool = nn.AdaptiveAvgPool2d(4) if adaptive else nn.AvgPool2d(window, stride=3)
        self.conv = convolution(in_channels, maps, 1)
        self.fc1 = nn.Linear(maps * left**2, units)
        self.activation = activation_layer(activation, inplace=True)
        self.dropout = nn.Dropout(0.7)
        self.fc2 = nn.Linear(units, num_classes)

    def forward(self, maps: Tensor) -> Tensor:
        x = self.conv(self.pool(maps)).flatten(1)  # [N, 128 * 4 * 4]
        x = self.dropout(self.activation(self.fc1(x)))  # [N, 1024]
        logits: Tensor = self.fc2(x)  # [N, num_classes]
        return logits


class GoogLeNetOutputs(NamedTuple):
    """What GoogLeNet returns during training: its logits and those of its two heads, each [N, num_classes]."""

    logits: Tensor
    auxiliary1: Tensor  # of auxiliary_4a
    auxiliary2: Tensor  # of auxiliary_4d


class GoogLeNet(nn.Module):
    """GoogLeNet as published; images [N, 3, 224, 224] float -> logits [N, 1000], in training GoogLeNetOutputs.

    ============  ==============================  ==============  ==========  ======
    layer         operation                       output          parameters  MACs
    ============  ==============================  ==============  ==========  ======
    conv1         7x7, stride 2, padding 3        64 x 112 x 112  9,472       118.0M
    pool1         max 3x3, stride 2, then LRN     64 x 56 x 56
    conv2_reduce  1x1                             64 x 56 x 56    4,160       12.8M
    conv2         3x3, padding 1, then LRN        192 x 56 x 56   110,784     346.8M
    pool2         max 3x3, stride 2               192 x 28 x 28
    inception_3a  see Inception and TABLE_1       256 x 28 x 28   163,696     128.0M
    inception_3b                                  480 x 28 x 28   388,736     304.3M
    pool3         max 3x3, stride 2               480 x 14 x 14
    inception_4a                                  512 x 14 x 14   376,176     73.6M
    inception_4b                                  512 x 14 x 14   449,160     87.9M
    inception_4c                                  512 x 14 x 14   510,104     99.9M
    inception_4d                                  528 x 14 x 14   605,376     118.5M
    inception_4e                                  832 x 14 x 14   868,352     170.0M
    pool4         max 3x3, stride 2               832 x 7 x 7
    inception_5a                                  832 x 7 x 7     1,043,456   51.1M
    inception_5b                                  1024 x 7 x 7    1,444,080   70.7M
    average       global average, then dropout    1024 x 1 x 1
    fc            fully connected                 1000            1,025,000   1.0M
    ============  ==============================  ==============  ==========  ======

    6,998,552 parameters; 1.583G MACs; 3,227,160 units. A ReLU follows every convolution. During training, two
    AuxiliaryHeads see the outputs of inception_4a and inception_4d; auxiliary_4a has 3,188,840 parameters and
    auxiliary_4d 3,190,888, 13,378,280 with the network's. Table 1 counts parameters in units of 1,024 and without
    biases, and is not always right: conv1 has 9,408, not 2.7K, and takes 118M operations, not 34M; its modules are off
    by up to 7 %.

    Unspecified in the paper:
        The constants of response normalisation. As in the reproduction shipped with Caffe: n = 5, alpha = 1e-4 divided
        by n, beta = 0.75, k = 1.
        How 112 pixels give 56, and so on. The pools keep overhanging windows, as Caffe's do.
        The initial weights. By default those of Glorot and Bengio, with biases of 0.2 in all layers but the last of
        the network and of each head; Caffe's reproduction has these biases, and a variance of 1 / fan-in. With zero
        biases the signal all but vanishes on its way to fc: at width 0.25, eight images of 64 pixels and unit variance
        take more than 200 steps to learn; with these, 55.
    Deviations:
        None with the default arguments. Where other image sizes leave a head fewer than 5x5 pixels, its pool has a
        single window that covers them. `reductions=false` makes every module the naive one; the modules then take
        12.09G MACs instead of 1.10G.
        `variant="torchvision"` has batch normalisation instead of LRN, 3x3 kernels in the layers named 5x5, 2x2
        windows in pool4, heads that average to 4x4 whatever the size, and dropout of 0.2. Its initial weights are
        he2015 (torchvision's: normal, 0.01). `normalization="batch"` puts batch normalisation before each activation,
        and the convolutions then have no biases.

    Args:
        variant: the paper's network, or torchvision's, for which weights are published.
        reductions: modules of Fig. 2(b), rather than the naive ones of Fig. 2(a).
        transform_input: rescale images normalised with ImageNet's mean and standard deviation to [-1, 1], as
            torchvision's weights need; null for the variant's (no; yes, for three channels).
        num_classes: number of outputs.
        in_channels: number of channels of the images.
        image_size: side of the square images, in pixels; fc1 of the paper's heads takes whatever their pool leaves.
        width: multiplies the channels of every convolution and the units of the heads.
        activation: follows every layer but the last of the network and of each head.
        pooling: type of the four pools between stages; those inside modules are max pools.
        pool_window: side of the pooling windows, in pixels.
        pool_stride: stride of the pooling windows, in pixels.
        normalization: null for the variant's (lrn, batch).
        auxiliary_weight: weight of each head's loss beside the network's, read by the training code; 0 for no
            heads.
        dropout: fraction of the inputs of fc set to zero during training; null for the variant's (0.4, 0.2). The
            heads have 0.7.
        initialization: distribution of the initial weights; null for the variant's (glorot2010, he2015).
        weights: published weights, for `variant="torchvision"`; those of the heads are untrained.

    Raises:
        ValueError: if arguments cannot be combined.
        OSError: if published weights cannot be obtained.
    """

    def __init__(
        self,
        *,
        variant: Literal["paper", "torchvision"] = "paper",
        reductions: bool = True,
        transform_input: bool | None = None,
        num_classes: Annotated[int, Ge(2)] = 1000,
        in_channels: Annotated[int, Ge(1)] = 3,
        image_size: Annotated[int, Ge(32)] = 224,
        width: Annotated[float, Gt(0)] = 1.0,
        activation: Activation = "relu",
        pooling: Literal["max", "average"] = "max",
        pool_window: Annotated[int, Ge(1)] = 3,
        pool_stride: Annotated[int, Ge(1)] = 2,
        normalization: Normalization | None = None,
        auxiliary_weight: Annotated[float, Ge(0)] = 0.3,
        dropout: Annotated[float, Ge(0), Lt(1)] | None = None,
        initialization: Initialization | None = None,
        weights: Literal["IMAGENET1K_V1"] | None = None,
    ) -> None:
        super().__init__()
        form = FORMS[variant]
        normalization = normalization or form.normalization
        initialization = initialization or form.initialization
        check_variant(weights, variant)
        if transform_input and in_channels != 3:
            raise ValueError(f"model.transform_input=true is for red, green and blue, not in_channels={in_channels}")
        last_window = min(pool_window, 2) if form.narrow_pool4 else pool_window
        side, last_side = _sides(image_size, (pool_window,) * 3 + (last_window,), pool_stride)
        if last_side < 1:
            raise ValueError(
                f"image_size={image_size} with pool_window={pool_window} and pool_stride={pool_stride} "
                "leaves nothing for inception_5a; use larger images or smaller steps"
            )
        convolution = partial(Convolution, activation=activation, batch_norm=normalization == "batch")
        head = partial(
            AuxiliaryHead,
            side=side,
            num_classes=num_classes,
            width=width,
            adaptive=variant == "torchvision",
            activation=activation,
            convolution=convolution,
        )

        def lrn() -> nn.Module:
            return response_norm_layer(normalization, alpha=1e-4 / 5, k=1.0)

        def pool(maps: int, window: int = pool_window) -> nn.Module:
            return pooling_layer(pooling, maps, window, pool_stride, ceil=True)

        def inception(row: str, maps: int) -> Inception:
            widths = Widths(*(scaled(number, width) for number in TABLE_1[row]))
            return Inception(maps, widths, reductions=reductions, kernel=form.kernel, convolution=convolution)

        maps1, maps2 = scaled(64, width), scaled(192, width)
        self.conv1 = convolution(in_channels, maps1, 7, stride=2)
        self.pool1, self.lrn1 = pool(maps1), lrn()
        self.conv2_reduce = convolution(maps1, maps1, 1)
        self.conv2 = convolution(maps1, maps2, 3)
        self.lrn2, self.pool2 = lrn(), pool(maps2)
        self.inception_3a = inception("inception_3a", maps2)
        self.inception_3b = inception("inception_3b", self.inception_3a.out_channels)
        self.pool3 = pool(self.inception_3b.out_channels)
        self.inception_4a = inception("inception_4a", self.inception_3b.out_channels)
        self.inception_4b = inception("inception_4b", self.inception_4a.out_channels)
        self.inception_4c = inception("inception_4c", self.inception_4b.out_channels)
        self.inception_4d = inception("inception_4d", self.inception_4c.out_channels)
        self.inception_4e = inception("inception_4e", self.inception_4d.out_channels)
        self.pool4 = pool(self.inception_4e.out_channels, last_window)
        self.inception_5a = inception("inception_5a", self.inception_4e.out_channels)
        self.inception_5b = inception("inception_5b", self.inception_5a.out_channels)
        self.average = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(form.dropout if dropout is None else dropout)
        self.fc = nn.Linear(self.inception_5b.out_channels, num_classes)
        self.auxiliary_weight = auxiliary_weight
        if auxiliary_weight:
            self.auxiliary_4a = head(self.inception_4a.out_channels)
            self.auxiliary_4d = head(self.inception_4d.out_channels)
        self.transform_input = form.transform_input and in_channels == 3 if transform_input is None else transform_input
        self.scale: Tensor
        self.shift: Tensor
        self.register_buffer("scale", torch.tensor([2 * std for std in STD])[:, None, None], persistent=False)
        self.register_buffer("shift", torch.tensor([2 * mean - 1 for mean in MEAN])[:, None, None], persistent=False)
        initialize(self, initialization)
        if initialization == "glorot2010":
            _raise_biases(self)
        if weights:
            heads = ("fc", "auxiliary_4a.fc2", "auxiliary_4d.fc2")
            load_published(self, "googlenet", weights, TORCHVISION_NAMES, heads)

    def forward(self, images: Tensor) -> Tensor | GoogLeNetOutputs:
        if self.transform_input:
            images = images * self.scale + self.shift
        x = self.lrn1(self.pool1(self.conv1(images)))  # [N, 64, 56, 56]
        x = self.pool2(self.lrn2(self.conv2(self.conv2_reduce(x))))  # [N, 192, 28, 28]
        x = self.pool3(self.inception_3b(self.inception_3a(x)))  # [N, 480, 14, 14]
        maps_4a = self.inception_4a(x)  # [N, 512, 14, 14]
        maps_4d = self.inception_4d(self.inception_4c(self.inception_4b(maps_4a)))  # [N, 528, 14, 14]
        x = self.pool4(self.inception_4e(maps_4d))  # [N, 832, 7, 7]
        x = self.inception_5b(self.inception_5a(x))  # [N, 1024, 7, 7]
        x = self.dropout(self.average(x).flatten(1))  # [N, 1024]
        logits: Tensor = self.fc(x)  # [N, num_classes]
        if self.training and self.auxiliary_weight:
            return GoogLeNetOutputs(logits, self.auxiliary_4a(maps_4a), self.auxiliary_4d(maps_4d))
        return logits

    def dense(self, images: Tensor) -> Tensor | GoogLeNetOutputs:
        """Images of any size, [N, 3, H, W] -> logits [N, num_classes], averaged over all positions. For testing."""
        return self.forward(images)  # fc is linear: the logits of the mean are the mean of the logits


def _sides(image_size: int, windows: tuple[int, ...], stride: int) -> tuple[int, int]:
    """Sides of the feature maps of inception_4a to 4e and of 5a and 5b; below 1 if nothing is left."""
    sides = [pooled(image_size, 7, 2, padding=3)]
    for window in windows:
        sides.append(pooled(sides[-1], window, stride, ceil=True))
    return sides[-2], sides[-1]


def _raise_biases(model: GoogLeNet) -> None:
    """Set the biases of all layers to 0.2, except the last layer of the network and of each head."""
    for name, parameter in model.named_parameters():
        if name.endswith(("conv.bias", "fc1.bias")):
            nn.init.constant_(parameter, 0.2)
