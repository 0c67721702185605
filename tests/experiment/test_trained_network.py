"""A run's network in Python: loaded, asked about images of every kind, as `python -m cnnlit.predict` answers."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import cnnlit
from cnnlit.experiment.trained_network import as_pixels
from cnnlit.train import main
from cnnlit.training.module import ImageClassification

HEAVY = {"torch", "lightning", "hydra", "omegaconf", "torchvision", "wandb", "numpy"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    words = ["model=compact", "recipe/loss=cross_entropy", "recipe.epochs=1", "data.passes_per_epoch=1", "logger=none"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["train", *words, f"hydra.run.dir={folder}"])
        main()
    return folder


@pytest.fixture
def digit():
    pixels = np.zeros((28, 28), np.uint8)
    pixels[5:23, 12:16] = 255
    return pixels


def test_import_cnnlit_imports_nothing_heavy():
    code = f"import sys, cnnlit; print({HEAVY!r} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"


def test_the_names_of_the_interface_are_there_and_are_no_submodules():
    for name in set(cnnlit.__all__) - {"__version__"}:
        assert callable(getattr(cnnlit, name))
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        cnnlit.lode  # noqa: B018


@pytest.mark.slow
def test_every_kind_of_image_gets_the_same_answer(run, digit, tmp_path):
    network = cnnlit.load(run)
    Image.fromarray(digit).save(tmp_path / "digit.png")
    colour = np.stack([digit] * 3, axis=-1)
    kinds = [
        tmp_path / "digit.png", str(tmp_path / "digit.png"), Image.fromarray(digit), digit, colour,
        torch.from_numpy(digit), torch.from_numpy(digit)[None], torch.from_numpy(colour).movedim(-1, 0),
    ]  # fmt: skip
    answers = network.predict(kinds, top=3)
    assert len(answers) == len(kinds)
    assert all(answer == answers[0] for answer in answers)
    (alone,) = network.predict(digit, top=3)
    assert alone.names == answers[0].names
    assert alone.name in network.class_names
    assert alone.probability == pytest.approx(max(alone.probabilities))
    assert not network.training


def test_a_network_answers_as_a_test_of_its_run_did(run):
    network = cnnlit.load(run)
    from cnnlit.data.small_sets.sklearn_digits import read_digits

    _, _, images, labels = read_digits()
    answers = network.predict(list(images), top=1)
    wrong = sum(answer.name != str(label) for answer, label in zip(answers, labels.tolist(), strict=True))
    import json

    assert wrong == json.loads((run / "test.json").read_text())["test/num_errors"]


def test_more_images_than_a_batch_are_all_answered(run, digit):
    assert len(cnnlit.load(run).predict([digit] * 70)) == 70


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4)), torch.zeros(2, 4, 4, dtype=torch.uint8), np.zeros((1, 2, 3, 4), np.uint8)]
)
def test_what_is_no_image_is_refused_in_one_line(image):
    with pytest.raises(ValueError, match=r"^images: .*$"):
        as_pixels(image)


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no run"):
        cnnlit.load(tmp_path)


def test_a_configuration_is_that_of_the_command_and_prints_as_yaml():
    composed = cnnlit.compose("model=compact", "recipe.epochs=3")
    assert composed["recipe"]["epochs"] == 3
    assert "epochs: 3" in repr(composed)
    assert cnnlit.compose()["recipe"]["epochs"] != 3


def test_a_wrong_word_is_refused_by_the_commands_line():
    with pytest.raises(ValueError, match=r"recipe\.epoch: no such option; did you mean recipe\.epochs"):
        cnnlit.compose("recipe.epoch=3")


def test_own_configuration_files_are_found(tmp_path):
    (tmp_path / "recipe").mkdir()
    (tmp_path / "recipe" / "mine.yaml").write_text("defaults: [modern, _self_]\nepochs: 7\n")
    assert cnnlit.compose("recipe=mine", config_dir=tmp_path)["recipe"]["epochs"] == 7


def test_lightnings_way_of_loading_needs_the_checkpoint_alone(run):
    module = ImageClassification.load_from_checkpoint(run / "checkpoints" / "last.ckpt")
    images = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        assert torch.equal(module.eval()(images), cnnlit.load(run)(images))
