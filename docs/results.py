"""python docs/results.py [FOLDER]: write the result pages, from kept sweeps and from those in a folder.

A sweep is FOLDER/X, as `python -m cnnlit.train -m experiment=X hydra.sweep.dir=FOLDER/X` makes it. What its numbers
come from is kept in docs/results/kept/X.tar.xz: each run's record, configuration, curves and answers to the test
images. Then every kept sweep is reported on as the `# Report:` lines at the head of its experiment's file say, in
docs/results/X.md for people and in docs/results/X.json, and docs/results.md is rebuilt from these. Without FOLDER,
every page is computed again from what is kept, to the same digits.
"""

import argparse
import contextlib
import json
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from cnnlit.analysis.comparison import compare_runs
from cnnlit.analysis.measures import Measure, measure_of
from cnnlit.analysis.results import Results
from cnnlit.analysis.verdicts import Verdict, judge
from cnnlit.files import write_json, write_whole
from cnnlit.reports.report_data import as_json
from cnnlit.reports.report_tables import duration, report_page
from cnnlit.reports.tables import as_markdown
from cnnlit.runs import records
from cnnlit.runs.kept_sweep import keep, unpacked
from cnnlit.runs.records import RunRecord
from cnnlit.runs.sweep_folder import read_command
from cnnlit.sweeps.command_line import sweep_line

DOCS = Path(__file__).parent
EXPERIMENTS = DOCS.parent / "conf" / "experiment"
KEPT = DOCS / "results" / "kept"
REPORT = "python -m cnnlit.report"
MOST_ARMS = 6
"""Most arms that the overview shows of a report; the experiment's page has all."""

OUTCOMES = {"clear": "the first arm is the best", "nothing to compare": "one arm"}
"""What the overview says in place of outcomes that are unclear beside a list of arms."""

OPENING = """\
# Results

<!-- Written by `python docs/results.py` from docs/results/*.json. -->

The results of the experiments, one row for each `# Report:` line at the head of an experiment's file: the arms, best
first, each with its mean and 95 % interval, and the verdict of `python -m cnnlit.report` on the claim. Intervals are
over seeds and test images where every answer was kept, and over seeds alone, of these images, where it was not: the
page says which. The number is that of the claim in [claims.md](claims.md); claims that need no training are in
[counts.md](counts.md). Times are totals over all runs of an experiment. An experiment's page has the differences,
what failed or is missing, the hardware, the versions and the commit. [plan.md](results/plan.md) says what comes next.
`python docs/results.py` computes all of it again from [what is kept](results/kept/README.md).
"""

NOTHING = "No sweep has been reported on yet."


class Head(NamedTuple):
    """The head of an experiment's file.

    Attributes:
        question: what the experiment asks.
        source: the paper or the slides, and how the experiment differs from them.
        reports: command lines of `report`.
        forms: other forms of the experiment that were tried, and what came out; empty if there were none.
    """

    question: str
    source: str
    reports: list[str]
    forms: str


def main() -> int:
    """Write the pages; the exit code is 2 if a sweep could not be reported on, and stderr says which."""
    parser = argparse.ArgumentParser(prog="python docs/results.py", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="of sweeps, each in a folder named after its experiment")
    folder = parser.parse_args().folder
    if folder and not folder.is_dir():
        parser.error(f"{folder}: there is no such folder")
    problems = []
    for sweep in sorted(path for path in folder.iterdir() if path.is_dir()) if folder else []:
        try:
            read_head(sweep.name)
            keep(sweep, KEPT / f"{sweep.name}.tar.xz")
        except (OSError, ValueError) as error:
            problems.append(f"{sweep}: {error}\n")
    for archive in sorted(KEPT.glob("*.tar.xz")):
        try:
            with unpacked(archive) as sweep:
                write_results(sweep, DOCS / "results")
        except (OSError, ValueError) as error:
            problems.append(f"{archive}: {error}\n")
    write_whole(DOCS / "results.md", overview(DOCS))
    sys.stderr.write("".join(problems))
    return 2 if problems else 0


def write_results(sweep: Path, to: Path) -> None:
    """Write `<experiment>.md` and `<experiment>.json`.

    Args:
        sweep: its folder, named after its experiment.
        to: the folder for the results.

    Raises:
        ValueError: if there is no such experiment, or its reports do not fit the runs.
        FileNotFoundError: if the folder holds no sweep.
    """
    head = read_head(sweep.name)
    command = _command(sweep)
    found = records.find([str(sweep)])
    runs = [_without_paths(run, sweep, command) for run in found.records]
    with contextlib.chdir(sweep.parent):  # where the runs' answers are
        reports = [(line, *_findings(line, runs, found.never_started)) for line in head.reports]
    summary = {
        "experiment": sweep.name,
        "question": head.question,
        "source": head.source,
        "forms": head.forms,
        "command": command,
        "reports": [{"line": line, **as_json(results, verdict)} for line, results, verdict in reports],
    }
    write_whole(to / f"{sweep.name}.md", _page(sweep.name, head, command, reports))
    write_json(to / f"{sweep.name}.json", summary)


def read_head(experiment: str) -> Head:
    """Read the head of an experiment's file.

    Raises:
        ValueError: if there is no such file, or it has no `# Report:` line.
    """
    path = EXPERIMENTS / f"{experiment}.yaml"
    if not path.is_file():
        raise ValueError(f"there is no experiment {experiment}, no {path}")
    entries: list[tuple[str, str]] = []
    for line in path.read_text().partition("defaults:")[0].splitlines()[1:]:
        if match := re.match(r"# ([A-Z]\w+): (.*)", line):
            entries.append((match[1], match[2]))
        elif entries:  # a continuation line
            entries[-1] = (entries[-1][0], f"{entries[-1][1]} {line.lstrip('# ')}")
    reports = [words for key, words in entries if key == "Report"]
    if not reports:
        raise ValueError(f"{path}: has no line `# Report: {REPORT} ...`")
    named = dict(entries)
    return Head(named["Question"], named.get("Paper") or f"Slides: {named['Slides']}", reports, named.get("Forms", ""))


def options_of(line: str) -> dict[str, str]:
    """The options of a `report` command line, except `runs`.

    Raises:
        ValueError: if it is another command, or has options that do not apply here.
    """
    words = shlex.split(line)
    options = dict(word.split("=", 1) for word in words[3:])
    known = {"runs", "metric", "target", "by", "claim", "smallest_difference", "forms_tried"}
    if words[:3] != REPORT.split() or not set(options) <= known or "runs" not in options:
        raise ValueError(f"{line}: must be {REPORT} runs=... and any of {', '.join(sorted(known - {'runs'}))}")
    return {key: value for key, value in options.items() if key != "runs"}


def _findings(line: str, runs: Sequence[RunRecord], never_started: Sequence[str]) -> tuple[Results, Verdict]:
    asked = options_of(line)
    by = asked["by"].split(",") if "by" in asked else []
    results = compare_runs(runs, measure_of(asked.get("metric"), asked.get("target")), by, never_started)
    smallest = asked.get("smallest_difference")
    forms = int(asked.get("forms_tried", 1))
    return results, judge(results, asked.get("claim"), float(smallest) if smallest else None, forms)


def _command(sweep: Path) -> str:
    """The command that made the sweep, without paths of this machine."""
    return sweep_line([re.sub(r"=/.*", "=<folder>", word) for word in read_command(sweep).overrides])


def _without_paths(run: RunRecord, sweep: Path, command: str) -> RunRecord:
    place = Path(run.place).relative_to(sweep.resolve().parent)
    # The reason names the folder that the run was made in; it may have been moved since.
    reason = re.sub(rf"/\S*/{re.escape(sweep.name)}\b", sweep.name, run.reason)
    return replace(run, place=str(place), command=command, reason=reason)


def _page(name: str, head: Head, command: str, reports: Sequence[tuple[str, Results, Verdict]]) -> str:
    parts = [f"# {name}", f"Question: {head.question}", f"Source: {head.source}", f"    {command}"]
    parts += [f"Other forms of the experiment that were tried: {head.forms}"] * bool(head.forms)
    for line, results, verdict in reports:
        *findings, origin = report_page(results, verdict)
        parts += [f"## {_title(line, results.measure.title)}", f"    {line}", as_markdown(findings).rstrip("\n")]
    return "\n\n".join([*parts, "## Runs", str(origin)]) + "\n"


def _title(line: str, measure: str) -> str:
    claim = options_of(line).get("claim")
    return f"{measure}: {claim}" if claim else measure


def overview(docs: Path) -> str:
    """The text of docs/results.md, made from the files in docs/results."""
    summaries = [json.loads(path.read_text()) for path in (docs / "results").glob("*.json")]
    numbers = _numbers_of_claims((docs / "claims.md").read_text())
    order = list(numbers)
    summaries.sort(key=lambda each: (order.index(name) if (name := each["experiment"]) in order else len(order), name))
    rows = [row for each in summaries for row in _rows(each, numbers.get(each["experiment"], ""))]
    heads = ["claim", "question", "measured and claimed", "arms", "seeds", "verdict", "time"]
    table = ["| " + " | ".join(row) + " |" for row in (heads, ["---"] * len(heads), *rows)]
    kept = [
        f"- [{path.read_text().splitlines()[0].removeprefix('# ')}](results/{path.name})"
        for path in sorted((docs / "results").glob("*.md"))
        if not path.with_suffix(".json").exists() and path.stem != "plan"
    ]
    return "\n".join([OPENING, *(table if rows else [NOTHING]), "", "## Single runs", "", *kept]) + "\n"


def _numbers_of_claims(page: str) -> dict[str, str]:
    """The number of the claim that each experiment answers, by experiment, in the order of docs/claims.md."""
    numbers: dict[str, str] = {}
    number = ""
    for line in page.splitlines():
        if line.startswith("| "):
            number = line.split("|")[1].strip() or number
            numbers |= {name: number for name in re.findall(r"experiment=(\w+)", line) if name not in numbers}
    return numbers


def _rows(summary: dict[str, Any], number: str) -> Iterator[list[str]]:
    """One row for each report of an experiment; the first has what they share."""
    name, reports = summary["experiment"], summary["reports"]
    shared = [number, f"{summary['question']} [{name}](results/{name}.md)<br>`{summary['command']}`"]
    for place, report in enumerate(reports):
        measure = Measure(report["metric"])
        title = f"{report['metric']} to {report['target']}" if report["target"] else report["metric"]
        claim = options_of(report["line"]).get("claim")
        arms = report["arms"]
        shown = [_arm(arm, measure) for arm in arms[:MOST_ARMS]]
        shown += [f"and {len(arms) - MOST_ARMS} more"] * (len(arms) > MOST_ARMS)
        seeds = dict.fromkeys(str(arm["n"]) for arm in arms)
        outcome = report["verdict"]["outcome"]
        lost = f"; not counted: {len(report['not_counted'])}" * bool(report["not_counted"])
        lost += "; some runs are missing" * bool(report["missing"])
        row = [f"{title}<br>`{claim}`" if claim else title, "<br>".join(shown), ", ".join(seeds)]
        lost += f"; also tried: {summary['forms']}" * bool(summary.get("forms") and not place)
        row.append(f"**{_outcome(outcome, options_of(report['line']), measure)}**{lost}")
        row.append("" if place else duration(report["seconds"]))
        yield [cell.replace("|", "\\|") for cell in (["", ""] if place else shared) + row]


def _outcome(outcome: str, asked: dict[str, str], measure: Measure) -> str:
    if outcome != "no difference larger than":
        return OUTCOMES.get(outcome, outcome)
    return f"{outcome} {measure.show_difference(float(asked['smallest_difference'])).lstrip('+')}"


def _arm(arm: dict[str, Any], measure: Measure) -> str:
    if arm["mean"] is not None:
        interval = arm["interval"] or arm["interval_of_test_images"]
        return f"{arm['arm']}: {measure.show(arm['mean'])}" + (
            f" {measure.show_interval(*measure.possible(*interval))}" if interval else ""
        )
    middle = f", median {measure.show(arm['median_time'])}" if arm["median_time"] is not None else ""
    return f"{arm['arm']}: {arm['num_reached']} of {arm['n']} reached{middle}"


if __name__ == "__main__":
    sys.exit(main())
