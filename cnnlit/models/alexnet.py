"""AlexNet: Krizhevsky, Sutskever, Hinton 2012, *ImageNet classification with deep convolutional neural networks*."""

from typing import Annotated, Literal, NamedTuple

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn
from torch.nn import functional

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
from cnnlit.models.weights import check_variant, load_published


class AlexNetForm(NamedTuple):
    """What a variant uses where an argument is None."""

    maps: tuple[int, int, int, int, int]
    groups: Literal[1, 2]
    normalization: Normalization
    initialization: Initialization


FORMS = {
    "paper": AlexNetForm((96, 256, 384, 384, 256), 2, "lrn", "krizhevsky2012"),
    "torchvision": AlexNetForm((64, 192, 384, 256, 256), 1, "none", "he2015"),
}

TORCHVISION_NAMES = {
    "features.0": "conv1",
    "features.3": "conv2",
    "features.6": "conv3",
    "features.8": "conv4",
    "features.10": "conv5",
    "classifier.1": "fc6",
    "classifier.4": "fc7",
    "classifier.6": "fc8",
}
"""torchvision's layer names -> ours."""


class AlexNet(nn.Module):
    """AlexNet as published; images [N, 3, 224, 224] float -> logits [N, 1000].

    =====  =========================================  ============  ==========  ======
    layer  operation                                  output        parameters  MACs
    =====  =========================================  ============  ==========  ======
    conv1  11x11, stride 4                            96 x 55 x 55  34,944      105.4M
    pool1  LRN, then max 3x3, stride 2                96 x 27 x 27
    conv2  5x5, padding 2, two groups                 256 x 27x27   307,456     223.9M
    pool2  LRN, then max 3x3, stride 2                256 x 13x13
    conv3  3x3, padding 1, sees both groups           384 x 13x13   885,120     149.5M
    conv4  3x3, padding 1, two groups                 384 x 13x13   663,936     112.1M
    conv5  3x3, padding 1, two groups                 256 x 13x13   442,624     74.8M
    pool5  max 3x3, stride 2                          256 x 6 x 6
    fc6    fully connected, dropout                   4096          37,752,832  37.7M
    fc7    fully connected, dropout                   4096          16,781,312  16.8M
    fc8    fully connected                            1000          4,097,000   4.1M
    =====  =========================================  ============  ==========  ======

    60,965,224 parameters; 724.4M MACs; 659,272 units. (The paper's 253,440 units in conv1 are a slip, 96x55x48; its
    "650,000 neurons" are right.) A ReLU follows every layer but fc8. The two groups are the paper's two GPUs: a feature
    map is connected to, and normalised by, maps of its own half only, except in conv3 and the fully connected layers.

    Unspecified in the paper:
        How 224 pixels give 55: (224 - 11) / 4 is not an integer. As in the authors' code, a 55th window overhangs the
        right and bottom edges by three pixels of zeros. The pools keep overhanging windows too; at 55, 27 and 13
        pixels there are none.
        Whether normalisation reaches across the halves. As in the authors' code, it does not.
    Deviations:
        None with the default arguments. `variant="torchvision"` is the network of Krizhevsky 2014, which torchvision
        calls AlexNet: fewer channels, no groups, no LRN, conv1 padded by 2, dropout before fc6 and fc7.
        `normalization="batch"` replaces LRN with batch normalisation before each ReLU.

    Args:
        variant: the paper's network, or torchvision's, for which weights are published.
        num_classes: number of outputs.
        in_channels: number of channels of the images.
        image_size: side of the square images, in pixels; fc6 takes whatever pool5 leaves.
        width: multiplies the channels of every convolution and the units of fc6 and fc7.
        activation: follows every layer but fc8.
        pooling: type of the three pools.
        pool_window: side of the pooling windows, in pixels; 2, with stride 2, does not overlap.
        pool_stride: stride of the pooling windows, in pixels.
        normalization: null for the variant's (lrn, none).
        groups: null for the variant's (2, 1).
        dropout: fraction of the outputs of fc6 and fc7 set to zero during training; null for 0.5.
        initialization: distribution of the initial weights; null for the variant's (krizhevsky2012, he2015). With
            `krizhevsky2012`, and with `cuda_convnet2`, its authors' code, the biases of conv2, conv4, conv5, fc6 and
            fc7 are one; that code's bias of -7 for all classes is left out, as it changes no softmax.
        weights: published weights, for `variant="torchvision"`.

    Raises:
        ValueError: if arguments cannot be combined.
        OSError: if published weights cannot be obtained.
    """

    def __init__(
        self,
        *,
        variant: Literal["paper", "torchvision"] = "paper",
        num_classes: Annotated[int, Ge(2)] = 1000,
        in_channels: Annotated[int, Ge(1)] = 3,
        image_size: Annotated[int, Ge(32)] = 224,
        width: Annotated[float, Gt(0)] = 1.0,
        activation: Activation = "relu",
        pooling: Literal["max", "average"] = "max",
        pool_window: Annotated[int, Ge(1)] = 3,
        pool_stride: Annotated[int, Ge(1)] = 2,
        normalization: Normalization | None = None,
        groups: Literal[1, 2] | None = None,
        dropout: Annotated[float, Ge(0), Lt(1)] | None = None,
        initialization: Initialization | None = None,
        weights: Literal["IMAGENET1K_V1"] | None = None,
    ) -> None:
        super().__init__()
        form = FORMS[variant]
        groups = groups or form.groups
        normalization = normalization or form.normalization
        initialization = initialization or form.initialization
        check_variant(weights, variant)
        maps1, maps2, maps3, maps4, maps5 = (scaled(maps, width) for maps in form.maps)
        units = scaled(4096, width)
        padding, ceil = (2, False) if variant == "torchvision" else (0, True)
        side = pooled(image_size, 11, 4, padding=padding, ceil=ceil)
        self.overhanging = ceil
        for _ in range(3):
            side = pooled(side, pool_window, pool_stride, ceil=ceil)
        if side < 1:
            raise ValueError(f"image_size={image_size} leaves nothing for fc6; use larger images or smaller steps")

        def norm(maps: int) -> nn.Module:
            return batch_norm_layer(normalization, maps)

        def lrn() -> nn.Module:
            return response_norm_layer(normalization, groups=groups)

        def pool(maps: int) -> nn.Module:
            return pooling_layer(pooling, maps, pool_window, pool_stride, ceil=ceil)

        self.conv1 = nn.Conv2d(in_channels, maps1, 11, stride=4, padding=padding)
        self.norm1, self.lrn1, self.pool1 = norm(maps1), lrn(), pool(maps1)
        self.conv2 = nn.Conv2d(maps1, maps2, 5, padding=2, groups=groups)
        self.norm2, self.lrn2, self.pool2 = norm(maps2), lrn(), pool(maps2)
        self.conv3 = nn.Conv2d(maps2, maps3, 3, padding=1)
        self.norm3 = norm(maps3)
        self.conv4 = nn.Conv2d(maps3, maps4, 3, padding=1, groups=groups)
        self.norm4 = norm(maps4)
        self.conv5 = nn.Conv2d(maps4, maps5, 3, padding=1, groups=groups)
        self.norm5, self.pool5 = norm(maps5), pool(maps5)
        # torchvision pools images of any size to 6x6; the paper has a single size.
        self.resize = nn.AdaptiveAvgPool2d(6) if variant == "torchvision" else nn.Identity()
        side = 6 if variant == "torchvision" else side
        self.fc6 = nn.Linear(maps5 * side**2, units)
        self.fc7 = nn.Linear(units, units)
        self.fc8 = nn.Linear(units, num_classes)
        self.activation = activation_layer(activation, inplace=True)
        dropout = 0.5 if dropout is None else dropout
        before, after = (dropout, 0.0) if variant == "torchvision" else (0.0, dropout)
        self.dropout_before, self.dropout = nn.Dropout(before), nn.Dropout(after)
        initialize(self, initialization)
        if initialization in (
            "krizhevsky2012",
            "cuda_convnet2",
        ):  # Paper: Sec. 5, so that the ReLUs start with positive inputs
            for layer in (self.conv2, self.conv4, self.conv5, self.fc6, self.fc7):
                nn.init.ones_(layer.bias)  # type: ignore[arg-type]  # there is one
        if weights:
            load_published(self, "alexnet", weights, TORCHVISION_NAMES, heads=("fc8",))

    def forward(self, images: Tensor) -> Tensor:
        x = self.features(images)  # [N, 256, 6, 6]
        x = self.dropout_before(torch.flatten(self.resize(x), 1))  # [N, 9216]
        x = self.dropout_before(self.dropout(self.activation(self.fc6(x))))  # [N, 4096]
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
        if self.overhanging:  # what the last window of conv1 covers beyond the right and bottom edges
            height, width = images.shape[2:]
            images = functional.pad(images, (0, -(width - 11) % 4, 0, -(height - 11) % 4))  # [N, 3, 227, 227]
        x = self.activation(self.norm1(self.conv1(images)))  # [N, 96, 55, 55]
        x = self.pool1(self.lrn1(x))  # [N, 96, 27, 27]
        x = self.activation(self.norm2(self.conv2(x)))  # [N, 256, 27, 27]
        x = self.pool2(self.lrn2(x))  # [N, 256, 13, 13]
        x = self.activation(self.norm3(self.conv3(x)))  # [N, 384, 13, 13]
        x = self.activation(self.norm4(self.conv4(x)))  # [N, 384, 13, 13]
        maps: Tensor = self.pool5(self.activation(self.norm5(self.conv5(x))))  # [N, 256, 6, 6]
        return maps
