"""What cannot go together: values with one another, and a command line with the run that it resumes."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from cnnlit.config.nodes import Node

LOGGER = "logger"
MAY_CHANGE = (
    *(f"trainer.{key}" for key in ("accelerator", "devices", "num_nodes", "strategy")),
    *("checkpoint_minutes", "data.num_workers", LOGGER, "num_threads", "requeue", "timeout_seconds", "recipe.epochs"),
)
"""Keys that may change when a run is resumed: the result does not depend on them, but for rounding; epochs may become
more, see cnnlit.experiment.more_epochs."""


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


def refuse_changes(words: Iterable[str], folder: Path, *, alone: bool) -> None:
    """Refuse what a command line changes in what it resumes.

    Args:
        words: its overrides.
        folder: of what it resumes.
        alone: whether that is a single run, where some things may change.

    Raises:
        ValueError: if it changes anything else.
    """
    may_change = MAY_CHANGE if alone else ()
    if others := [word for word in words if not _may_stand(word.lstrip("+").partition("=")[0], may_change)]:
        but = f", but for {', '.join(may_change)}" if alone else ""
        raise ValueError(f"resume={folder}: a run goes on as it was configured{but}; leave out {' '.join(others)}")


def _may_stand(key: str, may_change: Sequence[str]) -> bool:
    # data= brings the keys of a run's data to the command line, and has to name the same data.
    return key in ("resume", *(("data",) if may_change else ()), *may_change) or (
        LOGGER in may_change and key.startswith(f"{LOGGER}.")
    )


def with_changes(before: Node, settings: Node, words: Iterable[str]) -> Node:
    """The configuration of a run that is resumed, with what a command line may change in it.

    Args:
        before: the run's configuration.
        settings: what the command line composes.
        words: its overrides.

    Raises:
        ValueError: if they change keys of other data or another logger than the run's.
    """
    said = {word.lstrip("+").partition("=")[0] for word in words}
    after = dict(before)
    for key in MAY_CHANGE:
        part, _, name = key.rpartition(".")
        if key in said and part:
            _same_target(part, key, before, settings)
            after[part] = {**after[part], name: settings[part][name]}
        elif key in said:
            after[key] = settings[key]
    if "data" in said:
        _same_target("data", "data", before, settings)
    for key in () if LOGGER in said else sorted(each for each in said if each.startswith(f"{LOGGER}.")):
        _same_target(LOGGER, key, before, settings)
        name = key.split(".")[1]
        after[LOGGER] = {**after[LOGGER], name: settings[LOGGER][name]}
    return after


def _same_target(part: str, key: str, before: Node, settings: Node) -> None:
    """Refuse keys of another class than the run's; the trainer's are the same in all."""
    ours, now = (each[part].get("_target_") for each in (before, settings))
    if part != "trainer" and ours != now:
        raise ValueError(f"{key}: the {part} of this run is {ours or 'none'}, not {now}; choose it with {part}=, too")
