"""A report as tables and paragraphs, for the terminal, for Markdown and for the page."""

from collections import Counter

from cnnlit.analysis.measures import Measure
from cnnlit.analysis.results import ArmComparison, Measured, Results
from cnnlit.analysis.verdicts import Verdict
from cnnlit.analysis.wording import SHUFFLED, show_p
from cnnlit.inference import looks
from cnnlit.reports.class_tables import classes_table, confused_table, metrics_table
from cnnlit.reports.tables import CODE, Page, Table

DASH = "\N{EN DASH}"
MOST_KEYS = 12
MORE = "To train them beside those that there are:"


def report_page(results: Results, verdict: Verdict) -> Page:
    """The verdict, the arms, their differences, what is not counted, and how it was all computed."""
    more = [MORE, f"{CODE}{verdict.command}"] if verdict.command else []
    page: Page = [verdict.sentence + ".", *more, arms_table(results)]
    if results.comparisons:
        page.append(differences_table(results))
    if settings := settings_table(results):
        page.append(settings)
    of_classes = (metrics_table(results), classes_table(results), confused_table(results))
    page += [table for table in of_classes if table is not None]
    if results.uncounted:
        page.append(uncounted_table(results))
    if results.missing:
        page.append("Missing: " + "; ".join(results.missing) + ".")
    return [*page, *notes(results), " ".join(methods(results)), " ".join(origin(results))]


def arms_table(results: Results) -> Table:
    """A row for each arm, the best first."""
    measure, censored = results.measure, results.censored
    crossed = [each for each in results.measured if each.crossed]
    heads = ["arm", "n", "mean", "95 % interval", *["of these images"] * bool(crossed)]
    heads += ["deviation", "smallest", "largest"]
    if censored:
        heads = ["arm", "n", "reached", "median", "smallest", "largest"]
    others = Counter(each.arm for each in results.uncounted)
    rows = []
    for each in results.measured:
        name = (each.name, str(each.summary.n if each.summary else 0))
        if each.summary is None:
            cells = (*name, *[""] * (len(heads) - 2))
        elif censored:
            reached = [reading.number for reading in each.readings.values() if reading.reached]
            middle = measure.show(each.middle) if each.middle is not None else "not reached"
            ends = (
                measure.show(min(reached)) if reached else "",
                measure.show(max(reached)) if not each.censored else "not reached",
            )
            cells = (*name, f"{len(reached)} of {len(each.readings)}", middle, *ends)
        else:
            found = each.summary
            cells = (
                *name,
                measure.show(found.mean),
                shown_interval(each, measure),
                *[_of_these_images(each, measure)] * bool(crossed),
                measure.show(found.deviation),
                measure.show(found.low),
                measure.show(found.high),
            )
        rows.append((*cells, str(others[each.name] or "")) if others else cells)
    title = f"{measure.title} by {results.arms.title}" if results.arms.factors else measure.title
    return Table.of(title, (*heads, "not counted") if others else tuple(heads), rows)


def _of_these_images(each: Measured, measure: Measure) -> str:
    ends = each.summary.interval if each.summary else None
    return measure.show_interval(*ends) if ends else DASH


def shown_interval(each: Measured, measure: Measure) -> str:
    """The interval of the mean, over seeds and test images where it can be; that of a single run has an asterisk."""
    if each.crossed:
        return measure.show_interval(*each.crossed)
    if each.summary is not None and each.summary.interval:
        return measure.show_interval(*each.summary.interval)
    return measure.show_interval(*each.sampling) + " *" if each.sampling else DASH


def differences_table(results: Results) -> Table:
    """A row for each comparison."""
    with_ratio = any(each.ratio for each in results.comparisons)
    many = any(each.num_tests > 1 or each.look > 1 for each in results.comparisons)
    rows = [_difference_row(each, results.measure, many, with_ratio) for each in results.comparisons]
    heads = ["arms", "pairs", "difference", "95 % interval", "p", *["p corrected"] * many, "p shuffled", "test"]
    return Table.of("Differences", (*heads, *["ratio"] * with_ratio), rows)


def _difference_row(each: ArmComparison, measure: Measure, many: bool, with_ratio: bool) -> tuple[str, ...]:
    found, ratio = each.difference, ""
    if found.mean is not None:
        mean = measure.show_difference(found.mean)
    else:
        mean = f"sooner {found.wins[0]}, later {found.wins[1]}" if found.how == "order paired" else DASH
    if each.ratio is not None:
        times, span = each.ratio
        ratio = f"{times:.3g}" + (f" [{span.low:.3g}, {span.high:.3g}]" if span else "")
    p_values = [found.p, *[each.p] * many, found.p_shuffled]
    return (
        each.name,
        str(found.n) if found.how in ("paired", "order paired") else f"none ({found.n}, {found.n_other})",
        mean,
        measure.show_difference_interval(*found.interval) if found.interval else DASH,
        *(DASH if p is None else show_p(p).removeprefix("p ").removeprefix("= ") for p in p_values),
        TESTS[found.how] if found.p is not None else DASH,
        *[ratio] * with_ratio,
    )


def settings_table(results: Results) -> Table | None:
    """The differences in each setting, where runs differ within arms, and whether they depend on it."""
    measure = results.measure
    rows = []
    for each in results.comparisons:
        if found := each.interaction:
            rows += [(each.name, setting, measure.show_difference(mean)) for setting, mean in found.means.items()]
            rows.append((each.name, "interaction", "" if found.p is None else show_p(found.p)))
    return Table.of("Differences by setting", ("arms", "setting", "difference"), rows) if rows else None


TESTS = {
    "paired": "paired t",
    "unpaired": "Welch",
    "fixed": "one-sample t",
    "order paired": "sign",
    "order unpaired": "log-rank",
}


def uncounted_table(results: Results) -> Table:
    """The runs that enter no mean."""
    rows = [
        (
            each.arm or DASH,
            "" if each.run.seed is None else str(each.run.seed),
            each.run.state,
            each.reason,
            each.run.name,
        )
        for each in results.uncounted
    ]
    return Table.of("Runs that are not counted", ("arm", "seed", "state", "reason", "run"), rows)


def notes(results: Results) -> list[str]:
    """What a reader of these numbers needs to know."""
    lines = []
    if any(each.sampling for each in results.measured):
        lines.append(
            "* One run shows nothing of how seeds differ: this is Wilson's interval of its test error, "
            "as sure as so many test images make it."
        )
    if results.censored:
        lines.append(
            "Some runs ended before they reached the target. They are not left out, for that would flatter their arm: "
            "there is no mean then, the median is Kaplan and Meier's, and tests ask only which of two got there first."
        )
    lone: dict[str, dict[str, None]] = {}
    for each in results.comparisons:
        for side, alone in zip((each.one, each.other), each.alone, strict=True):
            if each.blocks and alone:
                lone.setdefault(side.name, {}).update(dict.fromkeys(alone))
    if lone:
        listed = "; ".join(f"{name} {', '.join(blocks)}" for name, blocks in lone.items())
        lines.append(f"Without a partner in another arm, and so not in those pairs: {listed}.")
    if following := results.arms.following:
        shown = ", ".join(following[:MOST_KEYS]) + (
            f" and {len(following) - MOST_KEYS} more" * (len(following) > MOST_KEYS)
        )
        lines.append(f"Changes together with what the arms are named for: {shown}.")
    if results.arms.within:
        keys = ", ".join(factor.key for factor in results.arms.within)
        lines.append(
            f"Within arms the runs differ in {keys}; pairs are of the same seed and the same of these. Runs of one "
            "seed are not independent: n counts seeds, each with the mean of its runs."
        )
    if results.chosen:
        lines.append(f"Chosen on seeds of their own, which are not compared: {'; '.join(results.chosen)}.")
    if results.not_bracketed:
        lines.append("Not bracketed: the best value lies at an end of those that were tried, and may not be the best.")
    lines += _added(results)
    lines += _unlike(results)
    return lines


def _added(results: Results) -> list[str]:
    """When seeds were added, and what that costs."""
    look = max((each.num_looks for each in results.measured), default=1)
    if look == 1:
        return []
    seeds: dict[int, dict[str, None]] = {}
    for _, _, run, _ in results.counted:
        if run.planned and run.seed is not None:
            seeds.setdefault(run.planned.look, {})[str(run.seed)] = None
    told = "; then ".join(f"seeds {', '.join(seeds[number])}" for number in sorted(seeds))
    level = looks.chance_at(look)
    return [
        f"Seeds were added after others had been there to look at ({told}), so this is look {look}: it is judged at "
        f"{level:.2g} instead of 0.05, and intervals of differences are {100 * (1 - level):g} % ones."
    ]


def _unlike(results: Results) -> list[str]:
    """Whatever else could explain a difference."""
    lines = []
    for word, of in (("commits", "commit"), ("devices", "device")):
        values = sorted({getattr(run, of)[:60] for _, _, run, _ in results.counted} - {""})
        if len(values) > 1:
            lines.append(f"The runs are of {len(values)} {word}: {'; '.join(_short(value) for value in values)}.")
    if any(run.commit.endswith("-dirty") for _, _, run, _ in results.counted):
        lines.append("Some runs are of code that was changed after its commit.")
    return lines


def _short(commit: str) -> str:
    return commit[:12] if len(commit) >= 40 and " " not in commit else commit


def methods(results: Results) -> list[str]:
    """How it was computed, in sentences."""
    measure = results.measure
    known = {each.difference.how for each in results.comparisons}
    lines = []
    if measure.target:
        lines.append(f"{measure.metric} to the first epoch at whose end {measure.target}.")
    elif not any(measure.metric in run.test for _, _, run, _ in results.counted) and measure.metric != "seconds":
        lines.append(f"{measure.metric} is that of the last epoch, not of the best one.")
    if not results.censored:
        lines.append(_of_means(results))
    if any(each.difference.num_images for each in results.comparisons):
        lines.append("Differences are over seeds and test images, both taken as samples (crossed random effects, t).")
    if "paired" in known:
        lines.append("Differences: of the runs with the same seed, paired t test.")
    if "unpaired" in known:
        lines.append("Arms without common seeds: Welch's t test.")
    if known & set(SHUFFLED):
        shuffled = " and ".join(dict.fromkeys(SHUFFLED[how] for how in ("paired", "unpaired") if how in known))
        lines.append(f"p shuffled: {shuffled}; no distribution is assumed, and from few runs it cannot be small.")
    tests = max((each.num_tests for each in results.comparisons), default=1)
    if tests > 1:
        lines.append(f"p corrected: Holm, for {tests} comparisons.")
    if results.comparisons:
        lines.append(
            "Seeds needed: the smallest number for which noncentral t gives a power of 80 %, two-sided, at the level "
            "that another look would have, for the observed deviation; in brackets for the ends of its 80 % interval."
        )
    return lines


def _of_means(results: Results) -> str:
    """What the intervals of means are of."""
    images = next((each.num_images for each in results.measured if each.num_images), 0)
    if any(each.crossed for each in results.measured):
        return (
            f"Intervals of means, 95 %: over seeds and test images, both taken as samples (crossed, Wilson's form); "
            f"beside them over seeds alone, of these {images:,} images (Student's t)."
        )
    fixed = f", of these {images:,} test images" if images and results.measure.of_test_images else ""
    return f"Intervals of means: Student's t over seeds, 95 %, as far as a number can be there{fixed}."


def origin(results: Results) -> list[str]:
    """What the runs were made with."""
    commits = ", ".join(dict.fromkeys(map(_short, results.commits))) or "unknown"
    versions = ", ".join(f"{name} {number}" for name, number in results.versions.items())
    return [
        f"{len(results.counted)} of {len(results.runs)} runs counted, {duration(results.seconds)} in all.",
        f"Hardware: {', '.join(results.devices) or 'unknown'}.",
        f"Commit: {commits}.",
        f"Versions: {versions or 'unknown'}.",
    ]


def duration(seconds: float) -> str:
    """A duration in the unit that a person would choose."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def commands(results: Results) -> list[str]:
    """The command lines that made the runs."""
    return sorted({run.command for run in results.runs if run.command})
