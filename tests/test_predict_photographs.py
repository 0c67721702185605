"""python -m cnnlit.predict of photographs that are much larger than the pictures that the network was trained on."""

import json
from pathlib import Path

import pytest
from as_typed import here
from PIL import Image

from cnnlit.data.images_in_memory import SyntheticImages

TRAINING = (
    *("model=resnet_cifar", "model.depth=8", "data=synthetic", "data.num_classes=3", "data.image_size=24"),
    *("data.drawn_images=102", "data.val_split=15", "recipe=he2015_cifar", "recipe.batch_size=16", "recipe.epochs=1"),
    *("logger=none", "trainer=cpu"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of drawn pictures of 24x24 pixels, one of which is here also at ten times the size, and wider."""
    folder = tmp_path_factory.mktemp("photographs")
    outcome = here(folder, "train", *TRAINING, f"hydra.run.dir={folder / 'run'}")
    assert outcome.returncode == 0, outcome.stderr
    data = SyntheticImages(num_classes=3, image_size=24, drawn_images=102, batch_size=1)
    data.setup()
    picture = Image.fromarray(data.test_images[0].movedim(0, -1).numpy())
    picture.save(folder / "as it was.png")
    large = picture.resize((240, 240), Image.Resampling.NEAREST)
    large.save(folder / "large.png")
    wide = Image.new("RGB", (400, 240))
    wide.paste(large, (80, 0))
    wide.save(folder / "wide.png")
    return folder


def test_a_large_photograph_gets_the_answer_of_the_picture_that_it_shows(folder: Path) -> None:
    names = "images=[as it was.png,large.png,wide.png]"
    outcome = here(folder, "predict", "run=run", names, "format=json", "top=3")
    assert outcome.returncode == 0, outcome.stderr
    small, *others = (
        {each["class"]: each["probability"] for each in one["answers"]} for one in json.loads(outcome.stdout)
    )
    for large in others:
        assert large == pytest.approx(small, abs=0.03)


def test_what_the_network_saw_of_it_is_framed_in_the_figure(folder: Path) -> None:
    outcome = here(folder, "predict", "run=run", "images=wide.png", "to=seen.svg")
    assert outcome.returncode == 0, outcome.stderr
    assert "#ffd400" in (folder / "seen.svg").read_text()
    outcome = here(folder, "predict", "run=run", "images=large.png", "to=whole.svg")
    assert outcome.returncode == 0, outcome.stderr
    assert "#ffd400" not in (folder / "whole.svg").read_text()
