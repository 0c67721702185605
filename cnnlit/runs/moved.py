"""What older versions called things: read_config and load_checkpoint bring what they wrote up to date.

A run folder names classes in two places: `_target_` in config.yaml and in the configuration that each checkpoint
carries, and the class names under which Lightning keeps the state of callbacks and data in a checkpoint.
"""

from typing import Any

MODULES = {
    "cnnlit.data.colours": "cnnlit.data.transforms.colours",
    "cnnlit.data.geometry": "cnnlit.data.transforms.geometry",
    "cnnlit.data.views": "cnnlit.data.transforms.evaluation_crops",
    "cnnlit.results.tracking": "cnnlit.tracking.loggers",
    "cnnlit.training.views": "cnnlit.training.protocol",
}
"""Modules of 0.1.0 that `_target_` may name, and where their classes are now."""

DIGITS = "cnnlit.data.handwritten.HandwrittenDigits"
"""The class of 0.1.0 for digits, now one of several small sets."""

SMALL_SET = {"augmentation": [], "enlarge": "pad", "flips": False, "normalization": "lecun1998", "test_split": 0.1}
"""What the digits of 0.1.0 could not be configured to be, and were."""

STATES = {"DataWaiting": "DataWait"}
"""Callbacks of 0.1.0 that have a state in checkpoints, and their names now."""

TRAINER = "lightning.pytorch.Trainer"
IGNORED = {
    *("max_epochs", "callbacks", "logger", "gradient_clip_val", "enable_checkpointing", "default_root_dir"),
    "use_distributed_sampler",
}
"""Arguments of the Trainer that 0.1.0 accepted without effect, and that are refused now."""

DATA = {"HandwrittenDigits": "SmallImages"}
"""Likewise, data."""

IMAGES = "cnnlit.data.images.Images"
"""The class of 0.1.0 for colour images from anywhere, which its option `source` told apart."""

DRAWN, LOADED = {"drawn_images"}, {"block_images", "num_workers", "on_unreadable"}
SOURCES: dict[str, tuple[str, set[str]]] = {
    "imagenet": ("cnnlit.data.image_folders.ImageNet", DRAWN | {"imagenette_size"}),
    "imagenette": ("cnnlit.data.image_folders.Imagenette", DRAWN),
    "folder": ("cnnlit.data.image_folders.ImageFolder", DRAWN | {"imagenette_size"}),
    "tiny_imagenet": ("cnnlit.data.images_in_memory.TinyImageNet", DRAWN | LOADED | {"imagenette_size"}),
    "synthetic": ("cnnlit.data.images_in_memory.SyntheticImages", LOADED | {"imagenette_size", "root", "test_split"}),
}
"""The class of each source now, and the options of `Images` that it does not have."""

CLASSES: dict[str, Any] = {"class_map": None, "mask_absent": False}
PARTS: dict[str, Any] = {"train": None, "val": None, "test": None, "labels": None}
CACHE: dict[str, Any] = {"cache_dir": None, "cache_gb": 0, "copies": None}
SINCE = {**dict.fromkeys(("imagenet", "imagenette", "folder"), CLASSES | PARTS | CACHE), "tiny_imagenet": CLASSES}
"""Options of a source that `Images` did not have, and what they were without being said."""


def update_config(node: Any) -> Any:
    """A configuration, or a part of one, as it would be written now; plain containers."""
    if isinstance(node, list):
        return [update_config(each) for each in node]
    if not isinstance(node, dict):
        return node
    updated = {key: update_config(value) for key, value in node.items()}
    if updated.get("_target_") == IMAGES:
        return _of_its_source(updated, updated["source"])
    if updated.get("_target_") == TRAINER:
        return {key: value for key, value in updated.items() if key not in IGNORED}
    if updated.get("_target_") == DIGITS:
        return {**SMALL_SET, **updated, "_target_": "cnnlit.data.small_images.SmallImages"}
    if isinstance(target := updated.get("_target_"), str):
        module, _, name = target.rpartition(".")
        updated["_target_"] = f"{MODULES.get(module, module)}.{name}"
    return updated


def update_checkpoint(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint with its configuration and the names of its states as they are now."""
    callbacks = {STATES.get(name, name): state for name, state in checkpoint.get("callbacks", {}).items()}
    known = {"callbacks": callbacks} if "callbacks" in checkpoint else {}
    updated = {DATA.get(key, key): value for key, value in checkpoint.items()}
    updated |= {**known, "config": update_config(checkpoint.get("config"))}
    if "Images" in updated:
        options = updated["datamodule_hyper_parameters"]
        target, _ = SOURCES[options["source"]]
        updated[target.rpartition(".")[2]] = updated.pop("Images")
        updated["datamodule_hyper_parameters"] = _of_its_source(options, options["source"])
    return updated


def _of_its_source(options: dict[str, Any], source: str) -> dict[str, Any]:
    """The options of `Images` that the class of a source has, and that class if they name one."""
    target, dropped = SOURCES[source]
    kept = {key: value for key, value in options.items() if key not in dropped | {"source"}} | SINCE.get(source, {})
    return kept | {"_target_": target} if "_target_" in kept else kept
