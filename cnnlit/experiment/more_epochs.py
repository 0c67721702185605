"""More epochs for a run: allowed where they follow from it as if it had been that long from the start."""

from pathlib import Path

from torch import nn

from cnnlit import config
from cnnlit.experiment.settings import TrainSettings
from cnnlit.runs.reading import read_config, read_record
from cnnlit.training.recipe import Recipe
from cnnlit.training.schedules import begin_alike


def epochs_before(settings: TrainSettings, network: nn.Module) -> int | None:
    """How many epochs a resumed run had, if it is to have more of them now.

    Args:
        settings: of the run, with the new `recipe.epochs`.
        network: as it is trained.

    Raises:
        ValueError: if the longer run would not have begun as this one did.
    """
    if not settings.resume:
        return None
    folder, now = Path(settings.resume), settings.recipe["epochs"]
    before: int = read_config(folder)["recipe"]["epochs"]
    if now == before:
        return None
    recipe: Recipe = config.build(settings.recipe)
    if reason := _why_not(recipe, network, before, read_record(folder)):
        raise ValueError(f"resume={folder} recipe.epochs={now}: {reason}")
    return before


def _why_not(recipe: Recipe, network: nn.Module, before: int, record: dict[str, object]) -> str | None:
    if recipe.epochs < before:
        return f"the run has {before} epochs; it can only have more"
    if "ended" in record:
        return f"the run ended before its last epoch ({record['ended']}); train anew without what ended it"
    if recipe.averaging_decay and record["state"] == "finished":
        return "at its end the averaged weights took the place of those that training would go on with; train anew"
    if not begin_alike(recipe.schedule, lambda: recipe.optimizer_for(network), before, recipe.epochs):
        return (
            f"the schedule would have had other rates in the first {before} epochs; train anew, or next time with a "
            "schedule that does not look ahead (recipe/schedule=constant, steps, exponential, passes, plateau)"
        )
    return None
