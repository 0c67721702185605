"""GoogLeNet is the network of the paper, or torchvision's, and its knobs do what they say."""

import inspect
import logging
import math
import re
from itertools import product
from typing import Any, get_args

import numpy as np
import pytest
import torch
import torchvision
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional

from cnnlit.models.googlenet import (
    TABLE_1,
    TORCHVISION_NAMES,
    AuxiliaryHead,
    Convolution,
    GoogLeNet,
    GoogLeNetOutputs,
    Inception,
    Widths,
)
from cnnlit.models.layers import Activation, Initialization, LocalResponseNorm
from cnnlit.models.weights import fill, from_torchvision

ROWS = """
3a  192 28   64  96 128 16  32  32   256   163328
3b  256 28  128 128 192 32  96  64   480   388096
4a  480 14  192  96 208 16  48  64   512   375552
4b  512 14  160 112 224 24  64  64   512   448512
4c  512 14  128 128 256 24  64  64   512   509440
4d  512 14  112 144 288 32  64  64   528   604672
4e  528 14  256 160 320 32 128 128   832   867328
5a  832  7  256 160 320 32 128 128   832  1042432
5b  832  7  384 192 384 48 128 128  1024  1442816
"""
"""Each module's input channels and side, the six widths of the paper's Table 1, output channels and weights."""
MODULES = {
    f"inception_{name}": [int(number) for number in row] for name, *row in map(str.split, ROWS.split("\n")[1:-1])
}
HEADS = ("auxiliary_4a", "auxiliary_4d")
TINY: dict[str, Any] = {"width": 1 / 16, "image_size": 64, "num_classes": 8}


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def shapes_of(model: nn.Module, images: Tensor) -> dict[str, tuple[int, ...]]:
    """The output shape of every module by name, for one image."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, layer in model.named_modules():

        def note(layer: nn.Module, inputs: tuple[Tensor], output: Any, name: str = name) -> None:
            shapes[name] = tuple(output.shape[1:]) if isinstance(output, Tensor) else ()

        layer.register_forward_hook(note)
    model(images)
    return shapes


def counts_of(model: nn.Module, images: Tensor) -> dict[str, dict[str, int]]:
    """Parameters, multiply-accumulates and units of each convolution and linear layer that the images pass."""
    shapes = shapes_of(model, images)
    counts = {}
    for name, layer in model.named_modules():
        if name in shapes and isinstance(layer, nn.Conv2d | nn.Linear):
            units = math.prod(shapes[name])
            places = math.prod(shapes[name][1:])
            parameters = sum(parameter.numel() for parameter in layer.parameters())
            counts[name] = {"parameters": parameters, "macs": layer.weight.numel() * places, "units": units}
    return counts


def total(counts: dict[str, dict[str, int]], kind: str, within: str = "") -> int:
    return sum(count[kind] for name, count in counts.items() if f"{name}.".startswith(within))


def on_meta(**knobs: Any) -> GoogLeNet:
    with torch.device("meta"):
        return GoogLeNet(**knobs)


def meta_images(side: int = 224) -> Tensor:
    return torch.zeros(2, 3, side, side, device="meta")


def test_every_module_has_the_widths_and_weights_of_table_1() -> None:
    model = on_meta()
    assert list(TABLE_1) == list(MODULES)
    for name, (maps, _, *widths, out, weights) in MODULES.items():
        module = model.get_submodule(name)
        assert list(TABLE_1[name]) == widths
        assert [module.get_submodule(layer).conv.out_channels for layer in Widths._fields] == widths
        assert module.conv1x1.conv.in_channels == maps
        assert module.out_channels == out
        assert sum(p.numel() for p in module.parameters() if p.dim() == 4) == weights


def test_output_sizes_are_those_of_table_1() -> None:
    shapes = shapes_of(on_meta().eval(), meta_images())
    expected = {"conv1": (64, 112, 112), "pool1": (64, 56, 56), "conv2": (192, 56, 56), "pool2": (192, 28, 28)}
    expected |= {"pool3": (480, 14, 14), "pool4": (832, 7, 7), "average": (1024, 1, 1), "fc": (1000,)}
    for name, (_, side, *_, out, _) in MODULES.items():
        expected[name] = (out, side, side)
    assert {name: shapes[name] for name in expected} == expected


def test_totals_are_those_of_the_paper() -> None:
    model = on_meta().eval()
    counts = counts_of(model, meta_images())
    assert sum(p.numel() for p in model.parameters()) == 13_378_280
    assert sum(p.numel() for p in on_meta(auxiliary_weight=0).parameters()) == 6_998_552
    assert total(counts, "parameters") == 6_998_552
    assert total(counts, "macs") == 1_582_671_872
    assert total(counts, "units") == 3_227_160


def test_the_auxiliary_heads_are_those_of_section_5() -> None:
    model = on_meta()
    shapes = shapes_of(model, meta_images())
    for head, maps, parameters in (("auxiliary_4a", 512, 3_188_840), ("auxiliary_4d", 528, 3_190_888)):
        assert sum(p.numel() for p in model.get_submodule(head).parameters()) == parameters
        parts = {name: shapes[f"{head}.{name}"] for name in ("pool", "conv", "fc1", "fc2")}
        assert parts == {"pool": (maps, 4, 4), "conv": (128, 4, 4), "fc1": (1024,), "fc2": (1000,)}


def test_the_table_of_the_docstring_is_counted() -> None:
    counts = counts_of(on_meta(), meta_images())
    text = inspect.getdoc(GoogLeNet) or ""
    rows = re.findall(r"^(\w+) .*?([\d,]{5,}) +([\d.]+M)$", text, re.M)
    assert [name for name, *_ in rows] == ["conv1", "conv2_reduce", "conv2", *MODULES, "fc"]
    for name, parameters, macs in rows:
        assert parameters == f"{total(counts, 'parameters', f'{name}.'):,}"
        assert macs == f"{total(counts, 'macs', f'{name}.') / 1e6:.1f}M"


def convolved(maps: Any, layer: Any) -> Any:
    """The convolution with `layer`'s kernels and ReLU, position by position."""
    weight, bias = layer.conv.weight.detach().numpy(), layer.conv.bias.detach().numpy()
    side = weight.shape[2]
    margin = [(0, 0), (0, 0), (side // 2, side // 2), (side // 2, side // 2)]
    padded = np.pad(maps, margin)
    output = np.empty((len(maps), len(weight), *maps.shape[2:]))
    for y, x in product(range(maps.shape[2]), range(maps.shape[3])):
        window = padded[:, :, y : y + side, x : x + side]
        output[:, :, y, x] = np.einsum("ncij,ocij->no", window, weight) + bias
    return np.maximum(output, 0)


def max_pooled(maps: Any) -> Any:
    output = np.empty_like(maps)
    for y, x in product(range(maps.shape[2]), range(maps.shape[3])):
        output[:, :, y, x] = maps[:, :, max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].max((2, 3))
    return output


@pytest.mark.parametrize("reductions", [True, False])
def test_a_module_is_what_figure_2_draws(reductions: bool) -> None:
    torch.manual_seed(0)
    module: Any = Inception(5, Widths(2, 3, 4, 2, 6, 3), reductions=reductions).double()
    maps = random(2, 5, 7, 6, dtype=torch.float64)
    x = maps.numpy()
    if reductions:  # Fig. 2(b)
        to_3x3, to_5x5 = convolved(x, module.conv3x3_reduce), convolved(x, module.conv5x5_reduce)
        last = convolved(max_pooled(x), module.pool_proj)
    else:  # Fig. 2(a)
        to_3x3, to_5x5, last = x, x, max_pooled(x)
    branches = [
        convolved(x, module.conv1x1),
        convolved(to_3x3, module.conv3x3),
        convolved(to_5x5, module.conv5x5),
        last,
    ]
    output = module(maps)
    assert output.shape[1] == module.out_channels == (15 if reductions else 17)
    torch.testing.assert_close(output, torch.from_numpy(np.concatenate(branches, 1)))
    assert torch.equal(maps, random(2, 5, 7, 6, dtype=torch.float64)), "the input is left as it was"


def by_hand(state: dict[str, Tensor], images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The paper's network in torch's functions: logits, and those of the heads, without dropout."""

    def conv(x: Tensor, name: str, padding: int = 0, stride: int = 1) -> Tensor:
        return functional.conv2d(x, state[f"{name}.conv.weight"], state[f"{name}.conv.bias"], stride, padding).relu()

    def linear(x: Tensor, name: str) -> Tensor:
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    def pool(x: Tensor) -> Tensor:
        return functional.max_pool2d(x, 3, 2, ceil_mode=True)

    def lrn(x: Tensor) -> Tensor:
        return functional.local_response_norm(x, 5, alpha=1e-4, beta=0.75, k=1.0)

    def inception(x: Tensor, name: str) -> Tensor:
        in_3x3 = conv(conv(x, f"{name}.conv3x3_reduce"), f"{name}.conv3x3", 1)
        in_5x5 = conv(conv(x, f"{name}.conv5x5_reduce"), f"{name}.conv5x5", 2)
        in_pool = conv(functional.max_pool2d(x, 3, 1, 1), f"{name}.pool_proj")
        return torch.cat([conv(x, f"{name}.conv1x1"), in_3x3, in_5x5, in_pool], 1)

    def head(x: Tensor, name: str) -> Tensor:
        x = conv(functional.avg_pool2d(x, min(5, x.shape[2]), 3), f"{name}.conv")
        return linear(linear(x.flatten(1), f"{name}.fc1").relu(), f"{name}.fc2")

    x = lrn(pool(conv(images, "conv1", 3, 2)))
    x = pool(lrn(conv(conv(x, "conv2_reduce"), "conv2", 1)))
    heads = []
    for name in MODULES:
        x = inception(x, name)
        if name in ("inception_4a", "inception_4d"):
            heads.append(head(x, f"auxiliary_{name[-2:]}"))
        if name in ("inception_3b", "inception_4e"):
            x = pool(x)
    return linear(x.mean((2, 3)), "fc"), heads[0], heads[1]


def without_dropout(model: nn.Module) -> nn.Module:
    for layer in model.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    return model


@pytest.mark.parametrize("image_size", [224, 64, 33])
def test_the_network_is_that_of_figure_3(image_size: int) -> None:
    torch.manual_seed(0)
    model = without_dropout(GoogLeNet(width=1 / 8, num_classes=5, image_size=image_size)).double()
    images = 60 * random(2, 3, image_size, image_size, dtype=torch.float64)  # of the magnitude of pixels
    outputs = model(images)
    assert isinstance(outputs, GoogLeNetOutputs)
    expected = by_hand(model.state_dict(), images)
    torch.testing.assert_close(tuple(outputs), expected, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(model.eval()(images), expected[0], rtol=1e-6, atol=1e-8)
    assert expected[0].std() > 1e-3


def macs(module: nn.Module, maps: int, side: int = 4) -> dict[str, int]:
    counts = counts_of(module, torch.zeros(1, maps, side, side, device="meta"))
    return {name.partition(".")[0]: count["macs"] for name, count in counts.items()}


def modules_of(maps: int, widths: Widths) -> tuple[dict[str, int], dict[str, int]]:
    """Multiply-accumulates of each layer of the module with reductions, and of the naive one."""
    with torch.device("meta"):
        reduced, naive = Inception(maps, widths), Inception(maps, widths, reductions=False)
    return macs(reduced, maps), macs(naive, maps)


@pytest.mark.parametrize(
    ("maps", "reduce", "out", "ratio"), [(192, 64, 64, 0.4444), (480, 160, 320, 0.3889), (192, 96, 128, 0.5833)]
)
def test_a_reduction_to_a_third_costs_at_most_four_ninths(maps: int, reduce: int, out: int, ratio: float) -> None:
    reduced, naive = modules_of(maps, Widths(2, reduce, out, 2, 2, 2))
    measured = (reduced["conv3x3_reduce"] + reduced["conv3x3"]) / naive["conv3x3"]
    assert measured == pytest.approx(ratio, abs=5e-5)
    assert measured == pytest.approx(reduce / (9 * out) + reduce / maps)
    assert (measured <= 4 / 9 + 1e-12) == (3 * reduce <= maps)


def test_the_3x3_paths_of_the_modules_cost_these_parts_of_naive_ones() -> None:
    ratios = []
    for name, (maps, *_) in MODULES.items():
        reduced, naive = modules_of(maps, TABLE_1[name])
        ratios.append(round((reduced["conv3x3_reduce"] + reduced["conv3x3"]) / naive["conv3x3"], 3))
        in_5x5 = (reduced["conv5x5_reduce"] + reduced["conv5x5"]) / naive["conv5x5"]
        assert 0.045 < in_5x5 < 0.145
        assert naive["conv1x1"] == reduced["conv1x1"]
        assert sum(naive.values()) > 2.3 * sum(reduced.values())
    assert ratios == [0.583, 0.574, 0.251, 0.274, 0.306, 0.337, 0.359, 0.248, 0.286]


def test_naive_modules_grow_wider_from_one_to_the_next() -> None:
    model = on_meta(reductions=False)
    shapes = shapes_of(model, meta_images())
    maps, macs = 192, 0
    for name, (_, side, ones, _, threes, _, fives, *_) in MODULES.items():
        macs += maps * (ones + 9 * threes + 25 * fives) * side**2
        maps += ones + threes + fives
        assert shapes[name] == (maps, side, side)
    assert macs == pytest.approx(12.09e9, rel=1e-3)
    stem_and_fc = 118_013_952 + 12_845_056 + 346_816_512 + maps * 1000
    assert total(counts_of(model.eval(), meta_images()), "macs") == macs + stem_and_fc
    assert not any("reduce" in name or "pool_proj" in name for name, _ in model.inception_3a.named_parameters())


def torchvisions(**keywords: Any) -> Any:
    """torchvision's network in evaluation mode, with random weights and non-trivial batch normalisation."""
    torch.manual_seed(1)
    model = torchvision.models.GoogLeNet(init_weights=False, **keywords)
    norms = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
    for layer in norms:
        nn.init.uniform_(layer.weight, 0.5, 1.5)
        nn.init.uniform_(layer.bias, -0.2, 0.2)
        layer.momentum = 1.0  # one batch determines the statistics
    with torch.no_grad():
        model(random(2, 3, 64, 64, seed=2))
    for layer in norms:
        layer.momentum = 0.1
    return model.eval()


@pytest.mark.parametrize("transform_input", [False, True])
def test_torchvisions_state_gives_torchvisions_outputs(transform_input: bool) -> None:
    theirs = torchvisions(num_classes=10, transform_input=transform_input)
    ours = GoogLeNet(variant="torchvision", num_classes=10, transform_input=transform_input)
    state = from_torchvision(theirs.state_dict(), TORCHVISION_NAMES)
    assert list(state.keys() ^ ours.state_dict().keys()) == []
    fill(ours, state, "torchvision", ())
    images = random(2, 3, 224, 224)
    with torch.no_grad():
        expected, logits = theirs(images), ours.eval()(images)
        assert isinstance(logits, Tensor)
        assert (logits - expected).abs().max() <= 1e-5
        assert (expected[0] - expected[1]).abs().max() > 1e-3

        training, outputs = without_dropout(theirs.train())(images), without_dropout(ours.train())(images)
        assert isinstance(outputs, GoogLeNetOutputs)
        pairs = zip(outputs, (training.logits, training.aux_logits1, training.aux_logits2), strict=True)
        for output, reference in pairs:
            assert (output - reference).abs().max() <= 1e-5
    after = from_torchvision(theirs.state_dict(), TORCHVISION_NAMES)
    torch.testing.assert_close(dict(ours.state_dict()), after)


def test_the_variant_of_torchvision_has_its_constants() -> None:
    ours, theirs = on_meta(variant="torchvision"), torchvisions()
    assert ours.transform_input
    assert ours.dropout.p == theirs.dropout.p == 0.2
    assert ours.auxiliary_4a.dropout.p == theirs.aux1.dropout.p == 0.7
    assert {layer.eps for layer in ours.modules() if isinstance(layer, nn.BatchNorm2d)} == {theirs.conv1.bn.eps}
    assert sum(p.numel() for p in ours.parameters()) == 13_004_888
    assert not any(isinstance(layer, LocalResponseNorm) for layer in ours.modules())


@pytest.mark.parametrize(
    ("num_classes", "auxiliary_weight", "renewed"),
    [(1000, 0.3, []), (1000, 0.0, []), (7, 0.3, ["fc", "auxiliary_4a.fc2", "auxiliary_4d.fc2"]), (7, 0.0, ["fc"])],
)
def test_published_weights_fill_what_the_model_has(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    num_classes: int,
    auxiliary_weight: float,
    renewed: list[str],
) -> None:
    published = torchvisions().state_dict()  # with the heads, as in the file
    monkeypatch.setattr(torchvision.models.GoogLeNet_Weights, "get_state_dict", lambda *_, **__: published)
    knobs: Any = {"num_classes": num_classes, "auxiliary_weight": auxiliary_weight}
    with caplog.at_level(logging.WARNING):
        ours = GoogLeNet(variant="torchvision", weights="IMAGENET1K_V1", **knobs)
    assert [message.split(": ")[-1] for message in caplog.messages] == [
        f"{head} starts from random weights" for head in renewed
    ]
    theirs = from_torchvision(published, TORCHVISION_NAMES)
    for name, value in ours.state_dict().items():
        if name.rpartition(".")[0] in renewed:
            assert len(value) == num_classes
        else:
            assert torch.equal(value, theirs[name])


def test_what_cannot_be_combined_is_refused() -> None:
    with pytest.raises(ValueError, match=r"model.weights=IMAGENET1K_V1 .* add model.variant=torchvision"):
        GoogLeNet(weights="IMAGENET1K_V1")
    with pytest.raises(ValueError, match=r"model.transform_input=true .* in_channels=1"):
        GoogLeNet(variant="torchvision", transform_input=True, in_channels=1)


@pytest.mark.parametrize(
    ("variant", "window"),
    [("paper", 1), ("paper", 2), ("paper", 3), ("paper", 5), ("torchvision", 3), ("torchvision", 5)],
)
def test_images_that_leave_nothing_for_inception_5a_are_refused_and_no_others(variant: Any, window: int) -> None:
    outcomes = set()
    for image_size, stride in product([32, 47, 97], [1, 2, 3, 8]):
        maps = functional.conv2d(torch.zeros(1, 1, image_size, image_size), torch.zeros(1, 1, 7, 7), None, 2, 3)
        try:
            for side in (window, window, window, min(window, 2) if variant == "torchvision" else window):
                maps = functional.max_pool2d(maps, side, stride, ceil_mode=True)
            left = maps.shape[2]
        except RuntimeError:  # from torch: output size is too small
            left = 0
        knobs: Any = {
            **TINY,
            "variant": variant,
            "image_size": image_size,
            "pool_window": window,
            "pool_stride": stride,
        }
        outcomes.add(left > 0)
        if left:
            model = on_meta(**knobs)
            shapes = shapes_of(model, meta_images(image_size))
            assert shapes["inception_5a"][1:] == (left, left)
            assert shapes["auxiliary_4d"] == (8,)
        else:
            with pytest.raises(ValueError, match=f"image_size={image_size} .*pool_stride={stride} leaves nothing"):
                on_meta(**knobs)
    assert outcomes == ({True, False} if window > 3 else {True})


def test_an_auxiliary_head_of_small_images_averages_all_of_them() -> None:
    torch.manual_seed(0)
    for side in (1, 2, 3, 4):
        head = AuxiliaryHead(6, side, 3).eval()
        maps = random(2, 6, side, side)
        torch.testing.assert_close(head.pool(maps), maps.mean((2, 3), keepdim=True))
        assert head.fc1.in_features == 128
        assert head(maps).shape == (2, 3)


@pytest.mark.parametrize("variant", ["paper", "torchvision"])
def test_evaluation_gives_logits_and_training_those_of_the_heads_too(variant: Any) -> None:
    model = GoogLeNet(**TINY, variant=variant)
    images = random(2, 3, 64, 64)
    outputs = model(images)
    assert isinstance(outputs, GoogLeNetOutputs)
    assert [tuple(output.shape) for output in outputs] == [(2, 8)] * 3
    assert outputs._fields == ("logits", "auxiliary1", "auxiliary2")
    assert model.auxiliary_weight == 0.3
    for head in HEADS:
        delattr(model, head)
    assert isinstance(model.eval()(images), Tensor), "in evaluation the heads are not needed"


def test_a_weight_of_zero_omits_the_heads() -> None:
    model = GoogLeNet(**TINY, auxiliary_weight=0)
    assert isinstance(model(random(2, 3, 64, 64)), Tensor)
    assert not any("auxiliary" in name for name in model.state_dict())
    assert model.auxiliary_weight == 0


@pytest.mark.parametrize(("output", "head", "sees"), [(1, HEADS[0], "inception_4a"), (2, HEADS[1], "inception_4d")])
def test_the_loss_of_a_head_reaches_only_the_layers_before_it(output: int, head: str, sees: str) -> None:
    torch.manual_seed(0)
    model = GoogLeNet(**TINY)
    functional.cross_entropy(model(random(2, 3, 64, 64))[output], torch.tensor([1, 2])).backward()
    before = list(MODULES)[: list(MODULES).index(sees) + 1]
    reached = {name.partition(".")[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert reached == {"conv1", "conv2_reduce", "conv2", *before, head}


def test_eight_images_are_learnt() -> None:
    torch.manual_seed(0)
    model = GoogLeNet(width=1 / 4, image_size=64, num_classes=8, dropout=0.0)
    images, labels = random(8, 3, 8, 8).repeat_interleave(8, 2).repeat_interleave(8, 3), torch.arange(8)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    for _ in range(200):
        logits, *heads = model(images)
        if logits.argmax(1).equal(labels):
            break
        loss = functional.cross_entropy(logits, labels)
        for head in heads:
            loss = loss + model.auxiliary_weight * functional.cross_entropy(head, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert model.eval()(images).argmax(1).equal(labels)


BOUND_OR_DEVIATION: dict[str, Any] = {
    "krizhevsky2012": lambda into, out: stats.norm(scale=0.01),
    "cuda_convnet2": lambda into, out: stats.norm(scale=0.01),
    "wider": lambda into, out: stats.norm(scale=0.03),
    "zeiler2013": lambda into, out: stats.norm(scale=0.01),
    "simonyan2014": lambda into, out: stats.norm(scale=0.01),
    "glorot2010": lambda into, out: stats.uniform(-math.sqrt(6 / (into + out)), 2 * math.sqrt(6 / (into + out))),
    "he2015": lambda into, out: stats.norm(scale=math.sqrt(2 / into)),
}


@pytest.mark.parametrize("law", [None, *get_args(Initialization)])
@pytest.mark.parametrize("variant", ["paper", "torchvision"])
def test_initial_weights_follow_their_distribution(variant: Any, law: Any) -> None:
    torch.manual_seed(0)
    model = GoogLeNet(**{**TINY, "width": 1 / 4}, variant=variant, initialization=law)
    law = law or ("glorot2010" if variant == "paper" else "he2015")
    convolutions = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            area = layer.weight[0, 0].numel()
            its = "wider" if law == "cuda_convnet2" and layer in convolutions[2:] else law
            expected = BOUND_OR_DEVIATION[its](layer.weight.shape[1] * area, layer.weight.shape[0] * area)
            assert stats.kstest(layer.weight.detach().flatten(), expected.cdf).pvalue > 1e-5, name
            last = name == "fc" or name.endswith("fc2")
            if layer.bias is not None:
                assert layer.bias.unique().tolist() == pytest.approx([0.2 if law == "glorot2010" and not last else 0])
        elif isinstance(layer, nn.BatchNorm2d):
            assert layer.weight.unique().tolist() == [1]
            assert layer.bias.unique().tolist() == [0]


@pytest.mark.parametrize(
    ("knobs", "fraction"),
    [({}, 0.4), ({"variant": "torchvision"}, 0.2), ({"dropout": 0.0}, 0.0), ({"dropout": 0.9}, 0.9)],
)
def test_dropout_is_the_variants_or_as_asked_and_seven_tenths_in_the_heads(knobs: Any, fraction: float) -> None:
    torch.manual_seed(0)
    model = GoogLeNet(**{**TINY, "width": 1 / 4}, **knobs)
    seen: dict[str, Tensor] = {}
    model.fc.register_forward_pre_hook(lambda _, inputs: seen.update(fc=inputs[0]))
    model.auxiliary_4a.fc2.register_forward_pre_hook(lambda _, inputs: seen.update(head=inputs[0]))
    for layer in (model.average, model.auxiliary_4a.activation):  # positive before, so that zeros come from dropout
        layer.register_forward_hook(lambda layer, inputs, output: torch.ones_like(output))
    model(random(16, 3, 64, 64))
    for name, expected in (("fc", fraction), ("head", 0.7)):
        zeros, of = int((seen[name] == 0).sum()), seen[name].numel()
        assert stats.binomtest(zeros, of, expected).pvalue > 1e-4
    model.eval()(random(2, 3, 64, 64))
    assert (seen["fc"] == 1).all()


@pytest.mark.parametrize("activation", get_args(Activation))
@pytest.mark.parametrize("pooling", ["max", "average"])
def test_knobs_combine(activation: Any, pooling: Any) -> None:
    knobs: Any
    for variant, reductions, normalization in product(
        ["paper", "torchvision"], [True, False], [None, "none", "lrn", "batch"]
    ):
        knobs = {"variant": variant, "reductions": reductions, "normalization": normalization}
        torch.manual_seed(0)
        model = without_dropout(
            GoogLeNet(width=1 / 32, image_size=48, num_classes=4, activation=activation, pooling=pooling, **knobs)
        )
        outputs = model(random(3, 3, 48, 48))
        sum(functional.cross_entropy(output, torch.tensor([3, 1, 0])) for output in outputs).backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, (knobs, name)
            assert parameter.grad.isfinite().all(), (knobs, name)


@pytest.mark.parametrize("variant", ["paper", "torchvision"])
@pytest.mark.parametrize("normalization", [None, "none", "lrn", "batch"])
def test_normalization_is_where_and_what_it_says(variant: Any, normalization: Any) -> None:
    model = on_meta(variant=variant, normalization=normalization)
    kind = normalization or {"paper": "lrn", "torchvision": "batch"}[variant]
    lrns = [name for name, layer in model.named_modules() if isinstance(layer, LocalResponseNorm)]
    blocks = [layer for layer in model.modules() if isinstance(layer, Convolution)]
    assert len(blocks) == 59
    assert lrns == (["lrn1", "lrn2"] if kind == "lrn" else [])
    for block in blocks:
        assert isinstance(block.norm, nn.BatchNorm2d if kind == "batch" else nn.Identity)
        assert (block.conv.bias is None) == (kind == "batch")
        assert [name for name, _ in block.named_children()] == ["conv", "norm", "activation"]


def test_pools_between_stages_have_the_requested_type_and_size() -> None:
    model = on_meta(pooling="average", pool_window=2, pool_stride=3)
    assert [type(model.get_submodule(f"pool{number}")) for number in (1, 2, 3, 4)] == [nn.AvgPool2d] * 4
    assert {(model.get_submodule(f"pool{number}").kernel_size) for number in (1, 2, 3, 4)} == {2}
    assert all(isinstance(model.get_submodule(name).pool, nn.MaxPool2d) for name in MODULES)
    shapes = shapes_of(model, meta_images())
    assert [shapes[f"pool{number}"][1] for number in (1, 2, 3, 4)] == [38, 13, 5, 2]
    assert [on_meta(variant="torchvision", pool_window=side).pool4.kernel_size for side in (1, 2, 3)] == [1, 2, 2]


def test_width_multiplies_every_layer_but_the_last() -> None:
    narrow, published = on_meta(width=0.5), on_meta()
    for name, layer in published.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            last = name == "fc" or name.endswith("fc2")
            assert len(narrow.get_submodule(name).weight) == len(layer.weight) // (1 if last else 2), name


def test_classes_and_channels_are_those_asked_for() -> None:
    for variant in ("paper", "torchvision"):
        knobs: Any = {**TINY, "num_classes": 3, "in_channels": 1, "variant": variant}
        outputs = GoogLeNet(**knobs)(random(2, 1, 64, 64))
        assert [tuple(output.shape) for output in outputs] == [(2, 3)] * 3


def test_the_activation_follows_every_layer_but_the_last() -> None:
    model = on_meta(activation="gelu")
    assert sum(isinstance(layer, nn.GELU) for layer in model.modules()) == 59 + 2
    assert not any(isinstance(layer, nn.ReLU) for layer in model.modules())


def test_images_keep_their_values_through_a_step() -> None:
    for transform_input in (False, True):
        model = GoogLeNet(**TINY, transform_input=transform_input)
        images = random(2, 3, 64, 64)
        model(images)
        assert torch.equal(images, random(2, 3, 64, 64))


def test_transform_input_takes_normalised_images_to_minus_one_to_one() -> None:
    model = GoogLeNet(**TINY, transform_input=True)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    black, white = -mean / deviation, (1 - mean) / deviation
    seen = []
    model.conv1.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(torch.stack([black, white])[:, :, None, None].expand(2, 3, 64, 64))
    for image, value in zip(seen[0], (-1, 1), strict=True):
        torch.testing.assert_close(image, torch.full_like(image, value))
    assert not GoogLeNet(**TINY).transform_input


def test_a_state_dict_holds_the_parameters_and_nothing_else() -> None:
    model = GoogLeNet(**TINY).eval()
    assert list(model.state_dict()) == [name for name, _ in model.named_parameters()]
    fresh = GoogLeNet(**TINY).eval()
    fresh.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(fresh(random(2, 3, 64, 64)), model(random(2, 3, 64, 64)))
