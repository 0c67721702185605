"""A trained network as Python uses it: loaded from its run, asked about images of any kind."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from cnnlit import config
from cnnlit.experiment import initial_weights
from cnnlit.experiment.given_objects import WithObjects, check_objects, check_same
from cnnlit.experiment.prediction import BATCH, Predictor, most_probable, read_pixels
from cnnlit.experiment.settings import NetworkSettings
from cnnlit.parallel.devices import as_it_was
from cnnlit.runs.checkpoint_io import read_checkpoint
from cnnlit.runs.reading import read_config

SINGLE_VIEW = {"_target_": "cnnlit.training.protocol.EvaluationProtocol", "views": None}


class NamedClasses(NamedTuple):
    """What a network answers about an image, the most probable class first."""

    names: list[str]
    probabilities: list[float]

    @property
    def name(self) -> str:
        """The most probable class."""
        return self.names[0]

    @property
    def probability(self) -> float:
        """Its probability."""
        return self.probabilities[0]


class TrainedNetwork(nn.Module):
    """A network in evaluation mode, with what it needs to be asked about images.

    Called with the network's input, float32 [N, C, H, W], it returns logits [N, K].

    Args:
        predictor: of the network.
        settings: of its run.

    Attributes:
        network: itself.
        class_names: in the order of the logits.
        config: of its run, plain containers: model, data, recipe, seed.
        datamodule: makes its input of images.
    """

    def __init__(self, predictor: Predictor, settings: NetworkSettings) -> None:
        super().__init__()
        self.network = predictor.network
        self.class_names = predictor.class_names
        self.config = {key: getattr(settings, key) for key in ("model", "data", "recipe", "seed")}
        self.datamodule = predictor.datamodule
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)
        return logits

    def transform(self, images: Any) -> Tensor:
        """Images as a test presents them to the network: float32 [N, C, image_size, image_size], on its device.

        Args:
            images: one or several: paths, PIL images, uint8 arrays [H, W] or [H, W, 3], uint8 tensors [H, W] or
                [1 or 3, H, W].

        Raises:
            ValueError: one line about what cannot be read as an image.
        """
        device = next(self.network.parameters()).device
        several = images if isinstance(images, list | tuple) else [images]
        inputs: Tensor = self.datamodule.as_input([as_pixels(image) for image in several])
        return inputs.to(device)

    @torch.inference_mode()
    def predict(self, images: Any, top: int = 5) -> list[NamedClasses]:
        """The most probable classes of each image.

        Args:
            images: as of `transform`; always in a list if there are several.
            top: classes for each, if there are as many.
        """
        several: Sequence[Any] = images if isinstance(images, list | tuple) else [images]
        answers = []
        for first in range(0, len(several), BATCH):
            logits = self(self.transform(list(several[first : first + BATCH])))
            probable, classes = most_probable(logits, top)
            for numbers, values in zip(classes.tolist(), probable.tolist(), strict=True):
                answers.append(NamedClasses([self.class_names[number] for number in numbers], values))
        return answers


class DigitJudge:
    """Whether a drawing is a digit, by the network that tells digits from other drawings best, whichever is asked.

    Logits of a network that learned with softmax tell what it has never seen better than its probabilities, which
    ignore that all ten are low (Hendrycks et al. 2022, maximum logit). docs/weights.md has how many are told apart.
    """

    KNOWS = "CompactNet.MNIST"

    LEAST = 7.75
    """A digit's logit is as high, on average over small changes of it. Chosen on drawings of training images."""

    @cached_property
    def _network(self) -> TrainedNetwork:
        return load(self.KNOWS)

    def __call__(self, image: Tensor, answer: str) -> str | None:
        """Why a drawing is none of the digits, or not surely the one answered; None if it may be.

        Args:
            image: uint8 [3, H, W].
            answer: the digit that the network asked has answered.
        """
        reason, varied = self._network.datamodule.doubtful(image)
        if varied is None:
            return reason
        logit, digit = self._network(varied).mean(dim=0).max(dim=0)
        if logit < self.LEAST:
            return "unlike the digits of MNIST"
        return None if str(int(digit)) == answer else f"it may be a {int(digit)} as well"


def load(run: str | Path, *, model: nn.Module | None = None, data: Any = None) -> TrainedNetwork:
    """The network of a run, as it was saved last, or one from a weights file. Its training data are not needed.

    Args:
        run: its folder; or a safetensors file of `python -m cnnlit.export`; or the name of weights that come with
            cnnlit, `"LeNet5.MNIST"`.
        model: an object of the class that `cnnlit.fit` was given, if it was given one; it is copied.
        data: likewise.

    Raises:
        FileNotFoundError: if the folder holds no run, or none that has saved its network yet.
        ValueError: one line, if an object is missing, or of another class; or of a file without a configuration.
    """
    if not Path(run).is_dir() and (weights := initial_weights.shipped(str(run)) or Path(run)).suffix == ".safetensors":
        return _of_weights(weights)
    folder = Path(run)
    kept = read_config(folder)
    parts = {key: kept[key] for key in ("model", "data", "recipe", "seed")}
    check_objects(model, data)
    check_same(kept, model, data)
    given = {"seed", *(key for key, value in (("model", model), ("data", data)) if value is not None)}
    config.check({key: parts[key] for key in parts.keys() - given}, NetworkSettings)
    settings = WithObjects(**parts, protocol=SINGLE_VIEW, network=model, datamodule=data)
    with as_it_was():  # building a network seeds the process
        return TrainedNetwork(Predictor(settings, folder), settings)


def _of_weights(path: Path) -> TrainedNetwork:
    kept = initial_weights.told_by({"weights": str(path)}).get("config")
    if not kept:
        raise ValueError(
            f"{path}: it holds weights alone; name the folder of a run, or a file that cnnlit.export wrote"
        )
    model = kept["model"] | {"weights": str(path)}
    settings = NetworkSettings(**{**kept, "model": model}, protocol=SINGLE_VIEW)
    with as_it_was():
        return TrainedNetwork(Predictor(settings, None), settings)


def module_arguments(checkpoint: str | Path) -> dict[str, Any]:
    """The arguments of ImageClassification that the configuration in a run's checkpoint stands for."""
    kept = read_checkpoint(Path(checkpoint))["config"]
    settings = NetworkSettings(**{key: kept[key] for key in ("model", "data", "recipe", "seed", "protocol")})
    network = settings.build_network(from_checkpoint=True)
    return {
        "model": network,
        "recipe": config.build(settings.recipe),
        "protocol": settings.build_protocol(network),
        "num_classes": settings.data["num_classes"],
        "seed": settings.seed,
    }


def as_pixels(image: Any) -> Tensor:
    """An image of any kind as uint8 [3, H, W]; see TrainedNetwork.transform."""
    if isinstance(image, str | Path):
        return read_pixels(str(image))
    if hasattr(image, "convert"):  # PIL's
        from torchvision.transforms.v2.functional import pil_to_tensor

        pixels: Tensor = pil_to_tensor(image.convert("RGB"))
        return pixels
    pixels = image if isinstance(image, Tensor) else torch.as_tensor(image)
    if pixels.dtype != torch.uint8:
        raise ValueError(f"images: {pixels.dtype} {list(pixels.shape)}; must be uint8, 0 to 255")
    if pixels.ndim == 3 and not isinstance(image, Tensor):
        pixels = pixels.movedim(-1, 0)
    pixels = pixels[None] if pixels.ndim == 2 else pixels
    if pixels.ndim != 3 or len(pixels) not in (1, 3):
        raise ValueError(f"images: {list(image.shape)}; tensors are [3, H, W] and arrays [H, W, 3], or [H, W]")
    return pixels.expand(3, -1, -1)
