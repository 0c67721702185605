"""Images: where they come from, what is done to them, how they travel."""
