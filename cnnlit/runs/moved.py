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

STATES = {"DataWaiting": "DataWait"}
"""Callbacks of 0.1.0 that have a state in checkpoints, and their names now."""


def update_config(node: Any) -> Any:
    """A configuration, or a part of one, with every `_target_` as it is called now; plain containers."""
    if isinstance(node, list):
        return [update_config(each) for each in node]
    if not isinstance(node, dict):
        return node
    updated = {key: update_config(value) for key, value in node.items()}
    if isinstance(target := updated.get("_target_"), str):
        module, _, name = target.rpartition(".")
        updated["_target_"] = f"{MODULES.get(module, module)}.{name}"
    return updated


def update_checkpoint(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint with its configuration and the names of its states as they are now."""
    callbacks = {STATES.get(name, name): state for name, state in checkpoint.get("callbacks", {}).items()}
    known = {"callbacks": callbacks} if "callbacks" in checkpoint else {}
    return {**checkpoint, **known, "config": update_config(checkpoint.get("config"))}
