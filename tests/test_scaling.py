"""docs/scaling.md is what `python -m benchmarks.scaling` computes, and that by hand."""

import re
from pathlib import Path

import pytest
from torch import nn

from benchmarks import scaling
from benchmarks import training_at_scale as at_scale
from cnnlit.parallel.communication import gradient_bytes

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.slow
def test_the_page_is_what_the_script_prints():
    assert (DOCS / "scaling.md").read_text() == scaling.page(), "python -m benchmarks.scaling > docs/scaling.md"


@pytest.mark.parametrize(("devices", "seconds"), [(8, 7e6 / 450e9), (64, 7.875e6 / 50e9)])
def test_a_ring_sends_twice_all_but_one_part_of_the_gradients(devices, seconds):
    million = nn.Linear(1000, 1000, bias=False)  # 4 MB
    assert at_scale.ring_seconds(gradient_bytes(million, devices), devices) == pytest.approx(seconds)


def test_the_rate_is_six_operations_for_each_multiply_add():
    assert at_scale.flop_rate() == pytest.approx(4_700 * 6 * 4.089e9, rel=1e-3)


def test_what_the_way_back_does_not_hide_waits():
    step = at_scale.Step(devices=2, compute=3e-3, gradients=3e-3)
    assert step.hidden == pytest.approx(2 / 3)
    assert step.seconds == pytest.approx(4e-3)
    assert step.images_per_second == pytest.approx(2 * at_scale.BATCH_PER_DEVICE / 4e-3)
    assert at_scale.Step(2, 3e-3, 1e-3).seconds == pytest.approx(3e-3)


def test_so_many_images_just_hide_the_gradients():
    network = at_scale.Network.of(at_scale.NETWORKS["AlexNet"])
    images = network.images_that_hide(64)
    assert images / network.images_per_second * 2 / 3 == pytest.approx(network.step(64).gradients)


def test_what_is_said_to_be_measured_is_what_the_pages_say():
    """A row of docs/performance.md: ratio, rounds, milliseconds for an image; docs/photographs.md: GB for ImageNet."""
    performance, photographs = (DOCS / "performance.md").read_text(), (DOCS / "photographs.md").read_text()
    rows = {
        "folder": "folder, AlexNet's transform",
        "prepared, 256 px": "store, JPEG 256, AlexNet's transform",
        "prepared, 384 px": "store, JPEG 384, random resized crop",
        "prepared, raw": "store, raw 256x256, AlexNet's transform",
    }
    for name, row in rows.items():
        measured = re.search(rf"\| {re.escape(row)} \| [\d.]+ \| [\d.-]+ \| ([\d.]+)", performance)
        assert float(measured[1]) == at_scale.STORES[name].milliseconds
    for name, pixels in (("prepared, 256 px", 256), ("prepared, 384 px", 384)):
        measured = re.search(rf"prepared, {pixels} px \((\d+) GB", photographs)
        assert float(measured[1]) * 1e9 == pytest.approx(at_scale.STORES[name].size * at_scale.IMAGENET)
