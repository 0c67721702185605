"""python -m cnnlit.new: what it lays out works at once, in a folder outside the repository."""

from pathlib import Path

import pytest
import yaml
from as_typed import python

from cnnlit.projects.layout import check_name

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("elsewhere")
    made = python(folder, "cnnlit.new", "my_project")
    assert made.returncode == 0, made.stderr
    return folder / "my_project"


@pytest.mark.slow
def test_its_own_tests_pass(project: Path) -> None:
    outcome = python(project, "pytest", "-q", "-p", "no:cacheprovider")
    assert outcome.returncode == 0, outcome.stdout
    assert "2 passed" in outcome.stdout


@pytest.mark.slow
def test_the_line_that_is_printed_trains_it_to_learn(project: Path) -> None:
    again = python(project.parent, "cnnlit.new", "another")
    line = again.stdout.splitlines()[-1].removeprefix("python -m ")
    outcome = python(project.parent / "another", *line.split(), "logger=none", "hydra.run.dir=run")
    assert outcome.returncode == 0, outcome.stderr
    assert "unchecked" not in outcome.stderr
    (error,) = [each for each in outcome.stdout.splitlines() if each.startswith("test error: ")]
    assert float(error.split()[2].rstrip("%,")) < 65, "chance is 75 %"


@pytest.mark.slow
def test_its_experiment_composes_and_its_options_are_checked(project: Path) -> None:
    composed = python(project, "cnnlit.train", "--config-dir", "conf", "experiment=activations", "--cfg", "job")
    assert yaml.safe_load(composed.stdout)["model"]["_target_"] == "my_project.networks.SmallNet"
    wrong = python(
        project, "cnnlit.train", "--config-dir", "conf", "model=small", "data=photographs", "model.activation=relo"
    )
    assert wrong.returncode == 2
    assert "did you mean relu?" in wrong.stderr


def test_there_is_no_second_project_in_a_folder(project: Path) -> None:
    before = sorted(project.rglob("*"))
    outcome = python(project.parent, "cnnlit.new", "my_project")
    assert outcome.returncode == 2
    assert outcome.stderr == "cnnlit: my_project: is there already; name another project, or remove it\n"
    assert sorted(project.rglob("*")) == before


@pytest.mark.parametrize("name", ["My-Project", "1st", "class", "json", "cnnlit", "torch", "näme"])
def test_a_name_that_no_package_can_have_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        check_name(name)
