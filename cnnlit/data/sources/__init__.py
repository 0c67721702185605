"""Where images come from: each kind of set, layout and archive."""
