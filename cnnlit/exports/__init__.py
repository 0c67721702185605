"""Trained networks for other programs: a file, how to make its input, and what is known about it."""
