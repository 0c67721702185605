"""What Linux, macOS and Windows do not share: one name for each, with a way on every system."""
