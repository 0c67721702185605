"""Which set was tested is told by its images, and not by how they are loaded."""

from typing import Any

import pytest

from cnnlit.runs import evaluations

OWN: dict[str, Any] = {"_target_": "cnnlit.data.image_folders.ImageNet", "root": "s3://bucket/set", "num_classes": 3}


@pytest.mark.parametrize("loading", [{"cache_dir": None, "cache_gb": 0}, {"cache_gb": 50.0}, {"num_workers": 3}])
def test_a_cache_or_a_worker_makes_no_other_set(loading: dict[str, Any]) -> None:
    assert evaluations.tested_set({**OWN, **loading}, OWN, "imagenet") == evaluations.tested_set(OWN, OWN, "imagenet")
    assert evaluations.tested_set({**OWN, "root": "elsewhere", **loading}, OWN, "imagenet") != evaluations.tested_set(
        OWN, OWN, "imagenet"
    )
