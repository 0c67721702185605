"""What several papers share and torch lacks: layers by name, response normalisation, initial weights."""

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.compiler import is_exporting
from torch.nn import functional

Activation = Literal["scaled_tanh", "tanh", "sigmoid", "relu", "leaky_relu", "elu", "gelu", "silu"]
Pooling = Literal["max", "average", "subsample"]
Normalization = Literal["none", "lrn", "batch"]
Initialization = Literal["krizhevsky2012", "cuda_convnet2", "zeiler2013", "simonyan2014", "glorot2010", "he2015"]


class ScaledTanh(nn.Module):
    """f(a) = 1.7159 tanh(2a/3), elementwise, any shape; f(1) = 1 and f(-1) = -1.

    Computed as 3.4318 sigmoid(4a/3) - 1.7159: the same function to within 3e-6, and three times as fast on a CPU, where
    torch vectorises the sigmoid but not tanh.

    Paper: LeCun et al. 1998, App. A, eq. 6.
    """

    AMPLITUDE = 1.7159
    SLOPE = 2 / 3

    def forward(self, a: Tensor) -> Tensor:
        return torch.sigmoid(a * (2 * self.SLOPE)) * (2 * self.AMPLITUDE) - self.AMPLITUDE


class Subsample(nn.Module):
    """Sub-sampling: the sum over each window, times a trainable coefficient per channel, plus a trainable bias.

    The squashing function that follows in the paper is the model's `activation`.
    [N, channels, H, W] -> [N, channels, H', W'] with H' = (H - window) // stride + 1.

    Paper: LeCun et al. 1998, Sec. II-B, layer S2.

    Args:
        channels: number of channels.
        window: side of the square window, in pixels.
        stride: stride of the window, in pixels.
    """

    def __init__(self, channels: int, window: int = 2, stride: int = 2) -> None:
        super().__init__()
        self.window = window
        self.stride = stride
        self.coefficient = nn.Parameter(torch.full((channels,), 1 / window**2))
        self.bias = nn.Parameter(torch.zeros(channels))
        # Not a buffer: its shape depends on the images, and weight averaging copies buffers between networks.
        self.columns = torch.empty(0)

    def forward(self, maps: Tensor) -> Tensor:
        # With the rows of a window side by side, [N, channels, H', window * W], one matrix product does the summing: a
        # third faster than torch's pooling on a CPU. Without overlap the reshape copies nothing.
        rows = maps.unfold(2, self.window, self.stride).transpose(3, 4).flatten(3)
        if len(self.columns) != rows.shape[3] or self.columns.device != maps.device:
            with torch.inference_mode(False):  # even if first called in inference mode: training may follow
                self.columns = _window_columns(maps.shape[3], self.window, self.stride).to(maps.device, maps.dtype)
        sums = rows @ self.columns.to(rows.dtype)
        return torch.addcmul(self.bias[:, None, None], sums, self.coefficient[:, None, None])


def _window_columns(width: int, window: int, stride: int) -> Tensor:
    """[window * width, W'] of 0 and 1: which columns of `window` concatenated rows belong to each window."""
    columns = torch.arange(width)[:, None] - stride * torch.arange((width - window) // stride + 1)
    return ((columns >= 0) & (columns < window)).float().repeat(window, 1)


def unfolded_conv2d(images: Tensor, kernels: Tensor, bias: Tensor) -> Tensor:
    """torch's conv2d, without padding and at stride 1, as one matrix product per image.

    [N, C, H, W] and [out, C, side, side] -> [N, out, H - side + 1, W - side + 1].
    """
    out, channels, side, _ = kernels.shape
    height, width = images.shape[2] - side + 1, images.shape[3] - side + 1
    windows = images.unfold(2, height, 1).unfold(3, width, 1)  # [N, C, side, side, height, width]
    columns = windows.reshape(-1, channels * side**2, height * width)
    rows = kernels.reshape(1, out, -1).expand(len(images), -1, -1)
    return torch.baddbmm(bias[:, None], rows, columns).view(-1, out, height, width)


class UnfoldedConv2d(nn.Conv2d):
    """A convolution as one matrix product per image; same parameters and results as torch.nn.Conv2d.

    For the first layer of a network for digits: on a CPU, with a single input channel, forward and backward passes
    together take a third of the time of torch's kernel. On other devices torch's kernel is used.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size)

    def forward(self, images: Tensor) -> Tensor:
        if images.device.type != "cpu" or self.in_channels > 1 or self.bias is None or is_exporting():
            return super().forward(images)
        return unfolded_conv2d(images, self.weight, self.bias)


class FullConv2d(nn.Conv2d):
    """A convolution whose kernel covers its whole input, [N, C, side, side] -> [N, out, 1, 1].

    Same parameters and results as torch.nn.Conv2d, computed as a matrix product.
    """

    def forward(self, maps: Tensor) -> Tensor:
        if not is_exporting() and len(maps) == 1 and maps.device.type == "cpu" and self.bias is not None:
            # For a single image, the gradient of the kernels then has their memory layout and need not be copied.
            column = torch.addmm(self.bias[:, None], self.weight.flatten(1), maps.reshape(-1, 1))
            return column[None, :, :, None]
        return functional.linear(maps.flatten(1), self.weight.flatten(1), self.bias)[:, :, None, None]


class LocalResponseNorm(nn.LocalResponseNorm):
    """Each value divided by the activity of neighbouring channels at the same position, [N, C, H, W] of any size.

        b_i = a_i / (k + alpha * sum of a_j^2 over the `size` channels j around i) ^ beta

    with `alpha` as the paper prints it: torch's layer divides its alpha by `size`, so the same function there has
    alpha = 5e-4, as does the attribute here. Forward and backward passes take a fifth of the time of torch's on a CPU.

    Paper: Krizhevsky et al. 2012, Sec. 3.3.

    Args:
        groups: number of equal groups of channels; neighbours are of the same group.
        size: n, the number of channels in the sum, including the channel itself; odd.
        alpha: factor of the sum.
        beta: the exponent.
        k: the additive constant.
    """

    def __init__(
        self, *, groups: int = 1, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0
    ) -> None:
        super().__init__(size, alpha * size, beta, k)
        self.groups = groups

    def forward(self, maps: Tensor) -> Tensor:
        if is_exporting():  # whoever runs an exported network has no use for the derivative
            parts = maps.reshape(-1, maps.shape[1] // self.groups, *maps.shape[2:])
            return super().forward(parts).reshape(maps.shape)
        # In bfloat16 the sum would vanish beside k.
        normalized: Tensor = _ResponseNorm.apply(
            maps.to(torch.promote_types(maps.dtype, torch.float32)),
            *(self.groups, self.size, self.alpha / self.size, self.beta, self.k),
        )[0]
        return normalized.to(maps.dtype)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, groups={self.groups}"  # type: ignore[no-untyped-call]


class _ResponseNorm(torch.autograd.Function):
    """The formula and its derivative; autograd, operation by operation, would take twice the time and memory."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        a: Tensor, groups: int, size: int, alpha: float, beta: float, k: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        activity = torch.add(a.new_full((), k), _neighbourhood(a.square(), groups, size), alpha=alpha)
        # The usual exponent 3/4 is two square roots, for which CPUs have instructions.
        power = activity.sqrt().mul_(activity).rsqrt_() if beta == 0.75 else activity**-beta
        return a * power, activity, power

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        _, activity, power = output
        ctx.mark_non_differentiable(activity, power)
        ctx.set_materialize_grads(False)  # nor allocate zeros as their gradients
        ctx.save_for_backward(inputs[0], activity, power)
        ctx.constants = inputs[1:]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        a, activity, power = ctx.saved_tensors
        groups, size, alpha, beta, _ = ctx.constants
        scaled = gradients[0] * power
        through = _neighbourhood((scaled * a).div_(activity), groups, size)
        return scaled.addcmul_(through, a, value=-2 * alpha * beta), None, None, None, None, None


def _neighbourhood(maps: Tensor, groups: int, size: int) -> Tensor:
    """The sum over the `size` channels around each one, within its group: [N, C, H, W] -> the same shape."""
    parts = maps.reshape(len(maps), groups, -1, *maps.shape[2:])
    sums = parts.clone()
    for apart in range(1, size // 2 + 1):
        sums[:, :, apart:] += parts[:, :, :-apart]
        sums[:, :, :-apart] += parts[:, :, apart:]
    return sums.reshape(maps.shape)


def activation_layer(name: Activation, inplace: bool = False) -> nn.Module:
    """A new layer for the activation function `name`.

    Args:
        name: the function.
        inplace: let ReLU overwrite its input, which saves memory and time.
    """
    layers: dict[str, type[nn.Module]] = {
        "scaled_tanh": ScaledTanh,
        "tanh": nn.Tanh,
        "sigmoid": nn.Sigmoid,
        "relu": nn.ReLU,
        "leaky_relu": nn.LeakyReLU,
        "elu": nn.ELU,
        "gelu": nn.GELU,
        "silu": nn.SiLU,
    }
    return nn.ReLU(inplace) if name == "relu" else layers[name]()


def pooling_layer(
    name: Pooling, channels: int, window: int, stride: int, *, padding: int = 0, ceil: bool = False
) -> nn.Module:
    """A new layer that pools [N, channels, H, W] over windows of `window` x `window` pixels, `stride` pixels apart.

    Args:
        name: the type of pooling.
        channels: number of channels.
        window: side of the square window, in pixels.
        stride: stride of the window, in pixels.
        padding: pixels around the feature maps, ignored by maximum and average.
        ceil: keep a last window that overhangs the edge (not for `subsample`).
    """
    if name == "subsample":
        return Subsample(channels, window, stride)
    if name == "max":
        return nn.MaxPool2d(window, stride, padding, ceil_mode=ceil)
    return nn.AvgPool2d(window, stride, padding, ceil_mode=ceil, count_include_pad=False)


def batch_norm_layer(normalization: Normalization, maps: int) -> nn.Module:
    """Normalisation of `maps` channels before the activation: batch normalisation, or the identity."""
    return nn.BatchNorm2d(maps) if normalization == "batch" else nn.Identity()


def response_norm_layer(normalization: Normalization, **constants: Any) -> nn.Module:
    """Normalisation after the activation: LocalResponseNorm with `constants`, or the identity."""
    return LocalResponseNorm(**constants) if normalization == "lrn" else nn.Identity()


def pooled(side: int, window: int, stride: int, *, padding: int = 0, ceil: bool = False) -> int:
    """The output side of a convolution or pool on `side` pixels; below 1 if nothing is left."""
    steps = (side + 2 * padding - window) / stride
    size = (math.ceil(steps) if ceil else math.floor(steps)) + 1
    # As in torch, a window that would start beyond the edge is dropped.
    return size - 1 if ceil and (size - 1) * stride >= side + padding else size


def at_every_place(layer: nn.Linear, maps: Tensor) -> Tensor:
    """Apply a fully connected layer at every position of larger feature maps, as a convolution with its weights.

    Paper: Simonyan, Zisserman 2014, Sec. 3.2.

    Args:
        layer: with in_features = C * side * side.
        maps: [N, C, H, W].

    Returns:
        [N, out_features, H - side + 1, W - side + 1].

    Raises:
        ValueError: if height or width is below `side`.
    """
    channels, height, width = maps.shape[1:]
    side = math.isqrt(layer.in_features // channels)
    if min(height, width) < side:
        raise ValueError(
            f"a dense test needs larger images: these leave {height}x{width} of the {side}x{side} positions "
            "that the first fully connected layer sees"
        )
    return functional.conv2d(maps, layer.weight.view(-1, channels, side, side), layer.bias)


def scaled(channels: int, width: float) -> int:
    """The number of channels of a layer in a network `width` times as wide: even, for two groups, and at least 2."""
    return max(2, 2 * round(channels * width / 2))


@torch.no_grad()
def initialize(model: nn.Module, law: Initialization) -> None:
    """Initialise the weights of all convolutions and linear layers of `model` at random, and their biases to zero.

    ==============  ===================================  ==========================================
    law             weights                              source
    ==============  ===================================  ==========================================
    krizhevsky2012  normal, 0.01                         Krizhevsky et al. 2012, Sec. 5
    cuda_convnet2   normal, 0.01, and 0.03 in            their code, layers-imagenet-1gpu.cfg
                    convolutions from the third on
    zeiler2013      normal, 0.01                         Zeiler, Fergus 2013, Sec. 3 ("10^-2")
    simonyan2014    normal, 0.01                         Simonyan, Zisserman 2014, Sec. 3.1, see VGG
    glorot2010      uniform, sqrt(6 / (fan-in+fan-out))  Glorot, Bengio 2010, eq. 16
    he2015          normal, sqrt(2 / fan-in)             He et al. 2015 (rectifiers), eq. 10
    ==============  ===================================  ==========================================
    """
    convolutions = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    wider = set(convolutions[2:]) if law == "cuda_convnet2" else set()
    for layer in model.modules():
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        if law == "glorot2010":
            nn.init.xavier_uniform_(layer.weight)
        elif law == "he2015":
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        else:
            nn.init.normal_(layer.weight, std=0.03 if layer in wider else 0.01)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
