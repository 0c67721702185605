"""VGG: Simonyan, Zisserman 2014, *Very deep convolutional networks for large-scale image recognition*."""

from collections import OrderedDict
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn

from cnnlit.models.layers import (
    Activation,
    Initialization,
    LocalResponseNorm,
    Normalization,
    activation_layer,
    at_every_place,
    initialize,
    pooled,
    pooling_layer,
    scaled,
)
from cnnlit.models.weights import State, check_variant, load_published, read_run

Configuration = Literal["A", "A-LRN", "B", "C", "D", "E"]

MAPS = (64, 128, 256, 512, 512)
"""Output channels of the convolutions, stage by stage."""

KERNELS = {
    "A": ((3,), (3,), (3, 3), (3, 3), (3, 3)),
    "A-LRN": ((3,), (3,), (3, 3), (3, 3), (3, 3)),
    "B": ((3, 3), (3, 3), (3, 3), (3, 3), (3, 3)),
    "C": ((3, 3), (3, 3), (3, 3, 1), (3, 3, 1), (3, 3, 1)),
    "D": ((3, 3), (3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)),
    "E": ((3, 3), (3, 3), (3, 3, 3, 3), (3, 3, 3, 3), (3, 3, 3, 3)),
}
"""Paper: Table 1, one line per column: kernel sides, stage by stage."""

TORCHVISION = {"A": "vgg11", "B": "vgg13", "D": "vgg16", "E": "vgg19"}
"""torchvision's names of the configurations it has."""

COPIED = ("conv1.conv1_1", "conv2.conv2_1", "conv3.conv3_1", "conv3.conv3_2", "fc6", "fc7", "fc8")
"""Paper: Sec. 3.1, the layers of A from which the other configurations start."""


class VGG(nn.Module):
    """VGG as published; images [N, 3, 224, 224] float -> logits [N, 1000].

    =====  ========================  ==============  ===========  =======
    stage  kernels                   output          parameters   MACs
    =====  ========================  ==============  ===========  =======
    conv1  3x3, 3x3                  64 x 224 x 224  38,720       1.936G
    pool1  max 2x2, stride 2         64 x 112 x 112
    conv2  3x3, 3x3                  128 x 112x112   221,440      2.775G
    pool2  max 2x2, stride 2         128 x 56 x 56
    conv3  3x3, 3x3, 3x3             256 x 56 x 56   1,475,328    4.624G
    pool3  max 2x2, stride 2         256 x 28 x 28
    conv4  3x3, 3x3, 3x3             512 x 28 x 28   5,899,776    4.624G
    pool4  max 2x2, stride 2         512 x 14 x 14
    conv5  3x3, 3x3, 3x3             512 x 14 x 14   7,079,424    1.387G
    pool5  max 2x2, stride 2         512 x 7 x 7
    fc6    fully connected, dropout  4096            102,764,544  102.8M
    fc7    fully connected, dropout  4096            16,781,312   16.8M
    fc8    fully connected           1000            4,097,000    4.1M
    =====  ========================  ==============  ===========  =======

    This is configuration D; the layers of stage 3, for example, are conv3_1, conv3_2 and conv3_3. A ReLU follows every
    layer but fc8; 3x3 convolutions are padded by 1, and all convolutions have stride 1. The configurations:

    =============  =================================================  ===========  =======  ======
    configuration  layers                                             parameters   MACs     units
    =============  =================================================  ===========  =======  ======
    A              11: one convolution in conv1, conv2; else two      132,863,336  7.609G   7.44M
    A-LRN          A, with LRN after the ReLU of conv1_1              132,863,336  7.609G   7.44M
    B              13: two convolutions in each stage                 133,047,848  11.308G  12.25M
    C              16: D with 1x1 in conv3_3, conv4_3, conv5_3        133,638,952  11.771G  13.56M
    D              16: as above                                       138,357,544  15.470G  13.56M
    E              19: four convolutions in conv3, conv4, conv5       143,667,240  19.632G  14.86M
    =============  =================================================  ===========  =======  ======

    Unspecified in the paper:
        Whether the "10^-2 variance" is a variance. Read as the standard deviation, as in AlexNet: a standard deviation
        of 0.1 would make each layer's activations up to 4.8 times as large as those of the layer before.
        Which "first four convolutional layers" the deeper networks take from A. Read as A's own first four, conv1_1,
        conv2_1, conv3_1 and conv3_2, copied to the layers of the same names, which have the same shapes in all
        configurations; the first four layers of the other configurations do not.
    Deviations:
        None with the default arguments. `variant="torchvision"` averages feature maps of any size to 7x7, and its
        initial weights are he2015 in all layers (torchvision's: by fan-out, and normal 0.01 in fc6, fc7 and fc8).
        `normalization="batch"` puts batch normalisation before the ReLU of each convolution, as in torchvision's
        vgg11_bn to vgg19_bn.

    Args:
        variant: the paper's network, or torchvision's, for which weights are published.
        configuration: column of the paper's Table 1; torchvision has A, B, D and E.
        num_classes: number of outputs.
        in_channels: number of channels of the images.
        image_size: side of the square images, in pixels, at least 32 with the default pools; fc6 takes whatever pool5
            leaves (paper), or 7x7 (torchvision).
        width: multiplies the channels of every convolution and the units of fc6 and fc7.
        activation: follows every layer but fc8.
        pooling: type of the five pools.
        pool_window: side of the pooling windows, in pixels.
        pool_stride: stride of the pooling windows, in pixels.
        normalization: null for the configuration's (lrn for A-LRN, none for the others).
        dropout: fraction of the outputs of fc6 and fc7 set to zero during training; null for 0.5.
        initialization: distribution of the initial weights; null for the variant's (simonyan2014, he2015).
        weights: published weights, for `variant="torchvision"`, with or without batch normalisation.
        init_from: run folder of configuration A; conv1_1, conv2_1, conv3_1, conv3_2, fc6, fc7 and fc8 start from its
            last checkpoint, the other layers from random weights (Sec. 3.1).

    Raises:
        ValueError: if arguments cannot be combined, or the run does not fit.
        OSError: if published weights or the run cannot be obtained.
    """

    def __init__(
        self,
        *,
        variant: Literal["paper", "torchvision"] = "paper",
        configuration: Configuration = "D",
        num_classes: Annotated[int, Ge(2)] = 1000,
        in_channels: Annotated[int, Ge(1)] = 3,
        image_size: Annotated[int, Ge(1)] = 224,
        width: Annotated[float, Gt(0)] = 1.0,
        activation: Activation = "relu",
        pooling: Literal["max", "average"] = "max",
        pool_window: Annotated[int, Ge(1)] = 2,
        pool_stride: Annotated[int, Ge(1)] = 2,
        normalization: Normalization | None = None,
        dropout: Annotated[float, Ge(0), Lt(1)] | None = None,
        initialization: Initialization | None = None,
        weights: Literal["IMAGENET1K_V1"] | None = None,
        init_from: str | None = None,
    ) -> None:
        super().__init__()
        normalization = normalization or ("lrn" if configuration == "A-LRN" else "none")
        check_variant(weights, variant)
        if weights and init_from:
            raise ValueError(f"model.init_from={init_from}: model.weights={weights} already sets all weights; use one")
        if variant == "torchvision" and configuration not in TORCHVISION:
            raise ValueError(f"model.configuration={configuration}: torchvision has only {', '.join(TORCHVISION)}")
        side = image_size
        for _ in MAPS:
            side = pooled(side, pool_window, pool_stride)
        if side < 1:
            raise ValueError(f"image_size={image_size} leaves nothing for fc6; use larger images or smaller pools")
        channels = [in_channels, *(scaled(maps, width) for maps in MAPS)]
        units = scaled(4096, width)

        def stage(number: int) -> nn.Sequential:
            sides = KERNELS[configuration][number - 1]
            return convolutions(number, channels[number - 1], channels[number], sides, activation, normalization)

        def pool(number: int) -> nn.Module:
            return pooling_layer(pooling, channels[number], pool_window, pool_stride)

        self.conv1, self.pool1 = stage(1), pool(1)
        self.conv2, self.pool2 = stage(2), pool(2)
        self.conv3, self.pool3 = stage(3), pool(3)
        self.conv4, self.pool4 = stage(4), pool(4)
        self.conv5, self.pool5 = stage(5), pool(5)
        self.resize = nn.AdaptiveAvgPool2d(7) if variant == "torchvision" else nn.Identity()
        side = 7 if variant == "torchvision" else side
        self.fc6 = nn.Linear(channels[5] * side**2, units)
        self.fc7 = nn.Linear(units, units)
        self.fc8 = nn.Linear(units, num_classes)
        self.activation = activation_layer(activation, inplace=True)
        self.dropout = nn.Dropout(0.5 if dropout is None else dropout)
        initialize(self, initialization or ("he2015" if variant == "torchvision" else "simonyan2014"))
        if weights:
            batch = normalization == "batch"
            name = TORCHVISION[configuration] + ("_bn" if batch else "")
            load_published(self, name, weights, torchvision_names(configuration, batch=batch), heads=("fc8",))
        if init_from:
            start_with(self, init_from)

    def forward(self, images: Tensor) -> Tensor:
        x = torch.flatten(self.resize(self.features(images)), 1)  # [N, 25088]
        x = self.dropout(self.activation(self.fc6(x)))  # [N, 4096]
        x = self.dropout(self.activation(self.fc7(x)))  # [N, 4096]
        logits: Tensor = self.fc8(x)  # [N, num_classes]
        return logits

    def dense(self, images: Tensor) -> Tensor:
        """Images of any size, [N, 3, H, W] -> logits [N, num_classes], averaged over all positions. For testing.

        Paper: Sec. 3.2.
        """
        x = self.activation(at_every_place(self.fc6, self.features(images)))
        x = self.activation(at_every_place(self.fc7, x))
        return at_every_place(self.fc8, x).mean((2, 3))

    def features(self, images: Tensor) -> Tensor:
        """The feature maps of pool5."""
        x = self.pool1(self.conv1(images))  # [N, 64, 112, 112]
        x = self.pool2(self.conv2(x))  # [N, 128, 56, 56]
        x = self.pool3(self.conv3(x))  # [N, 256, 28, 28]
        x = self.pool4(self.conv4(x))  # [N, 512, 14, 14]
        maps: Tensor = self.pool5(self.conv5(x))  # [N, 512, 7, 7]
        return maps


def convolutions(
    number: int, channels: int, maps: int, sides: tuple[int, ...], activation: Activation, normalization: Normalization
) -> nn.Sequential:
    """A stage, [N, channels, H, W] -> [N, maps, H, W]: conv1_1, activation1_1, conv1_2, activation1_2 and so on.

    Args:
        number: of the stage, counted from 1.
        channels: number of input channels.
        maps: output channels of each convolution.
        sides: kernel side of each convolution, in pixels.
        activation: follows each convolution.
        normalization: batch: before each activation (norm1_1 ...); lrn: only after the first activation of stage 1
            (lrn1_1).
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for index, side in enumerate(sides, 1):
        place = f"{number}_{index}"
        layers[f"conv{place}"] = nn.Conv2d(channels, maps, side, padding=side // 2)
        if normalization == "batch":
            layers[f"norm{place}"] = nn.BatchNorm2d(maps)
        layers[f"activation{place}"] = activation_layer(activation, inplace=True)
        if normalization == "lrn" and place == "1_1":
            layers[f"lrn{place}"] = LocalResponseNorm()
        channels = maps
    return nn.Sequential(layers)


def torchvision_names(configuration: Configuration, *, batch: bool) -> dict[str, str]:
    """torchvision's layer names -> ours; torchvision numbers activations and pools too.

    Args:
        configuration: one of those in `TORCHVISION`.
        batch: with batch normalisation.
    """
    names = {"classifier.0": "fc6", "classifier.3": "fc7", "classifier.6": "fc8"}
    position = 0
    for number, sides in enumerate(KERNELS[configuration], 1):
        for index in range(1, len(sides) + 1):
            names[f"features.{position}"] = f"conv{number}.conv{number}_{index}"
            if batch:
                names[f"features.{position + 1}"] = f"conv{number}.norm{number}_{index}"
            position += 3 if batch else 2
        position += 1
    return names


def start_with(model: VGG, folder: str) -> None:
    """Copy the layers in `COPIED`, and their normalisation, from a run's last checkpoint.

    Raises:
        FileNotFoundError: if there is no checkpoint.
        ValueError: if a parameter does not fit; names the first.
    """

    def copied(state: State) -> State:
        return {key: value for key, value in state.items() if key.rpartition(".")[0].replace("norm", "conv") in COPIED}

    theirs, ours = copied(read_run(folder)), copied(model.state_dict())
    for key in ours | theirs:
        there, here = (list(state[key].shape) if key in state else "missing" for state in (theirs, ours))
        if there != here:
            raise ValueError(f"model.init_from={folder} does not fit: {key} is {there} there and {here} here")
    model.load_state_dict(theirs, strict=False)
