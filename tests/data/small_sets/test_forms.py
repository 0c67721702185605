"""A small set is found in every form that it lies around in, and is the same in all; docs/data.md shows each form."""

import gzip
import io
import pickle
import re
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat

from cnnlit.data.small_sets.finding import find
from cnnlit.data.small_sets.published import CIFAR10, CIFAR100, IDX, SETS, SmallSet

DOCS = Path(__file__).parents[3] / "docs" / "data.md"
Arrays = dict[str, tuple[NDArray[np.uint8], NDArray[np.int64]]]


@pytest.fixture(autouse=True)
def nothing_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))


def drawn(classes: int = 10, channels: int = 3, side: int = 32, train: int = 100, test: int = 100) -> Arrays:
    """Random images [N, C, H, W], the classes in turn."""
    random = np.random.default_rng(channels)
    return {
        split: (random.integers(0, 256, (count, channels, side, side), dtype=np.uint8), np.arange(count) % classes)
        for split, count in (("train", train), ("test", test))
    }


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def pack(path: Path, folder: Path, mode: str = "w:gz") -> None:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        tar.add(folder, folder.name)
    for each in sorted(folder.rglob("*"), reverse=True):
        each.rmdir() if each.is_dir() else each.unlink()
    folder.rmdir()


def python_batches(root: Path, arrays: Arrays, below: str = "cifar-10-batches-py") -> None:
    def write(name: str, pixels: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
        batch = {"batch_label": name, "labels": labels.tolist(), "data": pixels.reshape(len(pixels), -1)}
        put(root / below / name, pickle.dumps(batch, protocol=2))

    for number, (pixels, labels) in enumerate(zip(*(np.split(each, 5) for each in arrays["train"]), strict=True), 1):
        write(f"data_batch_{number}", pixels, labels)
    write("test_batch", *arrays["test"])
    put(root / below / "batches.meta", pickle.dumps({"label_names": list(CIFAR10)}, protocol=2))


def python_archive(root: Path, arrays: Arrays) -> None:
    python_batches(root, arrays)
    pack(root / "cifar-10-python.tar.gz", root / "cifar-10-batches-py")


def of_keras(root: Path, arrays: Arrays) -> None:
    python_batches(root, arrays, "cifar-10-batches-py-target/cifar-10-batches-py")


def binary_batches(root: Path, arrays: Arrays) -> None:
    def records(pixels: NDArray[np.uint8], labels: NDArray[np.int64]) -> bytes:
        return np.concatenate([labels.astype(np.uint8)[:, None], pixels.reshape(len(pixels), -1)], axis=1).tobytes()

    for number, part in enumerate(zip(*(np.split(each, 5) for each in arrays["train"]), strict=True), 1):
        put(root / "cifar-10-batches-bin" / f"data_batch_{number}.bin", records(*part))
    put(root / "cifar-10-batches-bin" / "test_batch.bin", records(*arrays["test"]))


def binary_archive(root: Path, arrays: Arrays) -> None:
    binary_batches(root, arrays)
    pack(root / "cifar-10-binary.tar.gz", root / "cifar-10-batches-bin")


def png(pixels: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels.transpose(1, 2, 0).squeeze()).save(stream, "PNG")
    return stream.getvalue()


def class_folders(root: Path, arrays: Arrays, below: str = "cifar10", names: Any = CIFAR10) -> None:
    for split, (images, labels) in arrays.items():
        for number, (pixels, label) in enumerate(zip(images, labels, strict=True)):
            put(root / below / split / names[label] / f"{number:04d}.png", png(pixels))


def folders_archive(root: Path, arrays: Arrays) -> None:
    class_folders(root, arrays)
    pack(root / "cifar10-png.tar.xz", root / "cifar10", "w:xz")


def parquet(root: Path, arrays: Arrays, below: str = "cifar10/plain_text", columns: Any = ("img", "label")) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as files

    (root / below).mkdir(parents=True)
    for split, (images, labels) in arrays.items():
        encoded = [{"bytes": png(pixels), "path": None} for pixels in images]
        table = pyarrow.table(dict(zip(columns, (encoded, labels.tolist()), strict=True)))
        files.write_table(table, root / below / f"{split}-00000-of-00001.parquet")


def npz(root: Path, arrays: Arrays) -> None:
    named = {f"{name}_{split}": part for split, both in arrays.items() for name, part in zip("xy", both, strict=True)}
    for split in arrays:
        named[f"x_{split}"] = named[f"x_{split}"].transpose(0, 2, 3, 1)
        named[f"y_{split}"] = named[f"y_{split}"][:, None]
    np.savez(root / "cifar10.npz", **named)


CIFAR_FORMS: dict[str, Callable[[Path, Arrays], None]] = {
    "python batches": python_batches,
    "python batches, in an archive": python_archive,
    "binary batches": binary_batches,
    "binary batches, in an archive": binary_archive,
    "class folders of image files": class_folders,
    "an archive of class folders of image files": folders_archive,
    "parquet files": parquet,
    "npz": npz,
}


def assert_is(published: SmallSet, root: Path, arrays: Arrays, *, in_order: bool = True) -> str:
    """What is found is what was written; the form in which it was found."""
    contents, located, remarks = find(published, root)
    assert contents.test
    for part, (pixels, labels) in zip((contents.train, contents.test), arrays.values(), strict=True):
        order = range(len(labels)) if in_order else np.argsort(labels, kind="stable")  # class by class
        assert torch.equal(part.pixels, torch.from_numpy(pixels[list(order)]))
        assert part.labels.tolist() == labels[list(order)].tolist()
        assert part.labels.dtype == torch.int64
    assert "not the published set" in remarks[0]
    return located.form


@pytest.mark.parametrize("form", CIFAR_FORMS)
def test_cifar_10_is_found_in_every_form(tmp_path: Path, form: str) -> None:
    arrays, root = drawn(), tmp_path / "data"
    root.mkdir()
    CIFAR_FORMS[form](root, arrays)
    assert assert_is(SETS["cifar10"], root, arrays, in_order="folders" not in form) == form


def test_keras_copies_are_found_where_keras_keeps_them(tmp_path: Path) -> None:
    arrays = drawn()
    of_keras(tmp_path / "keras" / "datasets", arrays)
    assert assert_is(SETS["cifar10"], tmp_path / "data", arrays) == "python batches"


def test_the_hubs_copies_are_found_where_it_keeps_them(tmp_path: Path) -> None:
    arrays = drawn()
    snapshot = tmp_path / "hf" / "hub" / "datasets--uoft-cs--cifar10" / "snapshots" / "0b2714"
    parquet(snapshot, arrays, "plain_text")
    assert assert_is(SETS["cifar10"], tmp_path / "data", arrays) == "parquet files"


def test_cifar_100_has_the_fine_labels(tmp_path: Path) -> None:
    arrays = drawn(100)
    for split, (pixels, labels) in arrays.items():
        rows = {"data": pixels.reshape(100, -1), "fine_labels": labels.tolist(), "coarse_labels": [0] * 100}
        put(tmp_path / "a" / "cifar-100-python" / split, pickle.dumps(rows, protocol=2))
        coarse = np.zeros((100, 1), np.uint8)
        content = np.concatenate([coarse, labels.astype(np.uint8)[:, None], pixels.reshape(100, -1)], axis=1)
        put(tmp_path / "b" / "cifar-100-binary" / f"{split}.bin", content.tobytes())
    assert assert_is(SETS["cifar100"], tmp_path / "a", arrays) == "python batches"
    assert assert_is(SETS["cifar100"], tmp_path / "b", arrays) == "binary batches"
    class_folders(tmp_path / "c", arrays, "cifar100", CIFAR100)
    assert "class folders" in assert_is(SETS["cifar100"], tmp_path / "c", arrays, in_order=False)


def test_svhns_tens_are_zeros(tmp_path: Path) -> None:
    arrays = drawn()
    for split, (pixels, labels) in arrays.items():
        tens = np.where(labels == 0, 10, labels)[:, None]
        stream = io.BytesIO()
        savemat(stream, {"X": pixels.transpose(2, 3, 1, 0), "y": tens})
        put(tmp_path / "SVHN" / f"{split}_32x32.mat", stream.getvalue())
    assert assert_is(SETS["svhn"], tmp_path, arrays) == "MATLAB files"


def idx(array: NDArray[Any], kind: int = 8) -> bytes:
    header = bytes([0, 0, kind, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return header + array.astype(">u1" if kind == 8 else ">i4").tobytes()


def four(root: Path, arrays: Arrays, names: Any = IDX, kind: int = 8, packed: bool = True) -> None:
    (images, labels), (test_images, test_labels) = arrays.values()
    contents = (idx(images[:, 0]), idx(labels, kind), idx(test_images[:, 0]), idx(test_labels, kind))
    for name, content in zip(names, contents, strict=True):
        put(root / (f"{name}.gz" if packed else name), gzip.compress(content) if packed else content)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("fashion_mnist", "FashionMNIST/raw"),
        ("fashion_mnist", "fashion-mnist"),
        ("kmnist", "KMNIST/raw"),
        ("kmnist", ""),
    ],
)
def test_sets_in_mnists_form_are_found(tmp_path: Path, name: str, folder: str, packed: bool) -> None:
    arrays = drawn(channels=1, side=28)
    four(tmp_path / folder, arrays, packed=packed)
    assert assert_is(SETS[name], tmp_path, arrays) == "idx files"


def test_qmnists_labels_are_the_first_of_eight_numbers(tmp_path: Path) -> None:
    arrays = drawn(channels=1, side=28)
    wide: Any = {split: (pixels, np.tile(labels[:, None], (1, 8)) * [1] + np.arange(8) * 7)
                 for split, (pixels, labels) in arrays.items()}  # fmt: skip
    names = [file.name.removesuffix(".gz") for file in SETS["qmnist"].files]
    four(tmp_path / "QMNIST" / "raw", wide, names, kind=12)
    assert assert_is(SETS["qmnist"], tmp_path, arrays) == "idx files"


@pytest.mark.parametrize("in_archive", [True, False])
def test_emnists_letters_stand_upright_and_begin_with_0(tmp_path: Path, in_archive: bool) -> None:
    import zipfile

    arrays = drawn(26, channels=1, side=28)
    stored: Any = {split: (pixels.transpose(0, 1, 3, 2), labels + 1) for split, (pixels, labels) in arrays.items()}
    parts = ("train-images-idx3", "train-labels-idx1", "test-images-idx3", "test-labels-idx1")
    names = [f"emnist-letters-{part}-ubyte" for part in parts]
    four(tmp_path / "EMNIST" / "raw", stored, names)
    if in_archive:
        files = sorted((tmp_path / "EMNIST" / "raw").iterdir())
        with zipfile.ZipFile(tmp_path / "EMNIST" / "raw" / "gzip.zip", "w") as archive:
            for path in files:
                archive.write(path, f"gzip/{path.name}")
                path.unlink()
    assert assert_is(SETS["emnist_letters"], tmp_path, arrays).startswith("idx files")
    assert SETS["emnist_letters"].class_names[0] == "a"


def test_kmnists_authors_npz_files_are_read(tmp_path: Path) -> None:
    arrays = drawn(channels=1, side=28)
    for split, (pixels, labels) in arrays.items():
        np.savez(tmp_path / f"kmnist-{split}-imgs.npz", pixels[:, 0])
        np.savez(tmp_path / f"kmnist-{split}-labels.npz", labels.astype(np.uint8))
    assert assert_is(SETS["kmnist"], tmp_path, arrays) == "npz"


def test_grey_class_folders_have_one_channel(tmp_path: Path) -> None:
    arrays = drawn(channels=1, side=28)
    names = [name.replace("/", "_") for name in SETS["fashion_mnist"].class_names]
    class_folders(tmp_path, arrays, "fashion_mnist", names)
    assert "class folders" in assert_is(SETS["fashion_mnist"], tmp_path, arrays, in_order=False)


def trees(folder: Path, indent: str = "") -> Iterator[str]:
    """The tree of a folder as docs/data.md shows it: of many files of a kind, the first."""
    for path in sorted(folder.iterdir(), key=lambda path: (path.is_dir(), path.name)):
        first = re.sub(r"\d+", "0", path.name)
        seen = {re.sub(r"\d+", "0", other.name) for other in folder.iterdir() if other.name < path.name}
        if first in seen or (path.is_dir() and path.parent.name in ("train", "test") and path.name != CIFAR10[0]):
            continue
        yield f"{indent}{path.name}{'/' if path.is_dir() else ''}"
        if path.is_dir():
            yield from trees(path, indent + "  ")


@pytest.mark.parametrize("form", CIFAR_FORMS)
def test_the_docs_show_the_tree_of_each_form(tmp_path: Path, form: str) -> None:
    CIFAR_FORMS[form](tmp_path, drawn())
    assert "\n".join(trees(tmp_path)) in DOCS.read_text()


def test_fashion_mnist_under_mnists_names_is_named_and_nothing_is_to_be_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = drawn(channels=1, side=28)
    mean = float(arrays["train"][0].mean()) / 255
    monkeypatch.setitem(SETS, "fashion_mnist", SETS["fashion_mnist"]._replace(mean=mean))
    four(tmp_path / "MNIST" / "raw", arrays)
    with pytest.raises(ValueError, match=r"they look like Fashion-MNIST's: say data=fashion_mnist") as refusal:
        find(SETS["mnist"], tmp_path)
    assert "remove" not in str(refusal.value)


def test_sets_of_unknown_mean_are_named_by_how_many_images_they_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SETS, "emnist_letters", SETS["emnist_letters"]._replace(counts=(100, 50)))
    four(tmp_path, drawn(channels=1, side=28))
    with pytest.raises(
        ValueError, match=r"look like EMNIST letters's: say data=emnist_letters under EMNIST letters's names, or"
    ):
        find(SETS["mnist"], tmp_path)


def test_qmnist_under_mnists_names_is_told_beside_a_damaged_mnist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = drawn(channels=1, side=28)
    mean = float(arrays["train"][0].mean()) / 255
    for name in ("mnist", "qmnist"):
        monkeypatch.setitem(SETS, name, SETS[name]._replace(mean=mean))
    four(tmp_path, arrays)
    with pytest.raises(ValueError, match="MNIST's, changed or damaged, or QMNIST's: say data=qmnist under"):
        find(SETS["mnist"], tmp_path)


def test_another_set_of_the_published_size_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SETS, "kmnist", SETS["kmnist"]._replace(counts=(100, 100)))
    four(tmp_path, drawn(channels=1, side=28))
    with pytest.raises(ValueError, match=r"they are of another set \(mean .*, where Kuzushiji-MNIST's is 0.1918\)"):
        find(SETS["kmnist"], tmp_path)


def test_a_pickle_that_would_run_something_is_refused(tmp_path: Path) -> None:
    python_batches(tmp_path, drawn())
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(b"cposix\nsystem\n(S'true'\ntR.")
    with pytest.raises(ValueError, match=r"test_batch is damaged, or no batch of CIFAR's .*posix\.system"):
        find(SETS["cifar10"], tmp_path)


def test_jpegs_are_said_to_have_other_pixels(tmp_path: Path) -> None:
    class_folders(tmp_path, drawn())
    for path in (tmp_path / "cifar10").rglob("*.png"):
        Image.open(path).save(path.with_suffix(".jpg"))
        path.unlink()
    _, located, remarks = find(SETS["cifar10"], tmp_path)
    assert located.lossy
    assert "CIFAR-10 from JPEG files, 100 training and 100 test images of them" in remarks[0]
    assert "its pixels are not the published ones" in remarks[0]
