"""The folder of a run: opened, resumed, finished and read back; and what the folder of a sweep holds."""
