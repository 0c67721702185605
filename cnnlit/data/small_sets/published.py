"""The table of small sets: what each one is, where it is published, and how to know it. One line of `SETS` each.

Sources of the addresses and the sums: the sets' own pages and torchvision.
"""

import string
from typing import NamedTuple

TEN = tuple("0123456789")
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
KUZUSHIJI = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
CIFAR100 = tuple(
    """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
    castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
    elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster
    man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck
    pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
    skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger
    tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
    """.split()  # noqa: SIM905
)
ALL_LETTERS = (*TEN, *string.ascii_uppercase, *string.ascii_lowercase)
MERGED = (*TEN, *string.ascii_uppercase, *"abdefghnqrt")
"""Classes of EMNIST whose small letters are unlike the capitals."""

TORONTO = ("https://www.cs.toronto.edu/~kriz/",)
LECUN = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "http://yann.lecun.com/exdb/mnist/",
)
ZALANDO = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
)


class File(NamedTuple):
    """A file as it is published."""

    name: str
    md5: str
    unpacked: str = ""
    """The md5 of its unpacked content, by which it is known however it was packed; empty if that is not known."""


class SmallSet(NamedTuple):
    """What is known about a set."""

    title: str
    kind: str
    """Of its published files: `idx`, `cifar`, `matlab`."""
    shape: tuple[int, int, int]
    """Of an image: channels, height, width."""
    counts: tuple[int, int]
    """Training and test images."""
    class_names: tuple[str, ...]
    mean: float | None
    """Of all bytes of the training images, 0 to 1, by which a set is known in other forms; None if it is not known."""
    folders: tuple[str, ...]
    """Where its files may be below the root; a download goes to the first."""
    files: tuple[File, ...]
    """As they are downloaded, in the order of their reader."""
    mirrors: tuple[str, ...]
    characters: bool = False
    """Whether they show characters, which a mirror turns into others."""


IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def idx(*sums: str, unpacked: tuple[str, ...] = ("",) * 4) -> tuple[File, ...]:
    """The four files of a set in MNIST's form, of these sums."""
    return tuple(File(f"{name}.gz", *both) for name, *both in zip(IDX, sums, unpacked, strict=True))


def emnist(split: str, counts: tuple[int, int], class_names: tuple[str, ...]) -> SmallSet:
    """One of the six sets that EMNIST's archive holds. Source: Cohen, Afshar, Tapson, van Schaik 2017, *EMNIST*."""
    archive = File("gzip.zip", "58c8d27c78d21e728a6bc7b3cc06412e")
    folders, mirrors = ("EMNIST/raw", "EMNIST", "emnist"), ("https://biometrics.nist.gov/cs_links/EMNIST/",)
    title = f"EMNIST {split}"
    return SmallSet(title, "idx", (1, 28, 28), counts, class_names, None, folders, (archive,), mirrors, characters=True)


# fmt: off
SETS: dict[str, SmallSet] = {
    "mnist": SmallSet("MNIST", "idx", (1, 28, 28), (60_000, 10_000), TEN, 0.1307, ("MNIST/raw", "MNIST", "mnist"), idx("f68b3c2dcbeaaa9fbdd348bbdeb94873", "d53e105ee54ea40749a09fcbcd1e9432", "9fb629c4189551a2d022fa330f9573f3", "ec29112dd5afa0611ce80d1b7f02629c", unpacked=("6bbc9ace898e44ae57da46a324031adb", "a25bea736e30d166cdddb491f175f624", "2646ac647ad5339dbf082846283269ea", "27ae3e4e09519cfbb04c329615203637")), LECUN, characters=True),  # noqa: E501
    "fashion_mnist": SmallSet("Fashion-MNIST", "idx", (1, 28, 28), (60_000, 10_000), FASHION, 0.2860, ("FashionMNIST/raw", "FashionMNIST", "fashion-mnist", "fashion_mnist", "data/fashion"), idx("8d4fb7e6c68d591d4c3dfef9ec88bf0d", "25c81989df183df01b3e8a0aad5dffbe", "bef4ecab320f06d8554ea6380940ec79", "bb300cfdad3c16e7a12a480ee83cd310"), ZALANDO),  # noqa: E501
    "kmnist": SmallSet("Kuzushiji-MNIST", "idx", (1, 28, 28), (60_000, 10_000), KUZUSHIJI, 0.1918, ("KMNIST/raw", "KMNIST", "kmnist"), idx("bdb82020997e1d708af4cf47b453dcf7", "e144d726b3acfaa3e44228e80efcd344", "5c965bf0a639b31b8f53240b1b52f4d7", "7320c461ea6c1c855c0b718fb2a4b134"), ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",), characters=True),  # noqa: E501
    "qmnist": SmallSet("QMNIST", "idx", (1, 28, 28), (60_000, 60_000), TEN, 0.1307, ("QMNIST/raw", "QMNIST", "qmnist"), (File("qmnist-train-images-idx3-ubyte.gz", "ed72d4157d28c017586c42bc6afe6370"), File("qmnist-train-labels-idx2-int.gz", "0058f8dd561b90ffdd0f734c6a30e5e4"), File("qmnist-test-images-idx3-ubyte.gz", "1394631089c404de565df7b7aeaf9412"), File("qmnist-test-labels-idx2-int.gz", "5b5b05890a5e13444e108efe57b788aa")), ("https://raw.githubusercontent.com/facebookresearch/qmnist/master/",), characters=True),  # noqa: E501
    "emnist": emnist("balanced", (112_800, 18_800), MERGED),
    "emnist_byclass": emnist("byclass", (697_932, 116_323), ALL_LETTERS),
    "emnist_bymerge": emnist("bymerge", (697_932, 116_323), MERGED),
    "emnist_letters": emnist("letters", (124_800, 20_800), tuple(string.ascii_lowercase)),
    "emnist_digits": emnist("digits", (240_000, 40_000), TEN),
    "emnist_mnist": emnist("mnist", (60_000, 10_000), TEN),
    "cifar10": SmallSet("CIFAR-10", "cifar", (3, 32, 32), (50_000, 10_000), CIFAR10, 0.4734, ("cifar-10-batches-py", "cifar-10-batches-bin", "cifar10", "cifar-10", "CIFAR10"), (File("cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a"),), TORONTO),  # noqa: E501
    "cifar100": SmallSet("CIFAR-100", "cifar", (3, 32, 32), (50_000, 10_000), CIFAR100, 0.4782, ("cifar-100-python", "cifar-100-binary", "cifar100", "cifar-100", "CIFAR100"), (File("cifar-100-python.tar.gz", "eb9058c3a382ffc7106e4002c42a8d85"),), TORONTO),  # noqa: E501
    "svhn": SmallSet("SVHN", "matlab", (3, 32, 32), (73_257, 26_032), TEN, 0.4514, ("SVHN", "svhn", "cropped_digits"), (File("train_32x32.mat", "e26dedcc434d2e4c54c9b2d4a06d8373"), File("test_32x32.mat", "eb5a983be6a315427106f1b164d9cef3")), ("http://ufldl.stanford.edu/housenumbers/",), characters=True),  # noqa: E501
}
# fmt: on

# fmt: off
PUBLISHED_ERRORS = {
    247: 6, 449: 5, 582: 2, 659: 1, 674: 3, 829: 8, 926: 8, 938: 5, 1014: 5, 1039: 3, 1232: 4, 1319: 0, 1328: 8,
    1393: 3, 1530: 7, 1621: 6, 1681: 7, 1790: 7, 1878: 3, 1901: 4, 1955: 2, 2035: 3, 2043: 8, 2109: 9, 2118: 0,
    2129: 8, 2130: 9, 2135: 1, 2293: 4, 2387: 1, 2414: 4, 2462: 0, 2654: 1, 2921: 5, 2927: 2, 2939: 5, 3030: 0,
    3422: 0, 3520: 0, 3762: 8, 3780: 6, 3808: 3, 3869: 4, 3941: 6, 4176: 7, 4224: 7, 4265: 3, 4369: 4, 4405: 4,
    4425: 4, 4497: 7, 4575: 2, 4601: 4, 4740: 5, 4956: 4, 5736: 5, 5749: 5, 5955: 8, 5973: 8, 6091: 8, 6101: 5,
    6173: 8, 6538: 3, 6557: 2, 6558: 5, 6571: 5, 6597: 7, 6783: 6, 7434: 9, 8059: 1, 8094: 8, 8408: 5, 8527: 9,
    9009: 2, 9015: 2, 9679: 5, 9692: 7, 9698: 1, 9729: 6, 9770: 0, 9792: 9, 9904: 8,
}
# fmt: on
"""MNIST's test index -> answer of LeNet-5, for its 82 errors of 1998. Paper: Fig. 8, matched to the test set."""
