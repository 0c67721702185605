"""Every architecture in every variant overfits eight images, and compiled or exported it gives the same."""

import io
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cnnlit.models.alexnet import AlexNet
from cnnlit.models.compact import CompactNet
from cnnlit.models.googlenet import GoogLeNet
from cnnlit.models.lenet5 import LeNet5
from cnnlit.models.resnet import CifarResNet, ResNet
from cnnlit.models.vgg import VGG
from cnnlit.models.zfnet import ZFNet

SMALL: Any = {"num_classes": 8, "image_size": 64, "dropout": 0.0, "initialization": "he2015"}
VARIANTS: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    "lenet5": (LeNet5, SMALL | {"in_channels": 3, "head": "linear", "activation": "relu", "pooling": "max"}),
    "lenet5 of 1998": (LeNet5, {"initialization": "lecun1998_sqrt"}),
    "compact": (CompactNet, SMALL | {"in_channels": 3}),
    "compact without normalisation": (CompactNet, SMALL | {"in_channels": 3, "normalization": "none"}),
    "alexnet": (AlexNet, SMALL | {"width": 0.25}),
    "alexnet without groups": (AlexNet, SMALL | {"width": 0.25, "groups": 1}),
    "alexnet of torchvision": (AlexNet, SMALL | {"width": 0.25, "variant": "torchvision"}),
    "zfnet": (ZFNet, SMALL | {"width": 0.25}),
    "zfnet of the slides": (ZFNet, SMALL | {"width": 0.125, "variant": "slides"}),
    **{f"vgg {name}": (VGG, SMALL | {"width": 0.125, "configuration": name}) for name in ("A", "A-LRN", "B", "C", "D")},
    "vgg E": (VGG, SMALL | {"width": 0.125, "configuration": "E"}),
    "vgg A, batch": (VGG, SMALL | {"width": 0.125, "configuration": "A", "normalization": "batch"}),
    "vgg A of torchvision": (VGG, SMALL | {"width": 0.125, "configuration": "A", "variant": "torchvision"}),
    "googlenet": (GoogLeNet, SMALL | {"width": 0.25}),
    "googlenet without reductions": (GoogLeNet, SMALL | {"width": 0.125, "reductions": False, "auxiliary_weight": 0.0}),
    "googlenet of torchvision": (GoogLeNet, SMALL | {"width": 0.25, "variant": "torchvision"}),
    **{f"resnet18 {name}": (ResNet, SMALL | {"width": 0.125, "depth": 18, "shortcut": name}) for name in "ABC"},
    "plain18": (ResNet, SMALL | {"width": 0.125, "depth": 18, "shortcut": "none"}),
    "resnet50": (ResNet, SMALL | {"width": 0.125, "depth": 50}),
    "resnet50 of torchvision": (ResNet, SMALL | {"width": 0.125, "depth": 50, "variant": "torchvision"}),
    "resnet20": (CifarResNet, SMALL | {"depth": 20, "width": 0.5}),
    "plain20": (CifarResNet, SMALL | {"depth": 20, "width": 0.5, "shortcut": "none"}),
}
COMPUTED = {
    "float32": (torch.float32, torch.contiguous_format),
    "bfloat16, channels last": (torch.bfloat16, torch.channels_last),
}


def small(name: str) -> tuple[nn.Module, Tensor]:
    """A network of the variant, and eight images of noise."""
    torch.manual_seed(0)
    architecture, knobs = VARIANTS[name]
    network = architecture(**knobs)
    size = knobs.get("image_size", 32)
    return network, torch.randn(8, 1 if name == "lenet5 of 1998" else 3, size, size)


def losses(model: Any, outputs: Any, labels: Tensor) -> Tensor:
    logits, *auxiliary = outputs if isinstance(outputs, tuple) else (outputs,)
    loss = nn.functional.cross_entropy(logits.float(), labels)
    for head in auxiliary:
        loss = loss + model.auxiliary_weight * nn.functional.cross_entropy(head.float(), labels)
    return loss


def learned(model: nn.Module, images: Tensor, labels: Tensor, dtype: torch.dtype, steps: int) -> bool:
    """Train until all images are classified correctly in training and evaluation mode; False if they never are."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.002, weight_decay=0.0)
    for step in range(steps):
        with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
            outputs = model.train()(images)
        loss = losses(model, outputs, labels)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 10 == 9 and loss.item() < 0.1:
            with torch.no_grad(), torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
                logits = model.eval()(images)
            assert isinstance(logits, Tensor)
            if bool((logits.argmax(dim=1) == labels).all()):
                return True
    return False


@pytest.mark.parametrize("computed", COMPUTED)
@pytest.mark.parametrize("name", VARIANTS)
def test_eight_images_are_overfitted(name: str, computed: str) -> None:
    dtype, memory_format = COMPUTED[computed]
    model, images = small(name)
    model, images = model.to(memory_format=memory_format), images.to(memory_format=memory_format)
    assert learned(model, images, torch.arange(8), dtype, steps=300)


@pytest.fixture(params=VARIANTS)
def evaluated(request: pytest.FixtureRequest) -> tuple[nn.Module, Tensor, Tensor]:
    """A network in evaluation mode with non-trivial batch statistics, images and logits."""
    model, images = small(request.param)
    with torch.no_grad():
        model.train()(images)
        model.eval()
        return model, images, model(images)


@pytest.mark.slow
def test_compiled_it_gives_the_same(evaluated: tuple[nn.Module, Tensor, Tensor]) -> None:
    model, images, logits = evaluated
    torch.compiler.reset()
    with torch.no_grad():
        torch.testing.assert_close(torch.compile(model)(images), logits, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_exported_it_gives_the_same(evaluated: tuple[nn.Module, Tensor, Tensor]) -> None:
    model, images, logits = evaluated
    exported = torch.export.export(model, (images,), strict=False)
    torch.testing.assert_close(exported.module()(images), logits, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_as_onnx_it_gives_the_same(evaluated: tuple[nn.Module, Tensor, Tensor]) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    model, images, logits = evaluated
    program = torch.onnx.export(model, (images,), dynamo=True, verbose=False)
    assert program is not None
    content = io.BytesIO()
    program.save(content)
    session = onnxruntime.InferenceSession(content.getvalue())
    answer = session.run(None, {session.get_inputs()[0].name: images.numpy()})[0]
    torch.testing.assert_close(torch.from_numpy(answer), logits, atol=1e-4, rtol=1e-4)
