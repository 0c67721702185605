"""Schemas for editors: every file of conf/ passes its own, and a mistake is marked."""

import json
from pathlib import Path
from typing import Any

import pytest
from as_typed import here
from jsonschema import Draft7Validator
from omegaconf import OmegaConf
from referencing import Registry, Resource

from cnnlit.config.compose import conf_dir

Validators = dict[str, Draft7Validator]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The folder of the schemas, and what is printed: the file of each, and the files that it is for."""
    folder = tmp_path_factory.mktemp("own")
    outcome = here(folder, "doctor", "schemas=schemas")
    assert outcome.returncode == 0, outcome.stderr
    return folder, json.loads(outcome.stdout)["yaml.schemas"]


@pytest.fixture(scope="module")
def validators(written: tuple[Path, dict[str, str]]) -> Validators:
    folder, files = written
    schemas = {Path(name).name: json.loads((folder / name).read_text()) for name in files}
    for schema in schemas.values():
        Draft7Validator.check_schema(schema)
    registry = Registry().with_resources([(name, Resource.from_contents(each)) for name, each in schemas.items()])
    return {name.removesuffix(".json"): Draft7Validator(each, registry=registry) for name, each in schemas.items()}


def test_every_file_of_the_configuration_has_a_schema_and_passes_it(
    written: tuple[Path, dict[str, str]], validators: Validators
) -> None:
    checked = set()
    for name, pattern in written[1].items():
        for path in conf_dir().parent.glob(pattern):
            errors = validators[Path(name).stem].iter_errors(OmegaConf.to_container(OmegaConf.load(path)))
            assert [f"{path.name}: {error.message}" for error in errors] == []
            checked.add(path)
    assert checked == set(conf_dir().rglob("*.yaml"))


LENET = "cnnlit.models.lenet5.LeNet5"


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("model", {"_target_": LENET, "poling": "max"}),
        ("model", {"_target_": LENET, "pooling": "maxx"}),
        ("model", {"_target_": LENET, "num_classes": "ten"}),
        ("model", {"defaults": ["lenet5", "_self_"], "poling": "max"}),
        ("recipe", {"defaults": ["modern", "_self_"], "epochs": 0}),
        ("recipe", {"defaults": ["modern", "_self_"], "optimizer": {"_target_": "torch.optim.SGD", "momentom": 0.9}}),
        ("recipe_loss", {"_target_": "torch.nn.CrossEntropyLoss", "label_smoothing": "much"}),
        ("data", {"defaults": ["mnist", "_self_"], "val_spilt": 100}),
        ("trainer", {"_target_": "lightning.pytorch.Trainer", "max_epochs": 3}),
        ("experiment", {"recipe": {"epochz": 3}}),
        ("experiment", {"model": {"pooling": "maxx"}}),
        ("experiment", {"defaults": [{"override /model": "vgg16"}], "model": {"poling": "max"}}),
        ("experiment", {"sede": 1}),
        ("train", {"replicas": 0}),
        ("report", {"format": "pdf"}),
    ],
)
def test_a_wrong_key_or_value_is_marked(validators: Validators, kind: str, content: dict[str, Any]) -> None:
    assert not validators[kind].is_valid(content)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("model", {"_target_": LENET, "pooling": "max", "num_classes": "${data.num_classes}", "weights": None}),
        ("model", {"_target_": "my_models.Plain", "anything": 1}),
        ("model", {"defaults": ["my_own", "_self_"], "anything": 1}),
        ("experiment", {"defaults": [{"override /model": "my_own"}], "model": {"anything": 1}}),
        ("experiment", {"defaults": [{"override /data": "plain"}], "data": {"module": {"anything": 1}}}),
        ("callbacks", {"norm": {"_target_": "my_callbacks.WeightNorm", "name": "norm"}}),
        ("experiment", {"recipe": {"epochs": 3}, "model": {"pooling": "max"}, "hydra": {"sweeper": {"params": {}}}}),
    ],
)
def test_what_is_right_or_cannot_be_known_is_not(validators: Validators, kind: str, content: dict[str, Any]) -> None:
    assert list(validators[kind].iter_errors(content)) == []


def test_a_key_says_what_it_is_for(validators: Validators) -> None:
    schema: Any = validators["recipe"].schema
    epochs = schema["definitions"]["changed"]["properties"]["epochs"]
    assert epochs["description"].startswith("passes over the training set")
    train: Any = validators["train"].schema
    assert train["properties"]["resume"]["description"] == "the folder of a run that was cut off, to go on with it"


def test_schemas_stand_alone(tmp_path: Path) -> None:
    outcome = here(tmp_path, "doctor", "schemas=schemas", "data=mnist")
    assert outcome.returncode == 2
    assert "schemas=schemas: stands alone" in outcome.stderr
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    outcome = here(tmp_path, "doctor", "schemas=file/below")
    assert outcome.returncode == 2
    assert len(outcome.stderr.splitlines()) == 1
