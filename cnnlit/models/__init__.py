"""One file per paper; layers.py holds what several papers share and torch lacks."""
