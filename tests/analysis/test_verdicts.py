"""What runs say about a claim, from folders to the sentence."""

import json

import numpy as np
import pytest
import yaml
from runs.made_runs import made_run
from scipy import stats

from cnnlit.analysis.comparison import compare_runs
from cnnlit.analysis.measures import Measure, read_target
from cnnlit.analysis.verdicts import judge
from cnnlit.reports.report_data import as_csv, as_json
from cnnlit.reports.report_tables import arms_table, report_page
from cnnlit.reports.tables import as_markdown, as_text
from cnnlit.runs.records import find

AVERAGE = (0.0120, 0.0118, 0.0125, 0.0121, 0.0123)
MAX = (0.0100, 0.0101, 0.0103, 0.0104, 0.0099)


@pytest.fixture
def experiment(tmp_path):
    """Makes runs of each arm, `max=errors`, and compares them."""

    def made(metric="test/error", target=None, seeds=None, by=(), **arms):
        for pooling, values in arms.items():
            for place, value in enumerate(values):
                seed = (seeds or {}).get(pooling, range(100))[place]
                given = value if isinstance(value, dict) else {"error": value}
                made_run(tmp_path / f"{pooling}{place}", seed=seed, model__pooling=pooling, **given)
        measure = Measure(metric, read_target(target) if target else None)
        return compare_runs(find([str(tmp_path)]).records, measure, by)

    return made


def cells(table):
    heads = [column.head for column in table.columns]
    return [dict(zip(heads, row, strict=True)) for row in zip(*(column.cells for column in table.columns), strict=True)]


def test_a_clear_difference_in_the_claimed_direction_holds(experiment):
    results = experiment(max=MAX, average=AVERAGE)
    verdict = judge(results, "max < average", None)
    assert verdict.outcome == "holds"
    assert verdict.sentence.startswith("max < average holds: 1.01 % against 1.21 %, \N{MINUS SIGN}0.20 pp [")
    assert "over 5 pairs of these 10,000 images (p = 0.00" in verdict.sentence
    assert verdict.more_seeds is None
    assert judge(results, "average > max", None).outcome == "holds"
    assert judge(results, "average < max", None).outcome == "does not hold"


def test_without_a_claim_the_best_arm_is_named(experiment):
    verdict = judge(experiment(max=MAX, average=AVERAGE), None, None)
    assert verdict.outcome == "clear"
    assert verdict.sentence.startswith("max has the lowest test/error, 1.01 %; the next, average, 1.21 %")


def test_more_is_better_for_an_accuracy(experiment):
    arms = {"max": 0.99, "average": 0.98}
    values = {arm: [{"test": {"test/accuracy": value + k / 1000}} for k in (0, 1)] for arm, value in arms.items()}
    results = experiment("test/accuracy", **values)
    assert [each.name for each in results.measured] == ["max", "average"]
    assert "highest test/accuracy" in judge(results, None, None).sentence


def test_an_unclear_difference_says_how_many_seeds_would_show_it(experiment):
    results = experiment(max=(0.0110, 0.0100, 0.0104), average=(0.0108, 0.0105, 0.0112))
    verdict = judge(results, "max < average", None)
    assert verdict.outcome == "too close to call"
    # One more look may take a chance of 0.5 %. Cohen's d is 0.72; noncentral t with 26 to 28 degrees of freedom.
    differences = np.array((0.0002, -0.0005, -0.0008))
    size = abs(differences.mean() / differences.std(ddof=1))

    def power(n):
        bound = stats.t.ppf(1 - 0.005 / 2, n - 1)
        return stats.nct.sf(bound, n - 1, size * n**0.5) + stats.nct.cdf(-bound, n - 1, size * n**0.5)

    needed = verdict.more_seeds + 3
    assert power(needed - 1) < 0.8 <= power(needed)
    assert 3 < verdict.more_at_least < verdict.more_seeds < verdict.more_at_most
    told = f"about {needed - 3} ({verdict.more_at_least} to {verdict.more_at_most}) more seeds needed"
    assert told in verdict.sentence


def test_one_seed_decides_nothing_and_says_so(experiment):
    results = experiment(max=MAX[:1], average=AVERAGE[:1])
    verdict = judge(results, "max < average", None)
    assert verdict.outcome == "too close to call"
    assert "one seed shows no spread" in verdict.sentence
    assert judge(results, None, None).outcome == "too close to call"
    text = as_text(report_page(results, verdict))
    assert "[0.82, 1.21] % *" in text  # Wilson's of 100 errors in 10,000
    assert "* One run shows nothing of how seeds differ" in text


def test_identical_results_are_no_difference(experiment):
    verdict = judge(experiment(max=MAX, average=MAX), "max < average", None)
    assert verdict.outcome == "too close to call"
    assert "all identical (p = 1)" in verdict.sentence
    assert "no number of seeds can be told" in verdict.sentence


def test_two_pairs_with_the_same_difference_are_no_proof(experiment):
    verdict = judge(experiment(max=(0.01, 0.02), average=(0.02, 0.03)), "max < average", None)
    assert verdict.outcome == "too close to call"
    assert verdict.more_seeds == 7  # 2 in 2^9 is the first below 0.5 %


def test_arms_that_surely_differ_by_less_than_matters_are_equivalent(experiment):
    noise = np.random.default_rng(0).normal(0, 1e-4, 10)
    results = experiment(max=(0.01 + noise).tolist(), average=(0.01 + noise[::-1]).tolist())
    assert judge(results, "max < average", None).outcome == "too close to call"
    verdict = judge(results, "max < average", 0.002)
    assert verdict.outcome == "no difference larger than"
    assert verdict.sentence.startswith("max < average: no difference larger than 0.20 pp: 1.00 % against")
    # Two one-sided tests: the larger p value of both is that of the equivalence.
    differences = noise - noise[::-1]
    p = max(stats.ttest_1samp(differences, bound, alternative=side).pvalue
            for bound, side in ((-0.002, "greater"), (0.002, "less")))  # fmt: skip
    assert p < 0.05
    edge = 1.0001 * max(map(abs, results.comparisons[0].difference.over(0.9)))
    assert judge(results, "max < average", edge).outcome == "no difference larger than"
    assert judge(results, "max < average", 0.999 * edge).outcome != "no difference larger than"


def test_a_difference_in_the_claimed_direction_that_would_matter_can_be_excluded(experiment):
    """The other direction is open: this is no equivalence."""
    values = np.array((0.0103, 0.0100, 0.0107, 0.0101, 0.0109))
    results = experiment(max=(values + 0.0004 + (values - 0.0104)).tolist(), average=values.tolist())
    verdict = judge(results, "max < average", 0.0005)
    assert verdict.outcome == "does not hold"
    assert "0.05 pp or more can be excluded" in verdict.sentence


def test_seeds_are_counted_for_the_difference_that_matters(experiment):
    results = experiment(max=(0.0110, 0.0100, 0.0104), average=(0.0108, 0.0105, 0.0112))
    few, many = (judge(results, "max < average", smallest).more_seeds for smallest in (0.0012, 0.0002))
    assert few is not None
    assert many is not None
    assert few < 10 < 60 < many


def test_a_claim_may_be_about_a_number(experiment):
    results = experiment(max=MAX, average=AVERAGE)
    assert judge(results, "max < 1.1%", None).outcome == "holds"
    assert judge(results, "average < 0.011", None).outcome == "does not hold"


def test_a_claim_about_all_others_must_hold_against_each(experiment):
    results = experiment(max=MAX, average=AVERAGE, subsample=(0.0100, 0.0102, 0.0101, 0.0105, 0.0099))
    assert judge(results, "average > rest", None).outcome == "holds"
    verdict = judge(results, "max < rest", None)
    assert verdict.outcome == "too close to call"
    assert "against 1 of 2 arms (subsample: " in verdict.sentence


def test_among_many_arms_p_values_are_corrected(experiment):
    results = experiment(
        **{f"arm{k}": [x + k * 1e-5 for x in MAX[::-1] + AVERAGE] for k in range(4)}, other=MAX + AVERAGE
    )
    assert len(results.comparisons) == 10
    assert {each.num_tests for each in results.comparisons} == {10}
    assert all(each.p >= each.difference.p for each in results.comparisons)
    many = experiment(**{f"more{k}": MAX for k in range(4)})
    assert len(many.measured) == 9
    assert {each.one.name for each in many.comparisons} == {many.measured[0].name}


def test_missing_partners_are_named_and_only_pairs_are_paired(experiment):
    results = experiment(max=MAX, average=AVERAGE[:4], seeds={"average": (0, 1, 2, 9)})
    (found,) = results.comparisons
    assert found.difference.how == "paired"
    assert found.blocks == ("seed 0", "seed 1", "seed 2")
    assert found.alone == (("seed 3", "seed 4"), ("seed 9",))
    text = as_text(report_page(results, judge(results, None, None)))
    assert "Without a partner in another arm, and so not in those pairs: max seed 3, seed 4; average seed 9." in text
    assert "average: no run with seed 3, seed 4" in text


def test_arms_without_common_seeds_are_compared_by_welch(experiment):
    results = experiment(max=MAX, average=AVERAGE, seeds={"average": range(10, 20)})
    assert results.comparisons[0].difference.how == "unpaired"
    verdict = judge(results, "max < average", None)
    assert verdict.outcome == "holds"
    assert "between 5 and 5 runs" in verdict.sentence


def test_what_failed_is_shown_and_not_counted(experiment):
    lost = {"state": "failed", "reason": "RuntimeError: loss is nan"}
    gone = {"error": 0.01, "test": {"test/error": float("nan")}}
    results = experiment(max=[*MAX, lost, gone], average=AVERAGE)
    assert [(each.arm, each.run.seed, each.reason) for each in results.uncounted] == [
        ("max", 5, "RuntimeError: loss is nan"),
        ("max", 6, "test/error is nan"),
    ]
    assert cells(arms_table(results))[0]["not counted"] == "2"
    verdict = judge(results, None, None)
    for told in (as_text(report_page(results, verdict)), as_markdown(report_page(results, verdict)), as_csv(results)):
        assert "RuntimeError: loss is nan" in told
    assert len(as_json(results, verdict)["not_counted"]) == 2
    assert verdict.sentence.endswith("; 2 runs are not counted")


def test_an_arm_without_a_finished_run_is_still_there(experiment):
    results = experiment(max=MAX, average=[{"state": "interrupted"}] * 2)
    assert cells(arms_table(results))[1] | {"arm": "average", "n": "0", "mean": ""} == cells(arms_table(results))[1]
    assert judge(results, None, None).outcome == "nothing to compare"
    with pytest.raises(ValueError, match="no run of average counts"):
        judge(results, "max < average", None)


def test_no_finished_run_is_no_report(experiment):
    with pytest.raises(ValueError, match=r"none of 2 is finished: failed \(out of luck\), running"):
        experiment(max=[{"state": "failed", "reason": "out of luck"}], average=[{"state": "running"}])


def test_an_unknown_metric_names_those_that_there_are(experiment):
    with pytest.raises(
        ValueError, match=r"metric=test/top5_error: no finished run has it; there is test/error, .*seconds"
    ):
        experiment("test/top5_error", max=MAX)


def test_the_last_value_of_a_curve_is_a_metric(experiment):
    results = experiment("val/error", max=[{"train": (0.5, 0.2)}, {"train": (0.5, 0.4)}])
    assert results.measured[0].numbers == [0.1, 0.2]


def test_time_to_a_target_is_told_in_epochs_and_seconds(experiment):
    fast, slow = {"train": (0.5, 0.04, 0.01)}, {"train": (0.5, 0.3, 0.2, 0.1, 0.05)}
    results = experiment("epochs", "train/error<=5%", max=[fast] * 3, average=[slow] * 3)
    assert [each.numbers for each in results.measured] == [[2] * 3, [5] * 3]
    assert results.measure.title == "epochs to train/error <= 5.00 %"
    assert results.comparisons[0].ratio[0] == pytest.approx(0.4)
    seconds = compare_runs(results.runs, Measure("seconds", read_target("train/error<=0.05")))
    assert seconds.measured[1].numbers == [5.0] * 3


def test_an_interval_ends_where_no_number_can_be(experiment):
    """Two runs far apart: Student's interval of 50 % and 1 % is far wider than what an error can be."""
    results = experiment(max=(0.5, 0.01), average=(0.9, 0.99))
    assert {each.name: each.summary.interval for each in results.measured}["max"] == (0.0, 1.0)
    # A difference of errors may be below zero, and a loss of a rejecting class as well.
    assert results.comparisons[0].difference.interval.low < 0
    values = [{"test": {"test/loss": value}} for value in (0.1, 2.0)]
    assert experiment("test/loss", subsample=values).measured[0].summary.interval.low < 0
    epochs = [{"train": (0.5, 0.04)}, {"train": (0.5, 0.4, 0.3, 0.2, 0.1, 0.09, 0.08, 0.04)}]
    reached = experiment("epochs", "train/error<=5%", l2=epochs).measured[0].summary.interval
    assert reached.low == 0
    assert reached.high > 8


def test_runs_that_never_got_there_are_neither_dropped_nor_averaged(experiment):
    fast, never = {"train": (0.5, 0.04, 0.01)}, {"train": (0.5, 0.3, 0.2)}
    results = experiment("epochs", "train/error<=0.05", max=[fast] * 6, average=[never] * 5 + [fast])
    verdict = judge(results, "max < average", None)
    assert verdict.outcome == "too close to call"
    assert (
        "6 of 6 runs there against 1 of 6 runs there, sooner in 5 and later in 0 of 6 pairs, 1 undecided"
        in verdict.sentence
    )
    rows = cells(arms_table(results))
    assert "mean" not in rows[0]
    assert (rows[1]["reached"], rows[1]["median"]) == ("1 of 6", "not reached")
    assert as_json(results, verdict)["arms"][1]["mean"] is None
    assert "there is no mean then" in as_text(report_page(results, verdict))


def answers_of(seeds, images, error, *, of_images=0.5, random):
    """Answers of networks, bool [seeds, images], that find the same images hard."""
    hard = stats.norm.ppf(error) * np.sqrt(2 + of_images**2) + random.normal(0, 1, images)
    own = random.normal(0, of_images, images)
    return random.normal(0, 1, (seeds, images)) < hard + own


def made_answers(folder, wrong, pooling, **given):
    for seed, row in enumerate(wrong):
        made_run(folder / f"{pooling}{seed}", seed=seed, error=row.mean(), num_images=len(row), wrong=row,
                 model__pooling=pooling, **given)  # fmt: skip


def test_with_every_answer_at_hand_images_are_a_sample_too(tmp_path):
    """All seeds of the one arm get the same two of 360 images right: that is two images, not five seeds."""
    average = np.zeros((5, 360), bool)
    average[:, :6] = True
    average[:, 6] = [True, False, True, False, False]
    best = average.copy()
    best[:, :2] = False
    best[0, 6] = False
    made_answers(tmp_path, best, "max")
    made_answers(tmp_path, average, "average")
    results = compare_runs(find([str(tmp_path)]).records, Measure("test/error"))
    (found,) = results.comparisons
    assert found.of_these_images.p < 0.001
    assert found.difference.p > 0.05
    verdict = judge(results, "max < average", None)
    assert verdict.outcome == "too close to call"
    assert "over 5 pairs and 360 images (p = " in verdict.sentence
    assert "of these 360 images alone p " in verdict.sentence
    assert "360 test images are too few" in verdict.sentence
    row = cells(arms_table(results))[0]
    assert row["95 % interval"] != row["of these images"]


def test_answers_that_do_not_belong_to_the_number_are_left_alone(tmp_path):
    """A test of ten crops has other answers than the file of an earlier one."""
    wrong = answers_of(3, 400, 0.2, random=np.random.default_rng(0))
    made_answers(tmp_path, wrong, "max", test={"test/error": 0.1})
    made_answers(tmp_path, ~wrong, "average")
    results = compare_runs(find([str(tmp_path)]).records, Measure("test/error"))
    assert [each.answers is None for each in results.measured] == [True, False]
    assert results.comparisons[0].of_these_images is None


def test_two_single_networks_are_told_apart_by_mcnemar(tmp_path):
    random = np.random.default_rng(0)
    wrong, other = answers_of(2, 500, 0.2, random=random)
    made_answers(tmp_path, [wrong], "max")
    made_answers(tmp_path, [other], "average")
    results = compare_runs(find([str(tmp_path)]).records, Measure("test/error"))
    only, alone = int((wrong & ~other).sum()), int((other & ~wrong).sum())
    verdict = judge(results, "max < average", None)
    assert verdict.outcome == "too close to call", "one seed says nothing of others"
    assert f"{only} are wrong in max alone and {alone} in average alone" in verdict.sentence
    assert f"p = {stats.binomtest(only, only + alone).pvalue:.2g})" in verdict.sentence


def made_sweep(folder, arms, looks, *, states=None, shortened=0):
    """A sweep with the looks that each seed came for."""
    jobs = []
    for pooling, errors in arms.items():
        for seed, (error, look) in enumerate(zip(errors, looks, strict=True)):
            number = len(jobs)
            state = (states or {}).get(number, "finished")
            if state != "not started":
                made_run(folder / str(number), seed=seed, error=error, state=state, model__pooling=pooling)
            overrides = [f"model.pooling={pooling}", f"seed={seed}"]
            jobs.append({"number": number, "folder": str(number), "overrides": overrides, "state": state, "look": look})
    (folder / "jobs.json").write_text(json.dumps({"jobs": jobs, "shortened": shortened}))
    (folder / "multirun.yaml").write_text(yaml.safe_dump({"hydra": {"overrides": {"task": []}, "sweeper": {}}}))
    return compare_runs(found.records, Measure("test/error"), never_started=found.never_started) if (
        found := find([str(folder)])) else None  # fmt: skip


NEAR = {"max": (0.0100, 0.0101, 0.0103, 0.0104, 0.0099), "average": (0.0104, 0.0102, 0.0107, 0.0105, 0.0103)}


def test_seeds_that_were_added_after_a_look_have_to_be_surer(tmp_path):
    planned = made_sweep(tmp_path / "planned", NEAR, (1, 1, 1, 1, 1))
    added = made_sweep(tmp_path / "added", NEAR, (1, 1, 1, 2, 2))
    verdicts = [judge(results, "max < average", None) for results in (planned, added)]
    assert [verdict.outcome for verdict in verdicts] == ["holds", "too close to call"]
    plain, later = planned.comparisons[0], added.comparisons[0]
    assert later.p == pytest.approx(10 * plain.p)
    assert later.difference.interval.low < plain.difference.interval.low
    assert "corrected for look 2" in verdicts[1].sentence
    text = as_text(report_page(added, verdicts[1]))
    assert "Seeds were added after others had been there to look at (seeds 0, 1, 2; then seeds 3, 4)" in text
    assert "look 2: it is judged at 0.005" in text
    assert "p < 0.0025" in verdicts[1].sentence, "the advice is for a third look"


def test_an_arm_that_was_added_is_no_second_look_at_the_others(tmp_path):
    results = made_sweep(tmp_path / "a", NEAR, (1, 1, 1, 1, 1))
    for number in range(5, 10):
        jobs = json.loads((tmp_path / "a" / "jobs.json").read_text())
        jobs["jobs"][number]["look"] = 2
        (tmp_path / "a" / "jobs.json").write_text(json.dumps(jobs))
    again = compare_runs(find([str(tmp_path / "a")]).records, Measure("test/error"))
    assert again.comparisons[0].look == 1
    assert again.comparisons[0].p == results.comparisons[0].p


def test_a_plan_that_was_cut_short_is_a_look(tmp_path):
    results = made_sweep(tmp_path / "a", NEAR, (1, 1, 1, 1, 1), shortened=1)
    assert results.comparisons[0].look == 2


@pytest.mark.parametrize("state", ["not started", "interrupted", "running"])
def test_before_the_planned_seeds_are_there_is_no_verdict(tmp_path, state):
    results = made_sweep(tmp_path / "a", {"max": MAX, "average": AVERAGE}, (1, 1, 1, 1, 1), states={4: state})
    verdict = judge(results, "max < average", None)
    assert verdict.outcome == "unfinished"
    assert "max < average has no verdict yet: 1 planned run has not come to an end; so far max 1.0" in verdict.sentence


def test_a_run_that_failed_does_not_hold_up_the_verdict(tmp_path):
    results = made_sweep(tmp_path / "a", {"max": MAX, "average": AVERAGE}, (1, 1, 1, 1, 1), states={4: "failed"})
    assert judge(results, "max < average", None).outcome == "holds"


def test_several_forms_of_an_experiment_are_corrected_for(experiment):
    results = experiment(**NEAR)
    one, two = judge(results, "max < average", None), judge(results, "max < average", None, forms=4)
    assert (one.outcome, two.outcome) == ("holds", "too close to call")
    assert "corrected for 4 forms" in two.sentence


def test_runs_that_share_a_seed_are_one_seed(tmp_path):
    """Five seeds in four settings are five seeds; whether the difference depends on the setting is told beside it."""
    random = np.random.default_rng(1)
    luck = random.normal(1e-3, 2e-3, 5)
    for seed in range(5):
        for setting in range(4):
            for pooling, lead in (("max", 0.0), ("average", luck[seed] + 1e-4 * random.normal())):
                made_run(tmp_path / f"{seed}{setting}{pooling}", seed=seed, error=0.02 + lead, model__pooling=pooling,
                         model__width=1.0 + setting)  # fmt: skip
    results = compare_runs(find([str(tmp_path)]).records, Measure("test/error"), ["model.pooling"])
    (found,) = results.comparisons
    assert found.difference.n == 5
    as_twenty = [found.one.readings[block].number - found.other.readings[block].number for block in found.blocks]
    of_seeds = np.mean(np.reshape(as_twenty, (5, 4)), axis=1)
    assert found.difference.p == pytest.approx(stats.ttest_1samp(of_seeds, 0).pvalue)
    assert found.difference.p > 3 * stats.ttest_1samp(as_twenty, 0).pvalue
    assert list(found.interaction.means) == [f"width={setting}" for setting in (1, 2, 3, 4)]
    text = as_text(report_page(results, judge(results, None, None)))
    assert "interaction" in text
    assert {row["n"] for row in cells(arms_table(results))} == {"5"}
