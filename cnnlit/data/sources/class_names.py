"""Names of classes that are identified by WordNet ids."""

from collections.abc import Iterable
from pathlib import Path

from cnnlit.data.labels.class_ids import imagenet_ids

IMAGENETTE = {
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
}
"""Ten easily classified classes of ImageNet. Source: github.com/fastai/imagenette."""

IMAGEWOOF = {
    "n02086240": "Shih-Tzu",
    "n02087394": "Rhodesian ridgeback",
    "n02088364": "beagle",
    "n02089973": "English foxhound",
    "n02093754": "Border terrier",
    "n02096294": "Australian terrier",
    "n02099601": "golden retriever",
    "n02105641": "Old English sheepdog",
    "n02111889": "Samoyed",
    "n02115641": "dingo",
}
"""Ten breeds of dogs among ImageNet's classes. Source: github.com/fastai/imagenette."""


def class_names(classes: list[str], folders: Iterable[Path], known: dict[str, str] | None = None) -> list[str]:
    """A name for each class; its id where none is known.

    Names come from the first of these that has any of the ids: words.txt or LOC_synset_mapping.txt in one of the
    folders; `known`; ImageNet's thousand classes, of which a set may have some.

    Args:
        classes: sorted ids.
        folders: where to look for files of names.
        known: id -> name.
    """
    for names in (*_written(folders), known or {}, _of_imagenet()):
        if not names.keys().isdisjoint(classes):
            return [names.get(wnid, wnid) for wnid in classes]
    return classes


def first_word(synonyms: str) -> str:
    """`tench` of `tench, Tinca tinca`."""
    return synonyms.split(",")[0].strip()


def _written(folders: Iterable[Path]) -> Iterable[dict[str, str]]:
    """The names in each file found; a line is an id, a tab or a space, and synonyms."""
    for folder in folders:
        for name in ("words.txt", "LOC_synset_mapping.txt"):
            if (folder / name).is_file():
                lines = (folder / name).read_text(errors="replace").splitlines()
                pairs = (line.split(maxsplit=1) for line in lines)
                yield {pair[0]: first_word(pair[1]) for pair in pairs if len(pair) == 2}


def _of_imagenet() -> dict[str, str]:
    """The names of the challenge's thousand classes, by their ids."""
    return dict(zip(imagenet_ids(), imagenet_names(), strict=True))


def imagenet_names() -> list[str]:
    """What ImageNet's thousand classes are called, in the order of their WordNet ids."""
    from torchvision.models import AlexNet_Weights

    return list(AlexNet_Weights.IMAGENET1K_V1.meta["categories"])
