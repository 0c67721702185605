"""A report as data: CSV, one row per run, and JSON."""

import csv
import io
from typing import Any

from cnnlit.analysis.results import ArmComparison, Measured, Results
from cnnlit.analysis.verdicts import Verdict
from cnnlit.inference import power, statistics
from cnnlit.reports.charts.calibration import answers_of, bins_of
from cnnlit.reports.class_tables import MOST_PAIRS, class_names
from cnnlit.reports.report_tables import commands, methods, notes
from cnnlit.runs.evaluations import most_confused


def as_csv(results: Results) -> str:
    """One row per run, counted or not."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    levels = [factor.key for factor in results.arms.factors]
    writer.writerow(
        ["arm", *levels, "seed", "state", "counted", results.measure.title, "reached", "seconds", "reason", "run"]
    )
    for each, _, run, reading in results.counted:
        names = _levels(results, each.name)
        writer.writerow(
            [
                each.name,
                *names,
                run.seed,
                run.state,
                1,
                reading.number,
                int(reading.reached),
                run.seconds,
                "",
                run.place,
            ]
        )
    for arm, run, reason in results.uncounted:
        writer.writerow([arm, *_levels(results, arm), run.seed, run.state, 0, "", "", run.seconds, reason, run.place])
    return table.getvalue()


def _levels(results: Results, name: str) -> list[str]:
    arm = next((each for each in results.arms.arms if each.name == name), None)
    if arm is None:
        return [""] * len(results.arms.factors)
    return [factor.names[level] for factor, level in zip(results.arms.factors, arm.levels, strict=True)]


def as_json(results: Results, verdict: Verdict) -> dict[str, Any]:
    """Everything, as plain containers; numbers are not rounded, and what is missing is null."""
    return {
        "metric": results.measure.metric,
        "target": str(results.measure.target) if results.measure.target else None,
        "verdict": verdict._asdict(),
        "factors": {factor.key: {"keys": factor.keys, "levels": factor.names} for factor in results.arms.factors},
        "class_names": list(class_names(results)),
        "arms": [_arm_as_json(each) for each in results.measured],
        "differences": [_comparison_as_json(each) for each in results.comparisons],
        "not_counted": [
            {"arm": arm or None, "seed": run.seed, "state": run.state, "reason": reason, "run": run.place}
            for arm, run, reason in results.uncounted
        ],
        "missing": results.missing,
        "notes": notes(results),
        "methods": methods(results),
        "commands": commands(results),
        "seconds": results.seconds,
        "devices": results.devices,
        "commits": results.commits,
        "versions": results.versions,
        "level": statistics.LEVEL,
        "power": power.POWER,
    }


def _arm_as_json(each: Measured) -> dict[str, Any]:
    summary, answers = each.summary, answers_of(each)
    return {
        "arm": each.name,
        "n": summary.n if summary else 0,
        "num_runs": len(each.readings),
        "mean": summary.mean if summary and not each.censored else None,
        "interval": (each.crossed or summary.interval) if summary and not each.censored else None,
        "interval_of_these_images": summary.interval if summary and not each.censored else None,
        "num_images": each.num_images,
        "deviation": summary.deviation if summary and not each.censored else None,
        "num_reached": each.num_reached,
        "median_time": each.middle,
        "interval_of_test_images": each.sampling,
        "most_confused": [each._asdict() for each in most_confused(answers, MOST_PAIRS)] if answers else [],
        "calibration": [each._asdict() for each in bins_of(each)],
        "runs": {
            block: {"number": reading.number, "reached": reading.reached, "run": each.arm.runs[block].place}
            for block, reading in each.readings.items()
        },
    }


def _comparison_as_json(each: ArmComparison) -> dict[str, Any]:
    return {
        "arms": [each.one.name, each.other.name],
        **each.difference._asdict(),
        "p_corrected": each.p,
        "num_tests": each.num_tests,
        "look": each.look,
        "of_these_images": None if each.of_these_images is None else each.of_these_images._asdict(),
        "interaction": None if each.interaction is None else each.interaction._asdict(),
        "mcnemar": None if each.mcnemar is None else each.mcnemar._asdict(),
        "pairs": each.blocks,
        "without_partner": {each.one.name: each.alone[0], each.other.name: each.alone[1]},
        "ratio": None if each.ratio is None else {"times": each.ratio[0], "interval": each.ratio[1]},
    }
