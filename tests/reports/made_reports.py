"""Experiments that nobody ran, and their pages."""

import io

import numpy as np
from PIL import Image
from runs.made_runs import made_run

from cnnlit.analysis.comparison import compare_runs
from cnnlit.analysis.measures import Measure
from cnnlit.analysis.verdicts import judge
from cnnlit.reports.report_page import html_page
from cnnlit.runs.records import find


def photograph(size=(900, 700)):
    noise = np.random.default_rng(0).integers(0, 255, (*size[::-1], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    return file.getvalue()


def page_of(folder, *, measure=None, claim=None, pictures=("errors",)):
    results = compare_runs(find([str(folder)]).records, measure or Measure("test/error"))
    return html_page(results, judge(results, claim, None), folder=folder, pictures=pictures)


def made_experiment(folder):
    """Three arms of four seeds, with curves and figures; one run failed."""
    random = np.random.default_rng(0)
    for place, pooling in enumerate(("max", "average", "a<b>&\"c'")):
        for seed in range(4):
            curve = 0.5 * np.exp(-np.arange(12) / 3) + 0.01 * place + 0.005 * random.random(12)
            lost = {"state": "failed", "reason": "RuntimeError: <b>"} if (place, seed) == (1, 3) else {}
            error = 0.01 + 0.002 * place + random.normal(0, 3e-4)
            made_run(
                folder / f"{place}{seed}", seed=seed, error=error, train=curve.tolist(),
                picture=photograph((90, 70)) if seed < 2 else None, model__pooling=pooling, **lost,
            )  # fmt: skip
    return folder
