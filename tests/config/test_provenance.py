"""Where values come from."""

from pathlib import Path

import pytest

from cnnlit.config.compose import conf_dir, paths
from cnnlit.config.hydra_internals import Composition
from cnnlit.config.provenance import constants, headline, origins, print_configuration
from cnnlit.config.schema import below


def test_the_last_file_that_sets_a_key_is_its_origin_and_comments_stay() -> None:
    found = origins(Composition("train", conf_dir(), ["data=mnist"]))
    assert found["data.source"].file == "data/mnist"
    assert found["data.distortion_elastic_smoothness_pixels"].file == "data/digits"
    assert found["data.views"].comment.startswith("of each image in a test")
    assert found["recipe.optimizer.lr"].file == "recipe/optimizer/adamw"


def test_an_own_folder_comes_first(tmp_path: Path) -> None:
    own = tmp_path / "model" / "lenet5.yaml"
    own.parent.mkdir()
    own.write_text("# Mine.\n_target_: cnnlit.models.lenet5.LeNet5\npooling: max  # as I like it\n")
    composition = Composition("train", conf_dir(), ["--config-dir", str(tmp_path)])
    assert origins(composition)["model.pooling"].comment == "as I like it"
    assert composition.resolved()["model"] == {"_target_": "cnnlit.models.lenet5.LeNet5", "pooling": "max"}


def test_the_printed_configuration_says_file_choice_and_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_configuration("train", conf_dir(), ["experiment=pooling", "recipe.epochs=3", "recipe/optimizer=sgd"])
    lines = {tuple(part.strip() for part in line.split("#", 1)) for line in capsys.readouterr().out.splitlines()}
    assert ("epochs: 3", "command line") in lines
    assert ("data:", "data=mnist") in lines
    assert ("optimizer:", "recipe/optimizer=sgd") in lines
    assert ("source: mnist", "data/mnist.yaml") in lines
    assert ("seed: 0", "train.yaml") in lines
    assert ("activation: relu", "experiment/pooling.yaml") in lines


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("# @package _global_\n# Question: does it help?\n# Paper: yes.\nseed: 1\n", "Does it help?"),
        ("# AlexNet (Krizhevsky et al. 2012),\n# two towers. More.\n", "AlexNet (Krizhevsky et al. 2012), two towers."),
        ("seed: 1\n# not this\n", ""),
    ],
)
def test_the_headline_is_the_first_sentence_of_the_opening_comment(tmp_path: Path, text: str, first: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    assert headline(path) == first


PAPERS = ("krizhevsky2012", "zeiler2013", "simonyan2014", "szegedy2014", "he2015", "he2015_cifar", "he2015_cifar110")
HOW = {"_target_", "_partial_", "checkpoint", "first_steps", "order", "augmentation"}
"""Keys that name parts, that say what is kept, or that the test of a list does not reach."""


@pytest.mark.parametrize("recipe", [*PAPERS, "krizhevsky2012_printed", "lecun1998"])
def test_every_constant_of_a_papers_training_says_its_source(recipe: str) -> None:
    composition = Composition("describe", conf_dir(), ["model=alexnet", f"recipe={recipe}"])
    told = {each.key for each in constants(composition, "recipe")}
    resolved = composition.resolved()["recipe"]
    values = {key: value for key in paths(resolved) if not isinstance(value := below(resolved, key), dict)}
    untold = [
        key
        for key, value in values.items()
        if value not in (None, [], {}, 0) and key.rpartition(".")[2] not in HOW and key not in told
    ]
    assert not untold


def test_constants_are_of_the_last_file_that_sets_them_or_typed() -> None:
    words = ["model=alexnet", "recipe.optimizer.lr=0.02"]
    found = {each.key: each[1:] for each in constants(Composition("describe", conf_dir(), words), "recipe")}
    assert found["optimizer.lr"] == (0.02, "command line")
    assert found["bias_rate"] == (2.0, "authors' code")
    assert found["decay_exempt"] == (["biases"], "authors' code")
    assert found["batch_size"] == (128, "paper")
    assert found["schedule.at"] == ([25, 51, 79], "authors' code")
    printed = Composition("describe", conf_dir(), ["model=alexnet", "recipe=krizhevsky2012_printed"])
    assert {each.key: each[1:] for each in constants(printed, "recipe")}["decay_exempt"] == ([], "paper")
