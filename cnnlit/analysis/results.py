"""What comparing runs comes to: arms with their numbers, differences between arms, runs that are not counted."""

from dataclasses import dataclass
from typing import NamedTuple

from cnnlit.analysis.answers import Answered
from cnnlit.analysis.arms import Arm, Arms
from cnnlit.analysis.measures import Measure, Reading
from cnnlit.inference.clusters import Interaction
from cnnlit.inference.crossed import McNemar
from cnnlit.inference.statistics import Contrast, Interval, Summary
from cnnlit.runs.records import RunRecord


@dataclass(frozen=True)
class Measured:
    """An arm with the numbers of its runs.

    Attributes:
        readings: by block: a seed, with whatever else runs are paired by.
        summary: of all numbers, those of runs that ended short of the target included; None without any. Runs that
            share a seed are one number, their mean.
        middle: the median time to a target, if half of the runs reached it.
        sampling: the interval of a single run's test error, the test images being a sample.
        answers: to each test image, where they are kept.
        crossed: the interval of the mean where seeds and test images both count as samples.
    """

    arm: Arm
    readings: dict[str, Reading]
    summary: Summary | None
    middle: float | None = None
    sampling: Interval | None = None
    answers: Answered | None = None
    crossed: Interval | None = None

    @property
    def name(self) -> str:
        return self.arm.name

    @property
    def numbers(self) -> list[float]:
        return [reading.number for reading in self.readings.values()]

    @property
    def num_images(self) -> int:
        """Test images of its runs; 0 where that is not known or differs."""
        known = {self.arm.runs[block].test.get("test/num_images", 0) for block in self.readings}
        return int(known.pop()) if len(known) == 1 else 0

    @property
    def num_looks(self) -> int:
        """How often there was something new to look at: 1, and 1 more for each time that seeds were added."""
        planned = [run.planned for run in (self.arm.runs[block] for block in self.readings) if run.planned]
        if not planned:
            return 1
        return len({place.look for place in planned}) + max(place.shortened for place in planned)

    @property
    def num_reached(self) -> int:
        return sum(reading.reached for reading in self.readings.values())

    @property
    def censored(self) -> bool:
        """Whether a run ended before it reached the target."""
        return self.num_reached < len(self.readings)


@dataclass(frozen=True)
class ArmComparison:
    """One arm against another.

    Attributes:
        blocks: the names of the pairs.
        alone: blocks of either arm that the other lacks; where there are pairs, they are left out.
        p: of the difference, corrected for the number of comparisons and of looks.
        num_tests: how many comparisons it is corrected for.
        ratio: of the first arm's time to the second's, over pairs, with its interval.
        look: the first, or which one after seeds were added.
        of_these_images: over seeds alone, where `difference` is over seeds and test images.
        interaction: whether the difference depends on the setting, where runs differ within arms.
        mcnemar: of two single networks.
    """

    one: Measured
    other: Measured
    difference: Contrast
    blocks: tuple[str, ...]
    alone: tuple[tuple[str, ...], tuple[str, ...]]
    p: float | None
    num_tests: int = 1
    ratio: tuple[float, Interval | None] | None = None
    look: int = 1
    of_these_images: Contrast | None = None
    interaction: Interaction | None = None
    mcnemar: McNemar | None = None

    @property
    def name(self) -> str:
        return f"{self.one.name} \N{MINUS SIGN} {self.other.name}"


class Uncounted(NamedTuple):
    """A run that enters no mean, and why."""

    arm: str
    run: RunRecord
    reason: str


@dataclass(frozen=True)
class Results:
    """What the runs say.

    Attributes:
        measured: arms with numbers, the best first; then those without.
        comparisons: of up to six arms, all pairs; of more, each arm against the best.
        uncounted: runs that enter no mean.
        missing: runs that should exist, and jobs that left nothing.
        pending: how many runs that a sweep planned have not come to an end.
        not_bracketed: arms that are best at an end of a grid of numbers, with the end.
        chosen: what runs that only choose a value came to, in words.
    """

    measure: Measure
    arms: Arms
    measured: list[Measured]
    comparisons: list[ArmComparison]
    uncounted: list[Uncounted]
    missing: list[str]
    pending: int = 0
    not_bracketed: tuple[str, ...] = ()
    chosen: tuple[str, ...] = ()

    @property
    def censored(self) -> bool:
        return any(each.censored for each in self.measured)

    @property
    def counted(self) -> list[tuple[Measured, str, RunRecord, Reading]]:
        """Every run that counts, with its arm, block and number."""
        return [
            (each, block, each.arm.runs[block], reading)
            for each in self.measured
            for block, reading in each.readings.items()
        ]

    @property
    def runs(self) -> list[RunRecord]:
        """All runs, counted or not."""
        return [run for _, _, run, _ in self.counted] + [each.run for each in self.uncounted]

    @property
    def seconds(self) -> float:
        """The duration of all runs together, counted or not."""
        return sum(run.seconds or 0.0 for run in self.runs)

    @property
    def devices(self) -> list[str]:
        """The devices that the counted runs were made on."""
        return list(dict.fromkeys(run.device for _, _, run, _ in self.counted if run.device))

    @property
    def commits(self) -> list[str]:
        """The commits that the counted runs were made with."""
        return list(dict.fromkeys(run.commit for _, _, run, _ in self.counted if run.commit))

    @property
    def versions(self) -> dict[str, str]:
        """Versions of the packages that the latest run was made with."""
        return max((run for _, _, run, _ in self.counted), key=lambda run: run.started).versions
