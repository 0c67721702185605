"""Sweeps: the launcher, its jobs, their processes and shares of the machine, seeds, Optuna, W&B's files."""
