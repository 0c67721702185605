"""Every argument of lightning.Trainer: who gives it a value, and what does its work where it is refused.

An argument of a newer Lightning is in none of these, which a test finds.
"""

import difflib
import re
from collections.abc import Mapping
from typing import Any, Literal, get_args

StrategyName = Literal["auto", "ddp", "fsdp", "two_towers"]

# fmt: off
Precision = Literal[
    "auto", "32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true", "64-true",
    "transformer-engine", "transformer-engine-float16", 16, 32, 64, "16", "32", "64", "bf16",
]
# fmt: on
"""Lightning's own, and `auto`, see cnnlit.parallel.devices.chosen_precision."""

ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps", "tpu")
"""Lightning's own; other packages may add theirs."""

HARDWARE = frozenset({"accelerator", "strategy", "devices", "num_nodes", "precision", "sync_batchnorm"})
"""Read here too, to choose a strategy and to refuse what it cannot do."""

PASSED_ON = frozenset(
    {
        *("deterministic", "benchmark", "detect_anomaly", "inference_mode", "log_every_n_steps"),
        *("fast_dev_run", "min_epochs", "max_steps", "min_steps", "max_time", "reload_dataloaders_every_n_epochs"),
        *("limit_train_batches", "limit_val_batches", "limit_test_batches"),
        *("val_check_interval", "check_val_every_n_epoch", "num_sanity_val_steps", "enable_model_summary"),
        "enable_autolog_hparams",
    }
)  # fmt: skip
"""Lightning's alone."""

COMBINED = frozenset({"profiler", "plugins", "enable_progress_bar", "overfit_batches"})
"""Honoured together with what a run has in any case; see cnnlit.parallel.trainer."""

INSTEAD = {
    "max_epochs": "recipe.epochs does that",
    "callbacks": "the group callbacks does that, as in callbacks=learning_rate (docs/own/callback.md)",
    "logger": "the group logger does that, as in logger=tensorboard (docs/own/callback.md)",
    "gradient_clip_val": "recipe.gradient_clip_norm does that",
    "gradient_clip_algorithm": "recipe.gradient_clip_norm clips by the norm of all gradients together",
    "accumulate_grad_batches": (
        "recipe.micro_batch_size does that: recipe.batch_size=400 recipe.micro_batch_size=100 are steps of 400 images"
    ),
    "enable_checkpointing": "checkpoints are always kept; checkpoint_minutes and recipe.checkpoint say which",
    "default_root_dir": "run_root says where new runs go, hydra.run.dir where this one goes",
    "use_distributed_sampler": "the devices share each batch in an order that seed and epoch decide",
    "barebones": "it leaves out what the record of a run is made of; logger=none callbacks=none leave out the rest",
    "limit_predict_batches": "training predicts nothing; python -m cnnlit.predict takes the images that it is given",
    "model_registry": "the network is in the run's folder; logger=wandb sends it elsewhere",
}
"""Refused, with what to do in their place."""


def check_words(trainer: Mapping[str, Any]) -> None:
    """Refuse hardware by a name that there is not, before anything that knows hardware is imported.

    Args:
        trainer: the Trainer's arguments.

    Raises:
        ValueError: one line.
    """
    accelerator = trainer.get("accelerator")
    near = difflib.get_close_matches(str(accelerator), ACCELERATORS, n=1)
    if near and accelerator not in ACCELERATORS:
        raise ValueError(f"trainer.accelerator={accelerator}: there is no such device; did you mean {near[0]}?")
    check_strategy_name(trainer.get("strategy", "auto"))
    check_devices(trainer.get("devices", 1))


def check_strategy_name(name: str) -> None:
    """Refuse a strategy that there is not."""
    if name not in get_args(StrategyName):
        raise ValueError(f"trainer.strategy={name}: must be one of {', '.join(get_args(StrategyName))}")


def check_devices(devices: object) -> None:
    """Refuse devices that are neither a number, nor indices, nor all of them."""
    if not isinstance(devices, int | list) and not re.fullmatch(r"auto|-1|\d+", str(devices)):
        raise ValueError(f"trainer.devices={devices}: must be a number, a list of indices, or auto")
