"""Which class an image is of: by the id of its folder, or by a file of labels."""
