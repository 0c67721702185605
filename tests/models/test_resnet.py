"""ResNet is the paper's: counts, sizes, shortcuts, initial weights; or torchvision's; and the 6n + 2 family."""

import math
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torchvision
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional

from cnnlit.models.layers import Activation
from cnnlit.models.resnet import (
    BasicBlock,
    BlockForm,
    Bottleneck,
    CifarResNet,
    ResNet,
    Shortcut,
    ZeroPadding,
    torchvision_names,
)
from cnnlit.models.weights import fill, from_torchvision

Array = npt.NDArray[np.float64]

PAPER_TABLE = {  # depth: parameters, G multiply-adds, the same with the stride in the 3x3 convolutions, M units
    18: (11_689_512, 1.814, 1.814, 2.48),
    34: (21_797_672, 3.664, 3.664, 3.74),
    50: (25_557_032, 3.858, 4.089, 10.59),
    101: (44_549_160, 7.570, 7.801, 15.71),
    152: (60_192_808, 11.282, 11.514, 22.03),
}

STAGES_OF_50 = {  # name: parameters, including normalisation's, and multiply-adds
    "conv1": (9_536, 118_013_952),
    "conv2_x": (215_808, 667_942_912),
    "conv3_x": (1_219_584, 950_534_144),
    "conv4_x": (7_098_368, 1_387_266_048),
    "conv5_x": (14_964_736, 732_168_192),
    "fc": (2_049_000, 2_048_000),
}


def on_meta(**knobs: Any) -> ResNet:
    with torch.device("meta"):
        return ResNet(**knobs)


def cifar_on_meta(**knobs: Any) -> CifarResNet:
    with torch.device("meta"):
        return CifarResNet(**knobs)


def outputs(model: nn.Module, size: int) -> dict[str, Tensor]:
    """Each layer's output for one image."""
    seen: dict[str, Tensor] = {}
    for name, layer in model.named_modules():
        layer.register_forward_hook(lambda _, __, output, name=name: seen.__setitem__(name, output))
    model(torch.empty(1, 3, size, size, device="meta"))
    return seen


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def weighted(model: nn.Module) -> dict[str, Any]:
    """The convolutions and fully connected layers."""
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, nn.Conv2d | nn.Linear)}


def macs_and_units(model: nn.Module, size: int) -> dict[str, tuple[int, int]]:
    """Multiply-adds (each weight once per position) and outputs of each convolution and linear layer."""
    seen = outputs(model, size)
    return {
        name: (layer.weight.numel() * seen[name][0, 0].numel(), seen[name].numel())
        for name, layer in weighted(model).items()
    }


@pytest.mark.parametrize("depth", PAPER_TABLE)
def test_parameters_multiply_adds_and_units_are_those_of_the_paper(depth: Any) -> None:
    expected_parameters, expected_macs, expected_v15_macs, expected_units = PAPER_TABLE[depth]
    for variant, expected in (("paper", expected_macs), ("torchvision", expected_v15_macs)):
        model = on_meta(depth=depth, variant=variant)
        counts = macs_and_units(model, 224).values()
        assert parameters(model) == expected_parameters
        assert round(sum(macs for macs, _ in counts) / 1e9, 3) == expected
        if variant == "paper":
            assert round(sum(units for _, units in counts) / 1e6, 2) == expected_units


@pytest.mark.parametrize(
    ("depth", "shortcut", "expected_parameters", "expected_macs"),
    [
        (18, "none", 11_515_688, 1.795),
        (18, "A", 11_515_688, 1.795),
        (18, "B", 11_689_512, 1.814),
        (34, "none", 21_623_848, 3.644),
        (34, "A", 21_623_848, 3.644),
        (34, "B", 21_797_672, 3.664),
        (34, "C", 22_716_840, 3.831),
    ],
)
def test_plain_networks_and_shortcuts_count_as_in_the_paper(
    depth: Any, shortcut: Any, expected_parameters: int, expected_macs: float
) -> None:
    model = on_meta(depth=depth, shortcut=shortcut)
    assert parameters(model) == expected_parameters
    assert round(sum(macs for macs, _ in macs_and_units(model, 224).values()) / 1e9, 3) == expected_macs


def test_each_stage_of_50_layers_counts_as_its_table_says() -> None:
    model = on_meta()
    counts = macs_and_units(model, 224)
    for name, (expected_parameters, expected_macs) in STAGES_OF_50.items():
        own = parameters(model.get_submodule(name)) + (parameters(model.bn1) if name == "conv1" else 0)
        assert own == expected_parameters
        assert sum(macs for layer, (macs, _) in counts.items() if layer.partition(".")[0] == name) == expected_macs


@pytest.mark.parametrize("variant", ["paper", "torchvision"])
@pytest.mark.parametrize(("depth", "expansion"), [(18, 1), (34, 1), (50, 4), (101, 4), (152, 4)])
def test_feature_maps_shrink_as_in_table_1(depth: Any, expansion: int, variant: Any) -> None:
    seen = outputs(on_meta(depth=depth, variant=variant), 224)
    names = ("conv1", "pool", "conv2_x", "conv3_x", "conv4_x", "conv5_x")
    assert [seen[name].shape[2] for name in names] == [112, 56, 56, 28, 14, 7]
    assert [seen[name].shape[3] for name in names] == [112, 56, 56, 28, 14, 7]
    maps = [seen[name].shape[1] for name in names]
    assert maps == [64, 64, 64 * expansion, 128 * expansion, 256 * expansion, 512 * expansion]


@pytest.mark.parametrize("depth", PAPER_TABLE)
def test_the_longest_path_has_as_many_layers_as_the_name_says(depth: Any) -> None:
    assert len(weighted(on_meta(depth=depth, shortcut="none"))) == depth


@pytest.mark.parametrize(
    ("knobs", "sizes"),
    [
        ({}, (28, 28, 28)),
        ({"variant": "torchvision"}, (56, 28, 28)),
        ({"bottleneck_stride": "3x3"}, (56, 28, 28)),
        ({"variant": "torchvision", "bottleneck_stride": "1x1"}, (28, 28, 28)),
    ],
)
def test_the_stride_is_where_the_paper_or_torchvision_has_it(knobs: Any, sizes: tuple[int, int, int]) -> None:
    seen = outputs(on_meta(**knobs), 224)
    assert tuple(seen[f"conv3_x.0.conv{i}"].shape[2] for i in (1, 2, 3)) == sizes


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_shortcut_a_subsamples_and_adds_zeros(stride: int) -> None:
    maps = np.random.default_rng(0).normal(size=(2, 3, 7, 8))
    rows, columns = range(0, 7, stride), range(0, 8, stride)
    expected = np.zeros((2, 5, len(rows), len(columns)))
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            expected[:, :3, i, j] = maps[:, :, row, column]
    layer = ZeroPadding(2, stride)
    assert not list(layer.parameters())
    assert np.array_equal(layer(torch.from_numpy(maps)).numpy(), expected)


def convolved(maps: Array, layer: nn.Conv2d, stride: int) -> Array:
    """A convolution as loops over its windows, padded so that stride 1 preserves the size."""
    kernels = layer.weight.detach().numpy()
    out, _, side, _ = kernels.shape
    padded = np.pad(maps, ((0, 0), (0, 0), (side // 2,) * 2, (side // 2,) * 2))
    result = np.zeros((len(maps), out, math.ceil(maps.shape[2] / stride), math.ceil(maps.shape[3] / stride)))
    for i in range(result.shape[2]):
        for j in range(result.shape[3]):
            window = padded[:, :, i * stride : i * stride + side, j * stride : j * stride + side]
            result[:, :, i, j] = np.einsum("ncij,ocij->no", window, kernels)
    return result


def normalized(maps: Array, layer: nn.BatchNorm2d) -> Array:
    """Each channel normalised by mean and variance over the batch and all positions, then scaled and shifted."""
    weight, bias = (parameter.detach().numpy()[:, None, None] for parameter in (layer.weight, layer.bias))
    mean, variance = (f(maps, axis=(0, 2, 3), keepdims=True) for f in (np.mean, np.var))
    return np.asarray((maps - mean) / np.sqrt(variance + 1e-5) * weight + bias)


def block_by_numpy(block: Any, maps: Array, stride: int, shortcut: Shortcut, strides: tuple[int, ...]) -> Array:
    x = maps
    for i, step in enumerate(strides, 1):
        x = normalized(convolved(x, getattr(block, f"conv{i}"), step), getattr(block, f"bn{i}"))
        x = x if i == len(strides) else np.maximum(x, 0)
    changes = stride > 1 or x.shape[1] != maps.shape[1]
    if shortcut == "C" or (shortcut == "B" and changes):
        x = x + normalized(convolved(maps, block.shortcut.conv, stride), block.shortcut.bn)
    elif shortcut == "A":
        x[:, : maps.shape[1]] += maps[:, :, ::stride, ::stride]
    elif shortcut == "B":
        x = x + maps
    return np.maximum(x, 0)


def random_block(kind: Any, in_channels: int, stride: int, form: BlockForm) -> Any:
    torch.manual_seed(0)
    block = kind(in_channels, 3, stride, form).double()
    for parameter in block.parameters():
        nn.init.normal_(parameter)
    return block


@pytest.mark.parametrize("shortcut", get_args(Shortcut))
@pytest.mark.parametrize(("stride", "widens"), [(1, False), (1, True), (2, True), (2, False)])
@pytest.mark.parametrize(("kind", "bottleneck_stride"), [(BasicBlock, "1x1"), (Bottleneck, "1x1"), (Bottleneck, "3x3")])
def test_a_block_computes_what_the_paper_says(
    kind: Any, shortcut: Any, stride: int, widens: bool, bottleneck_stride: Any
) -> None:
    form = BlockForm(shortcut, "batch", "relu", bottleneck_stride)
    in_channels = 3 * kind.EXPANSION - (1 if widens else 0)
    block = random_block(kind, in_channels, stride, form)
    maps = torch.randn(2, in_channels, 5, 6, dtype=torch.float64)
    strides = (stride, 1) if kind is BasicBlock else (stride, 1, 1) if bottleneck_stride == "1x1" else (1, stride, 1)
    expected = block_by_numpy(block, maps.numpy(), stride, shortcut, strides)
    before = maps.clone()
    torch.testing.assert_close(block(maps), torch.from_numpy(expected))
    assert torch.equal(maps, before), "the in-place sum leaves the input alone"


@pytest.mark.parametrize("shortcut", get_args(Shortcut))
@pytest.mark.parametrize("activation", ["relu", "tanh", "silu"])
@pytest.mark.parametrize("normalization", ["batch", "none"])
@pytest.mark.parametrize("kind", [BasicBlock, Bottleneck])
def test_a_blocks_gradients_are_its_slopes(kind: Any, shortcut: Any, activation: Any, normalization: Any) -> None:
    block = random_block(kind, 2, 2, BlockForm(shortcut, normalization, activation))
    maps = torch.randn(2, 2, 3, 3, dtype=torch.float64)

    def compute(maps: Tensor, *values: Tensor) -> Tensor:
        state = dict(zip(dict(block.named_parameters()), values, strict=True))
        # As between two blocks: the input was itself computed, and its own gradient needs it.
        return torch.func.functional_call(block, state, (torch.sigmoid(maps),))  # type: ignore[no-any-return]

    values = [value.detach().clone().requires_grad_() for value in block.parameters()]
    assert torch.autograd.gradcheck(compute, (maps.requires_grad_(), *values), fast_mode=True)


@pytest.mark.parametrize("shortcut", get_args(Shortcut))
@pytest.mark.parametrize("depth", [18, 50])
def test_a_shortcut_is_where_the_paper_has_one(depth: Any, shortcut: Any) -> None:
    model = on_meta(depth=depth, shortcut=shortcut)
    places = {"A": ZeroPadding, "B": nn.Sequential, "C": nn.Sequential, "none": type(None)}
    for stage in (model.conv2_x, model.conv3_x, model.conv4_x, model.conv5_x):
        for index, block in enumerate(stage):
            changes = index == 0 and not (depth == 18 and stage is model.conv2_x)
            same = nn.Identity if shortcut in ("A", "B") else places[shortcut]
            assert type(block.shortcut) is (places[shortcut] if changes else same)


def randomized(model: nn.Module) -> nn.Module:
    """With non-trivial normalisation."""
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values, low, high in (
                (layer.weight, 0.5, 1.0),
                (layer.bias, -0.2, 0.2),
                (layer.running_mean, -0.5, 0.5),
                (layer.running_var, 0.5, 2.0),
            ):
                assert values is not None
                nn.init.uniform_(values, low, high)
            assert layer.num_batches_tracked is not None
            layer.num_batches_tracked.fill_(7)
    return model


@pytest.mark.parametrize(("depth", "size"), [(18, 64), (18, 97), (34, 64), (50, 64)])
def test_torchvisions_resnet_loads_and_gives_its_outputs(depth: Any, size: int) -> None:
    torch.manual_seed(0)
    theirs = randomized(torchvision.models.get_model(f"resnet{depth}", weights=None, num_classes=10)).eval()
    ours = ResNet(variant="torchvision", depth=depth, num_classes=10).eval()
    state = from_torchvision(theirs.state_dict(), torchvision_names(depth))
    ours.load_state_dict(state, strict=True)
    images = torch.randn(2, 3, size, size)
    with torch.no_grad():
        expected = theirs(images)
        assert expected.std() > 0.1
        torch.testing.assert_close(ours(images), expected, atol=1e-5, rtol=0)


def test_a_step_leaves_torchvisions_gradients_and_running_statistics() -> None:
    torch.manual_seed(0)
    theirs = randomized(torchvision.models.resnet18(weights=None, num_classes=10)).double()
    ours = ResNet(variant="torchvision", depth=18, num_classes=10).double()
    names = torchvision_names(18)
    fill(ours, from_torchvision(theirs.state_dict(), names), "theirs", heads=("fc",))
    images, labels = torch.randn(4, 3, 48, 48, dtype=torch.float64), torch.tensor([1, 2, 3, 4])
    for model in (ours, theirs):
        functional.cross_entropy(model(images), labels).backward()
    torch.testing.assert_close(ours.state_dict(), from_torchvision(theirs.state_dict(), names))
    expected = from_torchvision({name: value.grad for name, value in theirs.named_parameters()}, names)
    torch.testing.assert_close({name: value.grad for name, value in ours.named_parameters()}, expected)


@pytest.mark.parametrize("depth", PAPER_TABLE)
def test_torchvisions_names_and_shapes_are_all_there(depth: Any) -> None:
    with torch.device("meta"):
        theirs = torchvision.models.get_model(f"resnet{depth}", weights=None).state_dict()
    expected = {key: value.shape for key, value in from_torchvision(theirs, torchvision_names(depth)).items()}
    assert len(expected) == len(theirs)
    assert {key: value.shape for key, value in on_meta(depth=depth).state_dict().items()} == expected


@pytest.mark.parametrize("num_classes", [1000, 37])
def test_published_weights_are_those_of_the_depth(monkeypatch: pytest.MonkeyPatch, num_classes: int) -> None:
    theirs = randomized(torchvision.models.resnet34(weights=None))
    weights = torchvision.models.ResNet34_Weights
    monkeypatch.setattr(weights, "get_state_dict", lambda *_, **__: theirs.state_dict())
    ours = ResNet(variant="torchvision", depth=34, weights="IMAGENET1K_V1", num_classes=num_classes)
    expected = from_torchvision(theirs.state_dict(), torchvision_names(34))
    for name, value in ours.state_dict().items():
        if num_classes == 1000 or not name.startswith("fc"):
            assert torch.equal(value, expected[name]), name
    assert ours.fc.weight.shape == (num_classes, 512)


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(lambda: ResNet(depth=18), id="paper"),
        pytest.param(lambda: ResNet(depth=18, variant="torchvision", shortcut="C"), id="torchvision"),
        pytest.param(lambda: ResNet(width=0.5), id="bottleneck"),
        pytest.param(lambda: ResNet(depth=18, normalization="none"), id="none"),
        pytest.param(lambda: CifarResNet(), id="cifar"),
    ],
)
def test_initial_weights_are_normal_with_variance_two_by_fan_in(model: Any) -> None:
    torch.manual_seed(0)
    network = model()
    for name, layer in weighted(network).items():
        drawn = layer.weight.detach().flatten() * (layer.weight[0].numel() / 2) ** 0.5
        assert stats.kstest(drawn[:20_000], "norm").pvalue > 1e-4, name
        assert layer.bias is None or not layer.bias.any()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert (layer.weight == 1).all()
            assert not layer.bias.any()


def test_another_initialization_is_used() -> None:
    torch.manual_seed(0)
    for model in (ResNet(depth=18, initialization="krizhevsky2012"), CifarResNet(initialization="krizhevsky2012")):
        for layer in weighted(model).values():
            error = 4 / layer.weight.numel() ** 0.5  # more than four standard errors of a standard deviation
            assert layer.weight.std().item() == pytest.approx(0.01, rel=error)


def test_without_normalization_there_are_biases_instead() -> None:
    for model in (on_meta(), on_meta(depth=18, shortcut="C"), cifar_on_meta()):
        assert all((layer.bias is None) == isinstance(layer, nn.Conv2d) for layer in weighted(model).values())
        normal = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
        assert len(normal) == len(weighted(model)) - 1
    for model in (on_meta(normalization="none"), cifar_on_meta(normalization="none", shortcut="B")):
        assert all(layer.bias is not None for layer in weighted(model).values())
        assert not any(isinstance(layer, nn.BatchNorm2d) for layer in model.modules())


def test_without_normalization_each_block_about_doubles_the_mean_square() -> None:
    torch.manual_seed(0)
    growth = {}
    for normalization in ("none", "batch"):
        model = CifarResNet(depth=56, normalization=normalization)
        squares: list[float] = []
        for block in (*model.conv2_x, *model.conv3_x, *model.conv4_x):
            block.register_forward_hook(
                lambda _, __, maps, squares=squares: squares.append(maps.square().mean().item())
            )
        with torch.no_grad():
            model(torch.randn(4, 3, 16, 16))
        growth[normalization] = (squares[-1] / squares[0]) ** (1 / (len(squares) - 1))
    assert 1.5 < growth["none"] < 2.5
    assert growth["batch"] < 1.15


@pytest.mark.parametrize(
    ("knobs", "layer", "kind"),
    [
        ({}, "pool", nn.MaxPool2d),
        ({"pooling": "average"}, "pool", nn.AvgPool2d),
        ({"activation": "tanh"}, "activation", nn.Tanh),
        ({"activation": "tanh"}, "conv3_x.1.activation", nn.Tanh),
        ({"normalization": "none"}, "conv4_x.0.shortcut.bn", nn.Identity),
        ({"depth": 34}, "conv5_x.2", BasicBlock),
        ({"depth": 101}, "conv4_x.22", Bottleneck),
        ({"depth": 152}, "conv4_x.35", Bottleneck),
    ],
)
def test_a_knob_changes_its_layer(knobs: Any, layer: str, kind: type[nn.Module]) -> None:
    assert type(on_meta(**knobs).get_submodule(layer)) is kind


@pytest.mark.parametrize("window", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(("stride", "side"), [(1, 112), (2, 56), (4, 28)])
def test_a_pool_of_any_window_divides_the_side_by_its_stride(window: int, stride: int, side: int) -> None:
    seen = outputs(on_meta(depth=18, pool_window=window, pool_stride=stride), 224)
    # An even window overhangs less: by one pixel at stride 1.
    assert seen["pool"].shape[2] in ((side,) if stride > 1 or window % 2 else (side - 1,))


@pytest.mark.parametrize("activation", get_args(Activation))
@pytest.mark.parametrize("normalization", ["batch", "none"])
def test_every_activation_trains_every_layer(activation: Any, normalization: Any) -> None:
    torch.manual_seed(0)
    knobs: Any = {"activation": activation, "normalization": normalization, "num_classes": 4}
    for model, size in ((ResNet(width=0.05, **knobs), 64), (CifarResNet(depth=8, **knobs), 8)):
        functional.cross_entropy(model(torch.randn(4, 3, size, size)), torch.arange(4)).backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
        assert model.conv1.weight.grad.any()


@pytest.mark.parametrize(
    ("width", "expected"),
    [(0.01, [2, 2, 2, 2, 6]), (0.25, [16, 16, 32, 64, 128]), (2.0, [128, 128, 256, 512, 1024])],
)
def test_width_multiplies_the_channels(width: float, expected: list[int]) -> None:
    model = on_meta(depth=18, width=width)
    stages = (model.conv2_x, model.conv3_x, model.conv4_x, model.conv5_x)
    assert [model.conv1.out_channels, *(stage[-1].conv2.out_channels for stage in stages)] == expected
    bottlenecks = on_meta(width=width)
    assert bottlenecks.conv4_x[1].conv2.out_channels == expected[3]
    assert bottlenecks.fc.in_features == 4 * expected[4]


@pytest.mark.parametrize("size", [32, 33, 64, 127, 299])
@pytest.mark.parametrize("shortcut", get_args(Shortcut))
@pytest.mark.parametrize("depth", [18, 50])
def test_images_of_any_size_and_channels_fit(size: int, shortcut: Any, depth: Any) -> None:
    model = on_meta(depth=depth, shortcut=shortcut, image_size=size, in_channels=1, num_classes=7)
    assert model(torch.empty(2, 1, size, size, device="meta")).shape == (2, 7)
    if depth == 18:
        cifar = cifar_on_meta(shortcut=shortcut, image_size=size, in_channels=1, num_classes=7)
        assert cifar(torch.empty(2, 1, size, size, device="meta")).shape == (2, 7)


@pytest.mark.parametrize(("training", "zeros"), [(True, 0.3), (False, 0.0)])
def test_dropout_zeroes_inputs_of_fc_in_training_only(training: bool, zeros: float) -> None:
    torch.manual_seed(0)
    for model, size in ((ResNet(depth=18, dropout=0.3, activation="sigmoid"), 32), (CifarResNet(dropout=0.3), 8)):
        seen: list[Tensor] = []
        model.train(training).fc.register_forward_pre_hook(lambda _, inputs, seen=seen: seen.append(inputs[0]))
        with torch.no_grad():
            model(torch.randn(32, 3, size, size))
        assert (seen[0] == 0).float().mean().item() == pytest.approx(zeros, abs=0.05)


@pytest.mark.parametrize("dropout", [None, 0.0])
def test_there_is_no_dropout_unless_asked_for(dropout: Any) -> None:
    assert on_meta(dropout=dropout).dropout.p == cifar_on_meta(dropout=dropout).dropout.p == 0


@pytest.mark.parametrize(
    ("knobs", "says"),
    [
        ({"weights": "IMAGENET1K_V1"}, "add model.variant=torchvision"),
        ({"depth": 18, "bottleneck_stride": "3x3"}, "bottleneck_stride=3x3: depth=18 has no bottlenecks"),
        ({"depth": 34, "bottleneck_stride": "1x1"}, "bottleneck_stride=1x1: depth=34 has no bottlenecks"),
        (
            {"variant": "torchvision", "depth": 18, "weights": "IMAGENET1K_V2"},
            "weights=IMAGENET1K_V2: for resnet18 torchvision publishes IMAGENET1K_V1",
        ),
        *(
            ({"variant": "torchvision", "weights": "IMAGENET1K_V2"} | other, "shortcut=B and normalization=batch")
            for other in ({"shortcut": "A"}, {"shortcut": "C"}, {"shortcut": "none"}, {"normalization": "none"})
        ),
    ],
)
def test_what_cannot_be_combined_is_refused(knobs: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        on_meta(**knobs)


@pytest.mark.parametrize(
    ("depth", "millions", "digits"),
    [(20, 0.27, 2), (32, 0.46, 2), (44, 0.66, 2), (56, 0.85, 2), (110, 1.7, 1), (1202, 19.4, 1)],
)
def test_parameters_of_the_small_networks_are_those_of_table_6(depth: int, millions: float, digits: int) -> None:
    model = cifar_on_meta(depth=depth)
    assert round(parameters(model) / 1e6, digits) == millions
    assert parameters(cifar_on_meta(depth=depth, shortcut="none")) == parameters(model)
    assert len(weighted(model)) == depth


@pytest.mark.parametrize(
    ("depth", "macs", "units"), [(20, 40.6, 188_426), (56, 125.5, 532_490), (110, 252.9, 1_048_586)]
)
def test_multiply_adds_and_units_of_the_small_networks_are_as_tabled(depth: int, macs: float, units: int) -> None:
    counts = macs_and_units(cifar_on_meta(depth=depth), 32).values()
    assert round(sum(macs for macs, _ in counts) / 1e6, 1) == macs
    assert sum(units for _, units in counts) == units


def test_feature_maps_of_the_small_networks_shrink_as_in_section_4_2() -> None:
    seen = outputs(cifar_on_meta(), 32)
    shapes = [tuple(seen[name].shape[1:]) for name in ("conv1", "conv2_x", "conv3_x", "conv4_x", "fc")]
    assert shapes == [(16, 32, 32), (16, 32, 32), (32, 16, 16), (64, 8, 8), (10,)]


@pytest.mark.parametrize(
    ("depth", "near"),
    [
        (-4, "is 8"),
        (0, "is 8"),
        (2, "is 8"),
        (7, "is 8"),
        (9, "is 8 or 14"),
        (13, "is 8 or 14"),
        (50, None),
        (55, "is 50 or 56"),
    ],
)
def test_a_depth_that_is_not_6n_plus_2_is_refused_with_the_nearest(depth: int, near: str | None) -> None:
    if near is None:
        assert len(weighted(cifar_on_meta(depth=depth))) == depth
        return
    with pytest.raises(ValueError, match=f"depth={depth} is not 6n \\+ 2; the nearest {near}$"):
        cifar_on_meta(depth=depth)


@pytest.mark.parametrize("shortcut", ["A", "B", "C"])
def test_gradients_reach_every_layer_of_110(shortcut: Any) -> None:
    torch.manual_seed(0)
    model = CifarResNet(depth=110, shortcut=shortcut, width=0.25)
    functional.cross_entropy(model(torch.randn(4, 3, 16, 16)), torch.arange(4)).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name
