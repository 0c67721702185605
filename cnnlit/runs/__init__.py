"""A run's folder: opened, resumed, finished, read back; and what a sweep's folder holds."""
