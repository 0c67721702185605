"""python -m cnnlit.prepare: resize images once and store them so that they stream.

What can be configured is in conf/prepare.yaml and the groups that it names; --help lists it.
"""

from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from cnnlit import config
from cnnlit.config import Node, Values
from cnnlit.data.sources.found_files import check_root

if TYPE_CHECKING:  # imported where they are needed, so that --help and mistakes are answered at once
    from cnnlit.data.stores.store_writer import PreparedStore

IMAGENET = 1_281_167
"""Training images of ILSVRC 2012."""

WORDS = {"train": "training", "val": "validation", "dev": "development"}


def prepare(*, data: Node, recipe: Values, prepare: Node, seed: Annotated[int, Ge(0)]) -> None:
    """Make a store of images, or what is missing of it, and print a summary.

    conf/prepare.yaml says what each key is for.
    """
    with config.refusing():
        preparation = config.build(prepare)
        images = config.build(data)
        if not hasattr(images, "find"):
            raise ValueError(
                "data: these images are in no files that could be prepared; use data=imagenet or data=folder"
            )
        images.prepare_data()
        store = preparation.run(images.find(), data.get("on_unreadable", "stop"))
    from rich.console import Console

    console = Console(soft_wrap=True, highlight=False)
    for line in _report(store):
        console.print(line)


def check_typed(*, data: Node, **_: object) -> None:
    """Refuse a root that is no folder, before PyTorch is imported for it."""
    check_root(data, config.overrides())


def _report(store: "PreparedStore") -> list[str]:
    """The lines of the summary."""
    if store.num_missing:
        shards = "1 shard is" if store.num_missing == 1 else f"{store.num_missing:,} shards are"
        return [f"{store.folder}: this share is made; {shards} missing, which other shares make"]
    about, sample = store.about, store.about["sample"]
    splits = about["splits"].values()
    lines = [
        f"{store.folder}{' was prepared before' if store.was_there else ''}: "
        + " and ".join(f"{each['images']:,} {WORDS[split]} images" for split, each in about["splits"].items())
        + f" of {len(about['classes']):,} classes"
    ]
    from cnnlit.files import in_bytes

    images, size = (sum(each[what] for each in splits) for what in ("images", "bytes"))
    if about["encoding"] == "jpeg":
        colours = {420: "4:2:0", 444: "4:4:4"}[about["subsampling"]]
        how = f"JPEG, quality {about['quality']}, {colours}, shorter side {about['side']}"
        fidelity = f"PSNR {sample['psnr_db']:.1f} dB in {sample['images']} of them"
    else:
        how, fidelity = f"raw, {about['side']}x{about['side']}", "exact"
    per_image = size / max(images, 1)
    lines.append(
        f"{how}: {fidelity}; {in_bytes(size)}, {per_image / 1e3:,.1f} kB an image "
        f"({per_image * IMAGENET / 1e9:,.0f} GB for 1.28 million)"
    )
    if unreadable := [each for split in splits for each in split["unreadable"]]:
        lines.append(f"left out because they cannot be read: {len(unreadable):,}, listed in prepared.json")
    if store.replaced:
        lines.append(f"damaged, made anew from their originals: {', '.join(store.replaced)}")
    if store.num_verified is not None:
        lines.append(f"verified: {store.num_verified:,} images are as they were written")
    return [*lines, f"Train on them with data.root={store.folder}"]


main = config.entry_point(prepare, typed=check_typed)

if __name__ == "__main__":
    main()
