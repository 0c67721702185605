"""Images in folders are listed in one order, and nothing that lies beside them is taken for one of them."""

from pathlib import Path

import pytest
import torch
from as_typed import here
from PIL import Image
from torchvision.datasets import ImageFolder

from cnnlit.data.sources.folders import folders_in, images_in, list_images
from cnnlit.data.sources.found_files import files_below, is_image
from cnnlit.data.sources.layouts import find_images


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_the_order_does_not_depend_on_the_disk(photographs: Path, tmp_path: Path) -> None:
    for path in sorted(photographs.rglob("*.JPEG"), reverse=True):
        touch(tmp_path / path.relative_to(photographs))
    here, there = find_images(tmp_path), find_images(photographs)
    assert (here.train.names == there.train.names).all()


def test_a_subset_keeps_names_and_labels_together(photographs: Path) -> None:
    train = find_images(photographs).train
    chosen = train.subset(torch.tensor([20, 3]))
    assert [chosen.path(0), chosen.path(1)] == [train.path(20), train.path(3)]
    assert chosen.labels.tolist() == [2, 0]


def test_names_that_are_no_ascii_are_found(tmp_path: Path) -> None:
    touch(tmp_path / "train" / "Bär" / "süß.png", tmp_path / "val" / "Bär" / "é.JPG")
    listing = find_images(tmp_path)
    assert listing.classes == ["Bär"]
    assert listing.test is not None
    assert Path(listing.train.path(0)).is_file()
    assert Path(listing.test.path(0)).is_file()


def test_what_lies_beside_images_is_passed_over(tmp_path: Path) -> None:
    touch(*(tmp_path / "a" / name for name in ("1.JPEG", "2.jpeg", "3.JPG", "4.png", "5.WebP", "6.bmp")))
    touch(*(tmp_path / "a" / name for name in ("Thumbs.db", "notes.txt", ".DS_Store", "._1.JPEG", "7.JPEG.part", "8")))
    assert images_in(tmp_path / "a") == ["1.JPEG", "2.jpeg", "3.JPG", "4.png", "5.WebP", "6.bmp"]


def test_folders_that_are_no_classes_are_passed_over(tmp_path: Path) -> None:
    for name in ("b", "a", ".git", "__MACOSX", "@eaDir", "lost+found"):
        (tmp_path / name).mkdir()
    (tmp_path / "c").symlink_to(tmp_path / "a")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "broken").symlink_to("nowhere")
    touch(tmp_path / "file")
    assert folders_in(tmp_path) == ["a", "b", "c"]


def test_a_link_in_a_loop_below_a_class_ends(photographs: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        touch(tmp_path / name / "1.JPEG")
        (tmp_path / name / "again").symlink_to(tmp_path)
    assert len(find_images(tmp_path).train) == 2


def test_what_is_named_like_an_image_and_is_none_is_refused_by_its_path_when_it_is_opened(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "1.JPEG", tmp_path / "b" / "1.JPEG")
    (tmp_path / "b" / "2.JPEG").mkdir()
    (tmp_path / "b" / "3.JPEG").symlink_to("3.JPEG")
    train = find_images(tmp_path).train
    assert train.labels.tolist() == [0, 1, 1, 1]
    for index, name in enumerate(("a/1.JPEG", "b/1.JPEG", "b/2.JPEG", "b/3.JPEG")):
        with pytest.raises(ValueError, match=rf"{tmp_path}/{name} cannot be read"):
            train.open(index).rgb()


def test_a_class_whose_folder_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no images of class a"):
        list_images(tmp_path, [("a", "a")])


SUFFIXES = [
    *("jpg", "jpeg", "jpe", "jfif", "png", "apng", "gif", "tif", "tiff", "bmp", "dib", "webp", "avif"),
    *("jp2", "j2k", "ppm", "pgm", "pnm", "tga", "pcx", "ico", "sgi", "qoi"),
]


@pytest.fixture(scope="module")
def many_kinds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes with an image of each suffix, half of them in folders below; and two files that are none."""
    root = tmp_path_factory.mktemp("kinds")
    for number, name in enumerate(("cat", "dog")):
        for place, suffix in enumerate(SUFFIXES):
            path = root / name / ("deeper/still" if place % 2 else "") / f"{place}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            grey = Image.new("L", (16, 16), 90 + 60 * number)
            (grey if suffix == "pgm" else grey.convert("RGB")).save(path)
        touch(root / name / f"{name}.heic", root / name / "Thumbs.db")
    return root


def test_every_kind_that_pil_decodes_is_read_in_folders_of_any_depth(many_kinds: Path) -> None:
    listing = find_images(many_kinds)
    assert listing.classes == ["cat", "dog"]
    assert listing.train.labels.bincount().tolist() == [len(SUFFIXES)] * 2
    for index, label in enumerate(listing.train.labels.tolist()):
        pixels = listing.train.open(index).rgb()
        assert pixels.shape == (16, 16, 3)
        assert abs(pixels.astype(int) - (90 + 60 * label)).max() <= 3, listing.train.path(index)


def test_folders_below_a_class_are_read_in_the_order_of_torchvision(many_kinds: Path) -> None:
    theirs = ImageFolder(str(many_kinds), is_valid_file=is_image)
    train = find_images(many_kinds).train
    assert [(train.path(index), label) for index, label in enumerate(train.labels.tolist())] == theirs.samples


def test_what_is_not_read_is_said_by_doctor_and_at_the_start_of_a_run(many_kinds: Path, tmp_path: Path) -> None:
    said = "2 files are of no kind that is read, and left out: 2 .heic (cat/cat.heic, dog/dog.heic)"
    words = ["data=folder", f"data.root={many_kinds}", "data.num_classes=2"]
    doctor = here(tmp_path, "doctor", *words, "doctor.seconds=0", "format=json")
    assert said in doctor.stdout
    words += ["recipe.epochs=1", "recipe.batch_size=4", "data.image_size=32", "data.num_workers=0", "data.views=null"]
    trained = here(tmp_path, "train", "model=resnet20", *words, "trainer.accelerator=cpu", f"run_root={tmp_path}")
    assert trained.returncode == 0, trained.stderr
    assert said in trained.stderr
    (record,) = tmp_path.rglob("run.json")
    assert said in record.read_text()


def test_a_class_without_an_image_says_what_is_there_in_its_place(tmp_path: Path) -> None:
    touch(tmp_path / "train" / "a" / "1.png", tmp_path / "train" / "b" / "1.heic", tmp_path / "train" / "b" / "2.heic")
    with pytest.raises(ValueError, match=r"b holds no images of class b, but 2 .heic, which are not read"):
        find_images(tmp_path)


def test_links_are_followed_but_not_back_to_where_they_come_from(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "1.png", tmp_path / "b" / "2.png")
    (tmp_path / "a" / "to b").symlink_to(tmp_path / "b")
    (tmp_path / "b" / "to a").symlink_to(tmp_path / "a")
    assert files_below(tmp_path / "a").images == ["1.png", "to b/2.png"]


def test_sets_beside_each_other_are_not_taken_for_classes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        touch(tmp_path / name / "train" / "1.png", tmp_path / name / "val" / "1.png")
    with pytest.raises(FileNotFoundError):
        find_images(tmp_path)


def test_runs_of_0_1_0_go_on_with_the_images_that_they_saw(many_kinds: Path) -> None:
    names = find_images(many_kinds, as_0_1=True).train.names.tolist()
    direct = [name for name in sorted(names) if name.startswith(b"cat")]
    seen = [place for place, suffix in enumerate(SUFFIXES) if suffix in ("jpg", "jpeg", "png", "bmp", "webp")]
    assert direct == sorted(f"cat/{place}.{SUFFIXES[place]}".encode() for place in seen if place % 2 == 0)


@pytest.mark.parametrize("words", [("predict", "images=s3://bucket/pictures")])
def test_an_address_is_refused_where_a_folder_is_expected(tmp_path: Path, words: tuple[str, str]) -> None:
    outcome = here(tmp_path, *words)
    assert outcome.returncode == 2
    assert outcome.stderr.startswith(f"cnnlit: {words[1]}: addresses are not read; copy it to a disk")
    assert outcome.stderr.count("\n") == 1


@pytest.mark.parametrize("data", ["imagenette", "cifar10"])
def test_no_set_is_looked_for_at_an_address(tmp_path: Path, data: str) -> None:
    outcome = here(tmp_path, "doctor", f"data={data}", "data.root=s3://bucket/pictures")
    assert outcome.stderr.startswith("cnnlit: data.root=s3://bucket/pictures: addresses are not read")
    assert outcome.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_file_in_place_of_a_folder_is_called_a_file(tmp_path: Path) -> None:
    touch(tmp_path / "photo.jpg")
    outcome = here(tmp_path, "doctor", "data=folder", f"data.root={tmp_path}/photo.jpg")
    assert f"{tmp_path}/photo.jpg is a file, not a folder" in outcome.stderr


def test_names_that_look_alike_are_told_apart(tmp_path: Path) -> None:
    touch(tmp_path / "train" / "caf\u00e9" / "1.png", tmp_path / "val" / "cafe\u0301" / "1.png")
    with pytest.raises(ValueError, match=r"look alike and are written in other Unicode forms \('caf\\xe9' in train\)"):
        find_images(tmp_path)
