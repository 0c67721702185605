"""python -m benchmarks.verdicts [--repeats N]: what verdicts are worth, in sweeps where the truth is known.

Nothing is trained: errors are drawn. Two arms that are equal must seldom be told apart, also by somebody who follows
the report's advice and adds seeds until the answer is clear; and intervals over seeds and test images must cover the
difference that other seeds on other images would show. Prints one table; exit code 1 if a bound is missed.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy import stats

from cnnlit.analysis.comparison import compare_runs
from cnnlit.analysis.measures import Measure
from cnnlit.analysis.verdicts import judge
from cnnlit.inference import crossed
from cnnlit.inference.statistics import around
from cnnlit.runs.evaluations import Answers
from cnnlit.runs.records import RunRecord
from cnnlit.runs.sweep_folder import Place

MOST_LOOKS = 4
MOST_SEEDS = 60
"""Of an arm; who has trained so many gives up."""

MOST_DECIDED = 0.06
COVERED = (0.93, 0.97)
SEEDS, IMAGES = (3, 5, 10), (360, 10_000)


class Images(NamedTuple):
    """Test images, and how the networks of two equal arms fare on them.

    A network answers wrongly where a normal variable lies below a threshold: part of it belongs to the image for both
    arms, part to the image for one arm, part to the seed, and the rest to the seed on the image.

    Attributes:
        number: of images; 0 for errors that are drawn as such, without images.
        error: in the long run.
        of_arm: standard deviation of what an image is harder or easier for one arm.
        of_seed: standard deviation between seeds.
    """

    number: int
    error: float = 0.1
    of_arm: float = 0.5
    of_seed: float = 0.05

    @property
    def threshold(self) -> float:
        return float(stats.norm.ppf(self.error)) * float(np.sqrt(2 + self.of_arm**2 + self.of_seed**2))

    def arms(self, random: np.random.Generator) -> tuple["DrawnArm", "DrawnArm"]:
        hard = self.threshold + random.standard_normal(self.number, np.float32)
        one, other = (
            DrawnArm(self, hard + self.of_arm * random.standard_normal(self.number, np.float32)) for _ in "ab"
        )
        return one, other


class DrawnArm(NamedTuple):
    """An arm's networks on those images; `hard` is float [images]."""

    images: Images
    hard: NDArray[np.float32]

    def wrong(self, seeds: int, random: np.random.Generator) -> NDArray[np.bool_]:
        """Bool [seeds, images], of so many further seeds."""
        luck = self.images.of_seed * random.standard_normal((seeds, 1), np.float32)
        drawn: NDArray[np.bool_] = random.standard_normal((seeds, self.images.number), np.float32) < self.hard + luck
        return drawn


@dataclass(frozen=True, kw_only=True)
class DrawnRun(RunRecord):
    """A run that nobody trained."""

    wrong: NDArray[np.bool_] | None = None

    @cached_property
    def answers(self) -> Answers | None:
        if self.wrong is None:
            return None
        labels = np.zeros(len(self.wrong), np.int64)
        return Answers(labels, labels + self.wrong, np.ones(len(labels)))


def decides(planned: int, images: Images, random: np.random.Generator) -> bool:
    """Whether a sweep of two equal arms comes to a decision, if seeds are added as the report advises.

    Args:
        planned: seeds of each arm.
        images: that the networks are tested on.
        random: where luck comes from.
    """
    arms = images.arms(random)
    runs: list[RunRecord] = []
    seeds, more = 0, planned
    for look in range(1, MOST_LOOKS + 1):
        for name, arm in zip("ab", arms, strict=True):
            runs += _runs(name, arm, range(seeds, seeds + more), look, random)
        seeds += more
        verdict = judge(compare_runs(runs, Measure("test/error")), "pooling=a < pooling=b", None)
        if verdict.outcome in ("holds", "does not hold"):
            return True
        if not verdict.more_seeds or seeds + verdict.more_seeds > MOST_SEEDS:
            return False
        more = verdict.more_seeds
    return False


def _runs(name: str, arm: DrawnArm, seeds: range, look: int, random: np.random.Generator) -> Iterator[RunRecord]:
    wrong = arm.wrong(len(seeds), random) if arm.images.number else None
    errors = random.normal(0.1, 0.01, len(seeds)) if wrong is None else wrong.mean(1)
    for place, seed in enumerate(seeds):
        yield DrawnRun(
            place=f"{name}{seed}",
            state="finished",
            seed=seed,
            config={"pooling": f"pooling={name}", "seed": seed},
            test={"test/error": float(errors[place])},
            planned=Place(look, 0),
            started=f"{seed:04}",
            wrong=None if wrong is None else wrong[place],
        )


def decided(repeats: int, planned: int, images: Images, seed: int = 0) -> float:
    """The fraction of such sweeps that come to a decision, all of them wrong."""
    random = np.random.default_rng([seed, planned, images.number])
    return sum(decides(planned, images, random) for _ in range(repeats)) / repeats


class Coverage(NamedTuple):
    """How often intervals covered the truth."""

    in_pairs: float
    apart: float
    mean: float


def covered(repeats: int, seeds: int, images: Images, seed: int = 0) -> Coverage:
    """How often intervals over seeds and images cover the truth.

    Args:
        repeats: sweeps to draw.
        seeds: of each arm.
        images: that the networks are tested on.
        seed: of the draws.

    Returns:
        Of the difference of two arms with the same seeds, with different numbers of seeds, and of an arm's error.
    """
    random = np.random.default_rng([seed, seeds, images.number])
    hits = np.zeros(3)
    for _ in range(repeats):
        one, other = (arm.wrong(seeds, random).astype(float) for arm in images.arms(random))
        for place, ends in enumerate(
            (
                _around(crossed.difference(one, other, in_pairs=True)),
                _around(crossed.difference(one, other[: max(seeds - 1, 2)], in_pairs=False)),
                crossed.interval_of_error(crossed.estimate(one)),
            )
        ):
            truth = images.error if place == 2 else 0.0
            hits[place] += ends is not None and ends[0] <= truth <= ends[1]
    return Coverage(*(hits / repeats))


def _around(found: crossed.Estimate) -> tuple[float, float] | None:
    return around(found.mean, found.error, found.freedom)


def main() -> int:
    """Draw and print; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verdicts", description=__doc__)
    parser.add_argument("--repeats", type=int, default=2000, help="sweeps of each kind (default: %(default)s)")
    repeats = parser.parse_args().repeats
    table = Table("drawn", "seeds", "images", "found, %", "bound, %", "holds", box=None)
    missed = 0
    for images in (Images(0), Images(360), Images(10_000, 0.3, 0.2, 0.02)):
        for planned in SEEDS:
            times = repeats if images.number < 1000 else repeats // 4
            rate = decided(times, planned, images)
            good = rate <= MOST_DECIDED + 2 * (MOST_DECIDED * (1 - MOST_DECIDED) / times) ** 0.5  # drawn, not computed
            missed += not good
            cells = ("equal arms told apart, advice followed", planned, images.number or "-", f"{100 * rate:.1f}")
            table.add_row(*map(str, cells), "<= 6", "yes" if good else "NO")
    for number in IMAGES:
        for seeds in SEEDS:
            for images in (
                Images(number, 0.1, 0.5, 0.05),
                Images(number, 0.3, 1.0, 0.02),
                Images(number, 0.05, 0.2, 0.1),
            ):
                found = covered(repeats, seeds, images)
                good = all(COVERED[0] <= each <= COVERED[1] for each in found)
                missed += not good
                what = f"covered at {images.error:.0%} error: in pairs, apart, mean"
                numbers = ", ".join(f"{100 * each:.1f}" for each in found)
                table.add_row(what, str(seeds), str(number), numbers, "93 to 97", "yes" if good else "NO")
    Console(width=120).print(table)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
