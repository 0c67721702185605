"""How long a report of 200 runs takes, from the command to the page.

The runs are made up: ten arms of twenty seeds, each run with curves of 100 epochs and a gallery of its errors. The
whole child process is measured, its imports included.
"""

import io
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from benchmarks.startup import child
from benchmarks.timing import Claim, interleaved, seconds

ROUNDS = 3
NUM_ARMS, NUM_SEEDS, NUM_EPOCHS = 10, 20, 100


def measure(root: str) -> list[Claim]:
    """The claims about the report. MNIST plays no part."""
    picture = _picture()
    with tempfile.TemporaryDirectory() as folder:
        for arm in range(NUM_ARMS):
            for seed in range(NUM_SEEDS):
                _make_run(Path(folder) / f"{arm}-{seed}", arm, seed, picture)
        line = ["-m", "cnnlit.report", f"runs={folder}", "format=html"]
        costs = interleaved({"report": lambda: child(line, ends_with=0)}, ROUNDS)
        megabytes = (Path(folder) / "report.html").stat().st_size / 10**6
    size = Claim("  its page", megabytes, 5, True, "MB", megabytes, (megabytes, megabytes))
    return [seconds("python -m cnnlit.report format=html, 200 runs", costs, "report", bound=20), size]


def _picture() -> bytes:
    random = np.random.default_rng(0)
    noise = Image.fromarray(random.integers(0, 255, (60, 90), dtype=np.uint8))
    file = io.BytesIO()
    noise.resize((1440, 960)).save(file, "PNG")
    return file.getvalue()


def _make_run(folder: Path, arm: int, seed: int, picture: bytes) -> None:
    random = np.random.default_rng([arm, seed])
    folder.mkdir()
    model: dict[str, Any] = {"_target_": "cnnlit.models.lenet5.LeNet5", "activation": f"activation{arm}"}
    model |= {f"option{number}": number for number in range(80)}  # a configuration has about 90 lines
    (folder / "config.yaml").write_text(yaml.safe_dump({"model": model, "seed": seed}))
    record = {"state": "finished", "host": "elsewhere", "seed": seed, "seconds": 10.0}
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "test.json").write_text(json.dumps({"test/error": 0.01 + arm / 1000 + random.normal(0, 0.001)}))
    names = ["epoch", "step", "seconds", "train/error", "train/loss", "val/error", "val/loss"]
    rows = [[epoch, 100 * epoch, float(epoch), *random.random(4)] for epoch in range(NUM_EPOCHS)]
    (folder / "metrics.csv").write_text("\n".join(",".join(map(str, row)) for row in [names, *rows]) + "\n")
    (folder / "pictures").mkdir()
    (folder / "pictures" / "errors.png").write_bytes(picture)
