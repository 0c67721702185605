"""ZFNet: Zeiler, Fergus 2013, *Visualizing and understanding convolutional networks*."""

from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn

from cnnlit.models.layers import (
    Activation,
    Initialization,
    Normalization,
    activation_layer,
    at_every_place,
    batch_norm_layer,
    initialize,
    pooled,
    pooling_layer,
    response_norm_layer,
    scaled,
)

MAPS = {
    "paper": (96, 256, 384, 384, 256),
    "slides": (96, 256, 512, 1024, 512),
}
"""Output channels of conv1 to conv5, by variant."""


class ZFNet(nn.Module):
    """ZFNet as in the paper's Fig. 3; images [N, 3, 224, 224] float -> logits [N, 1000].

    =====  ===================================  ============  ==========  ======
    layer  operation                            output        parameters  MACs
    =====  ===================================  ============  ==========  ======
    conv1  7x7, stride 2, padding 1             96 x 110x110  14,208      170.8M
    pool1  max 3x3, stride 2, then LRN          96 x 55 x 55
    conv2  5x5, stride 2                        256 x 26x26   614,656     415.3M
    pool2  max 3x3, stride 2, then LRN          256 x 13x13
    conv3  3x3, padding 1                       384 x 13x13   885,120     149.5M
    conv4  3x3, padding 1                       384 x 13x13   1,327,488   224.3M
    conv5  3x3, padding 1                       256 x 13x13   884,992     149.5M
    pool5  max 3x3, stride 2                    256 x 6 x 6
    fc6    fully connected, dropout             4096          37,752,832  37.7M
    fc7    fully connected, dropout             4096          16,781,312  16.8M
    fc8    fully connected                      1000          4,097,000   4.1M
    =====  ===================================  ============  ==========  ======

    62,357,608 parameters; 1.168G MACs; 1,516,904 units. A ReLU follows every layer but fc8.
    `variant="slides"` has 512, 1024 and 512 channels in conv3, conv4 and conv5, which the slides call ZFNet and the
    paper calls model (b): 107,627,624 parameters; 2.477G MACs; 1,689,960 units.

    Unspecified in the paper:
        How 224 pixels give 110, 55, 26, 13 and 6. The sizes of Fig. 3 result from one pixel of zero padding around the
        image, none before conv2, and pools that keep windows overhanging the bottom and right edges.
        The "contrast normalization" across feature maps. Its formula and constants are assumed to be AlexNet's LRN; it
        reaches across all feature maps, since there are no halves. Fig. 3 puts it after the pool.
        "Weights are initialized to 10^-2": read as the standard deviation of a normal distribution.
    Deviations:
        None with the default arguments. `normalization="batch"` replaces LRN with batch normalisation before each
        ReLU.

    Args:
        variant: channels of conv3 to conv5, as in the paper's Fig. 3 or as on the slides.
        num_classes: number of outputs.
        in_channels: number of channels of the images.
        image_size: side of the square images, in pixels, at least 47 with the default pools; fc6 takes whatever pool5
            leaves.
        width: multiplies the channels of every convolution and the units of fc6 and fc7.
        activation: follows every layer but fc8.
        pooling: type of the three pools.
        pool_window: side of the pooling windows, in pixels.
        pool_stride: stride of the pooling windows, in pixels.
        normalization: null for lrn.
        dropout: fraction of the outputs of fc6 and fc7 set to zero during training; null for 0.5.
        initialization: distribution of the initial weights; null for zeiler2013.

    Raises:
        ValueError: if the images are too small for the pools.
    """

    def __init__(
        self,
        *,
        variant: Literal["paper", "slides"] = "paper",
        num_classes: Annotated[int, Ge(2)] = 1000,
        in_channels: Annotated[int, Ge(1)] = 3,
        image_size: Annotated[int, Ge(1)] = 224,
        width: Annotated[float, Gt(0)] = 1.0,
        activation: Activation = "relu",
        pooling: Literal["max", "average"] = "max",
        pool_window: Annotated[int, Ge(1)] = 3,
        pool_stride: Annotated[int, Ge(1)] = 2,
        normalization: Normalization | None = None,
        dropout: Annotated[float, Ge(0), Lt(1)] | None = None,
        initialization: Initialization | None = None,
    ) -> None:
        super().__init__()
        normalization = normalization or "lrn"
        maps1, maps2, maps3, maps4, maps5 = (scaled(maps, width) for maps in MAPS[variant])
        units = scaled(4096, width)
        side = pooled(image_size, 7, 2, padding=1)
        side = pooled(side, pool_window, pool_stride, ceil=True)
        side = pooled(side, 5, 2)
        side = pooled(side, pool_window, pool_stride, ceil=True)
        side = pooled(side, pool_window, pool_stride, ceil=True)
        if side < 1:
            raise ValueError(f"image_size={image_size} leaves nothing for fc6; use larger images or smaller pools")

        def norm(maps: int) -> nn.Module:
            return batch_norm_layer(normalization, maps)

        def pool(maps: int) -> nn.Module:
            return pooling_layer(pooling, maps, pool_window, pool_stride, ceil=True)

        self.conv1 = nn.Conv2d(in_channels, maps1, 7, stride=2, padding=1)
        self.norm1, self.pool1, self.lrn1 = norm(maps1), pool(maps1), response_norm_layer(normalization)
        self.conv2 = nn.Conv2d(maps1, maps2, 5, stride=2)
        self.norm2, self.pool2, self.lrn2 = norm(maps2), pool(maps2), response_norm_layer(normalization)
        self.conv3 = nn.Conv2d(maps2, maps3, 3, padding=1)
        self.norm3 = norm(maps3)
        self.conv4 = nn.Conv2d(maps3, maps4, 3, padding=1)
        self.norm4 = norm(maps4)
        self.conv5 = nn.Conv2d(maps4, maps5, 3, padding=1)
        self.norm5, self.pool5 = norm(maps5), pool(maps5)
        self.fc6 = nn.Linear(maps5 * side**2, units)
        self.fc7 = nn.Linear(units, units)
        self.fc8 = nn.Linear(units, num_classes)
        self.activation = activation_layer(activation, inplace=True)
        self.dropout = nn.Dropout(0.5 if dropout is None else dropout)
        initialize(self, initialization or "zeiler2013")

    def forward(self, images: Tensor) -> Tensor:
        x = torch.flatten(self.features(images), 1)  # [N, 9216]
        x = self.dropout(self.activation(self.fc6(x)))  # [N, 4096]
        x = self.dropout(self.activation(self.fc7(x)))  # [N, 4096]
        logits: Tensor = self.fc8(x)  # [N, num_classes]
        return logits

    def dense(self, images: Tensor) -> Tensor:
        """Images of any size, [N, 3, H, W] -> logits [N, num_classes], averaged over all positions. For testing."""
        x = self.activation(at_every_place(self.fc6, self.features(images)))
        x = self.activation(at_every_place(self.fc7, x))
        return at_every_place(self.fc8, x).mean((2, 3))

    def features(self, images: Tensor) -> Tensor:
        """The feature maps of pool5."""
        x = self.activation(self.norm1(self.conv1(images)))  # [N, 96, 110, 110]
        x = self.lrn1(self.pool1(x))  # [N, 96, 55, 55]
        x = self.activation(self.norm2(self.conv2(x)))  # [N, 256, 26, 26]
        x = self.lrn2(self.pool2(x))  # [N, 256, 13, 13]
        x = self.activation(self.norm3(self.conv3(x)))  # [N, 384, 13, 13]
        x = self.activation(self.norm4(self.conv4(x)))  # [N, 384, 13, 13]
        maps: Tensor = self.pool5(self.activation(self.norm5(self.conv5(x))))  # [N, 256, 6, 6]
        return maps
