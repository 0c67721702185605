"""What a verdict costs when seeds were added after it had been looked at.

A sweep's planned seeds are judged once, at 5 %. Whoever adds seeds because the answer was unclear, and asks again,
gives chance another try: at 5 % each, one extension makes the false positives 8 %, seeds added one by one 23 %. So all
later looks together have a purse of their own of 1 %, of which each spends half of what is left: 0.5 %, 0.25 % and so
on (alpha spending by the union bound, which holds whatever the numbers look like and however many seeds are added).
However often a sweep is extended, at most 6 % of true nulls are decided.
"""

PLANNED = 0.05
LATER = 0.01


def chance_at(look: int) -> float:
    """The probability of a wrong decision that a look may take.

    Args:
        look: 1 for the planned seeds, 2 after they were added to once, and so on.
    """
    return PLANNED if look == 1 else LATER * 0.5 ** (look - 1)


def corrected_for(p: float, look: int) -> float:
    """A p value that can be held against 5 % whatever the look."""
    return min(1.0, p * PLANNED / chance_at(look))
