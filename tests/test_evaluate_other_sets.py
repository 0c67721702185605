"""python -m cnnlit.evaluate on other sets than the run's own: classes are matched by id, results keep apart."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from as_typed import cnnlit, here
from PIL import Image

from cnnlit.data.image_folders import Imagenette
from cnnlit.data.sources.class_names import IMAGENETTE
from cnnlit.experiment.initial_weights import classes_of

COLOURS = {
    "n01440764": (220, 30, 30),
    "n02102040": (30, 200, 40),
    "n03417042": (40, 60, 230),
    "n15075141": (230, 220, 40),
}
"""Classes of ImageNet, the 0th, 217th, 569th and 999th, each of one colour."""

NUMBERS = {"n01440764": "0", "n02102040": "217", "n03417042": "569", "n15075141": "999"}


def paint(folder: Path, classes: dict[str, str], count: int = 5) -> Path:
    """`count` pictures of the colour of each id in the folder that it is mapped to, of unlike brightness."""
    for wnid, name in classes.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            shade = tuple(max(0, value - 6 * number) for value in COLOURS[wnid])
            Image.new("RGB", (24, 24), shade).save(folder / name / f"{wnid}_{number}.png")
    return folder


def itself(*wnids: str) -> dict[str, str]:
    return {wnid: wnid for wnid in wnids or COLOURS}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that tells the four colours apart."""
    home = tmp_path_factory.mktemp("user")
    paint(home / "data" / "train", itself(), 12)
    paint(home / "data" / "val", itself())
    outcome = cnnlit(
        home, "train", "model=resnet_cifar", "model.depth=8", "data=folder", "data.root=data", "data.num_classes=4",
        "data.image_size=24", "data.val_split=0", "data.num_workers=0", "recipe=modern_images",
        "recipe/schedule=constant", "recipe.batch_size=8", "recipe.epochs=6", "recipe.augmentation=[]", "logger=none",
        "trainer=cpu", "hydra.run.dir=run",
    )  # fmt: skip
    assert outcome.returncode == 0, outcome.stderr
    assert json.loads((home / "run" / "test.json").read_text())["test/num_errors"] == 0
    return home / "run"


def evaluated(run: Path, root: Path, *words: str) -> tuple[dict, str, str]:
    """The record of an evaluation, its name, and what was said."""
    before = set((run / "evaluations").glob("*.json"))
    shown = here(run.parent, "evaluate", "run=run", f"data.root={root}", "data.num_workers=0", "trainer=cpu", *words)
    assert shown.returncode == 0, shown.stderr
    (path,) = set((run / "evaluations").glob("*.json")) - before
    return json.loads(path.read_text()), path.stem, shown.stderr + shown.stdout


def refused(run: Path, root: Path, *words: str) -> str:
    shown = here(run.parent, "evaluate", "run=run", f"data.root={root}", "data.num_workers=0", "trainer=cpu", *words)
    assert shown.returncode == 2, shown.stderr + shown.stdout
    (line,) = shown.stderr.splitlines()
    return line


@pytest.mark.slow
def test_classes_in_folders_of_numbers_are_refused_and_read_by_imagenetv2s_map(run: Path, tmp_path: Path) -> None:
    paint(tmp_path / "v2" / "val", NUMBERS)
    line = refused(run, tmp_path / "v2")
    for words in (
        "4 classes that the network was not trained on (0, 217, 569 and 1 more)",
        "data.class_map=imagenetv2",
    ):
        assert words in line
    record, name, said = evaluated(run, tmp_path / "v2", "data.class_map=imagenetv2")
    assert record["test/num_errors"] == 0
    assert record["test/num_images"] == 20
    assert name == "v2_single_crop"
    assert "end of training" not in said


@pytest.mark.parametrize("form", ["text", "json", "names"])
def test_a_file_tells_the_class_of_each_folder(run: Path, tmp_path: Path, form: str) -> None:
    # As sorted, the folders would be blue, green, red, yellow.
    called = dict(zip(COLOURS, ["red", "green", "blue", "yellow"], strict=True))
    paint(tmp_path / f"colours_{form}" / "val", called)
    pairs = [(folder, wnid) for wnid, folder in called.items()]
    if form == "json":
        text = json.dumps({folder: [wnid, "whatever"] for folder, wnid in pairs})
    else:
        text = "".join(f"{folder} {wnid}\n" for folder, wnid in pairs)
    (tmp_path / "map").write_text(text)
    record, *_ = evaluated(run, tmp_path / f"colours_{form}", f"data.class_map={tmp_path / 'map'}")
    assert record["test/num_errors"] == 0


def test_a_map_that_says_too_little_or_too_much_is_refused(run: Path, tmp_path: Path) -> None:
    paint(tmp_path / "v2" / "val", NUMBERS)
    (tmp_path / "map").write_text("0 n01440764\n217 n02102040\n")
    assert "says no class of 569, 999" in refused(run, tmp_path / "v2", f"data.class_map={tmp_path / 'map'}")
    (tmp_path / "map").write_text("0 n01440764\n0 n02102040\n")
    assert "says two classes of 0" in refused(run, tmp_path / "v2", f"data.class_map={tmp_path / 'map'}")
    assert "there is no such file" in refused(run, tmp_path / "v2", "data.class_map=nowhere")


def test_some_of_the_classes_are_matched_and_the_others_named_and_masked(run: Path, tmp_path: Path) -> None:
    # The last two classes: by place they would be the first two.
    paint(tmp_path / "part" / "val", itself("n03417042", "n15075141"))
    record, name, said = evaluated(run, tmp_path / "part")
    assert record["test/num_errors"] == 0
    assert name == "part_single_crop"
    assert "has 2 of the network's 4 classes, none of tench, English springer: its answers may be others too" in said
    assert record["data_remarks"]
    masked, name, said = evaluated(run, tmp_path / "part", "data.mask_absent=true")
    assert name == "part_single_crop_masked"
    assert "its answers may be no others" in said
    assert masked["test/num_errors"] == 0
    assert masked["test/loss"] < record["test/loss"]


def test_masked_classes_are_never_answered(run: Path, tmp_path: Path) -> None:
    """Red pictures in the folders of two other classes: only a mask keeps the network from saying red."""
    for wnid in ("n02102040", "n15075141"):
        paint(tmp_path / "disguised" / "val", {"n01440764": wnid})
    open_answers, name, _ = evaluated(run, tmp_path / "disguised")
    assert answers(run, name) == {0}
    assert open_answers["test/num_errors"] == 10
    masked, name, _ = evaluated(run, tmp_path / "disguised", "data.mask_absent=true")
    assert answers(run, name) <= {1, 3}
    assert masked["test/num_errors"] <= 5


def answers(run: Path, name: str) -> set[int]:
    with (run / "evaluations" / f"{name}_predictions.csv").open() as file:
        return {int(row["predicted"]) for row in csv.DictReader(file)}


def test_another_number_of_classes_is_no_way_around(run: Path, tmp_path: Path) -> None:
    paint(tmp_path / "part" / "val", itself("n03417042", "n15075141"))
    assert "the network has 4, matched by their ids; leave it out" in refused(
        run, tmp_path / "part", "data.num_classes=2"
    )


def test_classes_that_the_network_does_not_know_are_left_out_with_a_map_alone(run: Path, tmp_path: Path) -> None:
    paint(tmp_path / "more" / "val", {**NUMBERS})
    paint(tmp_path / "more" / "val", {"n01440764": "1"})  # a class of ImageNet's that the run has not
    record, _, said = evaluated(run, tmp_path / "more", "data.class_map=imagenetv2")
    assert record["test/num_images"] == 20
    assert "1 of 5 classes" in said
    assert "left out" in said


def test_evaluations_of_sets_of_one_name_stand_beside_each_other_and_the_runs_own(run: Path, tmp_path: Path) -> None:
    own = here(run.parent, "evaluate", "run=run", "data.num_workers=0", "trainer=cpu")
    assert own.returncode == 0, own.stderr
    assert "end of training" in own.stdout
    before = (run / "evaluations" / "single_crop.json").read_bytes()
    names = []
    for place in ("one", "two"):
        shutil.copytree(run.parent / "data" / "val", tmp_path / place / "twins" / "val")
        _, name, said = evaluated(run, tmp_path / place / "twins")
        assert "end of training" not in said  # though there are as many images
        names.append(name)
    assert names[0] == "twins_single_crop"
    assert names[1].startswith("twins-")
    assert names[1].endswith("_single_crop")
    assert (run / "evaluations" / "single_crop.json").read_bytes() == before


def test_all_of_another_set_without_parts_is_tested(run: Path, tmp_path: Path) -> None:
    """And not the tenth of it that training would have held out."""
    record, *_ = evaluated(run, paint(tmp_path / "apart", itself()))
    assert record["test/num_images"] == 20


def test_a_part_can_be_named_to_be_tested(run: Path, tmp_path: Path) -> None:
    paint(tmp_path / "parts" / "val", itself())
    paint(tmp_path / "parts" / "odd", itself(), 3)
    record, name, _ = evaluated(run, tmp_path / "parts", "data.test=odd")
    assert record["test/num_images"] == 12
    assert name == "parts-odd_single_crop"


def test_weights_of_a_file_bring_their_classes_along(run: Path, tmp_path: Path) -> None:
    paint(tmp_path / "v2" / "val", NUMBERS)
    words = ("model=resnet_cifar", "model.depth=8", f"model.weights={run}", "data=folder", "data.num_classes=4",
             "data.image_size=24", "recipe=modern_images", "data.num_workers=0", f"data.root={tmp_path / 'v2'}",
             "trainer=cpu", f"output={tmp_path / 'out'}")  # fmt: skip
    shown = here(tmp_path, "evaluate", *words)
    assert shown.returncode == 2
    assert "4 classes that the network was not trained on" in shown.stderr
    shown = here(tmp_path, "evaluate", *words, "data.class_map=imagenetv2")
    assert shown.returncode == 0, shown.stderr
    assert json.loads((tmp_path / "out" / "v2_single_crop.json").read_text())["test/num_errors"] == 0


def test_published_weights_know_imagenets_classes() -> None:
    state = classes_of({"weights": "IMAGENET1K_V1"}, 1000)
    named = dict(zip(state["class_folders"], state["class_names"], strict=True))
    assert list(named) == sorted(named)
    assert IMAGENETTE.items() <= named.items()
    assert classes_of({"weights": "IMAGENET1K_V1"}, 10) == {}


@pytest.mark.slow
def test_two_processes_leave_the_same_classes_out(run: Path, tmp_path: Path) -> None:
    paint(tmp_path / "pair" / "val", itself("n03417042", "n15075141"))
    shown = cnnlit(run.parent, "evaluate", "run=run", f"data.root={tmp_path / 'pair'}", "data.num_workers=0",
                   "data.mask_absent=true", "trainer=cpu", "trainer.devices=2")  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    record = json.loads((run / "evaluations" / "pair_single_crop_masked.json").read_text())
    assert (record["test/num_errors"], record["test/num_images"]) == (0, 10)


def test_a_network_of_imagenettes_is_tested_on_what_lies_in_the_root(tmp_path: Path) -> None:
    """And Imagenette is not downloaded there."""
    paint(tmp_path / "v2" / "val", {"n01440764": "0", "n02102040": "217"})
    data = Imagenette(root=str(tmp_path / "v2"), num_classes=10, batch_size=1, class_map="imagenetv2")
    data.answer_for(
        {"class_folders": sorted(IMAGENETTE), "class_names": [IMAGENETTE[each] for each in sorted(IMAGENETTE)]}
    )
    data.prepare_data()
    data.setup("test")
    assert data.num_images["test"] == 10
    assert data.absent_classes == list(range(2, 10))


def test_arrays_whose_classes_are_in_another_order_are_refused(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    arrays = {"train_images": random.integers(0, 256, (60, 28, 28), dtype=np.uint8), "train_labels": np.arange(60) % 2}
    for name, classes in (("one", ["cat", "dog"]), ("two", ["dog", "cat"])):
        np.savez(tmp_path / f"{name}.npz", **arrays, class_names=np.array(classes))
    words = ("data=npz", "data.root=one.npz", "data.num_classes=2", "model.head=linear", "recipe/loss=cross_entropy",
             "recipe.batch_size=8", "recipe.epochs=1", "logger=none", "trainer=cpu", "hydra.run.dir=run")  # fmt: skip
    assert here(tmp_path, "train", *words).returncode == 0
    shown = here(tmp_path, "evaluate", "run=run", "data=npz", "data.root=two.npz", "trainer=cpu")
    assert shown.returncode == 2
    assert "the network's classes are cat, dog, and these images have them in another order" in shown.stderr


def test_predict_names_a_label_by_id_or_map_and_never_by_place(run: Path, tmp_path: Path) -> None:
    paint(tmp_path / "v2", NUMBERS, 1)

    def labels(*words: str) -> list[str | None]:
        shown = here(run.parent, "predict", "run=run", f"images={tmp_path / 'v2'}", "format=json", "to=null", *words)
        assert shown.returncode == 0, shown.stderr
        return [each.get("label") for each in json.loads(shown.stdout)]

    assert labels() == [None] * 4
    assert labels("data.class_map=imagenetv2") == ["tench", "English springer", "garbage truck", "toilet tissue"]


def test_masking_has_no_place_in_training(tmp_path: Path) -> None:
    paint(tmp_path / "train", itself())
    shown = here(tmp_path, "train", "data=folder", "data.root=.", "data.num_classes=4", "data.mask_absent=true",
                   "model=resnet_cifar", "logger=none", "trainer=cpu")  # fmt: skip
    assert shown.returncode == 2
    assert "data.mask_absent=true: a run is tested on all of its classes" in shown.stderr
