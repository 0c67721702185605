"""One file per source of images; distortions; the order of presentation."""
