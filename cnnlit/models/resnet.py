"""ResNet: He, Zhang, Ren, Sun 2015, *Deep residual learning for image recognition*."""

from collections import OrderedDict
from typing import Annotated, ClassVar, Literal, NamedTuple

from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn
from torch.nn import functional

from cnnlit.models.layers import (
    Activation,
    Initialization,
    activation_layer,
    batch_norm_layer,
    initialize,
    pooling_layer,
    scaled,
)
from cnnlit.models.weights import WeightsName, check_variant, load_published

Depth = Literal[18, 34, 50, 101, 152]
Shortcut = Literal["A", "B", "C", "none"]

BLOCKS: dict[Depth, tuple[int, int, int, int]] = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
"""Paper: Table 1. The number of blocks in conv2_x to conv5_x."""

PLACES = {f"{kind}{i}": f"{kind}{i}" for kind in ("conv", "bn") for i in (1, 2, 3)} | {
    "downsample.0": "shortcut.conv",
    "downsample.1": "shortcut.bn",
}
"""torchvision's names of the layers of a block -> ours."""


def torchvision_names(depth: Depth) -> dict[str, str]:
    """torchvision's layer names for the network of `depth` layers -> ours; `layer1` is `conv2_x`."""
    names = {"conv1": "conv1", "bn1": "bn1", "fc": "fc"}
    for stage, blocks in enumerate(BLOCKS[depth], start=1):
        for block in range(blocks):
            names |= {f"layer{stage}.{block}.{it}": f"conv{stage + 1}_x.{block}.{ours}" for it, ours in PLACES.items()}
    return names


class BlockForm(NamedTuple):
    """What all blocks of a network have in common; builds their layers."""

    shortcut: Shortcut
    normalization: Literal["batch", "none"]
    activation: Activation
    bottleneck_stride: Literal["1x1", "3x3"] = "1x1"

    def conv(self, in_channels: int, maps: int, side: int, stride: int = 1) -> nn.Conv2d:
        """A convolution that preserves the size at stride 1; with biases only if no batch normalisation follows."""
        bias = self.normalization == "none"
        return nn.Conv2d(in_channels, maps, side, stride, padding=side // 2, bias=bias)

    def norm(self, maps: int) -> nn.Module:
        return batch_norm_layer(self.normalization, maps)

    def way_around(self, in_channels: int, maps: int, stride: int) -> nn.Module | None:
        """The shortcut of a block from `in_channels` to `maps` channels at `stride`; None for a plain block."""
        if self.shortcut == "none":
            return None
        if self.shortcut != "C" and stride == 1 and in_channels == maps:
            return nn.Identity()
        if self.shortcut == "A":
            return ZeroPadding(maps - in_channels, stride)
        return nn.Sequential(OrderedDict(conv=self.conv(in_channels, maps, 1, stride), bn=self.norm(maps)))


class ZeroPadding(nn.Module):
    """Shortcut A: every `stride`-th pixel of every `stride`-th row, followed by `extra` channels of zeros.

    [N, C, H, W] -> [N, C + extra, H', W'] with H' = ceil(H / stride). No parameters.

    Paper: Sec. 3.3, option A.
    """

    def __init__(self, extra: int, stride: int) -> None:
        super().__init__()
        self.extra, self.stride = extra, stride

    def forward(self, maps: Tensor) -> Tensor:
        return functional.pad(maps[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.extra))

    def extra_repr(self) -> str:
        return f"{self.extra}, stride={self.stride}"


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut around them, [N, in_channels, H, W] -> [N, maps, H', W'].

    H' = ceil(H / stride). Normalisation follows each convolution; the activation follows the first one and the sum.

    Paper: Fig. 2, Fig. 5 left.

    Args:
        in_channels: number of input channels.
        maps: number of output channels of both convolutions.
        stride: of the first convolution and the shortcut, in pixels.
        form: what all blocks of the network share.
    """

    EXPANSION: ClassVar[int] = 1

    def __init__(self, in_channels: int, maps: int, stride: int, form: BlockForm) -> None:
        super().__init__()
        self.conv1, self.bn1 = form.conv(in_channels, maps, 3, stride), form.norm(maps)
        self.conv2, self.bn2 = form.conv(maps, maps, 3), form.norm(maps)
        self.shortcut = form.way_around(in_channels, maps, stride)
        self.activation = activation_layer(form.activation, inplace=True)

    def forward(self, maps: Tensor) -> Tensor:
        x = self.activation(self.bn1(self.conv1(maps)))  # [N, maps, H', W']
        x = self.bn2(self.conv2(x))
        if self.shortcut is not None:
            x += self.shortcut(maps)  # in place: no backward pass needs the old x
        output: Tensor = self.activation(x)
        return output


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and a shortcut around them, [N, in_channels, H, W] -> [N, 4 * maps, H', W'].

    H' = ceil(H / stride). Normalisation follows each convolution; the activation follows the first two and the sum.

    Paper: Fig. 5 right.

    Args:
        in_channels: number of input channels.
        maps: number of output channels of the first two convolutions.
        stride: of the first or second convolution, as `form.bottleneck_stride` says, and of the shortcut, in pixels.
        form: what all blocks of the network share.
    """

    EXPANSION: ClassVar[int] = 4

    def __init__(self, in_channels: int, maps: int, stride: int, form: BlockForm) -> None:
        super().__init__()
        first, second = (stride, 1) if form.bottleneck_stride == "1x1" else (1, stride)
        out = self.EXPANSION * maps
        self.conv1, self.bn1 = form.conv(in_channels, maps, 1, first), form.norm(maps)
        self.conv2, self.bn2 = form.conv(maps, maps, 3, second), form.norm(maps)
        self.conv3, self.bn3 = form.conv(maps, out, 1), form.norm(out)
        self.shortcut = form.way_around(in_channels, out, stride)
        self.activation = activation_layer(form.activation, inplace=True)

    def forward(self, maps: Tensor) -> Tensor:
        x = self.activation(self.bn1(self.conv1(maps)))  # [N, maps, H', W'], or [N, maps, H, W]
        x = self.activation(self.bn2(self.conv2(x)))  # [N, maps, H', W']
        x = self.bn3(self.conv3(x))  # [N, 4 * maps, H', W']
        if self.shortcut is not None:
            x += self.shortcut(maps)  # in place: no backward pass needs the old x
        output: Tensor = self.activation(x)
        return output


def stage(
    block: type[BasicBlock | Bottleneck], in_channels: int, maps: int, blocks: int, stride: int, form: BlockForm
) -> nn.Sequential:
    """`blocks` blocks in sequence; the first has the stride."""
    first = block(in_channels, maps, stride, form)
    return nn.Sequential(first, *(block(maps * block.EXPANSION, maps, 1, form) for _ in range(blocks - 1)))


class ResNet(nn.Module):
    """ResNet-18 to 152 as published; images [N, 3, 224, 224] float -> logits [N, 1000].

    =======  ================================  ==============  ==========  ======
    layer    operation, at depth 50            output          parameters  MACs
    =======  ================================  ==============  ==========  ======
    conv1    7x7, stride 2, padding 3; bn1     64 x 112 x 112  9,536       118.0M
    pool     max 3x3, stride 2, padding 1      64 x 56 x 56
    conv2_x  3 bottlenecks 64, 64, 256         256 x 56 x 56   215,808     667.9M
    conv3_x  4 bottlenecks 128, 128, 512       512 x 28 x 28   1,219,584   950.5M
    conv4_x  6 bottlenecks 256, 256, 1024      1024 x 14 x 14  7,098,368   1.387G
    conv5_x  3 bottlenecks 512, 512, 2048      2048 x 7 x 7    14,964,736  732.2M
             global average                    2048
    fc       fully connected                   1000            2,049,000   2.0M
    =======  ================================  ==============  ==========  ======

    Convolutions have no bias; batch normalisation follows each. A ReLU follows the normalisation or, at the end of a
    block, the sum. The first blocks of conv3_x, conv4_x and conv5_x have stride 2.

    =====  ============================  ==========  ==============  ==============  ======
    depth  blocks, conv2_x to conv5_x    parameters  MACs, stride    MACs, stride    units
                                                     in the 1x1      in the 3x3
    =====  ============================  ==========  ==============  ==============  ======
    18     2, 2, 2, 2 of 3x3, 3x3        11,689,512  1.814G          1.814G          2.48M
    34     3, 4, 6, 3 of 3x3, 3x3        21,797,672  3.664G          3.664G          3.74M
    50     3, 4, 6, 3 of 1x1, 3x3, 1x1   25,557,032  3.858G          4.089G          10.59M
    101    3, 4, 23, 3 of 1x1, 3x3, 1x1  44,549,160  7.570G          7.801G          15.71M
    152    3, 8, 36, 3 of 1x1, 3x3, 1x1  60,192,808  11.282G         11.514G         22.03M
    =====  ============================  ==========  ==============  ==============  ======

    These counts are for shortcut B. With 18 and 34 layers, networks with shortcut A and plain ones have 11,515,688 and
    21,623,848 parameters; C with 34 layers has 22,716,840.

    Unspecified in the paper:
        The padding of conv1 and of the pool. 3 and 1 give the sizes of Table 1.
        Which convolution of a bottleneck has the stride. As in the authors' models, the first; in torchvision's, the
        second ("v1.5").
        Where the zeros of shortcut A go. After the existing channels.
        The constants of batch normalisation. torch's: epsilon 1e-5, momentum 0.1.
        The initial weights of fc. As for the convolutions, normal with variance 2 / fan-in; biases are zero.
    Deviations:
        None with the default arguments. `variant="torchvision"` has the stride in the 3x3 convolutions; its initial
        weights are he2015 by fan-in, too (torchvision's: by fan-out, and uniform in fc). `normalization="none"` omits
        batch normalisation and gives every convolution biases instead; at initialisation, each block with a shortcut
        then about doubles the mean square of its input.

    Args:
        variant: the paper's network, or torchvision's, for which weights are published.
        depth: number of layers with weights on the longest path; 50 by default, where every other option has an effect.
        shortcut: A: subsampling and channels of zeros where a block changes the shape; B: 1x1 convolutions there;
            C: 1x1 convolutions in all blocks; none: the plain network; null for the variant's (B in both).
        bottleneck_stride: the convolution of a bottleneck that has the stride, at depth 50, 101 and 152; null for the
            variant's (1x1, 3x3).
        num_classes: number of outputs.
        in_channels: number of channels of the images.
        image_size: side of the square images, in pixels; affects no layer, as the average is global.
        width: multiplies the channels of every convolution.
        activation: follows conv1 and, in each block, all convolutions but the last, and the sum.
        pooling: type of the pool after conv1.
        pool_window: side of the pooling windows, in pixels; the padding is (pool_window - 1) // 2.
        pool_stride: stride of the pooling windows, in pixels.
        normalization: follows each convolution.
        dropout: fraction of the inputs of fc set to zero during training; null for 0.
        initialization: distribution of the initial weights; null for he2015.
        weights: published weights, for `variant="torchvision"`; IMAGENET1K_V2 exists at depth 50, 101 and 152.

    Raises:
        ValueError: if arguments cannot be combined.
        OSError: if published weights cannot be obtained.
    """

    def __init__(
        self,
        *,
        variant: Literal["paper", "torchvision"] = "paper",
        depth: Depth = 50,
        shortcut: Shortcut | None = None,
        bottleneck_stride: Literal["1x1", "3x3"] | None = None,
        num_classes: Annotated[int, Ge(2)] = 1000,
        in_channels: Annotated[int, Ge(1)] = 3,
        image_size: Annotated[int, Ge(32)] = 224,
        width: Annotated[float, Gt(0)] = 1.0,
        activation: Activation = "relu",
        pooling: Literal["max", "average"] = "max",
        pool_window: Annotated[int, Ge(1)] = 3,
        pool_stride: Annotated[int, Ge(1)] = 2,
        normalization: Literal["batch", "none"] = "batch",
        dropout: Annotated[float, Ge(0), Lt(1)] | None = None,
        initialization: Initialization | None = None,
        weights: WeightsName | None = None,
    ) -> None:
        super().__init__()
        block = BasicBlock if depth < 50 else Bottleneck
        if bottleneck_stride and block is BasicBlock:
            raise ValueError(f"model.bottleneck_stride={bottleneck_stride}: depth={depth} has no bottlenecks")
        check_variant(weights, variant)
        if weights and (shortcut not in (None, "B") or normalization != "batch"):
            raise ValueError(f"model.weights={weights} belongs to a network with shortcut=B and normalization=batch")
        form = BlockForm(
            shortcut or "B", normalization, activation, bottleneck_stride or ("1x1" if variant == "paper" else "3x3")
        )
        maps = [scaled(maps, width) for maps in (64, 128, 256, 512)]
        channels = [maps[0], *(block.EXPANSION * out for out in maps)]
        blocks = BLOCKS[depth]
        self.conv1, self.bn1 = form.conv(in_channels, maps[0], 7, stride=2), form.norm(maps[0])
        self.pool = pooling_layer(pooling, maps[0], pool_window, pool_stride, padding=(pool_window - 1) // 2)
        self.conv2_x = stage(block, channels[0], maps[0], blocks[0], 1, form)
        self.conv3_x = stage(block, channels[1], maps[1], blocks[1], 2, form)
        self.conv4_x = stage(block, channels[2], maps[2], blocks[2], 2, form)
        self.conv5_x = stage(block, channels[3], maps[3], blocks[3], 2, form)
        self.fc = nn.Linear(channels[4], num_classes)
        self.activation = activation_layer(activation, inplace=True)
        self.dropout = nn.Dropout(dropout or 0.0)
        initialize(self, initialization or "he2015")
        if weights:
            load_published(self, f"resnet{depth}", weights, torchvision_names(depth), heads=("fc",))

    def forward(self, images: Tensor) -> Tensor:
        x = self.activation(self.bn1(self.conv1(images)))  # [N, 64, 112, 112]
        x = self.conv2_x(self.pool(x))  # [N, 256, 56, 56]; at depth 18 and 34 a quarter of the channels, as below
        x = self.conv3_x(x)  # [N, 512, 28, 28]
        x = self.conv4_x(x)  # [N, 1024, 14, 14]
        x = self.conv5_x(x)  # [N, 2048, 7, 7]
        logits: Tensor = self.fc(self.dropout(x.mean((2, 3))))  # [N, num_classes]
        return logits

    def dense(self, images: Tensor) -> Tensor:
        """Images of any size, [N, 3, H, W] -> logits [N, num_classes], averaged over all positions. For testing."""
        return self.forward(images)  # fc is linear: the logits of the mean are the mean of the logits


class CifarResNet(nn.Module):
    """The paper's networks of 6n + 2 layers for small images; images [N, 3, 32, 32] float -> logits [N, 10].

    =======  ======================  ============  ==========  ======
    layer    operation, at depth 20  output        parameters  MACs
    =======  ======================  ============  ==========  ======
    conv1    3x3, padding 1; bn1     16 x 32 x 32  464         0.4M
    conv2_x  3 blocks of 3x3, 3x3    16 x 32 x 32  14,016      14.2M
    conv3_x  3 blocks of 3x3, 3x3    32 x 16 x 16  51,072      13.0M
    conv4_x  3 blocks of 3x3, 3x3    64 x 8 x 8    203,520     13.0M
             global average          64
    fc       fully connected         10            650         0.0M
    =======  ======================  ============  ==========  ======

    Each stage has n blocks; the first blocks of conv3_x and conv4_x have stride 2. Paper: Sec. 4.2, Table 6.

    =====  ==========  ======  =======
    depth  parameters  MACs    units
    =====  ==========  ======  =======
    20     269,722     40.6M   188,426
    32     464,154     68.9M   303,114
    44     658,586     97.2M   417,802
    56     853,018     125.5M  532,490
    110    1,727,962   252.9M  1.05M
    1202   19,421,274  2.829G  11.49M
    =====  ==========  ======  =======

    Unspecified in the paper:
        As for `ResNet`.
    Deviations:
        None with the default arguments. Here the paper has only shortcut A and the plain networks.

    Args:
        depth: number of layers with weights: 8, 14, 20 and so on.
        shortcut: as for `ResNet`.
        num_classes: number of outputs.
        in_channels: number of channels of the images.
        image_size: side of the square images, in pixels; affects no layer, as the average is global.
        width: multiplies the channels of every convolution.
        activation: follows conv1 and, in each block, the first convolution and the sum.
        normalization: follows each convolution.
        dropout: fraction of the inputs of fc set to zero during training; null for 0.
        initialization: distribution of the initial weights; null for he2015.

    Raises:
        ValueError: if depth is not 6n + 2.
    """

    def __init__(
        self,
        *,
        depth: Annotated[int, Ge(8)] = 20,
        shortcut: Shortcut = "A",
        num_classes: Annotated[int, Ge(2)] = 10,
        in_channels: Annotated[int, Ge(1)] = 3,
        image_size: Annotated[int, Ge(8)] = 32,
        width: Annotated[float, Gt(0)] = 1.0,
        activation: Activation = "relu",
        normalization: Literal["batch", "none"] = "batch",
        dropout: Annotated[float, Ge(0), Lt(1)] | None = None,
        initialization: Initialization | None = None,
    ) -> None:
        super().__init__()
        blocks, rest = divmod(depth - 2, 6)
        if rest or blocks < 1:
            below = max(8, depth - rest)
            near = f"{below} or {below + 6}" if depth > 8 else "8"
            raise ValueError(f"model.depth={depth} is not 6n + 2; the nearest is {near}")
        form = BlockForm(shortcut, normalization, activation)
        maps = [scaled(maps, width) for maps in (16, 32, 64)]
        self.conv1, self.bn1 = form.conv(in_channels, maps[0], 3), form.norm(maps[0])
        self.conv2_x = stage(BasicBlock, maps[0], maps[0], blocks, 1, form)
        self.conv3_x = stage(BasicBlock, maps[0], maps[1], blocks, 2, form)
        self.conv4_x = stage(BasicBlock, maps[1], maps[2], blocks, 2, form)
        self.fc = nn.Linear(maps[2], num_classes)
        self.activation = activation_layer(activation, inplace=True)
        self.dropout = nn.Dropout(dropout or 0.0)
        initialize(self, initialization or "he2015")

    def forward(self, images: Tensor) -> Tensor:
        x = self.activation(self.bn1(self.conv1(images)))  # [N, 16, 32, 32]
        x = self.conv2_x(x)  # [N, 16, 32, 32]
        x = self.conv3_x(x)  # [N, 32, 16, 16]
        x = self.conv4_x(x)  # [N, 64, 8, 8]
        logits: Tensor = self.fc(self.dropout(x.mean((2, 3))))  # [N, num_classes]
        return logits

    def dense(self, images: Tensor) -> Tensor:
        """Images of any size, [N, 3, H, W] -> logits [N, num_classes], averaged over all positions. For testing."""
        return self.forward(images)  # fc is linear: the logits of the mean are the mean of the logits
