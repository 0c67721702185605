"""The files that a test leaves in a folder: its numbers as JSON, its predictions as CSV."""

import csv
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnnlit.files import write_json, write_whole

if TYPE_CHECKING:  # a report reads such files without torch
    from torch import Tensor

ANSWERS = "test_predictions.csv"


LOADING = {
    *("batch_size", "eval_batch_size", "num_workers", "on_unreadable", "block_images", "order", "seed", "views"),
    *("cache_dir", "cache_gb", "copies"),
}
"""Options of data that do not say which images are tested, nor how one is shown."""

DIGITS_OF_ID = 6

CALIBRATION_BINS = 15
"""As in the calibration error of test.json."""


class TestedSet(NamedTuple):
    """Which images were tested: those that its run is tested on at the end of training, or others."""

    name: str
    """For its files; empty for the run's own."""
    id: str
    """Differs where the images do: another folder, or other options."""


def tested_set(data: Mapping[str, Any], own: Mapping[str, Any] | None, source: str) -> TestedSet:
    """The set that options of data name.

    Args:
        data: that are tested.
        own: of the run; None without a run.
        source: what data without a folder are called.
    """
    identity = _identity(data)
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()[:DIGITS_OF_ID]
    if own is not None and identity == _identity(own):
        return TestedSet("", digest)
    name = "-".join(part for part in (Path(identity.get("root") or source).name, data.get("test") or "") if part)
    return TestedSet(re.sub(r"[^\w.]+", "-", name).strip("-.") or "set", digest)


def _identity(data: Mapping[str, Any]) -> dict[str, Any]:
    """Options that decide on the images; those that say nothing are not told from those that are missing."""
    told = {key: value for key, value in data.items() if key not in LOADING and value not in (None, False)}
    return told | ({"root": str(Path(told["root"]).expanduser().resolve())} if "root" in told else {})


def evaluation_name(folder: Path, tested: TestedSet, *parts: str) -> str:
    """The name of an evaluation, for `write_evaluation`: two sets never have the same, also if their folders do.

    Args:
        folder: where it goes.
        tested: the set.
        parts: what else tells it from others, such as the protocol.
    """
    rest = "_".join(part for part in parts if part)
    if not tested.name:
        return rest
    before: Any = None
    with suppress(OSError, ValueError):
        before = json.loads((folder / f"{tested.name}_{rest}.json").read_text()).get("set", {}).get("id")
    return f"{tested.name}{'' if before in (None, tested.id) else f'-{tested.id}'}_{rest}"


class Answers(NamedTuple):
    """A network's answers to the images of a test set, in their order.

    Attributes:
        labels: int64 [N], the true classes.
        predicted: int64 [N], the predicted classes.
        confidence: float64 [N], the probabilities of the predicted classes; None where they were not kept.
    """

    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    confidence: NDArray[np.float64] | None


def read_answers(folder: Path) -> Answers | None:
    """The answers in a run's folder; None if there are none, or if the file cannot be read."""
    try:
        labels, predicted, *rest = np.loadtxt(folder / ANSWERS, delimiter=",", skiprows=1, ndmin=2).T[1:]
    except (OSError, ValueError):
        return None
    return Answers(labels.astype(np.int64), predicted.astype(np.int64), rest[0] if rest else None)


class Confusion(NamedTuple):
    """How often images of one class are taken for another, on average over networks."""

    label: int
    answer: int
    times: float


def most_confused(networks: Sequence[Answers], most: int | None = None) -> list[Confusion]:
    """The confusions of networks, the most frequent first, at most so many; among equals, those of the first labels."""
    times: Counter[tuple[int, int]] = Counter()
    for labels, predicted, _ in networks:
        wrong = labels != predicted
        times.update(zip(labels[wrong].tolist(), predicted[wrong].tolist(), strict=True))
    ranked = sorted(times.items(), key=lambda item: (-item[1], item[0]))[:most]
    return [Confusion(label, answer, count / len(networks)) for (label, answer), count in ranked]


class ReliabilityBin(NamedTuple):
    """The answers whose confidence lies in a range: how sure they are, and how often right."""

    low: float
    high: float
    answers: int
    confidence: float
    """Mean, 0 to 1."""
    accuracy: float


def reliability(networks: Sequence[Answers]) -> list[ReliabilityBin]:
    """The answers of networks by their confidence, in CALIBRATION_BINS ranges.

    Ranges without answers are left out, as are networks whose confidence was not kept.

    Source: Guo et al. 2017, *On calibration of modern neural networks*, Sec. 2.
    """
    known = [(each.confidence, each.labels == each.predicted) for each in networks if each.confidence is not None]
    if not known:
        return []
    confidence, right = (np.concatenate(parts) for parts in zip(*known, strict=True))
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1)
    places = np.clip(np.digitize(confidence, edges) - 1, 0, CALIBRATION_BINS - 1)
    return [
        ReliabilityBin(
            float(edges[place]),
            float(edges[place + 1]),
            int((its := places == place).sum()),
            float(confidence[its].mean()),
            float(right[its].mean()),
        )
        for place in np.unique(places)
    ]


def predictions_table(labels: "Tensor", predicted: "Tensor", confidence: "Tensor") -> str:
    """The prediction for each image as CSV.

    Args:
        labels: int64 [N], the true classes.
        predicted: int64 [N], the predicted classes.
        confidence: float [N], the probability of the predicted class.
    """
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("index", "label", "predicted", "confidence"))
    rows = zip(labels.tolist(), predicted.tolist(), confidence.tolist(), strict=True)
    writer.writerows((index, label, answer, f"{c:.6f}") for index, (label, answer, c) in enumerate(rows))
    return table.getvalue()


def write_evaluation(folder: Path, name: str, record: dict[str, Any], predictions: str) -> Path:
    """Write `<name>_predictions.csv` and then `<name>.json`, each whole or not at all.

    Args:
        folder: where they go.
        name: of the evaluation; an earlier one of the same name is replaced.
        record: the numbers and how they were obtained, plain containers.
        predictions: see predictions_table.

    Returns:
        The JSON file.
    """
    write_whole(folder / f"{name}_predictions.csv", predictions)
    write_json(folder / f"{name}.json", record)
    return folder / f"{name}.json"
