"""What can be measured, in the order of its weight, and for how long each may take; imports nothing that takes time."""

NETWORKS = {
    "resnet50": "ResNet-50",
    "resnet18": "ResNet-18",
    "alexnet": "AlexNet, the paper's",
    "alexnet_torchvision": "AlexNet, torchvision's",
    "vgg16": "VGG16",
    "googlenet": "GoogLeNet",
}
"""The word for each network, and its name in the table."""

BUDGETS = {
    "resnet50": 100,
    "lenet5": 70,
    "replicas": 45,
    "transforms": 20,
    "copies": 25,
    "decoding": 40,
    "cifar": 50,
    "resnet18": 50,
    "alexnet": 30,
    "alexnet_torchvision": 30,
    "vgg16": 45,
    "command": 45,
    "googlenet": 90,
}
"""Seconds of each measurement; what it has found by then counts, and the others go on."""

WHOLE = 480
"""Seconds of all together: what has not begun by then says so, and is measured when it is named."""
