"""python -m benchmarks.scaling: prints docs/scaling.md, what ImageNet and beyond need on 8, 64 and 1,024 devices.

Nothing is measured here; it is arithmetic on the assumptions in the page's first table.
"""

import sys
from collections.abc import Callable, Iterator

from benchmarks.scaling_words import BEYOND, DATA, FAR, GRADIENTS, LIMITS, OPENING, RECIPE
from benchmarks.training_at_scale import (
    BATCH_PER_DEVICE,
    BETWEEN_MACHINES,
    CLASSES_21K,
    DEVICES,
    DEVICES_PER_MACHINE,
    EPOCHS,
    HE2015_BATCH,
    HE2015_RATE,
    IMAGENET,
    IMAGENET_21K,
    NAME_BYTES,
    NETWORKS,
    RESNET50_IMAGES_PER_SECOND,
    STORES,
    WITHIN_MACHINE,
    Network,
    Store,
    flop_rate,
)
from cnnlit.data.decoded_images import MOST_WORKERS
from cnnlit.data.stores.store import RECORD
from cnnlit.reports.tables import Page, Table, as_markdown

ROWS_IN_GROUP = 100
"""Of the hub's parquet files of ImageNet."""
FAR_FORMS = ("folder", "prepared, 256 px")


def page() -> str:
    """docs/scaling.md."""
    rate = flop_rate()
    networks = {name: Network.of(build) for name, build in NETWORKS.items()}
    parts: Page = [OPENING, _assumed(rate), GRADIENTS, _networks(networks), _steps(networks), DATA, _bytes(networks)]
    parts += [
        _shared(networks["ResNet-50"]),
        _cores(networks),
        FAR,
        _far(networks["ResNet-50"]),
        RECIPE,
        _batches(),
        BEYOND,
        _beyond(),
        LIMITS,
    ]
    return as_markdown(parts)


def _assumed(rate: float) -> Table:
    measured, public = "measured: [performance.md](performance.md)", "public"
    rows = [
        (f"{name}: time per image on one core", f"{store.milliseconds} ms", measured) for name, store in STORES.items()
    ]
    stored = "measured: [photographs.md](photographs.md)"
    sizes = ("public: the official archive of 147.9 GB", stored, stored, "256x256x3 bytes")
    rows += [
        (f"{name}: size of an image", f"{store.size / 1e3:.1f} kB", source)
        for (name, store), source in zip(STORES.items(), sizes, strict=True)
    ]
    rows += [
        (
            "throughput of a device, torchvision's ResNet-50",
            f"{RESNET50_IMAGES_PER_SECOND:,} images/s",
            f"{public}, bfloat16",
        ),
        ("the same in operations (3 x forward x 2)", f"{rate / 1e12:.0f} TFLOP/s", "counted; assumed for all networks"),
        ("devices per machine", str(DEVICES_PER_MACHINE), public),
        ("bandwidth between two of them, each way", f"{WITHIN_MACHINE / 1e9:.0f} GB/s", f"{public}: NVLink"),
        (
            "bandwidth between two machines, each way",
            f"{BETWEEN_MACHINES / 1e9:.0f} GB/s",
            f"{public}: one 400 Gb/s adapter",
        ),
        ("gradients", "float32, 2 (n - 1) / n of them sent", "ring all-reduce"),
        ("images per device and step", str(BATCH_PER_DEVICE), "the 256 of he2015 on 8 devices"),
        ("ImageNet; ImageNet-21k", f"{IMAGENET:,}; {IMAGENET_21K / 1e6:.1f} million images", public),
    ]
    return Table.of("Assumptions", ("assumption", "value", "source"), rows)


def _networks(networks: dict[str, Network]) -> Table:
    rows = [
        (
            name,
            f"{each.macs / 1e9:.2f}",
            f"{each.parameters / 1e6:.1f}",
            f"{each.parameters * 4 / 1e6:.0f}",
            f"{each.images_per_second:,.0f}",
            f"{each.images_that_hide(max(DEVICES)):,.0f}",
        )
        for name, each in networks.items()
    ]
    heads = ("network", "GMAC forward", "million parameters", "MB of gradients", "images/s per device")
    return Table.of("Networks, with auxiliary heads", (*heads, "images per device that hide them"), rows)


def _steps(networks: dict[str, Network]) -> Table:
    rows = []
    for name, network in networks.items():
        for step in map(network.step, DEVICES):
            rate = step.images_per_second
            rows.append(
                (
                    name,
                    f"{step.devices:,}",
                    f"{step.compute * 1e3:.1f}",
                    f"{step.gradients * 1e3:.2f}",
                    f"{step.hidden:.0%}",
                    f"{step.seconds * 1e3:.1f}",
                    f"{rate:,.0f}",
                    f"{IMAGENET / rate:.1f}",
                    f"{EPOCHS * IMAGENET / rate / 60:.1f}",
                )
            )
    heads = ("network", "devices", "compute, ms", "gradients, ms", "hidden", "step, ms", "images/s", "epoch, s")
    return Table.of("A step", (*heads, f"{EPOCHS} epochs, min"), rows)


def _bytes(networks: dict[str, Network]) -> Table:
    def cell(network: Network, store: Store) -> str:
        rate = network.images_per_second * store.size
        return f"{rate / 1e6:,.0f}; {rate * DEVICES_PER_MACHINE / 1e9:.1f}"

    heading = "Image bytes: MB/s per device; GB/s per machine"
    return _by_store(heading, networks, cell)


def _shared(network: Network) -> Table:
    rows = [
        (
            f"{devices:,}",
            *(f"{devices * network.images_per_second * store.size / 1e9:,.1f}" for store in STORES.values()),
        )
        for devices in DEVICES
    ]
    return Table.of("ResNet-50 from one shared disk, GB/s in total", ("devices", *STORES), rows)


def _far(network: Network) -> Table:
    rows = []
    for devices in DEVICES:
        images = devices * network.images_per_second
        workers = MOST_WORKERS * devices
        groups = images / ROWS_IN_GROUP
        rows.append(
            (
                f"{devices:,}",
                f"{images:,.0f}",
                f"{groups:,.0f} to {groups * min(workers, ROWS_IN_GROUP):,.0f}",
                *(f"{images * STORES[name].size * (1 - kept) / 1e9:,.1f}" for name in FAR_FORMS for kept in (0, 1 / 3)),
            )
        )
    heads = (
        *("devices", "requests/s, one for an image", "parquet, 100 rows a group"),
        *(f"{name}, GB/s{kept}" for name in ("originals", "prepared, 256 px") for kept in ("", ", a third kept")),
    )
    return Table.of("ResNet-50 from an object store", heads, rows)


def _cores(networks: dict[str, Network]) -> Table:
    def cell(network: Network, store: Store) -> str:
        return f"{network.images_per_second * store.milliseconds / 1e3:.1f}"

    return _by_store("Decoding cores per device", networks, cell)


def _by_store(heading: str, networks: dict[str, Network], cell: Callable[[Network, Store], str]) -> Table:
    rows = [(name, *(cell(each, store) for store in STORES.values())) for name, each in networks.items()]
    return Table.of(heading, ("network", *STORES), rows)


def _batches() -> Table:
    rows = []
    for devices in DEVICES:
        batch = devices * BATCH_PER_DEVICE
        steps = -(-IMAGENET // batch)
        kept = HE2015_BATCH // devices
        rows.append(
            (
                f"{devices:,}",
                f"{kept} images" if kept else "refused",
                f"{batch:,}",
                f"{steps:,}",
                f"{EPOCHS * steps:,}",
                f"{HE2015_RATE * batch / HE2015_BATCH:g}",
            )
        )
    heads = ("devices", "batch 256: per device", "32 per device: batch", "steps per epoch", f"in {EPOCHS} epochs")
    return Table.of("Batches", (*heads, "rate in proportion"), rows)


def _beyond() -> Table:
    return Table.of("ImageNet-21k", ("quantity", "value"), list(_beyond_rows()))


def _beyond_rows() -> Iterator[tuple[str, str]]:
    for name, store in STORES.items():
        yield f"{name}: disk", f"{IMAGENET_21K * store.size / 1e12:.2f} TB"
    listed = sys.getsizeof(b"." * NAME_BYTES) + 8
    yield "class folders: names during listing, per process", f"{IMAGENET_21K * listed / 1e9:.1f} GB"
    yield (
        "prepared: index and names, memory-mapped, per machine",
        f"{IMAGENET_21K * (RECORD.itemsize + NAME_BYTES) / 1e9:.1f} GB",
    )
    yield "prepared: indices and labels, per process", f"{IMAGENET_21K * 16 / 1e9:.2f} GB"
    for name in ("VGG16", "ResNet-50"):
        network = Network.of(NETWORKS[name], CLASSES_21K)
        share = f"{network.parameters / 1e6:.0f} million parameters, {network.parameters * 4 / 1e6:.0f} MB of gradients"
        yield f"{name} with {CLASSES_21K:,} classes", share
        for step in map(network.step, DEVICES):
            hours = EPOCHS * IMAGENET_21K / step.images_per_second / 3600
            yield (
                f"{name}, {step.devices:,} devices: gradients hidden; {EPOCHS} epochs",
                f"{step.hidden:.0%}; {hours:.1f} h",
            )


if __name__ == "__main__":
    sys.stdout.write(page())
