"""What runs are compared by is read as it is written, or refused."""

import pytest

from cnnlit.analysis.measures import read_target


@pytest.mark.parametrize("words", ["train/error", "train/error<=", "<=0.5", "train/error<=0.5.5", "train/error==1"])
def test_a_target_that_is_none_is_refused(words):
    with pytest.raises(ValueError, match="must be a curve and a bound"):
        read_target(words)
