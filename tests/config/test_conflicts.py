"""What a command line may change in the run that it resumes."""

from pathlib import Path

import pytest

from cnnlit.config.conflicts import refuse_changes, with_changes

FOLDER, DIGITS = {"_target_": "a.Folder", "num_workers": 4, "root": "there"}, {"_target_": "a.Digits"}
TRAINER = {"_target_": "a.Trainer", "devices": 1, "precision": "32-true"}
RUN = {"data": FOLDER, "trainer": TRAINER, "logger": {}, "num_threads": 1, "recipe": {"epochs": 3, "rate": 0.1}}


def test_the_number_of_workers_may_change_where_the_data_are_the_runs_own():
    words = ["resume=run", "data=folder", "data.num_workers=0", "trainer.devices=2"]
    refuse_changes(words, Path("run"), alone=True)
    typed = {**RUN, "data": {**FOLDER, "num_workers": 0, "root": "elsewhere"}, "trainer": {**TRAINER, "devices": 2}}
    assert with_changes(RUN, typed, words) == {
        **RUN,
        "data": {**FOLDER, "num_workers": 0},
        "trainer": {**TRAINER, "devices": 2},
    }
    with pytest.raises(ValueError, match=r"the data of this run is a\.Folder, not a\.Digits"):
        with_changes(RUN, {**RUN, "data": DIGITS}, ["resume=run", "data=digits"])


@pytest.mark.parametrize("word", ["seed=1", "data.root=x", "recipe.rate=1", "trainer.precision=16-mixed", "loggers=1"])
def test_whatever_decides_a_number_may_not(word):
    with pytest.raises(ValueError, match=f"leave out {word}"):
        refuse_changes(["resume=run", word], Path("run"), alone=True)


def test_several_runs_go_on_as_they_are():
    with pytest.raises(ValueError, match="leave out num_threads=2"):
        refuse_changes(["resume=sweep", "num_threads=2"], Path("sweep"), alone=False)
