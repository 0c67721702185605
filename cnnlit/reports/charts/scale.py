"""The scale of a chart: from numbers to positions, and the round numbers at its ticks."""

import math

from cnnlit.analysis.measures import kind


class Scale:
    """Maps numbers to fractions of a length.

    Args:
        low: the smallest number to show.
        high: the largest.
        logarithmic: whether equal ratios are equally long.
        pad: fraction of the length left free at either end.
    """

    def __init__(self, low: float, high: float, *, logarithmic: bool = False, pad: float = 0.04) -> None:
        self.logarithmic = logarithmic
        low, high = self._of(low), self._of(high)
        if high - low < 1e-12 * max(abs(low), abs(high), 1e-300):  # a single number goes in the middle
            low, high = low - (abs(low) or 1) / 10, high + (abs(high) or 1) / 10
        margin = (high - low) * pad
        self.low, self.high = low - margin, high + margin

    def _of(self, number: float) -> float:
        return math.log10(number) if self.logarithmic else number

    def __call__(self, number: float) -> float:
        if self.logarithmic and number <= 0:
            return -10.0
        return (self._of(number) - self.low) / (self.high - self.low)

    def ticks(self, most: int = 5) -> list[float]:
        """Round numbers within the scale."""
        from matplotlib.ticker import LogLocator, MaxNLocator

        if self.logarithmic:
            ends = 10**self.low, 10**self.high
            steps = (1.0,) if self.high - self.low > 2 else (1.0, 2.0, 5.0)
            found = LogLocator(subs=steps, numticks=12).tick_values(*ends)
        else:
            ends = self.low, self.high
            found = MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]).tick_values(*ends)
        return [float(each) for each in found if ends[0] <= each <= ends[1]]


def short(tick: float, metric: str, difference: bool = False) -> str:
    """The label of a tick, without superfluous digits."""
    percent = kind(metric) == "fraction"
    unit = (" pp" if difference else " %") if percent else " s" if kind(metric) == "seconds" else ""
    return f"{100 * tick if percent else tick:.4g}{unit}".replace("-", "\N{MINUS SIGN}")
