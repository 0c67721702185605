"""What all tests share."""

from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--small", action="store_true", help="what is for a GPU, in small on a CPU: -m gpu --small")


@pytest.fixture(autouse=True)
def the_same_weights_in_any_order() -> None:
    """What a test draws does not depend on the tests before it."""
    torch.manual_seed(0)


@pytest.fixture
def gpu(request: pytest.FixtureRequest) -> torch.device:
    """A GPU; with --small the CPU in its place."""
    if torch.cuda.is_available():
        return torch.device("cuda", 0)
    if not request.config.getoption("small"):
        pytest.skip("no GPU; --small tries it on the CPU")
    return torch.device("cpu")


@pytest.fixture(scope="session")
def real_mnist() -> Path:
    """The folder that MNIST's four files lie below."""
    root = Path(__file__).parents[2] / "shared" / "data"
    if not (root / "MNIST" / "raw").is_dir():
        pytest.skip("no MNIST in ../shared/data")
    return root
