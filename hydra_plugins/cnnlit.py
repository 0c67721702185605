"""cnnlit's plugins for Hydra, which looks for them in the namespace package hydra_plugins and nowhere else.

This imports modules rather than classes, because Hydra registers every plugin class that it finds in here.
"""

from cnnlit.sweeps import launcher, optuna_sweeper


class ProcessLauncher(launcher.ProcessLauncher):
    __doc__ = launcher.ProcessLauncher.__doc__


class OptunaSweeper(optuna_sweeper.OptunaSweeper):
    __doc__ = optuna_sweeper.OptunaSweeper.__doc__
