"""Claims are read as they are written, or refused."""

import pytest
from runs.made_runs import made_run

from cnnlit.analysis.claims import read_claim
from cnnlit.analysis.comparison import compare_runs
from cnnlit.analysis.measures import Measure
from cnnlit.runs.records import find


@pytest.mark.parametrize(
    ("claim", "says"),
    [
        ("max", "must be two arms"),
        ("max < maximum", "there is no arm maximum; there is max; average"),
        ("max < max", "both sides are max"),
    ],
)
def test_a_claim_that_cannot_be_read_is_refused(tmp_path, claim, says):
    for place, pooling in enumerate(("max", "average")):
        made_run(tmp_path / pooling, error=0.01 + place / 100, model__pooling=pooling)
    with pytest.raises(ValueError, match=says):
        read_claim(claim, compare_runs(find([str(tmp_path)]).records, Measure("test/error")))


def test_a_value_that_several_arms_share_is_not_guessed_at(tmp_path):
    for place, (pooling, activation) in enumerate(
        [("max", "relu"), ("max", "tanh"), ("average", "relu"), ("average", "tanh")]
    ):
        made_run(tmp_path / str(place), model__pooling=pooling, model__activation=activation)
    records = find([str(tmp_path)]).records
    with pytest.raises(ValueError, match=r"relu is 2 arms: .*; by=model.activation makes it one"):
        read_claim("relu < tanh", compare_runs(records, Measure("test/error")))
    claim = read_claim("relu < tanh", compare_runs(records, Measure("test/error"), ["model.activation"]))
    assert (claim.one.name, claim.below, [each.name for each in claim.others]) == ("relu", True, ["tanh"])
