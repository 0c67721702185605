"""Values that cannot work together, whichever command they are given to."""

from cnnlit.config.nodes import Node


def require_weights(model: Node) -> None:
    """Refuse a model that knows nothing, where no run is named.

    Raises:
        ValueError: if the model has no published weights.
    """
    if not model.get("weights"):
        raise ValueError(
            "run=null: name the folder of a run, or a model with published weights: model=lenet5 model.weights=MNIST, "
            "or model=resnet50 model.variant=torchvision model.weights=IMAGENET1K_V1 recipe=modern_images"
        )


def check_scale(weights: str | None, normalization: str | None) -> None:
    """Refuse published weights on images of another scale than theirs, on which they are silently worth nothing.

    Raises:
        ValueError: if the images are not scaled as those that the weights were trained on.
    """
    if weights and normalization not in (None, "mean_std"):
        raise ValueError(
            f"data.normalization={normalization}: model.weights={weights} expect mean_std; "
            "add data.normalization=mean_std or recipe=modern_images"
        )
