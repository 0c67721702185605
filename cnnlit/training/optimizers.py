"""LeNet-5's optimizer, and what papers do besides a step. Every other optimizer is in torch.optim."""

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn
from torch.func import functional_call

from cnnlit.training.step_internals import damped_step

Exempt = Literal["biases", "normalization"]

SELECTIONS = (nn.Flatten, nn.Unflatten, nn.ZeroPad2d, nn.MaxPool2d, nn.AdaptiveMaxPool2d)
"""Layers that copy some of their inputs: second derivatives pass through them as gradients do."""

NORMALIZATIONS = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm),
    *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
    *(nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, nn.LocalResponseNorm),
)


def leaves_the_kernel_open(optimizer: Callable[..., torch.optim.Optimizer]) -> bool:
    """Whether an optimizer, or a partial of one, can update all parameters in one kernel, and is not told how."""
    kernels = ("fused", "foreach", "differentiable")
    told = getattr(optimizer, "keywords", {})
    can = "fused" in inspect.signature(getattr(optimizer, "func", optimizer)).parameters
    return can and not any(told.get(kernel) is not None for kernel in kernels)


def parameter_groups(
    model: nn.Module,
    decay_exempt: Collection[Exempt],
    rates: Mapping[str, float] | None = None,
    bias_rate: float | None = None,
) -> list[dict[str, Any]]:
    """The parameters of a model that learn, for an optimizer, grouped by weight decay and learning rate.

    Args:
        model: the network.
        decay_exempt: `biases` of convolutional and linear layers, scale and shift of every `normalization` layer.
        rates: for the name of a layer (`conv1`) the factor of its learning rate, and of all that is in it unless it
            is named too; groups then have it as `rate_factor`, see `scale_rates`.
        bias_rate: a factor of the learning rate of all biases of convolutional and linear layers, likewise.
    """
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    exempt = _of_kinds(model, decay_exempt)
    biases = _of_kinds(model, ["biases"]) if bias_rate else set()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            factor = _factor(name, rates or {}) * (bias_rate or 1.0 if id(parameter) in biases else 1.0)
            groups.setdefault((factor, id(parameter) in exempt), []).append(parameter)
    made = []
    for factor, without_decay in sorted(groups, key=lambda key: (key[0] != 1.0, key[1])):
        group: dict[str, Any] = {"params": groups[factor, without_decay]}
        made.append(
            group
            | ({"weight_decay": 0.0} if without_decay else {})
            | ({"rate_factor": factor} if rates or bias_rate else {})
        )
    return made


def _of_kinds(model: nn.Module, kinds: Collection[Exempt]) -> set[int]:
    """The identities of the parameters of these kinds."""
    found = set()
    for layer in model.modules():
        normalizes = isinstance(layer, NORMALIZATIONS)
        for name, parameter in layer.named_parameters(recurse=False):
            kind: Exempt | None = "normalization" if normalizes else "biases" if name == "bias" else None
            if kind in kinds:
                found.add(id(parameter))
    return found


def _factor(parameter: str, rates: Mapping[str, float]) -> float:
    """The factor of the innermost layer around a parameter that has one."""
    around = [layer for layer in rates if parameter.startswith(f"{layer}.")]
    return rates[max(around, key=len)] if around else 1.0


def scale_rates(optimizer: torch.optim.Optimizer) -> None:
    """Multiply the learning rate of each group by its `rate_factor`."""
    for group in optimizer.param_groups:
        group["lr"] *= group.get("rate_factor", 1.0)


def nominal_rate(optimizer: torch.optim.Optimizer) -> float:
    """The learning rate of layers without a factor."""
    group = optimizer.param_groups[0]
    rate: float = group["lr"] / group.get("rate_factor", 1.0)
    return rate


@torch.no_grad()
def limit_filters(model: nn.Module, max_rms: float) -> None:
    """Scale every filter of a convolution whose root mean square exceeds `max_rms` down to it.

    Paper: Zeiler, Fergus 2013, Sec. 3: keeps a few filters of the first layer from dominating.
    """
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d) and layer.weight.requires_grad:
            rms = (
                layer.weight.square().mean(dim=(-3, -2, -1), keepdim=True).sqrt()
            )  # stacked seeds have one more dimension
            layer.weight.mul_((max_rms / rms).clamp(max=1.0))


class StochasticDiagonalLM(torch.optim.Optimizer):
    """Stochastic diagonal Levenberg-Marquardt: each parameter's step size is lr / (mu + curvature).

    Curvatures are zero until `estimate` computes them on some training images, which the paper does before each pass.

    Paper: LeCun et al. 1998, App. C.

    Args:
        params: the parameters.
        lr: the global learning rate, eta.
        mu: limits the step size where the error surface is flat.
        num_samples: number of training images that curvatures are estimated on.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: Annotated[float, Gt(0)] = 5e-4,
        mu: Annotated[float, Gt(0)] = 0.02,
        num_samples: Annotated[int, Ge(1)] = 500,
    ) -> None:
        super().__init__(params, {"lr": lr, "mu": mu})
        self.num_samples = num_samples
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter]["curvature"] = torch.zeros_like(parameter)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step down the gradient; see torch.optim.Optimizer."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            moved = [parameter for parameter in group["params"] if parameter.grad is not None]
            gradients: list[Any] = [parameter.grad for parameter in moved]
            curvatures = [self.state[parameter]["curvature"] for parameter in moved]
            damped_step(moved, gradients, curvatures, lr=group["lr"], mu=group["mu"])
        return loss

    def estimate(self, model: nn.Module, loss: nn.Module, images: Tensor, labels: Tensor) -> None:
        """Set the curvatures to their means over a batch; see `diagonal_curvature`."""
        self.take(diagonal_curvature(model, loss, images, labels))

    def take(self, curvature: Mapping[Tensor, Tensor]) -> None:
        """Set each parameter's curvature to the given one, which has the parameter's shape."""
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter]["curvature"].copy_(curvature[parameter])


def diagonal_curvature(model: nn.Module, loss: nn.Module, images: Tensor, labels: Tensor) -> dict[Tensor, Tensor]:
    """The loss's second derivative with respect to each parameter, by Gauss-Newton, mean over a batch.

    It is propagated backwards through the network like a gradient, with squares in place of values. For a unit with
    weighted sum a, activation f, weights u and inputs x:

        d2E/da_i2  = f'(a_i)^2 sum_k u_ki^2 d2E/da_k2,        d2E/du_ij2 = d2E/da_i2 x_j^2,

    summed over all positions that share a parameter. For whatever follows the last layer with parameters (the fixed RBF
    units and the loss) the diagonal is exact.

    Paper: LeCun et al. 1998, App. C, eqs. 31 to 35.

    Args:
        model: convolutional and fully connected layers, sub-sampling, elementwise activations and max-pooling, in any
            order.
        loss: (logits, labels) -> the mean over the batch.
        images: float [N, C, H, W].
        labels: int64 [N].

    Returns:
        For each parameter a non-negative tensor of its shape.

    Raises:
        ValueError: for a layer that the recursion does not cover, such as batch normalisation.
    """
    curvature: dict[Tensor, Tensor] = {parameter: torch.zeros_like(parameter) for parameter in model.parameters()}
    last: list[Tensor] = []
    uncovered: list[nn.Module] = []

    def carry(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor | None:
        rule = _rule(layer, inputs[0], output)
        if rule is None:
            uncovered.append(layer)
            return None
        if uncovered:
            raise ValueError(
                f"the curvature does not pass through {type(uncovered[0]).__name__}; use another optimizer"
            )
        carried: Tensor = _SecondDerivative.apply(inputs[0], output, rule, layer, curvature)
        last[:] = [carried]
        return carried

    leaves = [module for module in model.modules() if not list(module.children())]
    hooks = [leaf.register_forward_hook(carry) for leaf in leaves if not isinstance(leaf, SELECTIONS)]
    training = model.training
    try:
        model.eval()  # dropout off
        with torch.compiler.set_stance("force_eager"):  # a compiled model does not call its layers' hooks
            logits = model(images.detach().requires_grad_())
        for hook in hooks:
            hook.remove()  # before the backward pass, which calls the layers again
        torch.autograd.backward(last[0], _diagonal_hessian(loss(logits, labels), last[0]))
    finally:
        for hook in hooks:
            hook.remove()
        model.train(training)
    return curvature


def _diagonal_hessian(loss: Tensor, features: Tensor) -> Tensor:
    """d2 loss / d features[n, j]^2, float [N, J], where no image's loss depends on another's features."""
    (slope,) = torch.autograd.grad(loss, features, create_graph=True)
    if not slope.requires_grad:
        return torch.zeros_like(features)
    columns = [
        torch.autograd.grad(slope[:, j].sum(), features, retain_graph=True)[0][:, j] for j in range(features.shape[1])
    ]
    return torch.stack(columns, dim=1).clamp_min(0)


Rule = Callable[[nn.Module, Tensor, Tensor, dict[Tensor, Tensor]], Tensor]
"""(layer, its input, d2E of its output, the curvatures to add to) -> d2E of its input."""


def _rule(layer: nn.Module, inputs: Tensor, output: Tensor) -> Rule | None:
    if isinstance(layer, NORMALIZATIONS):
        return None
    if list(layer.parameters()):
        return _through_weights
    if isinstance(layer, nn.AvgPool2d):
        return _through_average
    return _through_activation if output.shape == inputs.shape else None


def _through_weights(layer: nn.Module, inputs: Tensor, second: Tensor, curvature: dict[Tensor, Tensor]) -> Tensor:
    # Such a layer is a sum of products weight * input, so the ordinary backward pass at squared weights and
    # squared inputs is the recursion, for both of them and for the bias.
    parameters = dict(layer.named_parameters())
    squares = {name: parameter.detach().square().requires_grad_() for name, parameter in parameters.items()}
    squared_inputs = inputs.detach().square().requires_grad_()
    output = functional_call(layer, squares, (squared_inputs,))
    to_inputs, *to_weights = torch.autograd.grad(output, [squared_inputs, *squares.values()], second)
    for parameter, share in zip(parameters.values(), to_weights, strict=True):
        curvature[parameter] += share
    return to_inputs


def _through_average(layer: Any, inputs: Tensor, second: Tensor, curvature: dict[Tensor, Tensor]) -> Tensor:
    (to_inputs,) = torch.autograd.grad(layer(inputs), inputs, second)
    # Every weight is 1/area and its square 1/area^2; the backward pass contributes only the first factor.
    window = layer.kernel_size
    return to_inputs / (window**2 if isinstance(window, int) else window[0] * window[1])


def _through_activation(layer: nn.Module, inputs: Tensor, second: Tensor, curvature: dict[Tensor, Tensor]) -> Tensor:
    output = layer(inputs)
    (slope,) = torch.autograd.grad(output, inputs, torch.ones_like(output))
    return slope.square() * second


class _SecondDerivative(torch.autograd.Function):
    """Passes a layer's output forwards unchanged, and second derivatives backwards by the layer's rule."""

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, output: Tensor, rule: Rule, layer: nn.Module, curvature: dict[Tensor, Tensor]
    ) -> Tensor:
        ctx.rest = rule, layer, curvature
        ctx.save_for_backward(inputs)
        return output.detach().clone()

    @staticmethod
    def backward(ctx: Any, second: Tensor) -> tuple[Tensor, None, None, None, None]:
        rule, layer, curvature = ctx.rest
        (inputs,) = ctx.saved_tensors
        with torch.enable_grad():
            return rule(layer, inputs.detach().requires_grad_(), second, curvature), None, None, None, None
