"""Sweeps: the launcher, its jobs, their processes and resources, several seeds, and the search with Optuna."""
