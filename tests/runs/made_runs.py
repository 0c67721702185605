"""Folders of runs that were never trained, for reports to read, with numbers whose statistics are known."""

import csv
import json

import yaml

CONFIG = {
    "model": {"_target_": "cnnlit.models.lenet5.LeNet5", "pooling": "max", "activation": "scaled_tanh", "dropout": 0.0},
    "data": {"_target_": "cnnlit.data.sources.mnist.MNIST", "root": "data", "batch_size": 64},
    "recipe": {"optimizer": {"_target_": "torch.optim.AdamW", "lr": 0.005}, "batch_size": 64, "augmentation": []},
    "logger": {},
    "run_root": "runs",
    "seed": 0,
}


def made_config(seed=0, **changes):
    """A configuration; `model__pooling="max"` sets model.pooling."""
    config = json.loads(json.dumps(CONFIG)) | {"seed": seed}
    config["data"]["seed"] = seed
    for key, value in changes.items():
        *above, last = key.split("__")
        node = config
        for name in above:
            node = node.setdefault(name, {})
        node[last] = value
    return config


def made_run(
    folder,
    *,
    seed=0,
    error=0.01,
    state="finished",
    reason=None,
    train=(0.5, 0.2, 0.1),
    seconds=10.0,
    num_images=10_000,
    commit="c" * 40,
    command="python -m cnnlit.train",
    test=None,
    picture=None,
    wrong=None,
    **changes,
):
    """Make the folder of a run.

    Args:
        folder: must not exist yet.
        seed: of the run.
        error: test error.
        state: how the run ended.
        reason: why it failed.
        train: training error after each epoch.
        seconds: of the run; every epoch takes one.
        num_images: number of test images.
        commit: of the code.
        command: the one that made the run.
        test: further contents of test.json.
        picture: contents of pictures/errors.png.
        wrong: bool [images], which of ten classes' images it answered wrongly, for test_predictions.csv.
        changes: see made_config.
    """
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(made_config(seed, **changes), sort_keys=False))
    record = {"state": state, "pid": 1, "host": "elsewhere", "id": "0" * 8, "command": command, "seed": seed}
    record |= {"started": f"2026-01-01T00:00:{seed % 60:02}+00:00", "commit": commit, "versions": {"torch": "2.15.0"}}
    record |= {"device": "cpu: made up", "seconds": seconds} | ({"error": reason} if reason else {})
    (folder / "run.json").write_text(json.dumps(record))
    with (folder / "metrics.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["epoch", "step", "seconds", "train/error", "train/loss", "val/error"])
        for epoch, value in enumerate(train):
            table.writerow([epoch, 100 * epoch + 99, epoch + 1.0, value, 10 * value, value / 2 if epoch else ""])
    if state == "finished":
        numbers = {"test/error": error, "test/num_errors": round(error * num_images), "test/num_images": num_images}
        (folder / "test.json").write_text(json.dumps(numbers | (test or {})))
    if wrong is not None:
        rows = [(index, index % 10, (index + bool(bad)) % 10, 0.5) for index, bad in enumerate(wrong)]
        lines = ["index,label,predicted,confidence", *(",".join(map(str, row)) for row in rows)]
        (folder / "test_predictions.csv").write_text("\n".join(lines) + "\n")
    if picture:
        (folder / "pictures").mkdir()
        (folder / "pictures" / "errors.png").write_bytes(picture)
    return folder
