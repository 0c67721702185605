"""A network as one web page: draw a digit and watch every layer. What it looks like and does is in templates/."""
