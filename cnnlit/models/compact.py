"""A network of LeNet-5's size, as one would build it today."""

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt, MinLen
from torch import Tensor, nn

from cnnlit.models.layers import (
    Activation,
    Initialization,
    activation_layer,
    batch_norm_layer,
    initialize,
    pooling_layer,
    scaled,
)

Maps = Annotated[list[Annotated[int, Gt(0)]], MinLen(1)]


class CompactNet(nn.Module):
    """Stages of 3x3 convolutions, as many weights as LeNet-5; images [N, 1, 28, 28] float -> logits [N, 10].

    =======  =====================  ============  ==========  ======
    layer    operation              output        parameters  MACs
    =======  =====================  ============  ==========  ======
    stage 1  3x3, padding 1         16 x 28 x 28  176         0.11M
    pool     max 2x2                16 x 14 x 14
    stage 2  3x3, padding 1, twice  32 x 14 x 14  13,952      2.71M
    pool     max 2x2                32 x 7 x 7
    stage 3  3x3, padding 1, twice  56 x 7 x 7    44,576      2.17M
    pool     global max             56
    output   fully connected        10            570         0.00M
    =======  =====================  ============  ==========  ======

    59,274 parameters, where LeNet-5 has 60,000; 4.99M MACs, twelve times as many. No paper describes it, but each part
    comes from one: stacks of 3x3 convolutions (VGG), each followed by batch normalisation and ReLU, and a classifier
    without hidden layers on globally pooled features (GoogLeNet averages, this takes the maximum).

    Args:
        num_classes: number of outputs.
        in_channels: number of channels of the images.
        image_size: side of the square images, in pixels; at least 1 must remain after all pools.
        stages: for each stage, the output channels of its convolutions.
        width: multiplies the channels of every layer.
        activation: follows every convolution.
        normalization: precedes every activation.
        pooling: type of all pools.
        dropout: fraction of the pooled features set to zero during training; null for 0.
        initialization: distribution of the initial weights; null for he2015.

    Raises:
        ValueError: if the images are too small for the pools.
    """

    def __init__(
        self,
        *,
        num_classes: Annotated[int, Ge(2)] = 10,
        in_channels: Annotated[int, Ge(1)] = 1,
        image_size: Annotated[int, Ge(1)] = 28,
        stages: Annotated[list[Maps], MinLen(1)] = ((16,), (32, 32), (56, 56)),  # type: ignore[assignment]
        width: Annotated[float, Gt(0)] = 1.0,
        activation: Activation = "relu",
        normalization: Literal["batch", "none"] = "batch",
        pooling: Literal["max", "average"] = "max",
        dropout: Annotated[float, Ge(0), Lt(1)] | None = None,
        initialization: Initialization | None = None,
    ) -> None:
        super().__init__()
        side = image_size // 2 ** (len(stages) - 1)
        if side < 1:
            raise ValueError(f"image_size={image_size} is too small for the pools between {len(stages)} stages")
        layers: list[nn.Module] = []
        before = in_channels
        for number, stage in enumerate(stages):
            if number:
                layers.append(pooling_layer(pooling, before, 2, 2))
            for maps in (scaled(maps, width) for maps in stage):
                # Batch normalisation has a bias of its own.
                layers.append(nn.Conv2d(before, maps, 3, padding=1, bias=normalization == "none"))
                layers += [batch_norm_layer(normalization, maps), activation_layer(activation, inplace=True)]
                before = maps
        self.stages = nn.Sequential(*layers)
        self.pool = pooling_layer(pooling, before, side, side)
        self.dropout = nn.Dropout(dropout or 0.0)
        self.output = nn.Linear(before, num_classes)
        initialize(self, initialization or "he2015")

    def forward(self, images: Tensor) -> Tensor:
        x = self.pool(self.stages(images)).flatten(1)  # [N, 56]
        logits: Tensor = self.output(self.dropout(x))  # [N, num_classes]
        return logits
