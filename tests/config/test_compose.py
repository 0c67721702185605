"""The configuration: everything in conf/ composes and builds; whatever is wrong is one line and exit code 2."""

import functools
import inspect
import sys
import urllib.error
import urllib.request

import hydra
import pytest
import torch
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from cnnlit import config
from cnnlit.config import command
from cnnlit.config.hydra_internals import DEFAULTS
from cnnlit.parallel.worlds import new_run_folder
from cnnlit.train import main, train

CONF = config.conf_dir()
CHOICES = [
    f"{path.parent.relative_to(CONF)}={path.stem}"
    for path in sorted(CONF.glob("*/**/*.yaml"))
    if path.parent.name != "experiment"
]
EXPERIMENTS = [path.stem for path in sorted((CONF / "experiment").glob("*.yaml"))]


def compose(*overrides):
    with hydra.initialize_config_dir(str(CONF), **DEFAULTS):
        composed = hydra.compose("train", overrides=list(overrides))
    return OmegaConf.to_container(composed, resolve=True)


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_composes_passes_its_schema_and_builds(choice):
    # LeNet-5, the default, has codes for ten classes alone; digits have no crops.
    linear, photographs = ["model.head=linear"], ["data=synthetic", "model=alexnet"]
    cropped = choice.startswith("protocol=") and choice != "protocol=shifts"
    settings = compose(choice, *(linear if choice.startswith("data=") else photographs if cropped else []))
    config.check(settings, train)
    with torch.device("meta"):
        network = config.build(config.as_constructed(settings["model"]))
    config.build(settings["data"])
    config.build(settings["recipe"]).try_on(network)


@pytest.mark.parametrize("group", ["model", "data"])
def test_a_node_lists_every_keyword_of_its_constructor(group):
    for path in (CONF / group).glob("*.yaml"):
        node = compose(f"{group}={path.stem}")[group]
        target = hydra.utils.get_class(node.pop("_target_"))
        parameters = list(inspect.signature(target).parameters)
        # Weights can be loaded into every model, whatever its constructor takes.
        assert [key for key in node if key in parameters or key != "weights"] == parameters


def test_the_configured_model_is_the_constructors_default():
    node = compose("model=lenet5")["model"]
    parameters = inspect.signature(hydra.utils.get_class(node.pop("_target_"))).parameters
    assert node == {"weights": None, **{name: parameter.default for name, parameter in parameters.items()}}


def test_a_value_may_go_with_another_one():
    rates = {compose("experiment=activation", f"model.activation={name}")["recipe"]["optimizer"]["lr"]: name
             for name in ("relu", "sigmoid")}  # fmt: skip
    assert len(rates) == 2
    assert compose("experiment=activation", "recipe.optimizer.lr=0.5")["recipe"]["optimizer"]["lr"] == 0.5


@functools.cache
def jobs_of(name):
    """The overrides of each job of an experiment's sweep, as Hydra makes them; of seeds the first alone."""
    with hydra.initialize_config_dir(str(CONF), **DEFAULTS):
        composed = hydra.compose("train", overrides=[f"experiment={name}"], return_hydra_config=True)
    params = OmegaConf.to_container(composed.hydra.sweeper.params or OmegaConf.create(), resolve=False)
    words = OverridesParser.create().parse_overrides([f"{key}={values}" for key, values in params.items()])
    (batch,) = BasicSweeper.split_arguments(words, None)
    seeds = [next((word for word in job if word.startswith("seed=")), None) for job in batch]
    return [job for job, seed in zip(batch, seeds, strict=True) if seed == seeds[0]]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_arm_of_an_experiment_composes_passes_its_schema_and_builds(name):
    for overrides in jobs_of(name):
        settings = compose(f"experiment={name}", *overrides)
        config.check(settings, train)
        with torch.device("meta"):
            network = config.build(config.as_constructed(settings["model"]))
        config.build(settings["data"])
        config.build(settings["recipe"]).try_on(network)
        config.build(settings["protocol"]).try_on(network, settings["data"])


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_opens_with_question_source_command_time_and_expectation(name):
    text = (CONF / "experiment" / f"{name}.yaml").read_text()
    head = text.partition("defaults:")[0].splitlines()
    assert head[0] == "# @package _global_"
    assert head[1].startswith("# Question: ")
    assert any(line.startswith(("# Paper: ", "# Slides: ")) for line in head)
    sweep = "-m " if "  sweeper:" in text else ""
    assert any(line.startswith(f"# Command: python -m cnnlit.train {sweep}experiment={name}") for line in head)
    assert any(line.startswith("# Time: ") for line in head)
    assert any(line.startswith("# Expected: ") for line in head)
    if len(jobs_of(name)) > 1:
        assert any(line.startswith("# Report: python -m cnnlit.report runs=") for line in head)


def refusal(monkeypatch, capfd, tmp_path, *arguments):
    """The one line that the command ends with, run in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    captured = capfd.readouterr()
    assert stop.value.code == 2
    assert captured.out == ""
    assert captured.err.startswith("cnnlit: ")
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "runs").exists(), "a refused command leaves nothing behind"
    assert not (tmp_path / "nowhere").exists()
    return captured.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["recipe.augmentation=[{_target_: cnnlit.data.transforms.geometry.Flip}, 3]"],
            ["recipe.augmentation[1]=3", "must be keys with a _target_"],
        ),
        (
            ["recipe.augmentation=[{_target_: cnnlit.data.transforms.geometry.RandomCrop, pixel: 8}]"],
            ["recipe.augmentation[0].pixel", "did you mean pixels?"],
        ),
        (
            ["model=alexnet"],
            ["there is no folder", "expected class folders", "data=imagenette", "data=synthetic needs nothing"],
        ),
        (["model=alexnet", "data=synthetic", "model.groups=3"], ["model.groups=3", "one of 1, 2"]),
        (
            ["model=vgg16", "data=synthetic", "model.weights=IMAGENET1K_V1", "recipe=modern_images"],
            ["model.variant=torchvision"],
        ),
        (
            ["model=resnet18", "model.variant=torchvision", "model.weights=IMAGENET1K_V1", "data=synthetic"],
            ["data.normalization=mean_image", "model.weights=IMAGENET1K_V1 expect mean_std", "recipe=modern_images"],
        ),
        (["modle=lenet5"], ["modle", "did you mean model?"]),
        (["model=lenet6"], ["model=lenet6", "did you mean lenet5?"]),
        (["recipe/optimizr=sgd"], ["recipe/optimizr", "did you mean recipe/optimizer?"]),
        (["recipe/optimizer=sgdd"], ["recipe/optimizer=sgdd", "did you mean sgd?"]),
        (["model.poolng=max"], ["model.poolng", "did you mean model.pooling?"]),
        (["model.pooling=maxx"], ["model.pooling=maxx", "max, average, subsample", "did you mean max?"]),
        (["lr=1"], ["lr", "did you mean recipe.optimizer.lr?"]),
        (["recipe.lr=1"], ["recipe.lr", "did you mean recipe.optimizer.lr?"]),
        (["batch_size=1"], ["batch_size", "did you mean recipe.batch_size?"]),  # the data's follows from it
        (["trainer.max_steps=1"], ["trainer.max_steps", "+trainer.max_steps=<value> adds it"]),
        (["trainer.max_stebs=1"], ["trainer.max_stebs", "+trainer.max_steps=<value> adds that one"]),
        (["trainer.zzz=1"], ["trainer.zzz", "there is accelerator, devices, num_nodes"]),
        (["recipe.optimizer.lrr=1"], ["recipe.optimizer.lrr", "did you mean recipe.optimizer.lr?"]),
        (["recipe.epochs=abc"], ["recipe.epochs=abc", "integer"]),
        (["recipe.epochs=true"], ["recipe.epochs=true", "integer"]),
        (["recipe.epochs='3'"], ["recipe.epochs=3", "integer"]),
        (["recipe.epochs=0"], ["recipe.epochs=0", "greater than or equal to 1"]),
        (["model.dropout=1"], ["model.dropout=1", "less than 1"]),
        (["seed=-1"], ["seed=-1", "greater than or equal to 0"]),
        (["recipe.optimizer.lr=-1"], ["recipe.optimizer", "learning rate", "-1"]),
        (["recipe.schedule.final_fraction=2"], ["recipe.schedule.final_fraction=2", "less than or equal to 1"]),
        (["recipe.batch_size=5000"], ["recipe.batch_size=5000", "1257"]),
        (["data.val_split=3"], ["data.val_split=3", "0", "10"]),
        (["data.distortion_shear=[2,1]"], ["distortion_shear=[2, 1]", "[low, high]"]),
        (["data.distortion_shear=[2]"], ["data.distortion_shear=[2]", "2 items"]),
        (["data.image_size=28", "model.pool_stride=5"], ["pool_stride=5", "c5"]),
        (["model.num_classes=7"], ["head=rbf", "num_classes=7", "head=linear"]),
        (["trainer.devices=9999"], ["trainer.devices=9999", "this machine has"]),
        (["trainer.devices=many"], ["trainer.devices=many", "a number"]),
        (["trainer.strategy=dpp"], ["strategy", "dpp"]),
        (["trainer.precision=17"], ["trainer.precision=17"]),
        (["+foo=1"], ["foo", "model, data, recipe"]),
        (["+model.foo=1"], ["model.foo", "pooling"]),
        (["+trainer.limit_train_batch=1"], ["did you mean limit_train_batches?"]),
        (["model=null"], ["Config group override"]),
        (["recipe.loss=null"], ["recipe.loss=null", "_target_"]),
        (["model.pooling=["], ["model.pooling=["]),
        (
            ["experiment=activation", "model.activation=gelu"],
            ["recipe.optimizer.lr", "no value for gelu, only for relu, tanh, sigmoid"],
        ),
        (["resume=nowhere"], ["nowhere", "holds no run"]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_what_is_wrong_is_one_line_that_names_it(monkeypatch, capfd, tmp_path, arguments, says):
    line = refusal(monkeypatch, capfd, tmp_path, *arguments)
    for words in says:
        assert words in line, line


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("# @package _global_\nmodle: {pooling: max}\n", "did you mean model?"),
        ("# @package _global_\nmodel: {pooling: fancy}\n", "model.pooling=fancy"),
        ("# @package _global_\nmodel: 7\n", "model=7"),
        ("# @package _global_\nmodel: [1,\n", "wrong.yaml"),
        ("# @package _global_\ndefaults:\n  - override /model: resnet99\n", "model=resnet99"),
        ("# @package _global_\nrecipe: {optimizer: {_target_: torch.optim.Nope}}\n", "torch.optim.Nope"),
    ],
)
def test_nonsense_in_an_experiment_file_is_one_line(monkeypatch, capfd, tmp_path, content, says):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "wrong.yaml").write_text(content)
    assert says in refusal(monkeypatch, capfd, tmp_path, "--config-dir", str(tmp_path), "experiment=wrong")


def unreachable(*arguments, **keywords):
    raise urllib.error.URLError("no route")


def test_a_missing_data_folder_is_one_line_that_names_the_way_out(monkeypatch, capfd, tmp_path):
    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    line = refusal(monkeypatch, capfd, tmp_path, "data=mnist", f"data.root={tmp_path}/nothing")
    for words in (f"{tmp_path}/nothing", "train-images-idx3-ubyte", "no route", "data=digits"):
        assert words in line
    assert not (tmp_path / "nothing").exists()


def test_a_folder_that_holds_a_run_is_not_taken_again(monkeypatch, capfd, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "run.json").write_text("{}")
    line = refusal(monkeypatch, capfd, tmp_path, f"hydra.run.dir={folder}", "logger=csv")
    assert f"{folder} holds a run already" in line
    assert (folder / "run.json").read_text() == "{}"


def test_two_new_runs_never_share_a_folder():
    assert len({new_run_folder(None, "runs") for _ in range(100)}) == 100


def test_only_what_is_printed_may_break_off_quietly():
    with pytest.raises(BrokenPipeError, match="a worker's"), command._ending_unread():
        raise BrokenPipeError("a worker's")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("trainer.precision=x", "bf16-mixed"),
        ("num_threads=x", "num_threads=x: must be auto or a valid integer or null"),
        ("checkpoint_minutes=x", "checkpoint_minutes=x: must be a valid number or null"),
        ("logger.mode=x", "logger.mode=x: must be one of auto, online, offline"),
    ],
)
def test_a_refusal_names_everything_that_is_allowed(monkeypatch, capfd, tmp_path, override, said):
    assert said in refusal(monkeypatch, capfd, tmp_path, override)
