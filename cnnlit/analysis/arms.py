"""The arms of an experiment, found from how the configurations of its runs differ, seeds aside."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cnnlit.analysis.factors import Factor, asked_for, bundles, find_factors, follows, joined, model_name, numbered
from cnnlit.runs.records import RunRecord


@dataclass
class Arm:
    """Runs that differ only in their seeds, or in keys that the arms are not named for.

    Attributes:
        name: made of its levels.
        levels: for each factor, the number of its level.
        runs: the finished ones, one per block.
        others: runs that did not finish or were repeated, with the reason.
        blocks: of all its runs; a block is a seed, with whatever else runs are paired by.
    """

    name: str
    levels: tuple[int, ...]
    runs: dict[str, RunRecord] = field(default_factory=dict)
    others: list[tuple[RunRecord, str]] = field(default_factory=list)
    blocks: dict[str, None] = field(default_factory=dict)


@dataclass
class Arms:
    """All arms, and what they are named for.

    Attributes:
        factors: what the arms are named for.
        within: factors that vary within an arm; runs are paired when these and the seed agree.
        following: other keys that differ, but are determined by the arm.
        arms: in the order of their first runs.
        homeless: runs whose configuration cannot be read, with the reason.
    """

    factors: list[Factor]
    within: list[Factor]
    following: list[str]
    arms: list[Arm]
    homeless: list[tuple[RunRecord, str]]

    @property
    def title(self) -> str:
        """What differs between the arms: `pooling, activation`."""
        return ", ".join(factor.word for factor in self.factors)

    def missing(self) -> list[str]:
        """Blocks that other arms have and an arm lacks, and whole arms that a full factorial would have."""
        seen = dict.fromkeys(block for arm in self.arms for block in arm.blocks)
        lines = [
            f"{arm.name}: no run with {', '.join(gone)}"
            for arm in self.arms
            if (gone := [block for block in sorted(seen, key=natural) if block not in arm.blocks])
        ]
        return lines + [f"{joined(self.factors, levels)}: no run at all" for levels in self._holes()]

    def _holes(self) -> list[tuple[int, ...]]:
        """Combinations of levels without a run, provided most have one: otherwise no factorial was intended."""
        combinations: list[tuple[int, ...]] = [()]
        for factor in self.factors:
            combinations = [(*some, level) for some in combinations for level in range(len(factor.names))]
            if len(combinations) >= 2 * len(self.arms) + 1:
                return []
        there = {arm.levels for arm in self.arms}
        holes = [levels for levels in combinations if levels not in there]
        return holes if len(there) > len(holes) else []


def find(records: Sequence[RunRecord], by: Sequence[str] = ()) -> Arms:
    """Sort runs into arms.

    Args:
        records: the runs.
        by: keys to name the arms by; none for all keys that differ. `model` stands for `model._target_`.

    Raises:
        ValueError: if no two runs differ in a key of `by`.
    """
    known = [record for record in records if record.config]
    homeless = [(record, record.reason or "no configuration") for record in records if not record.config]
    factors = find_factors(known)
    if by:
        named = [asked_for(known, factors, key) for key in by]
        together = numbered(zip(*(factor.levels for factor in named), strict=True))
        within = [factor for factor in factors if not follows(factor.levels, together)]
    else:
        named, within = factors, []
    arms: dict[tuple[int, ...], Arm] = {}
    for number, record in enumerate(known):
        levels = tuple(factor.levels[number] for factor in named)
        arm = arms.setdefault(levels, Arm(joined(named, levels) or model_name(known), levels))
        _add(arm, record, _block(record.seed, [factor.names[factor.levels[number]] for factor in within]))
    told = {factor.key for factor in (*named, *within)}
    following = [key for keys in bundles(known).values() for key in keys if key not in told]
    return Arms(named, within, following, list(arms.values()), homeless)


def _add(arm: Arm, record: RunRecord, block: str) -> None:
    arm.blocks[block] = None
    if record.state != "finished":
        arm.others.append((record, record.reason))
        return
    before = arm.runs.get(block)
    if before is not None:  # a repetition is no new evidence: the later one counts
        earlier, record = sorted((before, record), key=lambda run: run.started)
        arm.others.append((earlier, f"repeated by {record.name}"))
    arm.runs[block] = record


def _block(seed: int | None, others: Sequence[str]) -> str:
    return f"seed {seed}" + (f" ({', '.join(others)})" if others else "")


def natural(block: str) -> tuple[int, str]:
    """Sort key: seed 10 comes after seed 9."""
    digits = "".join(filter(str.isdigit, block.partition("(")[0]))
    return int(digits or 0), block


def seed_of(block: str) -> str:
    """`seed 3` of `seed 3 (rbf, table)`."""
    return block.partition(" (")[0]


def setting_of(block: str) -> str:
    """`rbf, table` of `seed 3 (rbf, table)`."""
    return block.partition(" (")[2].removesuffix(")")
