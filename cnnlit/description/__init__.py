"""A network's layer table beside its paper's; what a machine is."""
