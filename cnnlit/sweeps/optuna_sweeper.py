"""A Hydra sweeper that searches for the best values with Optuna."""

import importlib.util
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from cnnlit.config.schema import check

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


class OptunaSweeper(Sweeper):
    """Samples values with Optuna's tree-structured Parzen estimator, which looks for the lowest objective.

    There is no storage: the sampler is seeded, so a resumed sweep samples the same trials again, and those that are
    finished return their results at once.

    Args:
        trials: number of trials.
        seed: of the sampler.
        params: further values to search, by key; the command line overrides them.
    """

    def __init__(self, *, trials: Annotated[int, Ge(1)], seed: Annotated[int, Ge(0)], params: dict[str, Any]) -> None:
        self._trials = trials
        self._seed = seed
        self._params = params

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        if importlib.util.find_spec("optuna") is None:
            raise ValueError('hydra/sweeper=optuna needs the package optuna: pip install "cnnlit[optuna]"')
        node: Any = OmegaConf.to_container(config.hydra.sweeper, resolve=True)
        check(node, OptunaSweeper, "hydra.sweeper")
        self.hydra_context = hydra_context
        self.config = config
        self._at_once = int(config.hydra.launcher.get("jobs", 1))
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> dict[str, Any] | None:
        """Run the trials, as many at once as the launcher allows.

        Returns:
            The best values, or None if all trials failed.
        """
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        assert self.launcher
        lines = [f"{key}={values}" for key, values in self._params.items()]
        # The last word on a key counts, and the command line comes after the file.
        parsed = OverridesParser.create().parse_overrides([*lines, *arguments])
        overrides = {override.get_key_element(): override for override in parsed}
        searched = {key: _distribution(each) for key, each in overrides.items() if each.is_sweep_override()}
        fixed = [str(each.input_line) for key, each in overrides.items() if key not in searched]
        if not searched:
            raise ValueError("there is nothing to search: no key has several values")
        sampler = optuna.samplers.TPESampler(seed=self._seed, constant_liar=self._at_once > 1)
        study = optuna.create_study(sampler=sampler)
        for first in range(0, self._trials, self._at_once):
            trials = [study.ask(searched) for _ in range(min(self._at_once, self._trials - first))]
            batch = [[f"{key}={value}" for key, value in trial.params.items()] + fixed for trial in trials]
            self.validate_batch_is_legal(batch)
            for trial, outcome in zip(trials, self._launched(batch, first), strict=True):
                failed = optuna.trial.TrialState.FAIL if outcome is None else None
                study.tell(trial, outcome, state=failed)
        finished = study.get_trials(states=[optuna.trial.TrialState.COMPLETE])
        return study.best_params if finished else None

    def _launched(self, batch: Sequence[Sequence[str]], first: int) -> list[float | None]:
        assert self.launcher
        return [_objective(each) for each in self.launcher.launch(batch, initial_job_idx=first)]


def _objective(outcome: JobReturn) -> float | None:
    try:
        return None if outcome.return_value is None else float(outcome.return_value)
    except Exception:  # raised by the job, under another launcher
        return None


def _distribution(override: Override) -> "BaseDistribution":
    """An override with several values as a distribution of Optuna."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    values = override.value()
    if isinstance(values, IntervalSweep):
        assert values.start is not None
        assert values.end is not None
        return FloatDistribution(float(values.start), float(values.end), log="log" in values.tags)
    if isinstance(values, RangeSweep):
        numbers: list[Any] = list(values.range())
        if numbers and all(isinstance(each, int) for each in numbers):
            return IntDistribution(numbers[0], numbers[-1], step=numbers[1] - numbers[0] if len(numbers) > 1 else 1)
    assert isinstance(values, ChoiceSweep | RangeSweep)
    return CategoricalDistribution(list(override.sweep_string_iterator()))
