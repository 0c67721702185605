"""Claims about arms, read from words: `max < average`."""

import re
from typing import NamedTuple

from cnnlit.analysis.results import Measured, Results

REST = "rest"


class Claim(NamedTuple):
    """`max < average`: an arm, and what it is claimed to be below or above."""

    one: Measured
    below: bool
    others: list[Measured]
    number: float | None
    words: str


def read_claim(words: str, results: Results) -> Claim:
    """Parse a claim: `ARM < ARM`, `ARM < rest`, `ARM < 0.95%`, or the same with `>`.

    Raises:
        ValueError: if it is not a claim, or names an arm that does not exist, or several.
    """
    match = re.fullmatch(r"\s*(.+?)\s*(<=?|>=?)\s*(.+?)\s*", words)
    if match is None:
        raise ValueError(f"claim={words}: must be two arms, or an arm and {REST} or a number, with < or > between")
    one = _arm(match[1], words, results)
    below = match[2][0] == "<"
    if match[3] == REST:
        others = [each for each in results.measured if each is not one and each.readings]
        if not others:
            raise ValueError(f"claim={words}: there is no arm beside {one.name}")
        return Claim(one, below, others, None, words)
    if number := re.fullmatch(r"([\d.]+(?:e-?\d+)?)\s*(%?)", match[3]):
        return Claim(one, below, [], float(number[1]) / (100 if number[2] else 1), words)
    other = _arm(match[3], words, results)
    if other is one:
        raise ValueError(f"claim={words}: both sides are {one.name}")
    return Claim(one, below, [other], None, words)


def _arm(name: str, words: str, results: Results) -> Measured:
    """The arm of that name, or the only one whose name it is a part of."""
    named = [each for each in results.measured if each.name.lower() == name.lower()]
    partly = [each for each in results.measured if name.lower() in re.split(r", |=", each.name.lower())]
    found = named or partly
    if len(found) == 1:
        if not found[0].readings:
            raise ValueError(f"claim={words}: no run of {found[0].name} counts")
        return found[0]
    there = "; ".join(each.name for each in results.measured[:30])
    if found:
        keys = [factor.key for factor in results.arms.factors if name in factor.names]
        hint = f"; by={keys[0]} makes it one" if keys else ""
        raise ValueError(f"claim={words}: {name} is {len(found)} arms: {there}{hint}")
    raise ValueError(f"claim={words}: there is no arm {name}; there is {there}")
