"""One file per paper; layers.py holds what two papers share and torch lacks."""
