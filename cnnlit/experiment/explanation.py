"""Figures of predictions, and of what they come from."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor, nn

from cnnlit.attribution import drawing
from cnnlit.attribution.deconvnet import project
from cnnlit.attribution.feature_maps import feature_maps, layers_to_show
from cnnlit.attribution.occlusion import occlusion_map
from cnnlit.attribution.saliency import saliency_map
from cnnlit.drawings.top_predictions import TopPredictions, draw_top_predictions, thumbnail
from cnnlit.experiment.prediction import MOST_DRAWN, MOST_EXPLAINED, Prediction, Predictor
from cnnlit.files import progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_predictions(predictor: Predictor, predictions: Sequence[Prediction]) -> "Figure":
    """The first images, each with a bar for each of its most probable classes."""
    drawn = [
        TopPredictions(
            [predictor.class_names[number] for number in each.classes.tolist()],
            each.probabilities.tolist(),
            predictor.label_of(each.path),
            Path(each.path).name + (": none of these" if each.none else ""),
            each.seen,
        )
        for each in predictions[:MOST_DRAWN]
    ]
    images = [_as_drawn(predictor, each.image) for each in predictions[:MOST_DRAWN]]
    return draw_top_predictions(images, drawn, "What the network answers")


def _as_drawn(predictor: Predictor, image: Tensor) -> Tensor:
    """A drawing as the network sees it, for that is where it may go wrong; any other image as it is."""
    if predictor.datamodule.takes_drawings:
        return predictor.datamodule.as_seen([image])[0]
    return thumbnail(image)


def draw_occlusion(
    predictor: Predictor, predictions: Sequence[Prediction], square: int | None, stride: int | None
) -> "Figure":
    """The first images, each with the probability of its class as a grey square covers one place after another.

    Args:
        predictor: that made the predictions.
        predictions: of the images.
        square: side of the grey square, in pixels; None for a fifth of the image.
        stride: its steps, in pixels; None for a sixteenth of the image.

    Raises:
        ValueError: if the square does not fit, or the network is shown several views of an image.
    """
    explained = predictions[:MOST_EXPLAINED]
    inputs, shown = _inputs(predictor, explained, "occlusion", "covers")
    side = inputs.shape[-1]
    square, stride = square or max(1, side // 5), stride or max(1, side // 16)
    work = progress(list(zip(inputs, explained, strict=True)), "covering images", len(explained))
    maps = [
        occlusion_map(predictor.network, image, int(each.classes[0]), square=square, stride=stride)
        for image, each in work
    ]
    return drawing.draw_occlusion(list(shown), maps, _captions(predictor, explained), square=square, stride=stride)


def draw_deconvnet(predictor: Predictor, predictions: Sequence[Prediction], layer: str | None) -> "Figure":
    """The first images, each with what in it made the strongest features of a layer strong.

    Args:
        predictor: that made the predictions.
        predictions: of the images.
        layer: a convolution; None for the last one.

    Raises:
        ValueError: for a network without rectifiers, another layer, or several views of an image.
    """
    explained = predictions[:MOST_EXPLAINED]
    inputs, shown = _inputs(predictor, explained, "deconvnet", "looks at")
    modules = predictor.network.named_modules()
    layer = layer or [name for name, module in modules if isinstance(module, nn.Conv2d)][-1]
    try:
        found = [project(predictor.network, image, layer) for image in inputs]
    except ValueError as error:
        raise ValueError(f"inside=deconvnet: {error}") from None
    return drawing.draw_projections(list(shown), found, _captions(predictor, explained), layer)


def draw_saliency(predictor: Predictor, predictions: Sequence[Prediction]) -> "Figure":
    """The first images, each with how much the score of its class depends on each pixel.

    Args:
        predictor: that made the predictions.
        predictions: of the images.

    Raises:
        ValueError: for several views of an image.
    """
    explained = predictions[:MOST_EXPLAINED]
    inputs, shown = _inputs(predictor, explained, "saliency", "looks at")
    maps = [
        saliency_map(predictor.network, image, int(each.classes[0]))
        for image, each in zip(inputs, explained, strict=True)
    ]
    return drawing.draw_saliency(list(shown), maps, _captions(predictor, explained))


def draw_maps(predictor: Predictor, predictions: Sequence[Prediction], layer: str | None) -> "Figure":
    """The first images, each with the feature maps of a layer, or of several.

    Args:
        predictor: that made the predictions.
        predictions: of the images.
        layer: its name; None for all, or of many for some from the first to the last.

    Raises:
        ValueError: for a layer that there is not, or several views of an image.
    """
    explained = predictions[:MOST_EXPLAINED]
    inputs, shown = _inputs(predictor, explained, "maps", "looks at")
    found = feature_maps(predictor.network, inputs)
    chosen = layers_to_show(predictor.network, list(found), layer)
    return drawing.draw_feature_maps(
        list(shown), {name: found[name] for name in chosen}, _captions(predictor, explained)
    )


def _inputs(predictor: Predictor, predictions: Sequence[Prediction], inside: str, does: str) -> tuple[Tensor, Tensor]:
    """The images as the network's input, float32 [N, C, H, W], and as they are drawn, uint8."""
    images = [each.image for each in predictions]
    inputs = predictor.datamodule.as_input(images)
    if isinstance(inputs, list):
        raise ValueError(f"inside={inside}: {does} one view of an image; use protocol=single_crop")
    return inputs, predictor.datamodule.as_seen(images)


def _captions(predictor: Predictor, predictions: Sequence[Prediction]) -> list[str]:
    return [
        f"{Path(each.path).name}: {predictor.class_names[int(each.classes[0])]} {float(each.probabilities[0]):.0%}"
        for each in predictions
    ]
