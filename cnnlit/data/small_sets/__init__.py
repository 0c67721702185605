"""Small sets of images of one size: a table of what is published, and readers of every form that it lies around in."""
