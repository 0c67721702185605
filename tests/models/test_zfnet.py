"""ZFNet is the network of the paper's Fig. 3, or of the slides, and its knobs do what they say."""

import math
from itertools import product
from typing import Any, get_args

import pytest
import torch
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional

from cnnlit.models.layers import Activation, Normalization
from cnnlit.models.zfnet import ZFNet

LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")
NARROW = 1 / 32
TINY: dict[str, Any] = {"width": NARROW, "image_size": 64, "num_classes": 10}


def outputs_of(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """The output of every module by name, in the order of computation."""
    outputs: dict[str, Tensor] = {}
    for name, layer in model.named_modules():

        def note(layer: nn.Module, inputs: tuple[Tensor], output: Tensor, name: str = name) -> None:
            outputs[name] = output.detach().clone()  # before a ReLU overwrites it

        layer.register_forward_hook(note)
    model(images)
    return outputs


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def on_meta(**arguments: Any) -> tuple[ZFNet, dict[str, Tensor]]:
    with torch.device("meta"):
        model = ZFNet(**arguments)
        return model, outputs_of(model, torch.empty(1, 3, 224, 224))


def shapes(outputs: dict[str, Tensor], *names: str) -> list[tuple[int, ...]]:
    return [tuple(outputs[name].shape[1:]) for name in names]


def macs(model: nn.Module, outputs: dict[str, Tensor]) -> list[int]:
    """Multiply-adds of each layer: the weights of every unit, without the bias."""
    weights = [model.get_submodule(name).weight for name in LAYERS]
    return [outputs[name].numel() * weight[0].numel() for name, weight in zip(LAYERS, weights, strict=True)]


def test_output_shapes_are_those_of_figure_3() -> None:
    _, outputs = on_meta()
    assert shapes(outputs, "conv1", "pool1", "lrn1") == [(96, 110, 110), (96, 55, 55), (96, 55, 55)]
    assert shapes(outputs, "conv2", "pool2", "lrn2") == [(256, 26, 26), (256, 13, 13), (256, 13, 13)]
    assert shapes(outputs, "conv3", "conv4", "conv5", "pool5") == [
        (384, 13, 13),
        (384, 13, 13),
        (256, 13, 13),
        (256, 6, 6),
    ]
    assert shapes(outputs, "fc6", "fc7", "fc8") == [(4096,), (4096,), (1000,)]


def test_counts_are_those_of_figure_3() -> None:
    model, outputs = on_meta()
    parameters = [sum(p.numel() for p in model.get_submodule(name).parameters()) for name in LAYERS]
    assert parameters == [14_208, 614_656, 885_120, 1_327_488, 884_992, 37_752_832, 16_781_312, 4_097_000]
    assert [round(n / 1e5) for n in macs(model, outputs)] == [1708, 4153, 1495, 2243, 1495, 377, 168, 41]


@pytest.mark.parametrize(
    ("variant", "maps", "parameters", "giga_macs", "units"),
    [
        ("paper", (96, 256, 384, 384, 256), 62_357_608, 1.168, 1_516_904),
        ("slides", (96, 256, 512, 1024, 512), 107_627_624, 2.477, 1_689_960),
    ],
)
def test_a_variant_has_its_channels_and_its_counts(
    variant: Any, maps: tuple[int, ...], parameters: int, giga_macs: float, units: int
) -> None:
    model, outputs = on_meta(variant=variant)
    assert tuple(model.get_submodule(name).out_channels for name in LAYERS[:5]) == maps
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert round(sum(macs(model, outputs)) / 1e9, 3) == giga_macs
    assert sum(outputs[name].numel() for name in LAYERS) == units


@pytest.mark.parametrize("image_size", [224, 64])
@pytest.mark.parametrize("variant", ["paper", "slides"])
def test_the_network_is_what_torchs_functions_compute(variant: Any, image_size: int) -> None:
    model = ZFNet(variant=variant, width=NARROW, image_size=image_size, initialization="he2015").double().eval()
    with torch.no_grad():
        for name in LAYERS:
            model.get_submodule(name).bias.uniform_(-0.5, 0.5)
    images = 20 * random(2, 3, image_size, image_size, dtype=torch.float64)  # large enough for LRN to matter

    def convolved(x: Tensor, number: int, stride: int, padding: int) -> Tensor:
        layer = model.get_submodule(f"conv{number}")
        return functional.conv2d(x, layer.weight, layer.bias, stride, padding).relu()

    def pooled(x: Tensor) -> Tensor:
        return functional.max_pool2d(x, 3, 2, ceil_mode=True)

    def normalized(x: Tensor) -> Tensor:
        return functional.local_response_norm(x, 5, alpha=5e-4, beta=0.75, k=2.0)

    x = normalized(pooled(convolved(images, 1, 2, 1)))
    x = normalized(pooled(convolved(x, 2, 2, 0)))
    x = pooled(convolved(convolved(convolved(x, 3, 1, 1), 4, 1, 1), 5, 1, 1))
    x = functional.linear(x.flatten(1), model.fc6.weight, model.fc6.bias).relu()
    x = functional.linear(x, model.fc7.weight, model.fc7.bias).relu()
    torch.testing.assert_close(model(images), functional.linear(x, model.fc8.weight, model.fc8.bias))


def test_initial_weights_are_normal_with_deviation_001_and_zero_biases() -> None:
    torch.manual_seed(0)
    model = ZFNet(width=1 / 8)
    for name in LAYERS:
        weight, bias = model.get_submodule(name).parameters()
        assert not bias.any()
        sample = weight.detach().flatten()[:20_000]
        assert stats.kstest(sample * 100, "norm").pvalue > 1e-4, name


def test_initialization_is_the_one_requested() -> None:
    model = ZFNet(width=1 / 8, initialization="he2015")
    for name in LAYERS:
        weight = model.get_submodule(name).weight.detach()
        assert weight.std().item() == pytest.approx(math.sqrt(2 / weight[0].numel()), rel=0.1), name


def test_classes_channels_and_width_are_those_requested() -> None:
    with torch.device("meta"):
        model = ZFNet(num_classes=37, in_channels=1, width=0.5)
        assert model(torch.empty(2, 1, 224, 224)).shape == (2, 37)
    assert [model.get_submodule(name).out_channels for name in LAYERS[:5]] == [48, 128, 192, 192, 128]
    assert (model.fc6.out_features, model.fc7.out_features) == (2048, 2048)


def torch_computes(image_size: int, window: int, stride: int) -> bool:
    """Whether anything is left for fc6, judged by torch's own errors."""
    with torch.device("meta"):
        kernel7, kernel5 = torch.empty(1, 1, 7, 7), torch.empty(1, 1, 5, 5)
        try:
            x = functional.conv2d(torch.empty(1, 1, image_size, image_size), kernel7, stride=2, padding=1)
            x = functional.conv2d(functional.max_pool2d(x, window, stride, ceil_mode=True), kernel5, stride=2)
            for _ in range(2):
                x = functional.max_pool2d(x, window, stride, ceil_mode=True)
        except RuntimeError:
            return False
        return x.numel() > 0


@pytest.mark.parametrize("window", [1, 2, 3, 4])
def test_images_that_leave_nothing_for_fc6_are_refused_and_no_others(window: int) -> None:
    accepted = []
    for image_size, stride in product(range(5, 90, 4), [1, 2, 3]):
        size: Any = {"image_size": image_size, "pool_window": window, "pool_stride": stride, "width": 1 / 64}
        accepted.append(torch_computes(image_size, window, stride))
        if accepted[-1]:
            assert ZFNet(**size)(torch.zeros(1, 3, image_size, image_size)).shape == (1, 1000)
        else:
            with pytest.raises(ValueError, match=f"image_size={image_size} leaves nothing for fc6"):
                ZFNet(**size)
    assert len(set(accepted)) == 2


def test_47_pixels_are_the_fewest() -> None:
    assert ZFNet(image_size=47, width=NARROW)(torch.zeros(1, 3, 47, 47)).shape == (1, 1000)
    with pytest.raises(ValueError, match="image_size=46 leaves nothing for fc6; use larger images or smaller pools"):
        ZFNet(image_size=46, width=NARROW)


@pytest.mark.parametrize("pooling", ["max", "average"])
@pytest.mark.parametrize(("window", "stride"), [(2, 2), (3, 3)])
def test_pools_have_the_requested_type_and_size(pooling: Any, window: int, stride: int) -> None:
    model = ZFNet(**TINY, pooling=pooling, pool_window=window, pool_stride=stride, normalization="none")
    outputs = outputs_of(model, random(2, 3, 64, 64))
    for number in (1, 2, 5):
        convolved = outputs[f"conv{number}"].relu()
        if pooling == "max":
            expected = functional.max_pool2d(convolved, window, stride, ceil_mode=True)
        else:
            expected = functional.avg_pool2d(convolved, window, stride, ceil_mode=True, count_include_pad=False)
        torch.testing.assert_close(outputs[f"pool{number}"], expected)


def test_normalization_is_lrn_unless_told_otherwise() -> None:
    torch.manual_seed(0)
    models = {
        name: ZFNet(**TINY, normalization=name, initialization="he2015") for name in (None, *get_args(Normalization))
    }
    for model in models.values():
        model.load_state_dict(models[None].state_dict(), strict=False)
    images = 50 * random(4, 3, 64, 64)
    logits = {name: model.eval()(images) for name, model in models.items()}
    assert torch.equal(logits[None], logits["lrn"])
    assert not torch.allclose(logits["none"], logits["lrn"])
    assert not torch.allclose(logits["batch"], logits["lrn"])


def test_batch_normalization_comes_before_each_relu_in_place_of_lrn() -> None:
    model = ZFNet(**TINY, normalization="batch", initialization="he2015")
    outputs = outputs_of(model, random(8, 3, 64, 64))
    for number in range(1, 6):
        normalized = outputs[f"norm{number}"]
        torch.testing.assert_close(normalized.mean((0, 2, 3)), torch.zeros(normalized.shape[1]), atol=1e-5, rtol=0)
        assert (normalized < 0).any()
    torch.testing.assert_close(outputs["lrn2"], functional.max_pool2d(outputs["norm2"].relu(), 3, 2, ceil_mode=True))


@pytest.mark.parametrize("activation", get_args(Activation))
@pytest.mark.parametrize("normalization", get_args(Normalization))
def test_every_parameter_learns(activation: Any, normalization: Any) -> None:
    torch.manual_seed(0)
    model = ZFNet(**TINY, activation=activation, normalization=normalization, initialization="he2015")
    functional.cross_entropy(model(random(4, 3, 64, 64)), torch.arange(4)).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_activation_follows_every_layer_but_the_last() -> None:
    model = ZFNet(**TINY, activation="sigmoid", normalization="none", dropout=0.0)
    outputs = outputs_of(model, random(2, 3, 64, 64))
    for number in (1, 2, 5):
        expected = functional.max_pool2d(outputs[f"conv{number}"].sigmoid(), 3, 2, ceil_mode=True)
        torch.testing.assert_close(outputs[f"pool{number}"], expected)
    torch.testing.assert_close(
        outputs["fc8"], model.fc8(model.fc7(model.fc6(outputs["pool5"].flatten(1)).sigmoid()).sigmoid())
    )


@pytest.mark.parametrize(("dropout", "fraction"), [(None, 0.5), (0.2, 0.2), (0.0, 0.0)])
def test_dropout_zeroes_outputs_of_fc6_and_fc7_in_training_only(dropout: Any, fraction: float) -> None:
    torch.manual_seed(0)
    model = ZFNet(**TINY, dropout=dropout, activation="sigmoid")  # whose outputs are never zero by themselves
    inputs = {}
    for name in LAYERS:
        layer = model.get_submodule(name)
        layer.register_forward_pre_hook(lambda _, given, name=name: inputs.update({name: given[0]}))
    images = random(32, 3, 64, 64)
    model(images)
    dropped = {name: (given == 0).sum().item() for name, given in inputs.items()}
    assert {name for name, zeros in dropped.items() if zeros} == ({"fc7", "fc8"} if fraction else set())
    for name in ("fc7", "fc8"):
        assert stats.binomtest(dropped[name], inputs[name].numel(), fraction).pvalue > 1e-4
    model.eval()
    assert torch.equal(model(images), model(images))
