"""Dot charts of a report as SVG: one dot per run, or per pair of runs.

The charts are complete without a script; report.js only adds tooltips. Horizontal positions are fractions of the
page's width, so that text and dots keep their size on a phone.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from markupsafe import Markup

from cnnlit.analysis.results import Results
from cnnlit.inference.statistics import Interval
from cnnlit.reports.charts.scale import Scale, short
from cnnlit.reports.charts.svg import tag

NUM_COLORS = 8
ROW_PIXELS = 44
MOST_ROWS = 40
EDGE = 0.08
"""Fraction of the width: labels this close to the end of a scale are set towards the middle."""


class Dot(NamedTuple):
    """A run, or a pair of runs."""

    number: float
    tip: str
    reached: bool = True


class Row(NamedTuple):
    """Dots with their mean and its interval; without a colour, in that of the text."""

    label: str
    dots: list[Dot]
    mean: float | None
    interval: Interval | None
    tip: str
    color: int | None = None


def dots_chart(results: Results) -> Markup:
    """Every run of every arm, with means and intervals."""
    measure = results.measure
    rows = []
    for place, each in enumerate(results.measured[:MOST_ROWS]):
        if each.summary is None:
            continue
        dots = [
            Dot(
                reading.number,
                f"{each.name}, {block}: {'' if reading.reached else 'not reached by '}{measure.show(reading.number)}",
                reading.reached,
            )
            for block, reading in each.readings.items()
        ]
        mean, ends = (
            (None, None)
            if each.censored
            else (each.summary.mean, each.crossed or each.summary.interval or each.sampling)
        )
        tip = f"{each.name}: mean {measure.show(mean)}, n = {len(dots)}"
        rows.append(Row(each.name, dots, mean, ends, tip + _within(ends, measure.show), color_of(place)))
    return strips(rows, measure.metric, f"{measure.title}, every run by arm", zero=False)


def differences_chart(results: Results) -> Markup | None:
    """The difference of every pair of runs, with means and intervals; None if there is none to draw."""
    measure = results.measure
    rows = [
        Row(
            each.name,
            [
                Dot(number, f"{each.name}, {block}: {measure.show_difference(number)}")
                for block, number in zip(each.blocks, each.difference.differences, strict=True)
            ],
            each.difference.mean,
            each.difference.interval,
            f"{each.name}: {measure.show_difference(each.difference.mean)}, "
            f"{len(each.blocks)} pairs{_within(each.difference.interval, measure.show_difference)}",
        )
        for each in results.comparisons[:MOST_ROWS]
        if each.difference.mean is not None
    ]
    return strips(rows, measure.metric, f"Differences in {measure.title}", zero=True) if rows else None


def color_of(place: int) -> int:
    """The colour of an arm, by its place in the ranking: the number of one of the style sheet's."""
    return place % NUM_COLORS


def _within(ends: Interval | None, show: Callable[[float], str]) -> str:
    return f", 95 % interval {show(ends.low)} to {show(ends.high)}" if ends else ""


def strips(rows: Sequence[Row], metric: str, title: str, *, zero: bool) -> Markup:
    """Draw rows of dots over a common scale.

    Args:
        rows: from top to bottom.
        metric: whose values the dots are.
        title: for screen readers.
        zero: whether they are differences, with a line at zero.
    """
    numbers = [dot.number for row in rows for dot in row.dots] + [row.mean for row in rows if row.mean is not None]
    span = max(numbers) - min(numbers) or abs(numbers[0]) or 1.0
    # The interval of two runs is far longer than anything else; it may run off the chart.
    ends = [
        min(max(end, min(numbers) - span), max(numbers) + span) for row in rows if row.interval for end in row.interval
    ]
    scale = Scale(min(*numbers, *ends, *[0.0] * zero, numbers[0]), max(*numbers, *ends, *[0.0] * zero, numbers[0]))
    height = ROW_PIXELS * len(rows) + 26
    parts = [tag("title", title)]
    for tick in scale.ticks(4):
        x, line = _percent(scale(tick)), "zero" if zero and tick == 0 else "grid"
        side = "tick first" if scale(tick) < EDGE else "tick last" if scale(tick) > 1 - EDGE else "tick"
        parts += [
            tag("line", x1=x, x2=x, y1=4, y2=height - 20, class_=line),
            tag("text", short(tick, metric, zero), x=x, y=height - 5, class_=side),
        ]
    for place, row in enumerate(rows):
        parts.append(_strip(row, scale, ROW_PIXELS * place))
    return tag("svg", *parts, role="img", aria_label=title, class_="strips", width="100%", height=height)


def _strip(row: Row, scale: Scale, top: int) -> Markup:
    middle = top + 30
    color = "plain" if row.color is None else f"arm-{row.color}"
    parts = [tag("text", row.label, x=0, y=top + 15, class_="label")]
    parts.append(tag("line", x1="0", x2="100%", y1=middle, y2=middle, class_="base"))
    if row.interval:
        low, high = (min(max(scale(end), 0.0), 1.0) for end in row.interval)
        width = _percent(max(high - low, 0.002))
        parts.append(tag("rect", x=_percent(low), width=width, y=middle - 7, height=14, class_="interval", rx=3))
    places = [scale(dot.number) for dot in row.dots]
    for dot, place, height in zip(row.dots, places, _heights(places), strict=True):
        shape = "dot" if dot.reached else "dot open"
        parts.append(
            tag("circle", tag("title", dot.tip), cx=_percent(place), cy=f"{middle + height:g}", r=4, class_=shape)
        )
    if row.mean is not None:
        x = _percent(scale(row.mean))
        parts.append(tag("line", tag("title", row.tip), x1=x, x2=x, y1=middle - 11, y2=middle + 11, class_="mean"))
    return tag("g", *parts, class_=color)


def _heights(places: Sequence[float]) -> list[float]:
    """The offset of each dot in pixels: dots in the same place form a column and can be counted."""
    columns: dict[int, list[int]] = {}
    for number, place in enumerate(places):
        columns.setdefault(round(100 * place), []).append(number)
    heights = [0.0] * len(places)
    for column in columns.values():
        step = min(7.0, 20 / max(len(column) - 1, 1))
        for rank, number in enumerate(column):
            heights[number] = round((rank - (len(column) - 1) / 2) * step, 1)
    return heights


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f}%"
