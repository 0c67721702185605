"""What all tests share."""

from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def the_same_weights_in_any_order() -> None:
    """What a test draws does not depend on the tests before it."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def real_mnist() -> Path:
    """The folder that MNIST's four files lie below."""
    root = Path(__file__).parents[2] / "shared" / "data"
    if not (root / "MNIST" / "raw").is_dir():
        pytest.skip("no MNIST in ../shared/data")
    return root
