"""Images: where they come from, how they are transformed, how they are loaded."""
