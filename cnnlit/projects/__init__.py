"""A project of one's own to begin with."""
