"""The arms of an experiment are what differs between its runs, apart from the seed and the machine."""

import itertools

import pytest
from runs.made_runs import made_config

from cnnlit.analysis.arms import find
from cnnlit.runs.records import RunRecord


def run(seed=0, *, state="finished", overrides=(), started="", place="", **changes):
    return RunRecord(
        place=place or f"runs/{seed}",
        state=state,
        seed=seed,
        config=made_config(seed, **changes),
        overrides=tuple(overrides),
        started=started,
    )


def crossed(seeds=range(2), **changes):
    """Runs of all combinations."""
    return [
        run(seed, **dict(zip(changes, values, strict=True)))
        for values in itertools.product(*changes.values())
        for seed in seeds
    ]


def names(found):
    return [arm.name for arm in found.arms]


def test_arms_are_named_by_the_value_that_differs():
    found = find(crossed(range(3), model__pooling=["max", "average"]))
    assert names(found) == ["max", "average"]
    assert found.title == "pooling"
    assert [list(arm.runs) for arm in found.arms] == [["seed 0", "seed 1", "seed 2"]] * 2
    assert found.missing() == []


def test_what_equals_the_seed_and_where_a_run_was_made_name_no_arm():
    runs = crossed(range(3), model__pooling=["max", "average"])
    for number, each in enumerate(runs):
        each.config["run_root"] = f"runs{number}"
        each.config["data"]["root"] = f"data{number}"
        each.config["logger"] = {"name": str(number)}
    assert names(find(runs)) == ["max", "average"]


def test_runs_without_a_difference_are_one_arm():
    found = find([run(seed) for seed in range(3)])
    assert names(found) == ["LeNet5"]
    assert found.factors == []


def test_a_factorial_is_named_by_all_that_differs():
    found = find(crossed(model__pooling=["max", "average"], model__activation=["relu", "tanh"]))
    assert names(found) == ["max, relu", "max, tanh", "average, relu", "average, tanh"]


def test_values_that_say_nothing_by_themselves_are_named_with_their_key():
    assert names(find(crossed(model__dropout=[0.0, 0.5]))) == ["dropout=0", "dropout=0.5"]
    assert names(find(crossed(model__bias=[True, False]))) == ["bias=true", "bias=false"]
    flip = [{"_target_": "cnnlit.data.loading.datasets.Flip"}]
    assert names(find(crossed(recipe__augmentation=[[], flip]))) == ["augmentation=none", "augmentation=Flip"]
    both = find(crossed(model__pooling=["none", "max"], model__activation=["none", "relu"]))
    assert names(both)[0] == "pooling=none, activation=none"


def test_a_whole_number_is_the_same_as_a_fraction_without_a_rest():
    assert names(find([run(0, model__dropout=0), run(1, model__dropout=0.0)])) == ["LeNet5"]


def test_keys_that_change_together_are_one_factor():
    runs = [run(seed, data__batch_size=size, recipe__batch_size=size) for size in (32, 64) for seed in range(2)]
    found = find(runs)
    assert names(found) == ["batch_size=32", "batch_size=64"]
    assert set(found.factors[0].keys) == {"data.batch_size", "recipe.batch_size"}
    assert len(found.following) == 1


def test_a_choice_of_the_command_line_names_a_group():
    runs = [
        run(seed, model__depth=depth, model__blocks=[depth], overrides=[f"model=resnet{depth}", f"seed={seed}"])
        for depth in (18, 34)
        for seed in range(2)
    ]
    assert names(find(runs)) == ["resnet18", "resnet34"]


def test_a_learning_rate_of_its_own_for_each_arm_is_no_factor():
    rates = {"relu": 0.01, "tanh": 0.01, "sigmoid": 0.1}
    runs = [run(s, model__activation=name, recipe__optimizer__lr=lr) for name, lr in rates.items() for s in range(2)]
    found = find(runs)
    assert names(found) == ["relu", "tanh", "sigmoid"]
    assert found.following == ["recipe.optimizer.lr"]


def test_a_learning_rate_for_each_combination_is_no_factor_either():
    arms = list(itertools.product(["max", "average"], ["relu", "tanh", "sigmoid"]))
    runs = [
        run(seed, model__pooling=pooling, model__activation=activation, recipe__optimizer__lr=0.001 * (number + 1))
        for number, (pooling, activation) in enumerate(arms)
        for seed in range(2)
    ]
    assert names(find(runs)) == [f"{pooling}, {activation}" for pooling, activation in arms]


def test_models_of_which_many_keys_differ_are_named_by_the_model():
    models = [
        ("cnnlit.models.vgg.VGG", 1, 1),
        ("cnnlit.models.alexnet.AlexNet", 2, 1),
        ("cnnlit.models.zfnet.ZF", 2, 2),
    ]
    runs = [run(s, model___target_=name, model__a=a, model__b=b) for name, a, b in models for s in range(2)]
    assert names(find(runs)) == ["VGG", "AlexNet", "ZF"]


def test_by_names_the_arms_and_what_differs_beside_makes_the_pairs():
    runs = crossed(model__pooling=["max", "average"], model__activation=["relu", "tanh"])
    found = find(runs, by=["model.pooling"])
    assert names(found) == ["max", "average"]
    assert list(found.arms[0].runs) == ["seed 0 (relu)", "seed 1 (relu)", "seed 0 (tanh)", "seed 1 (tanh)"]
    with pytest.raises(ValueError, match=r"by=model.dropout: .* they differ in model.pooling, model.activation"):
        find(runs, by=["model.dropout"])


def test_holes_are_named():
    runs = crossed(range(3), model__pooling=["max", "average"], model__activation=["relu", "tanh"])
    without = [each for each in runs if each.config["model"]["activation"] != "tanh" or each.seed != 2]
    assert find(without).missing() == ["max, tanh: no run with seed 2", "average, tanh: no run with seed 2"]
    whole = [each for each in runs if (each.config["model"]["pooling"], each.config["model"]["activation"])
             != ("max", "tanh")]  # fmt: skip
    assert find(whole).missing() == ["max, tanh: no run at all"]


def test_one_change_at_a_time_is_no_factorial_with_holes():
    changes = [{}, {"model__dropout": 0.5}, {"model__pooling": "average"}, {"model__activation": "relu"}]
    runs = [run(seed, **change) for change in changes for seed in range(2)]
    found = find(runs)
    assert len(found.arms) == 4
    assert found.missing() == []


def test_an_unfinished_run_is_kept_with_its_arm_and_is_not_missing():
    runs = crossed(range(2), model__pooling=["max", "average"])
    runs[3] = run(1, state="failed", model__pooling="average")
    found = find(runs)
    assert found.missing() == []
    assert [record.state for record, _ in found.arms[1].others] == ["failed"]
    assert list(found.arms[1].runs) == ["seed 0"]


def test_of_a_repeated_run_the_later_one_counts():
    first, second = run(0, started="2026-01-01", place="runs/a"), run(0, started="2026-01-02", place="runs/b")
    arm = find([second, first]).arms[0]
    assert arm.runs == {"seed 0": second}
    assert arm.others == [(first, "repeated by runs/b")]


def test_a_run_whose_configuration_is_gone_is_not_dropped():
    found = find([run(0), RunRecord(place="runs/x", state="failed", reason="cut off")])
    assert [(record.place, reason) for record, reason in found.homeless] == [("runs/x", "cut off")]
