"""The history of convolutional networks, LeNet-5 to ResNet, as experiments."""

__version__ = "0.1.0"
