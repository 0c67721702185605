"""LeNet-5 is the network of the paper, and its knobs do what they say."""

import hashlib
import math
from itertools import combinations, product
from typing import Any, get_args

import pytest
import torch
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional

from cnnlit.models.layers import Activation, Pooling
from cnnlit.models.lenet5 import C3_TABLE, LeNet5, RadialBasisFunctions, TableConv2d, digit_codes

LAYERS = ("c1", "s2", "c3", "s4", "c5", "f6", "output")
TABLE_1 = "012 123 234 345 045 015 0123 1234 2345 0345 0145 0125 0134 1245 0235 012345"


def shapes_of(model: nn.Module, image_size: int = 32) -> dict[str, tuple[torch.Size, torch.Size]]:
    """Input and output shape of each layer, for one image."""
    shapes = {}
    for name in LAYERS:

        def note(layer: nn.Module, inputs: tuple[Tensor], output: Tensor, name: str = name) -> None:
            shapes[name] = inputs[0].shape[1:], output.shape[1:]

        model.get_submodule(name).register_forward_hook(note)
    model(torch.zeros(1, 1, image_size, image_size))
    return shapes


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_parameters_are_those_of_the_paper() -> None:
    with torch.device("meta"):
        model = LeNet5()
    counts = [sum(p.numel() for p in model.get_submodule(name).parameters()) for name in LAYERS]
    assert counts == [156, 12, 1516, 32, 48120, 10164, 0]
    assert sum(p.numel() for p in model.parameters()) == sum(counts) == 60_000


def test_output_shapes_are_those_of_the_paper() -> None:
    shapes = shapes_of(LeNet5())
    outputs = [tuple(shapes[name][1]) for name in LAYERS]
    assert outputs == [(6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5), (120, 1, 1), (84,), (10,)]
    assert sum(math.prod(shape) for shape in outputs) == 8_094


def test_connections_are_those_of_the_paper() -> None:
    # Set one input of a layer at a time, and count the outputs that change; plus one bias per unit.
    model = LeNet5()
    shapes = shapes_of(model)
    counts = []
    for name in LAYERS:
        layer = model.get_submodule(name).double()
        inputs, output = shapes[name]
        one_lit = torch.eye(inputs.numel(), dtype=torch.float64).view(-1, *inputs)
        moved = layer(one_lit) - layer(torch.zeros(2, *inputs, dtype=torch.float64))[:1]
        counts.append(moved.count_nonzero().item() + (output.numel() if hasattr(layer, "bias") else 0))
    assert counts == [122_304, 5_880, 151_600, 2_000, 48_120, 10_164, 840]
    assert sum(counts) == 340_908


def test_c3_connects_as_table_1() -> None:
    assert ["".join(map(str, inputs)) for inputs in C3_TABLE] == TABLE_1.split()


@pytest.mark.parametrize("batch", [1, 2])
def test_a_feature_map_of_c3_depends_only_on_its_maps_of_s2(batch: int) -> None:
    c3 = LeNet5().c3
    maps = random(batch, 6, 14, 14, dtype=torch.float32)
    before = c3(maps)
    for perturbed in range(6):
        other = maps.clone()
        other[:, perturbed] += 1
        moved = (c3(other) != before).any(dim=3).any(dim=2).all(dim=0)
        assert moved.tolist() == [str(perturbed) in inputs for inputs in TABLE_1.split()]


@pytest.mark.parametrize("batch", [1, 3])
def test_table_conv2d_is_a_dense_convolution_with_zeros(batch: int) -> None:
    table = ((0, 2), (1,), (0, 1, 2), (2, 0))
    layer = TableConv2d(3, table, 3).double()
    pairs = [(out, into) for out, inputs in enumerate(table) for into in inputs]
    with torch.no_grad():
        layer.weight.copy_(random(len(pairs), 3, 3))
        layer.bias.copy_(random(4, seed=1))
    dense = torch.zeros(4, 3, 3, 3, dtype=torch.float64)
    for (out, into), kernel in zip(pairs, layer.weight.detach(), strict=True):
        dense[out, into] = kernel
    dense.requires_grad_()
    bias = layer.bias.detach().clone().requires_grad_()
    maps, same = (random(batch, 3, 7, 6, seed=2).requires_grad_() for _ in range(2))
    upstream = random(batch, 4, 5, 4, seed=3)

    output, reference = layer(maps), functional.conv2d(same, dense, bias)
    (output * upstream).sum().backward()
    (reference * upstream).sum().backward()

    torch.testing.assert_close(output, reference)
    torch.testing.assert_close(maps.grad, same.grad)
    torch.testing.assert_close(layer.bias.grad, bias.grad)
    torch.testing.assert_close(layer.weight.grad, torch.stack([dense.grad[pair] for pair in pairs]))


def test_an_image_alone_gives_what_it_gives_in_a_batch() -> None:
    model = LeNet5(initialization="lecun1998_sqrt").double()
    images = random(5, 1, 32, 32)
    together = model(images)
    for image, logits in zip(images, together, strict=True):
        torch.testing.assert_close(model(image[None])[0], logits)


def test_the_codes_are_those_of_figure_3() -> None:
    rows = ["".join("#" if ink > 0 else "." for ink in row) for row in digit_codes().view(120, 7)]
    sha256 = hashlib.sha256("\n".join(rows).encode()).hexdigest()
    assert sha256 == "657773aa7a78dd3fa682a9c772995c53948bca1691e6410f2ba9b26f3663051e"
    ink = [sum(row.count("#") for row in rows[12 * digit :][:12]) for digit in range(10)]
    assert ink == [35, 27, 33, 32, 41, 35, 39, 25, 43, 39]


def test_the_codes_are_12_to_50_pixels_apart() -> None:
    codes = digit_codes()
    assert codes.unique().tolist() == [-1, 1]
    hamming = {(i, j): (codes[i] != codes[j]).sum().item() for i, j in combinations(range(10), 2)}
    assert min(hamming.values()) == 12
    assert [pair for pair, distance in hamming.items() if distance == 12] == [(6, 8)]
    assert max(hamming.values()) == 50
    assert [pair for pair, distance in hamming.items() if distance == 50] == [(1, 4), (1, 8), (4, 7)]
    for (i, j), distance in hamming.items():
        assert (codes[i] - codes[j]).square().sum() == 4 * distance


def test_rbf_is_minus_equation_7() -> None:
    codes = digit_codes().double()
    features = random(4, 84)
    expected = torch.zeros(4, 10, dtype=torch.float64)
    for n, i, j in product(range(4), range(10), range(84)):
        expected[n, i] -= (features[n, j] - codes[i, j]) ** 2
    torch.testing.assert_close(RadialBasisFunctions(codes)(features), expected)


def test_a_code_is_its_own_nearest() -> None:
    logits = RadialBasisFunctions(digit_codes())(digit_codes())
    assert logits.argmax(dim=1).tolist() == list(range(10))
    assert logits.diagonal().tolist() == [0] * 10


def fans_in(model: LeNet5) -> dict[str, tuple[Tensor, Tensor]]:
    """Per layer, the fan-in of the unit that each weight and each bias belongs to; counted by hand."""
    fans: dict[str, tuple[Any, Any]] = {"c1": (25, 25), "s2": (4, 4), "s4": (4, 4), "c5": (400, 400), "f6": (120, 120)}
    per_map = [25 * len(inputs) for inputs in TABLE_1.split()]
    per_kernel = [25 * len(inputs) for inputs in TABLE_1.split() for _ in inputs]
    fans["c3"] = torch.tensor(per_kernel)[:, None, None], torch.tensor(per_map)
    if isinstance(model.output, nn.Linear):
        fans["output"] = 84, 84
    return {name: (torch.as_tensor(weight), torch.as_tensor(bias)) for name, (weight, bias) in fans.items()}


@pytest.mark.parametrize("law", ["lecun1998", "lecun1998_sqrt"])
@pytest.mark.parametrize("head", ["rbf", "linear"])
def test_lecuns_weights_are_uniform_between_their_bounds(law: Any, head: Any) -> None:
    torch.manual_seed(0)
    drawn: dict[str, list[Tensor]] = {}
    for _ in range(5):
        model = LeNet5(initialization=law, head=head)
        for name, fans in fans_in(model).items():
            power = 0.5 if law == "lecun1998_sqrt" and name not in ("s2", "s4") else 1
            for parameter, fan in zip(model.get_submodule(name).parameters(), fans, strict=True):
                in_bounds = parameter.detach() * fan**power / 2.4
                assert in_bounds.abs().max() <= 1 + 1e-6
                drawn.setdefault(name, []).append(in_bounds.flatten())
    for name, parts in drawn.items():
        assert stats.kstest(torch.cat(parts), stats.uniform(-1, 2).cdf).pvalue > 1e-4, name


def test_hes_weights_are_normal_with_variance_two_by_fan_in() -> None:
    torch.manual_seed(0)
    model = LeNet5(initialization="he2015", head="linear")
    for name, (fan, _) in fans_in(model).items():
        weight, bias = model.get_submodule(name).parameters()
        assert not bias.any()
        if name in ("s2", "s4"):
            assert (weight == 1 / 4).all()
        else:
            assert stats.kstest((weight.detach() * (fan / 2).sqrt()).flatten(), "norm").pvalue > 1e-4, name


@pytest.mark.parametrize("activation", get_args(Activation))
@pytest.mark.parametrize("pooling", get_args(Pooling))
@pytest.mark.parametrize(("window", "stride"), [(2, 2), (3, 2), (2, 1), (3, 1)])
def test_knobs_combine(activation: Any, pooling: Any, window: int, stride: int) -> None:
    knobs: Any
    for knobs in product(["table", "full"], ["rbf", "linear"], ["none", "batch"]):
        c3, head, normalization = knobs
        model = LeNet5(
            image_size=19,
            activation=activation,
            pooling=pooling,
            pool_window=window,
            pool_stride=stride,
            c3=c3,
            head=head,
            normalization=normalization,
            initialization="lecun1998_sqrt",
        )
        logits = model(random(2, 1, 19, 19, dtype=torch.float32))
        assert logits.shape == (2, 10)
        functional.cross_entropy(logits, torch.tensor([3, 8])).backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, (knobs, name)
            assert parameter.grad.isfinite().all(), (knobs, name)


def test_other_classes_and_channels_fit_a_linear_head() -> None:
    model = LeNet5(num_classes=7, in_channels=3, head="linear")
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 7)


def test_rbf_refuses_other_than_ten_classes() -> None:
    with pytest.raises(ValueError, match=r"head=rbf .* num_classes=7; use head=linear"):
        LeNet5(num_classes=7)


@pytest.mark.parametrize("window", range(1, 5))
def test_images_that_leave_nothing_for_c5_are_refused_and_no_others(window: int) -> None:
    refused = 0
    for image_size, stride in product(range(16, 37, 2), range(1, 5)):
        size: Any = {"image_size": image_size, "pool_window": window, "pool_stride": stride}
        # Count where a window or a kernel still fits by walking over the image.
        s2 = len(range(0, image_size - 4 - window + 1, stride))
        s4 = len(range(0, s2 - 4 - window + 1, stride))
        if s4 > 0:
            assert LeNet5(**size)(torch.zeros(1, 1, image_size, image_size)).shape == (1, 10)
        else:
            refused += 1
            with pytest.raises(ValueError, match=f"image_size={image_size} .*pool_stride={stride}"):
                LeNet5(**size)
    assert refused


def test_dropout_is_active_only_in_training() -> None:
    torch.manual_seed(0)
    dropping = LeNet5(dropout=0.5, initialization="lecun1998_sqrt")
    plain = LeNet5()
    plain.load_state_dict(dropping.state_dict())
    images = random(8, 1, 32, 32, dtype=torch.float32)
    features = []
    dropping.output.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))

    assert torch.equal(dropping.eval()(images), plain(images))
    dropping.train()
    assert not torch.equal(dropping(images), dropping(images))
    assert (features[0] != 0).all()
    assert stats.binomtest((features[1] == 0).sum().item(), features[1].numel(), 0.5).pvalue > 1e-4


@pytest.mark.parametrize("head", ["rbf", "linear"])
def test_a_state_dict_holds_the_parameters_and_nothing_else(head: Any) -> None:
    model = LeNet5(head=head)
    images = random(2, 1, 32, 32, dtype=torch.float32)
    logits = model(images)
    state = model.state_dict()
    assert list(state) == [name for name, _ in model.named_parameters()]
    fresh = LeNet5(head=head)
    fresh.load_state_dict(state, strict=True)
    assert torch.equal(fresh(images), logits)
