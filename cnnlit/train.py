"""python -m cnnlit.train: train a network, test it once, and leave a folder that says how.

What can be configured is in conf/train.yaml and the groups that it names; --help lists it.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cnnlit.parallel import signals

if __name__ == "__main__":
    signals.listen()  # before all that takes time to import

from cnnlit import config
from cnnlit.config import Node
from cnnlit.config.hydra_internals import register_resolver
from cnnlit.experiment.settings import TrainSettings
from cnnlit.parallel.worlds import in_launched_world, launch_id, new_run_folder
from cnnlit.runs.reading import read_config, read_launched, read_objective
from cnnlit.sweeps import seeds
from cnnlit.sweeps.launcher import SEPARATE_JOBS


def train(settings: TrainSettings) -> float:
    """Train, test, and record a run in its folder, or one for each of several seeds.

    Returns:
        The validation error, or without a validation set the test error: the objective of a sweep.
    """
    with config.refusing():
        folder, launch = config.run_folder(), launch_id()
        if before := read_launched(folder, launch):
            if before["state"] == "finished":  # one of its processes was lost when all was done
                return read_objective(folder, before)
            each = [_of_run_before(settings, folder)]
        else:
            each = [_in_launched_world(one) for one in _of_each_seed(settings)]
    objective = _train_one(each[0], launch) if len(each) == 1 else _train_in_lockstep(each)
    signals.ignore()
    return objective


def _in_launched_world(settings: TrainSettings, *, again: bool = False) -> TrainSettings:
    """The settings on the processes that torchrun or srun has made."""
    return replace(settings, trainer=in_launched_world(settings.trainer, config.overrides(), again=again))


def _of_run_before(settings: TrainSettings, folder: Path) -> TrainSettings:
    """The settings of a run whose processes torchrun has started again, perhaps fewer of them."""
    own: Node = {"replicas_as": settings.replicas_as, "resume": str(folder), "run_root": settings.run_root}
    before = TrainSettings(**{**settings.of_one_run(), **read_config(folder), **own})
    return _in_launched_world(before, again=True)


def _of_each_seed(settings: TrainSettings) -> list[TrainSettings]:
    """The settings of each run that this process trains; seeds that train as processes take its place."""
    node = settings.of_one_run()
    if settings.resume:
        nodes = seeds.configurations_before(train, node, Path(settings.resume))
    else:
        nodes = seeds.configurations(train, node, settings.replicas, settings.replicas_as)
    own: Node = {"replicas_as": settings.replicas_as, "resume": settings.resume, "run_root": settings.run_root}
    return [TrainSettings(**each, **own) for each in nodes]


def _train_one(settings: TrainSettings, launch: str | None) -> float:
    with config.refusing():
        settings.check()
        from cnnlit.experiment.assembly import begin, note_start
        from cnnlit.experiment.fitting import ENDINGS, fit_and_test
        from cnnlit.runs.folder import Run
        from cnnlit.runs.summary import saying_how_to_go_on

        run = Run(config.run_folder(), launch)
        settings, assembly = begin(settings, run)
    with saying_how_to_go_on(run, signals.NAMES), config.showing_own_errors(), config.refusing(ENDINGS, exit_code=1):
        note_start(settings, assembly, run)
        return fit_and_test(run, assembly, settings)


def _train_in_lockstep(each: Sequence[TrainSettings]) -> float:
    with config.refusing():
        each[0].check()
        from cnnlit.callbacks import stop_signals
        from cnnlit.experiment.assembly import (
            assemble,
            keep_listing,
            note_emulation,
            note_remarks,
            note_start,
            num_steps,
            prepare_process,
        )
        from cnnlit.experiment.fitting import ENDINGS
        from cnnlit.experiment.lockstep import fit_in_lockstep, test_each, why_not_in_lockstep
        from cnnlit.parallel.devices import COMPILERS
        from cnnlit.parallel.trainer import print_note
        from cnnlit.runs.stack import Stack
        from cnnlit.runs.summary import saying_how_to_go_on
        from cnnlit.training.stacked_seeds import StackedSeeds

        each = [one.with_precision() for one in each]
        first = each[0]
        prepare_process(first)
        run = Stack(config.run_folder(), len(each))
        trained = bool(first.resume) and run.has_checkpoint
        alone = assemble(first, first.build_network(from_checkpoint=trained), run, seeds=len(each))
        if reason := why_not_in_lockstep(first, alone):
            if first.replicas_as == "stack" or first.resume:
                raise ValueError(f"replicas_as=stack: {reason}; use replicas_as=processes")
            print_note(f"replicas as processes: {reason}")
            seeds.train_as_processes(train, seed=first.seed, replicas=len(each), trainer=first.trainer)
        networks = [alone.module.model, *(one.build_network(from_checkpoint=trained) for one in each[1:])]
        note_emulation(first, alone.trainer)
        note_remarks(alone)
        recipe, classes = alone.module.recipe, alone.module.num_classes
        module = StackedSeeds(networks, recipe=recipe, num_classes=classes, seeds=[one.seed for one in each])
        each = [one.with_compiler(num_steps(alone)) for one in each]
        if compiler := each[0].compile:
            module.compile(**COMPILERS[compiler])
        device, resumed = alone.trainer.strategy.root_device, run.has_checkpoint
        run.open_all([one.of_one_run() for one in each], device=device, resume=bool(first.resume))
        for each_run in () if resumed else (run, *run.running):
            keep_listing(each_run, alone.datamodule)
    with saying_how_to_go_on(run, signals.NAMES), config.showing_own_errors(), config.refusing(ENDINGS, exit_code=1):
        note_start(each[0], alone, run)
        with stop_signals(alone.trainer), run:
            fit_in_lockstep(run, module, alone)
            test_each(run, each)
        return seeds.report(run.folder, [one.of_one_run() for one in each])


register_resolver("run_folder", new_run_folder, use_cache=True)  # once for all processes
main = config.entry_point(train, jobs=SEPARATE_JOBS)

if __name__ == "__main__":
    main()
