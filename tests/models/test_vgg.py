"""VGG is the network of the paper in all configurations, or torchvision's, and its knobs do what they say."""

import inspect
import math
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
import torchvision
import yaml
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from cnnlit.models import vgg
from cnnlit.models.layers import Activation, Initialization, Normalization
from cnnlit.models.vgg import VGG, Configuration, torchvision_names
from cnnlit.models.weights import fill, from_torchvision

CONF = Path(__file__).parents[2] / "conf" / "model"
TABLE_1 = {
    "A": "64 M 128 M 256 256 M 512 512 M 512 512 M",
    "A-LRN": "64 LRN M 128 M 256 256 M 512 512 M 512 512 M",
    "B": "64 64 M 128 128 M 256 256 M 512 512 M 512 512 M",
    "C": "64 64 M 128 128 M 256 256 1x256 M 512 512 1x512 M 512 512 1x512 M",
    "D": "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M",
    "E": "64 64 M 128 128 M 256 256 256 256 M 512 512 512 512 M 512 512 512 512 M",
}
"""3x3 convolutions by their output channels, 1x1 ones marked; M: max pool."""
OF_TORCHVISION = {"A": "vgg11", "B": "vgg13", "D": "vgg16", "E": "vgg19"}
FORMS = list(product(OF_TORCHVISION, ["none", "batch"]))
NARROW = 1 / 32
TINY: dict[str, Any] = {"width": NARROW, "image_size": 32, "num_classes": 10, "initialization": "he2015"}


def layers_of(model: nn.Module) -> dict[str, Any]:
    """The layers with weights, by their names in the paper."""
    named = model.named_modules()
    return {name.rpartition(".")[2]: layer for name, layer in named if isinstance(layer, nn.Conv2d | nn.Linear)}


def outputs_of(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """The output of every module by name, in the order of computation."""
    outputs: dict[str, Tensor] = {}
    for name, layer in model.named_modules():

        def note(layer: nn.Module, inputs: tuple[Tensor], output: Tensor, name: str = name) -> None:
            outputs[name.rpartition(".")[2]] = output.detach().clone()  # before a ReLU overwrites it

        layer.register_forward_hook(note)
    model(images)
    return outputs


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def on_meta(**arguments: Any) -> tuple[VGG, dict[str, Tensor]]:
    with torch.device("meta"):
        model = VGG(**arguments)
        return model, outputs_of(model, torch.empty(1, 3, 224, 224))


@pytest.mark.parametrize(
    ("configuration", "depth", "parameters", "millions", "giga_macs", "mega_units"),
    [
        ("A", 11, 132_863_336, 133, 7.609, 7.44),
        ("A-LRN", 11, 132_863_336, 133, 7.609, 7.44),
        ("B", 13, 133_047_848, 133, 11.308, 12.25),
        ("C", 16, 133_638_952, 134, 11.771, 13.56),
        ("D", 16, 138_357_544, 138, 15.470, 13.56),
        ("E", 19, 143_667_240, 144, 19.632, 14.86),
    ],
)
def test_counts_are_those_of_the_paper(
    configuration: Any, depth: int, parameters: int, millions: int, giga_macs: float, mega_units: float
) -> None:
    model, outputs = on_meta(configuration=configuration)
    layers = layers_of(model)
    assert len(layers) == depth
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert round(parameters / 1e6) == millions  # Paper: Table 2
    macs = sum(outputs[name].numel() * layer.weight[0].numel() for name, layer in layers.items())
    assert round(macs / 1e9, 3) == giga_macs
    assert round(sum(outputs[name].numel() for name in layers) / 1e6, 2) == mega_units


def test_the_stages_of_d_count_as_documented() -> None:
    model, outputs = on_meta(configuration="D")
    parameters = [sum(p.numel() for p in model.get_submodule(f"conv{n}").parameters()) for n in range(1, 6)]
    assert parameters == [38_720, 221_440, 1_475_328, 5_899_776, 7_079_424]
    macs = dict.fromkeys(range(1, 6), 0)
    for name, layer in layers_of(model).items():
        if name.startswith("conv"):
            macs[int(name[4])] += outputs[name].numel() * layer.weight[0].numel()
    assert [round(n / 1e6) for n in macs.values()] == [1936, 2775, 4624, 4624, 1387]


@pytest.mark.parametrize("configuration", TABLE_1)
def test_layers_are_those_of_table_1(configuration: Any) -> None:
    model, outputs = on_meta(configuration=configuration)
    layers = layers_of(model)
    side, number, index = 224, 1, 0
    seen = []
    for word in TABLE_1[configuration].split():
        if word == "M":
            side //= 2
            assert outputs[f"pool{number}"].shape[2:] == (side, side)
            number, index = number + 1, 0
        elif word != "LRN":
            index += 1
            seen.append(f"conv{number}_{index}")
            maps = int(word.removeprefix("1x"))
            kernel = (1, 1) if word.startswith("1x") else (3, 3)
            assert (layers[seen[-1]].out_channels, layers[seen[-1]].kernel_size) == (maps, kernel)
            assert outputs[seen[-1]].shape[1:] == (maps, side, side)
    assert list(layers) == [*seen, "fc6", "fc7", "fc8"]
    assert [outputs[name].shape[1] for name in ("fc6", "fc7", "fc8")] == [4096, 4096, 1000]
    assert side == 7


@pytest.mark.parametrize("configuration", TABLE_1)
def test_the_network_is_what_torchs_functions_compute(configuration: Any) -> None:
    model = VGG(**{**TINY, "image_size": 64}, configuration=configuration).double().eval()
    layers = iter(layers_of(model).values())
    with torch.no_grad():
        for layer in layers_of(model).values():
            layer.bias.uniform_(-0.5, 0.5)
    images = 20 * random(2, 3, 64, 64, dtype=torch.float64)  # large enough for LRN to matter
    x = images
    for word in TABLE_1[configuration].split():
        if word == "M":
            x = functional.max_pool2d(x, 2)
        elif word == "LRN":
            x = functional.local_response_norm(x, 5, alpha=5e-4, beta=0.75, k=2.0)
        else:
            layer = next(layers)
            x = functional.conv2d(x, layer.weight, layer.bias, padding=0 if word.startswith("1x") else 1).relu()
    x = x.flatten(1)
    for last in (False, False, True):
        layer = next(layers)
        x = functional.linear(x, layer.weight, layer.bias)
        x = x if last else x.relu()
    torch.testing.assert_close(model(images), x)


@pytest.mark.parametrize(("number", "side"), [(2, 5), (3, 7)])
def test_stacked_3x3_see_a_large_window_with_fewer_weights(number: int, side: int) -> None:
    # Paper: Sec. 2.3, 27 C^2 against 49 C^2 for three of them; two have 18 C^2 against 25 C^2.
    with torch.device("meta"):
        stack = list(layers_of(VGG(configuration="E").conv4).values())[1 : 1 + number]
        single = nn.Conv2d(512, 512, side)
    assert sum(layer.weight.numel() for layer in stack) == 9 * number * 512**2
    assert single.weight.numel() == side**2 * 512**2

    narrow = list(layers_of(VGG(configuration="E", width=NARROW).double().conv4).values())[1 : 1 + number]
    maps = torch.zeros(1, 16, 15, 15, dtype=torch.float64, requires_grad=True)
    nn.Sequential(*narrow)(maps)[0, :, 7, 7].sum().backward()
    seen = maps.grad.abs().sum((0, 1)).nonzero()
    assert seen.amin(0).tolist() == [7 - side // 2] * 2
    assert seen.amax(0).tolist() == [7 + side // 2] * 2
    assert len(seen) == side**2


def std_of(law: str, weight: Tensor) -> float:
    fan_in = weight[0].numel()
    fan_out = weight.shape[0] * weight[0, 0].numel()
    return {"he2015": math.sqrt(2 / fan_in), "glorot2010": math.sqrt(2 / (fan_in + fan_out))}.get(law, 0.01)


@pytest.mark.parametrize("variant", ["paper", "torchvision"])
@pytest.mark.parametrize("law", [None, *get_args(Initialization)])
def test_initial_weights_follow_their_distribution(variant: Any, law: Any) -> None:
    torch.manual_seed(0)
    model = VGG(variant=variant, width=1 / 8, image_size=64, initialization=law)
    law = law or {"paper": "simonyan2014", "torchvision": "he2015"}[variant]
    wider = [layer for layer in layers_of(model).values() if isinstance(layer, nn.Conv2d)][2:]
    for name, layer in layers_of(model).items():
        assert not layer.bias.any(), name
        std = 0.03 if law == "cuda_convnet2" and layer in wider else std_of(law, layer.weight)
        sample = layer.weight.detach().flatten()[:20_000] / std
        half = math.sqrt(3)
        reference = stats.uniform(-half, 2 * half) if law == "glorot2010" else stats.norm
        assert stats.kstest(sample, reference.cdf).pvalue > 1e-4, name


def narrow_torchvision(configuration: str, normalization: str) -> nn.Module:
    """torchvision's class with 1/32 of the channels and units, like VGG(width=1/32)."""
    words = [word if word == "M" else int(word) // 32 for word in TABLE_1[configuration].split()]
    with torch.device("meta"):
        model = torchvision.models.VGG(nn.Identity(), num_classes=10)
    model.features = torchvision.models.vgg.make_layers(words, batch_norm=normalization == "batch")
    model.classifier[0] = nn.Linear(16 * 7 * 7, 128)
    model.classifier[3] = nn.Linear(128, 128)
    model.classifier[6] = nn.Linear(128, 10)
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.normal_(layer.bias, std=0.1)
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias)
            nn.init.normal_(layer.running_mean)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
    return model


@pytest.mark.parametrize(("configuration", "normalization"), FORMS)
@pytest.mark.parametrize("image_size", [224, 64])
def test_torchvisions_weights_give_torchvisions_outputs(
    configuration: Any, normalization: Any, image_size: int
) -> None:
    torch.manual_seed(0)
    theirs = narrow_torchvision(configuration, normalization)
    knobs = {**TINY, "image_size": image_size}
    ours = VGG(**knobs, variant="torchvision", configuration=configuration, normalization=normalization)
    names = torchvision_names(configuration, batch=normalization == "batch")
    fill(ours, from_torchvision(theirs.state_dict(), names), "torchvision", ("fc8",))
    images = random(2, 3, image_size, image_size)
    expected = theirs.eval()(images)
    assert (expected[0] - expected[1]).abs().max() > 0.1
    torch.testing.assert_close(ours.eval()(images), expected, atol=1e-5, rtol=0)
    torch.manual_seed(1)
    expected = theirs.train()(images)
    torch.manual_seed(1)  # for dropout
    torch.testing.assert_close(ours.train()(images), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("configuration", "normalization"), FORMS)
def test_torchvisions_published_networks_have_our_names_and_shapes(configuration: Any, normalization: Any) -> None:
    with torch.device("meta"):
        name = OF_TORCHVISION[configuration] + ("_bn" if normalization == "batch" else "")
        theirs = torchvision.models.get_model(name).state_dict()
        ours = VGG(variant="torchvision", configuration=configuration, normalization=normalization).state_dict()
    renamed = from_torchvision(theirs, torchvision_names(configuration, batch=normalization == "batch"))
    assert {key: value.shape for key, value in renamed.items()} == {key: value.shape for key, value in ours.items()}
    assert [key.rpartition(".")[2] for key in renamed] == [key.rpartition(".")[2] for key in ours]


def operations_of(model: nn.Module) -> Counter[str]:
    """The operations of a training step, and how often torch runs each."""

    class Counting(TorchDispatchMode):
        def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            counts[str(operation)] += 1
            return operation(*args, **(kwargs or {}))

    counts: Counter[str] = Counter()
    with Counting():
        model(torch.empty(2, 3, 224, 224, device="meta")).sum().backward()
    return counts


@pytest.mark.parametrize(("configuration", "normalization"), FORMS)
def test_a_training_step_is_torchvisions_and_of_the_papers_form_no_more(configuration: Any, normalization: Any) -> None:
    with torch.device("meta"):
        name = OF_TORCHVISION[configuration] + ("_bn" if normalization == "batch" else "")
        theirs = operations_of(torchvision.models.get_model(name))
        knobs: Any = {"configuration": configuration, "normalization": normalization}
        assert operations_of(VGG(**knobs, variant="torchvision")) == theirs
        assert operations_of(VGG(**knobs)) < theirs


@pytest.mark.parametrize(("configuration", "normalization"), FORMS)
def test_weights_are_those_that_torchvision_publishes_for_the_form(
    monkeypatch: pytest.MonkeyPatch, configuration: Any, normalization: Any
) -> None:
    asked = []
    monkeypatch.setattr(vgg, "load_published", lambda *arguments, **keywords: asked.append((*arguments, keywords)))
    model = VGG(
        **TINY, variant="torchvision", configuration=configuration, normalization=normalization, weights="IMAGENET1K_V1"
    )
    names = torchvision_names(configuration, batch=normalization == "batch")
    name = OF_TORCHVISION[configuration] + ("_bn" if normalization == "batch" else "")
    assert asked == [(model, name, "IMAGENET1K_V1", names, {"heads": ("fc8",)})]
    assert "IMAGENET1K_V1" in torchvision.models.get_model_weights(name).__members__


@pytest.mark.parametrize(
    ("knobs", "says"),
    [
        (
            {"weights": "IMAGENET1K_V1"},
            "model.weights=IMAGENET1K_V1 belongs to another network; add model.variant=torchvision",
        ),
        ({"variant": "torchvision", "configuration": "C"}, "model.configuration=C: torchvision has only A, B, D, E"),
        (
            {"variant": "torchvision", "configuration": "A-LRN"},
            "model.configuration=A-LRN: torchvision has only A, B, D, E",
        ),
        (
            {"variant": "torchvision", "weights": "IMAGENET1K_V1", "init_from": "runs/a"},
            "model.init_from=runs/a: model.weights=IMAGENET1K_V1 already sets all weights; use one",
        ),
        ({"image_size": 31}, "image_size=31 leaves nothing for fc6; use larger images or smaller pools"),
        ({"image_size": 31, "variant": "torchvision"}, "image_size=31 leaves nothing for fc6"),
    ],
)
def test_what_cannot_be_combined_is_refused(knobs: Any, says: str) -> None:
    with pytest.raises(ValueError, match=f"^{says}") as refusal:
        VGG(**{"width": NARROW, **knobs})
    assert "\n" not in str(refusal.value)


def write_run(folder: Path, model: nn.Module) -> str:
    """Write the parts of a run's last checkpoint that others read; returns the folder."""
    state = {f"model.{key}": value for key, value in model.state_dict().items()}
    (folder / "checkpoints").mkdir(parents=True)
    torch.save({"state_dict": {**state, "loss.weight": torch.ones(3)}}, folder / "checkpoints" / "last.ckpt")
    return str(folder)


@pytest.mark.parametrize("configuration", [name for name in TABLE_1 if name != "A"])
@pytest.mark.parametrize("normalization", ["none", "batch"])
def test_a_deeper_network_starts_with_the_outer_layers_of_a(
    tmp_path: Path, configuration: Any, normalization: Any
) -> None:
    knobs: Any = {**TINY, "normalization": normalization}
    torch.manual_seed(0)
    a = VGG(**knobs, configuration="A")
    a(random(4, 3, 32, 32))  # which updates the running means
    folder = write_run(tmp_path, a)
    torch.manual_seed(1)
    staged = VGG(**knobs, configuration=configuration, init_from=folder)
    torch.manual_seed(1)
    fresh = VGG(**knobs, configuration=configuration)

    first_four, last_three = list(layers_of(a))[:4], list(layers_of(a))[-3:]
    copied = set()
    for key, value in staged.state_dict().items():
        layer = key.split(".")[-2].replace("norm", "conv")
        if layer in [*first_four, *last_three]:
            copied.add(layer)
            assert torch.equal(value, a.state_dict()[key]), key
        else:
            assert torch.equal(value, fresh.state_dict()[key]), key
    assert copied == {"conv1_1", "conv2_1", "conv3_1", "conv3_2", "fc6", "fc7", "fc8"}


@pytest.mark.parametrize(
    ("there", "here", "says"),
    [
        ({}, {"num_classes": 7}, "fc8.weight is [10, 128] there and [7, 128] here"),
        ({"image_size": 64}, {}, "fc6.weight is [128, 64] there and [128, 16] here"),
        ({"width": 1 / 16}, {}, "conv1.conv1_1.weight is [4, 3, 3, 3] there and [2, 3, 3, 3] here"),
        ({}, {"normalization": "batch"}, "conv1.norm1_1.weight is missing there and [2] here"),
        ({"normalization": "batch"}, {}, "conv1.norm1_1.weight is [2] there and missing here"),
    ],
)
def test_a_run_that_does_not_fit_is_refused_by_its_parameter(
    tmp_path: Path, there: dict[str, Any], here: dict[str, Any], says: str
) -> None:
    folder = write_run(tmp_path, VGG(**{**TINY, **there}, configuration="A"))
    with pytest.raises(ValueError, match="does not fit") as refusal:
        VGG(**{**TINY, **here}, init_from=folder)
    assert str(refusal.value) == f"model.init_from={folder} does not fit: {says}"


def test_a_run_of_another_network_is_refused(tmp_path: Path) -> None:
    folder = write_run(tmp_path, nn.Linear(3, 4))
    with pytest.raises(ValueError, match=r"conv1\.conv1_1\.weight is missing there and \[2, 3, 3, 3\] here"):
        VGG(**TINY, init_from=folder)


def test_a_folder_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"model\.init_from=.*nothing: there is no .*last\.ckpt"):
        VGG(**TINY, init_from=str(tmp_path / "nothing"))


@pytest.mark.parametrize("variant", ["paper", "torchvision"])
def test_classes_channels_and_width_are_those_requested(variant: Any) -> None:
    with torch.device("meta"):
        model = VGG(variant=variant, num_classes=37, in_channels=1, width=0.5)
        assert model(torch.empty(2, 1, 224, 224)).shape == (2, 37)
    assert [stage[0].out_channels for stage in (model.conv1, model.conv2, model.conv3, model.conv4)] == [
        32,
        64,
        128,
        256,
    ]
    assert (model.fc6.out_features, model.fc7.out_features) == (2048, 2048)


def test_fc6_covers_what_pool5_leaves_or_7x7() -> None:
    with torch.device("meta"):
        for image_size in (32, 63, 64, 224, 256):
            assert VGG(image_size=image_size).fc6.in_features == 512 * (image_size // 32) ** 2
            assert VGG(variant="torchvision", image_size=image_size).fc6.in_features == 512 * 49


@pytest.mark.parametrize(("window", "stride"), [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2), (3, 3)])
def test_images_that_leave_nothing_for_fc6_are_refused_and_no_others(window: int, stride: int) -> None:
    accepted = []
    for image_size in (*range(1, 20), 31, 32, 47, 62, 63, 300, 363, 364):
        side = image_size
        for _ in range(5):  # where a window fits, by walking over the image
            side = len(range(0, side - window + 1, stride))
        knobs: Any = {"width": NARROW, "image_size": image_size, "pool_window": window, "pool_stride": stride}
        accepted.append(side > 0)
        with torch.device("meta"):
            if side:
                assert VGG(**knobs)(torch.zeros(1, 3, image_size, image_size)).shape == (1, 1000)
            else:
                with pytest.raises(ValueError, match=f"image_size={image_size} leaves nothing for fc6"):
                    VGG(**knobs)
    assert any(accepted)
    assert window == 1 or not all(accepted)


@pytest.mark.parametrize("pooling", ["max", "average"])
@pytest.mark.parametrize(("window", "stride"), [(2, 2), (3, 2), (2, 1)])
def test_pools_have_the_requested_type_and_size(pooling: Any, window: int, stride: int) -> None:
    model = VGG(**{**TINY, "image_size": 64}, pooling=pooling, pool_window=window, pool_stride=stride)
    outputs = outputs_of(model, random(2, 3, 64, 64))
    pool: Any = functional.max_pool2d if pooling == "max" else functional.avg_pool2d
    for number in range(1, 6):
        torch.testing.assert_close(outputs[f"pool{number}"], pool(outputs[f"conv{number}"].relu(), window, stride))


@pytest.mark.parametrize(("configuration", "own"), [(name, "lrn" if name == "A-LRN" else "none") for name in TABLE_1])
def test_normalization_is_the_configurations_unless_told_otherwise(configuration: Any, own: str) -> None:
    first = VGG(**TINY, configuration=configuration)
    images = 50 * random(2, 3, 32, 32)
    logits = {}
    for name in (None, *get_args(Normalization)):
        model = VGG(**TINY, configuration=configuration, normalization=name)
        model.load_state_dict(first.state_dict(), strict=False)
        logits[name] = model.eval()(images)
    assert torch.equal(logits[None], logits[own])
    for one, other in [("none", "lrn"), ("none", "batch"), ("lrn", "batch")]:
        assert not torch.allclose(logits[one], logits[other], rtol=1e-5, atol=0)


@pytest.mark.parametrize("variant", ["paper", "torchvision"])
def test_batch_normalization_comes_before_each_relu(variant: Any) -> None:
    torch.manual_seed(0)
    model = VGG(**{**TINY, "image_size": 64}, variant=variant, normalization="batch", configuration="E")
    outputs = outputs_of(model, random(8, 3, 64, 64))
    convolutions = [name for name in layers_of(model) if name.startswith("conv")]
    assert len(convolutions) == 16
    for name in convolutions:
        normalized = outputs[name.replace("conv", "norm")]
        torch.testing.assert_close(normalized.mean((0, 2, 3)), torch.zeros(normalized.shape[1]), atol=1e-4, rtol=0)
        torch.testing.assert_close(outputs[name.replace("conv", "activation")], normalized.relu())


@pytest.mark.parametrize("activation", get_args(Activation))
@pytest.mark.parametrize("normalization", get_args(Normalization))
@pytest.mark.parametrize("variant", ["paper", "torchvision"])
def test_every_parameter_learns(variant: Any, activation: Any, normalization: Any) -> None:
    torch.manual_seed(0)
    model = VGG(**TINY, variant=variant, activation=activation, normalization=normalization)
    functional.cross_entropy(model(random(4, 3, 32, 32)), torch.arange(4)).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_activation_follows_every_layer_but_the_last() -> None:
    model = VGG(**TINY, activation="sigmoid", dropout=0.0, configuration="C")
    outputs = outputs_of(model, random(2, 3, 32, 32))
    for name, output in outputs.items():
        if name.startswith("conv") and "_" in name:
            assert torch.equal(outputs[name.replace("conv", "activation")], output.sigmoid())
    hidden = model.fc7(model.fc6(outputs["pool5"].flatten(1)).sigmoid()).sigmoid()
    torch.testing.assert_close(outputs["fc8"], model.fc8(hidden))


@pytest.mark.parametrize("variant", ["paper", "torchvision"])
@pytest.mark.parametrize(("dropout", "fraction"), [(None, 0.5), (0.2, 0.2), (0.0, 0.0)])
def test_dropout_zeroes_outputs_of_fc6_and_fc7_in_training_only(variant: Any, dropout: Any, fraction: float) -> None:
    torch.manual_seed(0)
    # Sigmoids, whose outputs are never zero by themselves.
    model = VGG(**TINY, variant=variant, dropout=dropout, activation="sigmoid", configuration="A")
    inputs = {}
    for name, layer in layers_of(model).items():
        layer.register_forward_pre_hook(lambda _, given, name=name: inputs.update({name: given[0]}))
    images = random(32, 3, 32, 32)
    model(images)
    dropped = {name: (given == 0).sum().item() for name, given in inputs.items()}
    assert {name for name, zeros in dropped.items() if zeros} == ({"fc7", "fc8"} if fraction else set())
    for name in ("fc7", "fc8"):
        assert stats.binomtest(dropped[name], inputs[name].numel(), fraction).pvalue > 1e-4
    model.eval()
    assert torch.equal(model(images), model(images))


@pytest.mark.parametrize("depth", [11, 13, 16, 19])
def test_vgg_with_a_number_has_that_many_layers(depth: int) -> None:
    node = yaml.safe_load((CONF / f"vgg{depth}.yaml").read_text())
    assert len(layers_of(VGG(**TINY, configuration=node["configuration"]))) == depth


def test_the_documented_columns_are_all_there_are() -> None:
    assert get_args(Configuration) == tuple(TABLE_1)
    assert inspect.signature(VGG).parameters["configuration"].default == "D"
