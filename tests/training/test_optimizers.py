"""The curvatures of stochastic diagonal Levenberg-Marquardt are those of the paper's recursion."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from cnnlit.models.layers import LocalResponseNorm, ScaledTanh, Subsample
from cnnlit.models.lenet5 import LeNet5, RadialBasisFunctions, TableConv2d
from cnnlit.training.losses import MaximumAPosteriori, MeanSquaredDistance
from cnnlit.training.optimizers import StochasticDiagonalLM, diagonal_curvature

TABLE = ((0,), (1, 0), (1,))


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def scrambled(network: nn.Module) -> Any:
    """In float64, with all parameters drawn anew; TableConv2d leaves its own uninitialised."""
    network.double()
    with torch.no_grad():
        for seed, parameter in enumerate(network.parameters()):
            parameter.copy_(random(*parameter.shape, seed=seed) / 2)
    return network


# The recursion as App. C has it, unit by unit and connection by connection. A connection is
# (i, j, parameter, its index): unit i of the layer has unit j of its input, or the constant 1 (j = None), times the
# parameter at that index; (i, j, None, u) has the constant u.
Connections = Iterator[tuple[Any, Any, Tensor | None, Any]]


def connections(layer: Any, x: Tensor, a: Tensor) -> Connections:
    for i in product(*map(range, a.shape)):
        if isinstance(layer, nn.Linear):
            yield i, None, layer.bias, i
            for j in range(len(x)):
                yield i, (j,), layer.weight, (*i, j)
            continue
        out, y, z = i
        if isinstance(layer, nn.Conv2d | TableConv2d):
            table = TABLE if isinstance(layer, TableConv2d) else [range(len(x))] * len(a)
            before = sum(map(len, table[:out]))
            yield i, None, layer.bias, (out,)
            for n, into in enumerate(table[out]):
                index = (before + n,) if isinstance(layer, TableConv2d) else (out, into)
                for v, w in product(range(layer.weight.shape[-1]), repeat=2):
                    yield i, (into, y + v, z + w), layer.weight, (*index, v, w)
            continue
        window, stride = (getattr(layer, "window", 0) or layer.kernel_size), layer.stride
        places = [(out, y * stride + v, z * stride + w) for v, w in product(range(window), repeat=2)]
        if isinstance(layer, nn.MaxPool2d):
            yield i, max(places, key=lambda place: x[place]), None, 1
        elif isinstance(layer, nn.AvgPool2d):
            yield from ((i, place, None, 1 / window**2) for place in places)
        else:
            yield i, None, layer.bias, (out,)
            yield from ((i, place, layer.coefficient, (out,)) for place in places)


SLOPES: dict[type, Callable[[Tensor], Tensor]] = {
    nn.Tanh: lambda a: 1 - a.tanh() ** 2,
    ScaledTanh: lambda a: 1.7159 * 2 / 3 * (1 - (2 / 3 * a).tanh() ** 2),
    nn.ReLU: lambda a: (a > 0).to(a),
}


def recursion(network: Any, images: Tensor, top: Callable[[Tensor, int], Tensor]) -> dict[Tensor, Tensor]:
    """h of all parameters, from `top`(output, n), the second derivatives at the outputs of image n."""
    h = {parameter: torch.zeros_like(parameter) for parameter in network.parameters()}
    for n, image in enumerate(images):
        values = [image]
        for layer in network:
            values.append(layer(values[-1][None])[0].detach())
        second = top(values[-1], n)
        for layer, x, a in reversed(list(zip(network, values[:-1], values[1:], strict=True))):
            if isinstance(layer, nn.Flatten):
                second = second.view_as(x)
            elif type(layer) in SLOPES:
                second = SLOPES[type(layer)](x) ** 2 * second
            else:
                below: Any = defaultdict(float)
                for i, j, parameter, index in connections(layer, x, a):
                    weight = index if parameter is None else parameter[index].item()
                    if parameter is not None:
                        h[parameter][index] += second[i].item() * (1 if j is None else x[j].item() ** 2) / len(images)
                    if j is not None:
                        below[j] += weight**2 * second[i].item()
                second = torch.zeros_like(x)
                for j, value in below.items():
                    second[j] = value
    return h


def network_of(pool1: nn.Module, pool2: nn.Module, activation: nn.Module, units: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 2, 3),
        activation,
        pool1,
        nn.Tanh(),
        TableConv2d(2, TABLE, 2),
        activation,
        pool2,
        nn.Flatten(),
        nn.Linear(12, units),
    )


POOLINGS = {
    "subsample": lambda maps, stride: Subsample(maps, 2, stride),
    "average": lambda maps, stride: nn.AvgPool2d(2, stride),
    "max": lambda maps, stride: nn.MaxPool2d(2, stride),
}


def assert_curvature(network: nn.Module, loss: nn.Module, images: Tensor, labels: Tensor, expected: Any) -> None:
    curvature = diagonal_curvature(network, loss, images, labels)
    for name, parameter in network.named_parameters():
        assert expected[parameter].any(), name
        torch.testing.assert_close(curvature[parameter], expected[parameter], msg=lambda text, name=name: name + text)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("activation", [nn.Tanh, ScaledTanh, nn.ReLU])
def test_curvature_is_the_papers_recursion_with_equation_8(pooling: str, activation: Any) -> None:
    # The second pooling overlaps.
    layers = network_of(POOLINGS[pooling](2, 2), POOLINGS[pooling](3, 1), activation(), 5)
    body = scrambled(nn.Sequential(*layers, ScaledTanh()))
    network = nn.Sequential(body, RadialBasisFunctions(random(3, 5, seed=9).sign()))
    images, labels = random(3, 1, 10, 10, seed=1), torch.tensor([0, 2, 1])
    expected = recursion(body, images, lambda features, n: torch.full_like(features, 2))
    assert_curvature(network, MeanSquaredDistance(), images, labels, expected)


def test_curvature_has_the_exact_diagonal_of_equation_9_on_top() -> None:
    body = scrambled(nn.Sequential(*network_of(Subsample(2), Subsample(3, 2, 1), nn.Tanh(), 5), ScaledTanh()))
    codes, j = random(3, 5, seed=9).sign(), 4.0
    network = nn.Sequential(body, RadialBasisFunctions(codes))
    images, labels = random(3, 1, 10, 10, seed=1), torch.tensor([0, 2, 1])

    def top(features: Tensor, n: int) -> Tensor:
        # y_D'' + (log sum_i e^-y_i)'': 2 - sum_i p_i y_i'' + the variance of y' under p, which the rubbish shares.
        distances = ((features - codes) ** 2).sum(1)
        p = torch.cat([-distances, torch.tensor([-j])]).softmax(0)[:3, None]
        slopes = 2 * (features - codes)
        return 2 - 2 * p.sum(0) + (p * slopes**2).sum(0) - (p * slopes).sum(0) ** 2

    assert_curvature(network, MaximumAPosteriori(j), images, labels, recursion(body, images, top))


def test_curvature_is_the_papers_recursion_with_cross_entropy() -> None:
    network = scrambled(network_of(nn.MaxPool2d(2), nn.MaxPool2d(2, 1), nn.ReLU(), 4))
    images, labels = random(3, 1, 10, 10, seed=1), torch.tensor([0, 2, 3])

    def top(logits: Tensor, n: int) -> Tensor:
        p = logits.softmax(0)
        return p * (1 - p)

    assert_curvature(network, nn.CrossEntropyLoss(), images, labels, recursion(network, images, top))


def brute_force(network: nn.Module, loss: nn.Module, images: Tensor, labels: Tensor, name: str) -> Tensor:
    """The diagonal of the Hessian for one parameter."""
    parameter = network.get_parameter(name).detach()

    def of(flat: Tensor) -> Tensor:
        return loss(torch.func.functional_call(network, {name: flat.view_as(parameter)}, (images,)), labels)

    return torch.func.hessian(of)(parameter.flatten()).diagonal().view_as(parameter)


def test_curvature_is_the_second_derivative_in_a_chain_without_residual() -> None:
    # One unit per layer, and each image exactly on its code: there the recursion leaves nothing out.
    body = scrambled(nn.Sequential(nn.Conv2d(1, 1, 1), nn.Tanh(), Subsample(1, 1, 1), ScaledTanh(), nn.Flatten()))
    body.extend(scrambled(nn.Sequential(nn.Linear(1, 1), nn.Sigmoid(), nn.Linear(1, 1), ScaledTanh())))
    images, labels = random(4, 1, 1, 1, seed=1), torch.tensor([2, 0, 1, 3])
    codes = torch.empty(4, 1, dtype=torch.float64)
    codes[labels] = body(images).detach()
    network, loss = nn.Sequential(body, RadialBasisFunctions(codes)), MeanSquaredDistance()
    expected = {
        parameter: brute_force(network, loss, images, labels, name) for name, parameter in network.named_parameters()
    }
    assert_curvature(network, loss, images, labels, expected)


def test_curvature_of_the_last_layer_is_the_second_derivative() -> None:
    torch.manual_seed(0)
    network = LeNet5(activation="relu", pooling="max", head="linear", initialization="he2015").double()
    images, labels = random(4, 1, 32, 32, seed=1), torch.tensor([2, 0, 9, 3])
    curvature = diagonal_curvature(network, nn.CrossEntropyLoss(), images, labels)
    features = []
    network.output.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0].detach()))
    network(images)
    head = nn.Sequential(network.output)
    for name, parameter in network.output.named_parameters():
        expected = brute_force(head, nn.CrossEntropyLoss(), features[0], labels, f"0.{name}")
        torch.testing.assert_close(curvature[parameter], expected)


def test_curvature_of_f6_under_rbf_is_the_second_derivative_at_the_codes() -> None:
    # Without residual, f'' has no say, and the last trainable layer has its exact diagonal.
    body = scrambled(nn.Sequential(nn.Flatten(), nn.Linear(6, 5), ScaledTanh()))
    images, labels = random(2, 1, 2, 3), torch.tensor([1, 0])
    network = nn.Sequential(body, RadialBasisFunctions(body(images).detach().flip(0)))
    for name, parameter in network.named_parameters():
        expected = brute_force(network, MeanSquaredDistance(), images, labels, name)
        torch.testing.assert_close(
            diagonal_curvature(network, MeanSquaredDistance(), images, labels)[parameter], expected
        )


@pytest.mark.parametrize("pooling", ["subsample", "average", "max"])
@pytest.mark.parametrize("c3", ["table", "full"])
def test_curvature_of_lenet5_is_the_mean_of_its_images(pooling: Any, c3: Any) -> None:
    torch.manual_seed(0)
    network = LeNet5(pooling=pooling, c3=c3, initialization="lecun1998_sqrt").double()
    images, labels = random(3, 1, 32, 32), torch.tensor([2, 0, 9])
    loss = MaximumAPosteriori(10.0)
    together = diagonal_curvature(network, loss, images, labels)
    alone = [diagonal_curvature(network, loss, images[n : n + 1], labels[n : n + 1]) for n in range(3)]
    for parameter in network.parameters():
        assert (together[parameter] >= 0).all()
        assert together[parameter].any()
        torch.testing.assert_close(together[parameter], sum(each[parameter] for each in alone) / 3)


def test_a_step_is_lr_times_gradient_by_mu_plus_curvature() -> None:
    network = LeNet5(initialization="lecun1998_sqrt")
    optimizer = StochasticDiagonalLM(network.parameters(), lr=3e-4, mu=0.05)
    images, labels = random(4, 1, 32, 32).float(), torch.tensor([2, 0, 9, 3])
    loss = MeanSquaredDistance()
    optimizer.estimate(network, loss, images, labels)
    h = diagonal_curvature(network, loss, images, labels)
    loss(network(images), labels).backward()
    before = [parameter.detach().clone() for parameter in network.parameters()]
    optimizer.param_groups[0]["lr"] = 2e-4
    optimizer.step()
    for parameter, old in zip(network.parameters(), before, strict=True):
        torch.testing.assert_close(parameter.detach(), old - 2e-4 * parameter.grad / (0.05 + h[parameter]))
        assert not torch.equal(parameter, old)


def test_before_an_estimate_a_step_is_lr_times_gradient_by_mu() -> None:
    weight = nn.Parameter(torch.tensor([1.0, 2.0]))
    weight.grad = torch.tensor([0.5, -1.0])
    StochasticDiagonalLM([weight], lr=0.1, mu=0.5).step()
    assert weight.tolist() == pytest.approx([0.9, 2.2])


def test_curvatures_travel_with_the_optimizers_state() -> None:
    network = LeNet5(initialization="lecun1998_sqrt")
    optimizer = StochasticDiagonalLM(network.parameters())
    optimizer.estimate(network, MeanSquaredDistance(), random(2, 1, 32, 32).float(), torch.tensor([1, 2]))
    fresh = StochasticDiagonalLM(network.parameters())
    fresh.load_state_dict(optimizer.state_dict())
    for parameter in network.parameters():
        assert torch.equal(fresh.state[parameter]["curvature"], optimizer.state[parameter]["curvature"])


@pytest.mark.parametrize("training", [True, False])
def test_an_estimate_leaves_the_network_as_it_was(training: bool) -> None:
    network = LeNet5(dropout=0.5, initialization="lecun1998_sqrt").train(training)
    optimizer = StochasticDiagonalLM(network.parameters())
    images, labels = random(4, 1, 32, 32).float(), torch.tensor([2, 0, 9, 3])
    functional.cross_entropy(network(images), labels).backward()
    before = [(parameter.detach().clone(), parameter.grad.clone()) for parameter in network.parameters()]
    random_state = torch.get_rng_state()

    optimizer.estimate(network, MeanSquaredDistance(), images, labels)

    for parameter, (value, gradient) in zip(network.parameters(), before, strict=True):
        assert torch.equal(parameter, value)
        assert torch.equal(parameter.grad, gradient)
    assert all(module.training == training and not module._forward_hooks for module in network.modules())
    assert torch.equal(torch.get_rng_state(), random_state)


def test_dropout_has_no_part_in_the_curvature() -> None:
    torch.manual_seed(0)
    dropping, plain = (LeNet5(dropout=rate, initialization="lecun1998_sqrt") for rate in (0.5, 0.0))
    plain.load_state_dict(dropping.state_dict())
    sample = random(4, 1, 32, 32).float(), torch.tensor([2, 0, 9, 3])
    with_dropout, without = (diagonal_curvature(each, MeanSquaredDistance(), *sample) for each in (dropping, plain))
    for one, other in zip(dropping.parameters(), plain.parameters(), strict=True):
        assert torch.equal(with_dropout[one], without[other])


def test_batch_normalisation_is_refused() -> None:
    network = LeNet5(normalization="batch")
    optimizer = StochasticDiagonalLM(network.parameters())
    with pytest.raises(ValueError, match=r"does not pass through BatchNorm2d; use another optimizer"):
        optimizer.estimate(network, MeanSquaredDistance(), random(2, 1, 32, 32).float(), torch.tensor([1, 2]))
    assert all(module.training and not module._forward_hooks for module in network.modules())
    assert network.norm1.num_batches_tracked == 0


def test_response_normalisation_is_refused_where_it_stands_between_layers() -> None:
    network = nn.Sequential(nn.Conv2d(1, 6, 3), LocalResponseNorm(), nn.Flatten(), nn.Linear(24, 3))
    sample = random(2, 1, 4, 4).float(), torch.tensor([1, 2])
    with pytest.raises(ValueError, match=r"does not pass through LocalResponseNorm; use another optimizer"):
        diagonal_curvature(network, nn.CrossEntropyLoss(), *sample)
