"""The results of inspecting a set of images."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from cnnlit.data.duplicates import Twins


@dataclass
class Finding:
    """What was found. Images are counted by the id of their class."""

    layout: str
    folder: str
    class_names: list[str]
    train: Counter[str]
    val: Counter[str]
    """What is called a validation set; where there is no test set, it is tested."""
    test: Counter[str] = field(default_factory=Counter)
    scanned: int = 0
    """Number of files that were read and decoded."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Path -> reason."""
    twice: list[Twins] = field(default_factory=list)
    """Images that are in two parts, which a test on them would count as right."""
    problems: list[str] = field(default_factory=list)
    """What a run would be refused for, one sentence each."""
    notes: list[str] = field(default_factory=list)
    speed: "Speed | None" = None

    def as_json(self) -> dict[str, Any]:
        """Plain containers; `classes`, `train` and `val` are counts, `unreadable` are paths."""
        return {
            "layout": self.layout,
            "folder": self.folder,
            "classes": len(self.class_names),
            "class_names": self.class_names,
            "train": self.train.total(),
            "val": self.val.total(),
            "test": self.test.total(),
            "extremes": {part: _extremes(getattr(self, part)) for part in ("train", "val", "test")},
            "scanned": self.scanned,
            "unreadable": list(self.unreadable),
            "reasons": list(self.unreadable.values()),
            "twice": [list(each) for each in self.twice],
            "problems": self.problems,
            "notes": self.notes,
            "speed": asdict(self.speed) | {"keeps_up": self.speed.keeps_up} if self.speed else None,
        }


@dataclass
class Speed:
    """Images per second, decoded and augmented as in training."""

    one_core: float
    workers: float
    num_workers: int
    needed: float | None
    """Images per second that the accelerator trains on, if that is known."""

    @property
    def keeps_up(self) -> bool | None:
        return None if self.needed is None else self.workers >= self.needed


def _extremes(counts: Counter[str]) -> dict[str, Any] | None:
    """The smallest and the largest class."""
    if len(counts) < 2:
        return None
    ranked = counts.most_common()
    return {"smallest": list(ranked[-1]), "largest": list(ranked[0])}
