"""What comparing runs comes to: arms with their numbers, differences between arms, runs that are not counted."""

from dataclasses import dataclass
from typing import NamedTuple

from cnnlit.analysis.arms import Arm, Arms
from cnnlit.analysis.measures import Measure, Reading
from cnnlit.analysis.statistics import Contrast, Interval, Summary
from cnnlit.runs.records import RunRecord


@dataclass(frozen=True)
class Measured:
    """An arm and its runs' numbers.

    Attributes:
        readings: by block, a seed and what else runs are paired by.
        summary: of the numbers, those included at which a run ended without reaching its target; None without any.
        middle: the median time to a target, if half of the runs reached it.
        sampling: of a single run's test error, for the test images are a sample.
    """

    arm: Arm
    readings: dict[str, Reading]
    summary: Summary | None
    middle: float | None = None
    sampling: Interval | None = None

    @property
    def name(self) -> str:
        return self.arm.name

    @property
    def numbers(self) -> list[float]:
        return [reading.number for reading in self.readings.values()]

    @property
    def num_reached(self) -> int:
        return sum(reading.reached for reading in self.readings.values())

    @property
    def censored(self) -> bool:
        """Whether a run ended before its target."""
        return self.num_reached < len(self.readings)


@dataclass(frozen=True)
class ArmComparison:
    """Two arms.

    Attributes:
        blocks: the names of the pairs.
        alone: blocks of either arm that the other one lacks; they play no part where there are pairs.
        p: of the difference, corrected for the number of comparisons.
        num_tests: for how many it is corrected.
        ratio: how many times the second's time the first one's is, of pairs.
    """

    one: Measured
    other: Measured
    difference: Contrast
    blocks: tuple[str, ...]
    alone: tuple[tuple[str, ...], tuple[str, ...]]
    p: float | None
    num_tests: int = 1
    ratio: tuple[float, Interval | None] | None = None

    @property
    def name(self) -> str:
        return f"{self.one.name} \N{MINUS SIGN} {self.other.name}"


class Uncounted(NamedTuple):
    """A run that is in no mean, and why."""

    arm: str
    run: RunRecord
    reason: str


@dataclass(frozen=True)
class Results:
    """What the runs say.

    Attributes:
        measured: arms with numbers, the best first; then those without.
        comparisons: all pairs of up to six arms, of more each one against the best.
        uncounted: runs that are in no mean.
        missing: runs that there should be, and jobs that left nothing.
    """

    measure: Measure
    arms: Arms
    measured: list[Measured]
    comparisons: list[ArmComparison]
    uncounted: list[Uncounted]
    missing: list[str]

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
        """Of all runs together, counted or not."""
        return sum(run.seconds or 0.0 for run in self.runs)

    @property
    def devices(self) -> list[str]:
        """That the counted runs were made on."""
        return list(dict.fromkeys(run.device for _, _, run, _ in self.counted if run.device))

    @property
    def commits(self) -> list[str]:
        """That the counted runs were made with."""
        return list(dict.fromkeys(run.commit for _, _, run, _ in self.counted if run.commit))

    @property
    def versions(self) -> dict[str, str]:
        """Of the packages that the last run was made with."""
        return max((run for _, _, run, _ in self.counted), key=lambda run: run.started).versions
