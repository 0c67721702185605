"""What people type, and how they are answered."""

import pytest

from cnnlit.config.typed_words import as_hydra_reads, refuse_misread


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("run_root=my data/x", "run_root=my data/x"),
        ("data.root=runs (1)", "data.root='runs (1)'"),
        ("resume=runs/lr=0.1", "resume='runs/lr=0.1'"),
        ("hydra.run.dir=é", "hydra.run.dir='é'"),
        ("data.root=it's", r"data.root='it\'s'"),
        ("--seed=3", "seed=3"),
        ("--config-dir=mine", "--config-dir=mine"),
        ("model.pooling=max,average", "model.pooling=max,average"),
        ("data.root='runs (1)'", "data.root='runs (1)'"),
        ("recipe.optimizer.betas=[0.9,0.99]", "recipe.optimizer.betas=[0.9,0.99]"),
        ("+trainer.limit_train_batches=3", "+trainer.limit_train_batches=3"),
        ("~logger", "~logger"),
        ("seed=range(1,4)", "seed=range(1,4)"),
        ("seed=", "seed="),
    ],
)
def test_paths_need_no_inner_quotes(typed: str, read: str) -> None:
    assert as_hydra_reads([typed]) == [read]


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (["recipe.optimizer=sgd"], "a group is chosen with a slash; say recipe/optimizer=sgd"),
        (["+recipe.loss=cross_entropy"], "say recipe/loss=cross_entropy"),
        (["+recipe.loss.weight=[1,2]"], "recipe.class_weights does that; say recipe.class_weights=[1,2]"),
        (["lenet5"], "lenet5: neither key=value nor group=choice; say experiment=lenet5 or model=lenet5"),
        (["lenet"], "say model=lenet5"),
        (["--epochs", "3"], "--epochs: options are key=value here; say recipe.epochs=3"),
        (["recipe.epochs", "3"], "say recipe.epochs=3"),
        (["--batch-size", "3"], "say recipe.batch_size=3"),
        (["seed=1", "model"], "say model=<choice>, of which --help model lists all"),
        (["zzz"], "zzz: neither key=value nor group=choice; see --help"),
    ],
)
def test_other_words_are_answered_with_how_to_say_it(line: list[str], answer: str) -> None:
    with pytest.raises(ValueError, match=r".+") as refused:
        refuse_misread(line, "train")
    assert answer in str(refused.value)


@pytest.mark.parametrize(
    "line",
    [
        ["-m", "seed=1,2", "--config-dir", "mine"],
        ["--cfg", "job", "recipe/optimizer=sgd"],
        ["recipe.optimizer.lr=0.1"],
        ["recipe.gradient_clip_norm=null"],
        ["recipe.loss={_target_: torch.nn.NLLLoss}"],
        ["~logger"],
        ["--info", "plugins"],
        ["hydra/launcher=processes"],
    ],
)
def test_what_hydra_reads_is_left_to_it(line: list[str]) -> None:
    refuse_misread(line, "train")
