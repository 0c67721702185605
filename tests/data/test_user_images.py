"""Images from anywhere enter a network as those of its test did."""

import numpy as np
import pytest
import torch
from PIL import Image

from cnnlit.data.image_folders import ImageFolder
from cnnlit.data.images_in_memory import SyntheticImages
from cnnlit.data.small_images import SmallImages
from cnnlit.data.small_sets.drawn_digits import find_drawing, is_dark_on_bright
from cnnlit.data.small_sets.sklearn_digits import read_digits
from cnnlit.data.sources.found_files import find_given
from cnnlit.data.transforms.evaluation_crops import FiveCrops, Mirrored
from cnnlit.data.transforms.geometry import CenterCrop, RandomCrop, ShorterSide


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.numpy()).save(path)
    return path


def photograph(seed, height=50, width=70):
    return torch.randint(0, 256, (height, width, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_folders_are_searched_with_all_below_them_and_files_are_taken_at_their_word(tmp_path):
    for name in ("b/2.png", "b/1.png", "a.JPG", "b/.hidden/3.png"):
        write(tmp_path / "folder" / name, photograph(0))
    (tmp_path / "folder" / "notes.txt").write_text("no image")
    single = write(tmp_path / "single.tiff", photograph(0))
    found, remarks = find_given([str(single), str(tmp_path / "folder")])
    assert remarks == [f"images={tmp_path / 'folder'}: left out, as they are of no kind that is read: 1 .txt"]
    assert found == [str(single), *(str(tmp_path / "folder" / name) for name in ("a.JPG", "b/1.png", "b/2.png"))]


@pytest.mark.parametrize("name", ["nothing", "empty"])
def test_a_place_without_images_is_named(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=f"images=.*{name}"):
        find_given([str(tmp_path / name)])


def test_a_digit_enters_as_in_the_test():
    data = SmallImages()
    data.setup()
    images, _ = next(iter(data.test_dataloader()))
    given = [digit.expand(3, -1, -1) for digit in data.test_images[: len(images)]]
    assert torch.equal(SmallImages().as_input(given), images)


@pytest.mark.parametrize("augmentation", [[], [RandomCrop(pixels=24, padding=4)]])
def test_an_image_in_memory_enters_as_in_the_test(augmentation):
    options = {"image_size": 24, "drawn_images": 30, "batch_size": 4, "augmentation": augmentation}
    data = SyntheticImages(**options)
    data.setup()
    images, _ = next(iter(data.test_dataloader()))
    assert torch.equal(SyntheticImages(**options).as_input(list(data.test_images)), images)


@pytest.mark.parametrize("views", [None, [ShorterSide(pixels=32), FiveCrops(pixels=24), Mirrored()]])
def test_a_photograph_enters_as_in_the_test_in_each_of_its_views(tmp_path, views):
    for kind in "ab":
        for number in range(4):
            write(tmp_path / kind / f"{number}.png", photograph(number + 10 * (kind == "b"), 50, 60 + number))
    options = {
        "root": str(tmp_path), "num_classes": 2, "image_size": 24, "batch_size": 1,
        "num_workers": 0, "test_split": 4, "views": views,
        "augmentation": [ShorterSide(pixels=32), CenterCrop(pixels=24)],
    }  # fmt: skip
    data = ImageFolder(**options)
    data.setup()
    shown, _ = data.on_after_batch_transfer(next(iter(data.test_dataloader())), 0)
    tested = data._splits["test"]
    given = [torch.from_numpy(tested.open(index).rgb()).movedim(-1, 0) for index in range(len(tested))]
    entered = ImageFolder(**options).as_input(given)
    if views is None:
        assert torch.equal(entered, shown)
        return
    ((images, places),) = shown
    ((others, their_places),) = entered
    assert torch.equal(others[their_places.argsort()], images[places.argsort()])


def test_dark_ink_on_bright_paper_is_inverted_and_that_is_said():
    digit = read_digits()[0][0].expand(3, -1, -1)
    assert is_dark_on_bright(255 - digit)
    assert not is_dark_on_bright(digit)
    assert torch.equal(find_drawing(255 - digit).digit, digit[0])
    assert SmallImages().remark(255 - digit) == "dark on bright: inverted"
    assert SmallImages().remark(digit) is None


def test_a_large_digit_is_brought_to_the_box_of_mnist_by_its_centre_of_mass():
    image = torch.full((3, 300, 200), 255, dtype=torch.uint8)
    image[:, 40:240, 20:40] = 0  # a 1, off the middle
    digit = find_drawing(image).digit
    assert (digit[5:23, 13:15] > 200).all()
    assert not digit[:, :11].any()
    assert not digit[:, 17:].any()
    assert not digit[:3].any()
    assert not digit[25:].any()


def test_empty_paper_is_no_ink():
    assert not find_drawing(torch.full((3, 90, 60), 250, dtype=torch.uint8)).digit.any()


def test_a_photograph_is_brought_to_the_size_of_small_training_pictures_before_it_is_cropped():
    options = {
        "drawn_images": 30,
        "batch_size": 4,
        "image_size": 64,
        "augmentation": [RandomCrop(pixels=64, padding=8)],
    }
    trained = SyntheticImages(**options)
    trained.setup()
    asked = SyntheticImages(**options, seed=1)
    asked.bring_to(trained.picture_size)
    given = photograph(1, height=300, width=500)
    seen = asked.as_seen([given.movedim(-1, 0)])[0].movedim(0, -1).numpy().astype(int)
    shown = Image.fromarray(given.numpy()).resize((106, 64), Image.Resampling.BILINEAR)
    assert abs(seen - np.asarray(shown.crop((21, 0, 85, 64))).astype(int)).max() <= 2
    left, top, right, bottom = asked.part_seen(given.movedim(-1, 0))
    assert (top, bottom) == (0, 1)
    assert (left, right) == pytest.approx((21 / 106, 85 / 106))


def test_pictures_in_files_are_known_by_their_one_size_and_photographs_are_resized_as_the_recipe_says(tmp_path):
    for number in range(8):
        for split in ("train", "val"):
            write(tmp_path / split / "ab"[number % 2] / f"{number}.png", photograph(number, 64, 64))
    options = {"root": str(tmp_path), "num_classes": 2, "batch_size": 2, "image_size": 64}
    cropped = ImageFolder(**options, augmentation=[RandomCrop(pixels=64, padding=8)])
    cropped.setup()
    assert cropped.picture_size == [64, 64]
    assert cropped.part_seen(torch.zeros(3, 640, 640)) == (0, 0, 1, 1)
    resized = ImageFolder(**options, augmentation=[ShorterSide(pixels=128), CenterCrop(pixels=64)])
    resized.setup()
    assert resized.part_seen(torch.zeros(3, 640, 640)) == (0.25, 0.25, 0.75, 0.75)


def test_photographs_that_a_network_of_small_pictures_is_tested_on_are_brought_to_their_size(tmp_path):
    for number in range(4):
        for split in ("train", "val"):
            write(tmp_path / split / "ab"[number % 2] / f"{number}.png", photograph(number, 240, 400))
    crop = [RandomCrop(pixels=24, padding=4)]
    data = ImageFolder(root=str(tmp_path), num_classes=2, batch_size=2, image_size=24, augmentation=crop)
    data.answer_for({"class_names": ["a", "b"], "class_folders": ["a", "b"], "picture_size": [24, 24]})
    data.setup("test")
    shown = Image.fromarray(photograph(0, 240, 400).numpy()).resize((40, 24), Image.Resampling.BILINEAR)
    theirs = np.asarray(shown.crop((8, 0, 32, 24))).astype(int)
    assert abs(data.test_images[0].movedim(0, -1).numpy().astype(int) - theirs).max() <= 2
