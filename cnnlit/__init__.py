"""The history of convolutional networks, LeNet-5 to ResNet, as experiments."""

__version__ = "0.2.0.dev0"
