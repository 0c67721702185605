"""What was found out about a set of images, as tables and sentences for people."""

from typing import Any

from cnnlit.reports.tables import Page, Table

GPU_IMAGES_PER_SECOND = {"ResNet-50": 4_700, "AlexNet": 27_000}
"""Rates at which a recent data-centre GPU trains, from published figures: a rule of thumb."""

MOST_NAMED = 10
"""At most this many unreadable files are listed, and files that are there twice."""


def page(finding: dict[str, Any]) -> Page:
    """The page of a finding.

    Args:
        finding: plain containers, as `doctor format=json` prints them.
    """
    where = f" in {finding['folder']}" if finding["folder"] else ""
    names = ", ".join(finding["class_names"][:5]) + (" …" if finding["classes"] > 5 else "")
    return [
        f"Layout: {finding['layout']}{where}\nClasses: {finding['classes']:,} ({names})",
        _splits(finding),
        *([_unreadable(finding)] if finding["scanned"] else []),
        *([_twice(finding["twice"])] if finding["twice"] else []),
        *([_speed(finding["speed"])] if finding["speed"] else []),
        *finding["notes"],
        *(f"A run would be refused: {problem}" for problem in finding["problems"]),
    ]


def _splits(finding: dict[str, Any]) -> Table:
    rows = []
    for split in ("train", "val", "test") if finding["test"] else ("train", "val"):
        extremes = finding["extremes"][split] or {}
        cells = (
            f"{count:,} ({name})" for name, count in (extremes.get(end, ("", 0)) for end in ("smallest", "largest"))
        )
        rows.append((split, f"{finding[split]:,}", *(cells if extremes else ("", ""))))
    return Table.of("Images", ("kind", "images", "smallest class", "largest class"), rows)


def _unreadable(finding: dict[str, Any]) -> str:
    count, scanned = len(finding["unreadable"]), finding["scanned"]
    total = finding["train"] + finding["val"] + finding["test"]
    hint = "" if scanned == total else "; doctor.scan=all reads everything"
    lines = [f"Unreadable: {count:,} of {scanned:,} that were read{hint}."]
    pairs = list(zip(finding["unreadable"], finding["reasons"], strict=True))
    lines += [f"  {path} {reason}" for path, reason in pairs[:MOST_NAMED]]
    return "\n".join(lines + ([f"  and {count - MOST_NAMED:,} more"] if count > MOST_NAMED else []))


def _twice(twins: list[list[str]]) -> str:
    files = f"{len(twins):,} pair{'s' if len(twins) > 1 else ''} of files"
    lines = [f"Twice: {files} with the same content, one to train on and one to test with, or held out for it."]
    lines += [f"  {one} is {other}" for one, other in twins[:MOST_NAMED]]
    return "\n".join(lines + ([f"  and {len(twins) - MOST_NAMED:,} more"] if len(twins) > MOST_NAMED else []))


def _speed(speed: dict[str, Any]) -> str:
    one, every, workers, needed = (speed[key] for key in ("one_core", "workers", "num_workers", "needed"))
    lines = [
        f"Speed: {one:,.0f} images/s decoded and augmented on one core, {every:,.0f} images/s by "
        f"{workers} worker{'s' if workers > 1 else ''}."
    ]
    if needed is None:
        cores = ", ".join(
            f"{name} {rate:,} images/s, {-(-rate // max(1, round(one)))} such cores"
            for name, rate in GPU_IMAGES_PER_SECOND.items()
        )
        lines.append(
            f"As a rule of thumb a recent data-centre GPU trains {cores}. "
            "doctor.images_per_second says what yours trains at, for an answer of yes or no."
        )
    elif every >= needed:
        lines.append(f"The loaders keep up with {needed:,.0f} images/s.")
    else:
        lines.append(
            f"The loaders do not keep up: with {needed:,.0f} images/s the accelerator would wait "
            f"{1 - every / needed:.0%} of the time. Use more cores (data.num_workers), or python -m cnnlit.prepare, "
            "which stores the images smaller."
        )
    return "\n".join(lines)
