"""What a trained network predicts for images from anywhere, which need not be those of a data set."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn

from cnnlit.data.datamodule import ResumableData
from cnnlit.data.labels.class_ids import KnownClasses, name_by_word, read_class_map
from cnnlit.data.loading.decoding import open_image
from cnnlit.data.small_sets.drawn_digits import SURE
from cnnlit.drawings.top_predictions import thumbnail
from cnnlit.experiment.initial_weights import classes_of
from cnnlit.experiment.settings import NetworkSettings
from cnnlit.files import progress
from cnnlit.parallel.trainer import print_note
from cnnlit.runs.checkpoint_io import TO_TEST, check_fits, read_checkpoint, saying_what_lacks
from cnnlit.runs.reading import BEST, checkpoint_of, network_of
from cnnlit.training.protocol import EvaluationProtocol

BATCH = 32

MOST_DRAWN, MOST_EXPLAINED = 60, 12
"""Images that are kept to be drawn, and at their full size to show where the network looks; all have predictions."""


DIGITS = [str(digit) for digit in range(10)]

Judge = Callable[[Tensor, str], str | None]


class Prediction(NamedTuple):
    """An image and the classes that the network finds most probable."""

    path: str
    image: Tensor
    """uint8 [3, H, W]; a thumbnail beyond MOST_EXPLAINED images, and empty beyond MOST_DRAWN."""
    probabilities: Tensor
    """float32 [top]."""
    classes: Tensor
    """int64 [top], the most probable first."""
    remark: str | None
    """What was done to the image that its owner may not expect."""
    seen: tuple[float, float, float, float] | None = None
    """Left, top, right and bottom of what the network saw of it, as fractions; None if that is no such part."""
    none: str | None = None
    """Why it shows none of the classes; None if it may show one, or if nobody can tell."""


def read_pixels(path: str, *, on_white: bool = False) -> Tensor:
    """An image file as uint8 [3, H, W].

    Args:
        path: of the file.
        on_white: lay what is transparent on white paper, where otherwise transparency is dropped, as in training.

    Raises:
        ValueError: one line about what cannot be read.
    """
    pixels = open_image(path).rgb()
    if on_white:
        with Image.open(path) as image:
            if image.has_transparency_data:
                upright = ImageOps.exif_transpose(image).convert("RGBA")
                paper = Image.new("RGBA", upright.size, "white")
                pixels = np.asarray(Image.alpha_composite(paper, upright))[..., :3]
    return torch.from_numpy(pixels.copy()).movedim(-1, 0)


def most_probable(logits: Tensor, top: int) -> tuple[Tensor, Tensor]:
    """The highest probabilities, float32 [N, top], and their classes, int64; fewer if there are fewer classes.

    Args:
        logits: [N, K].
        top: classes for each.
    """
    probabilities, classes = logits.float().softmax(dim=1).topk(min(top, logits.shape[1]))
    return probabilities, classes


class Predictor:
    """A trained network that predicts for image files as its test would.

    Args:
        settings: of the network, its data and the protocol.
        run: the folder of its run; None for weights that `model.weights` names.
        judge: of a drawing, uint8 [3, H, W], and the digit answered, says why it is none; None to let the network
            itself judge, as it does where classes are no digits.

    Attributes:
        network: in evaluation mode.
        datamodule: makes the network's input of images.
        data_state: what its run knew of its data; empty without a run.
        class_names: in the order of the labels; their numbers where no names are known.
    """

    def __init__(self, settings: NetworkSettings, run: Path | None, judge: Judge | None = None) -> None:
        self.network: nn.Module = settings.build_trained_network(from_checkpoint=run is not None)
        self.protocol: EvaluationProtocol = settings.build_protocol(self.network)
        self.datamodule: ResumableData = settings.build_test_data()
        self.data_state: dict[str, Any] = {}
        if run:
            checkpoint = checkpoint_of(run)
            own = self.network.state_dict()
            check_fits(checkpoint, [f"model.{name}" for name in own], [*TO_TEST, type(self.datamodule).__qualname__])
            with saying_what_lacks(checkpoint):
                self._load(read_checkpoint(checkpoint))
            if checkpoint.name == BEST:
                print_note(f"run={run}: {network_of(run)}")
        self.network.eval()
        self._name_classes(settings, known=run is not None)
        self._judge = judge if self.class_names == DIGITS else None

    def _load(self, checkpoint: dict[str, Any]) -> None:
        state = {key.removeprefix("model."): value for key, value in checkpoint["state_dict"].items()}
        known = self.network.state_dict().keys()
        self.network.load_state_dict({key: value for key, value in state.items() if key in known})
        self.data_state = checkpoint[type(self.datamodule).__qualname__] | {"batches_done": 0}
        self.datamodule.load_state_dict(self.data_state)

    def _name_classes(self, settings: NetworkSettings, *, known: bool) -> None:
        count = settings.data["num_classes"]
        state = {} if known else classes_of(settings.model, count)
        names: list[str] = list(getattr(self.datamodule, "class_names", ()) or state.get("class_names", ()))
        self.class_names = names or [str(number) for number in range(count)]
        folders = list(getattr(self.datamodule, "class_folders", ()) or state.get("class_folders", ()))
        self._name_of = name_by_word(KnownClasses(folders or names, names))
        class_map = settings.data.get("class_map")
        self._class_of = read_class_map(class_map) if class_map else None

    def predict(self, files: Sequence[str], top: int) -> tuple[list[Prediction], list[str]]:
        """Predict for all images that can be read.

        Args:
            files: paths.
            top: predictions for each, if there are as many classes.

        Returns:
            The predictions, and for each file that cannot be read a line that says why.
        """
        predictions: list[Prediction] = []
        refusals: list[str] = []
        starts = range(0, len(files), BATCH)
        for start in progress(starts, "looking at images", len(starts)):
            images = list(self._read(files[start : start + BATCH], refusals))
            for made in self._predict_batch(images, top) if images else ():
                image = made.image
                if len(predictions) >= MOST_EXPLAINED:
                    image = thumbnail(image) if len(predictions) < MOST_DRAWN else image[:, :0]
                predictions.append(made._replace(image=image))
        return predictions, refusals

    def _read(self, files: Sequence[str], refusals: list[str]) -> Iterator[tuple[str, Tensor]]:
        for path in files:
            try:
                yield path, read_pixels(path, on_white=self.datamodule.takes_drawings)
            except ValueError as error:
                refusals.append(str(error))

    @torch.inference_mode()
    def _predict_batch(self, images: Sequence[tuple[str, Tensor]], top: int) -> list[Prediction]:
        inputs = self.datamodule.as_input([image for _, image in images])
        logits = self.protocol.answer(self.network, inputs, len(images))
        probabilities, classes = most_probable(logits, top)
        return [
            self._prediction(path, image, probable, its_classes)
            for (path, image), probable, its_classes in zip(images, probabilities, classes, strict=True)
        ]

    def _prediction(self, path: str, image: Tensor, probabilities: Tensor, classes: Tensor) -> Prediction:
        remark, seen = self.datamodule.remark(image), self.datamodule.part_seen(image)
        return Prediction(path, image, probabilities, classes, remark, seen, self._why_none(image, classes))

    def _why_none(self, image: Tensor, classes: Tensor) -> str | None:
        """A drawing is none of the classes if it looks like none, or if small changes of it get other answers."""
        reason, varied = self.datamodule.doubtful(image)
        if varied is None:
            return reason
        if self._judge:
            return self._judge(image, self.class_names[int(classes[0])])
        probabilities = self.network(varied).float().softmax(dim=1).mean(dim=0)
        sure = float(probabilities[classes[0]])
        return None if sure >= SURE else f"varied a little, it is {sure:.0%} {self.class_names[int(classes[0])]}"

    def label_of(self, path: str) -> str | None:
        """The class whose folder an image lies in; Tiny ImageNet has another folder, `images`, between."""
        folder = Path(path).absolute().parent
        folder = folder.parent if folder.name == "images" else folder
        word = folder.name if self._class_of is None else self._class_of.get(folder.name)
        return self._name_of.get(word or "")
