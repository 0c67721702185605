"""Devices: which there are, and what lies where."""
