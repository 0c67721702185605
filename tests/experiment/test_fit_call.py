"""cnnlit.fit: the command's run from Python, with errors in place of exit codes, and objects in place of names."""

import json
import os
import random
import signal
import sys
import threading
from pathlib import Path

import pytest
import torch
import yaml
from lightning import LightningDataModule
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import cnnlit
from cnnlit.runs.checkpoint_io import read_checkpoint
from cnnlit.train import main

QUICK = ("model=compact", "recipe/loss=cross_entropy", "recipe.epochs=1", "data.passes_per_epoch=1", "logger=none")
SIZES = ("data.num_classes=10", "data.image_size=32", "data.in_channels=1", "recipe.batch_size=100", "logger=none")


class Net(nn.Sequential):
    """A network of the program's own, with dropout, whose masks the seed decides."""

    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(1024, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 10))


class OtherNet(Net):
    """Of another class."""


class Stripes(LightningDataModule):
    """Images whose class is the place of a stripe."""

    def _loader(self, count):
        labels = torch.arange(count) % 10
        images = torch.zeros(count, 1, 32, 32)
        images[torch.arange(count), 0, labels * 3] = 1.0
        return DataLoader(TensorDataset(images, labels), batch_size=100, shuffle=count > 100)

    def train_dataloader(self):
        return self._loader(300)

    def val_dataloader(self):
        return self._loader(100)

    def test_dataloader(self):
        return self._loader(100)


class Stops(nn.Module):
    """A network that sends its process a signal in training, once."""

    def __init__(self):
        super().__init__()
        self.network, self.sent = Net(), False

    def forward(self, images):
        if self.training and torch.is_grad_enabled() and not self.sent:
            self.sent = True
            os.kill(os.getpid(), signal.SIGINT)
        return self.network(images)


def weights(folder):
    return read_checkpoint(Path(folder) / "checkpoints" / "last.ckpt")["state_dict"]


def assert_same(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_fits_in_one_process_have_the_bits_of_the_command_and_leave_the_process_as_it_was(here, monkeypatch):
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert callable(cnnlit.fit)  # what imports set stays
    threads, environment = torch.get_num_threads(), dict(os.environ)
    drawn = torch.random.get_rng_state(), random.getstate()
    torch.set_num_threads(2)
    first = cnnlit.fit(*QUICK, "seed=3")
    cnnlit.fit(*QUICK, "seed=1", "model.activation=tanh")
    again = cnnlit.fit(*QUICK, "seed=3", folder="again")
    assert torch.get_num_threads() == 2
    torch.set_num_threads(threads)
    assert dict(os.environ) == environment
    assert torch.equal(torch.random.get_rng_state(), drawn[0])
    assert random.getstate() == drawn[1]
    assert {number: signal.getsignal(number) for number in handlers} == handlers
    monkeypatch.setattr(sys, "argv", ["train", *QUICK, "seed=3", "hydra.run.dir=command"])
    main()
    assert_same(weights(first.folder), weights("command"))
    assert_same(weights(again.folder), weights("command"))
    assert again.folder == here / "again"
    assert first.metrics == json.loads((first.folder / "test.json").read_text())
    assert f"{first.metrics['test/error']:.2%}" in repr(first)
    kept = [yaml.safe_load((Path(folder) / "config.yaml").read_text()) for folder in (first.folder, "command")]
    assert kept[0] == kept[1]
    record = json.loads((first.folder / "run.json").read_text())
    assert record["command"] == f"python -m cnnlit.train {' '.join(QUICK)} seed=3"
    assert record["state"] == "finished"
    assert_same(first.network.network.state_dict(), cnnlit.load(first.folder).network.state_dict())


@pytest.mark.parametrize(
    ("words", "objects", "said"),
    [
        (("recipe.epoch=3",), {}, r"^recipe\.epoch: no such option; did you mean recipe\.epochs\?$"),
        (("lenet5",), {}, r"^lenet5: neither key=value nor group=choice; say .*model=lenet5$"),
        (("replicas=3",), {}, "^replicas=3: cnnlit.fit trains one run; call it for each seed$"),
        (("hydra.run.dir=x",), {}, r"^hydra\.run\.dir=x: .*folder="),
        (("-m",), {}, "^-m: of Hydra's options only --config-dir"),
        (("data=mnist", "data.root=nowhere"), {}, "nowhere"),
        (("resume=nowhere",), {}, "^nowhere holds no run"),
        (("recipe.epochs=1",), {"model": 3}, r"^model: builtins\.int is no torch\.nn\.Module$"),
        (("recipe.epochs=1",), {"data": 3}, r"^data: builtins\.int is no LightningDataModule$"),
        (("model.pooling=max",), {"model": Net()}, r"^model\.pooling=max: the network is an object; leave it out$"),
        (("data=digits",), {"data": Stripes()}, r"^data=digits: the data are an object; leave it out$"),
        (("recipe.batch_size=50", *SIZES[:3]), {"data": Stripes()}, r"^recipe\.batch_size=50: Stripes"),
        (("data.num_classes=7", *SIZES[1:]), {"model": Net(), "data": Stripes()}, r"=7: Stripes has a label 9$"),
    ],
)
def test_what_cannot_be_trained_is_a_value_error_of_one_line(here, words, objects, said):
    with pytest.raises(cnnlit.RefusedError, match=said) as refusal:
        cnnlit.fit(*words, **objects)
    assert isinstance(refusal.value, ValueError)
    assert "\n" not in str(refusal.value)
    assert not (here / "runs").exists()


def test_a_run_that_fails_is_a_runtime_error_with_the_word_that_goes_on(here):
    with pytest.raises(cnnlit.FailedRunError, match=r"not finite.*; resume=runs/\S+ goes on with the run$") as failure:
        cnnlit.fit(*QUICK, "recipe/optimizer=sgd", "recipe.optimizer.lr=1e30")
    assert isinstance(failure.value, RuntimeError)
    assert json.loads((failure.value.folder / "run.json").read_text())["state"] == "failed"


def test_an_error_of_ones_own_network_is_that_error(here):
    class Broken(Net):
        def forward(self, images):
            return {}["missing"] if torch.is_grad_enabled() else super().forward(images)

    with pytest.raises(KeyError, match="missing"):
        cnnlit.fit("recipe.epochs=1", "logger=none", model=Broken())
    assert len(list(here.glob("runs/*/*/run.json"))) == 1
    assert cnnlit.fit(*QUICK).metrics


@pytest.mark.slow
def test_an_own_network_is_trained_as_a_copy_and_loaded_by_its_object_alone(here):
    torch.manual_seed(7)
    network = Net()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    words = ("recipe.epochs=2", "data.passes_per_epoch=1", "logger=none")
    result = cnnlit.fit(*words, model=network)
    assert_same(before, network.state_dict())
    config = yaml.safe_load((result.folder / "config.yaml").read_text())
    assert config["model"] == {"object": f"{__name__}.Net"}
    record = json.loads((result.folder / "run.json").read_text())
    assert record["command"].startswith("cnnlit.fit('recipe.epochs=2', ")
    assert record["command"].endswith(f"model=<{__name__}.Net>)")
    with pytest.raises(ValueError, match=r"^model\.object=.*Net: an object of the Python program.*model=\.\.\.") as no:
        cnnlit.load(result.folder)
    assert "\n" not in str(no.value)
    assert_same(cnnlit.load(result.folder, model=Net()).network.state_dict(), result.network.network.state_dict())
    with pytest.raises(ValueError, match=r"OtherNet, where this run had .*\.Net$"):
        cnnlit.load(result.folder, model=OtherNet())
    assert_same(weights(cnnlit.fit(*words, model=network).folder), weights(result.folder))


@pytest.mark.parametrize("command", ["evaluate", "predict", "train", "export"])
def test_commands_refuse_a_run_of_objects_in_one_line(object_run, command, monkeypatch, capfd):
    from importlib import import_module

    said = {
        "evaluate": [f"run={object_run}"],
        "predict": [f"run={object_run}", f"images={__file__}"],
        "train": [f"resume={object_run}", "recipe.epochs=9"],
        "export": [f"run={object_run}", "format=safetensors"],
    }
    monkeypatch.setattr(sys, "argv", [command, *said[command]])
    with pytest.raises(SystemExit) as end:
        import_module(f"cnnlit.{command}").main()
    assert end.value.code == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("cnnlit: model.object=")


@pytest.fixture(scope="module")
def object_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("objects") / "run"
    return cnnlit.fit(*SIZES, "recipe.epochs=1", model=Net(), data=Stripes(), folder=folder).folder


def test_own_data_are_trained_on_and_named_in_the_configuration(object_run):
    config = yaml.safe_load((object_run / "config.yaml").read_text())
    assert config["data"]["module"] == {"object": f"{__name__}.Stripes"}
    assert config["data"]["num_classes"] == 10
    network = cnnlit.load(object_run, model=Net(), data=Stripes())
    assert network(torch.zeros(2, 1, 32, 32)).shape == (2, 10)
    with pytest.raises(ValueError, match=r"^data\.module\.object="):
        cnnlit.load(object_run, model=Net())


def test_ctrl_c_is_a_keyboard_interrupt_after_saving_and_the_run_goes_on_to_the_same_bits(here):
    words = (*SIZES, "recipe.epochs=2")
    torch.manual_seed(5)
    network = Stops()
    with pytest.raises(KeyboardInterrupt, match=r"^resume=runs/\S+ goes on with the run$") as stop:
        cnnlit.fit(*words, model=network, data=Stripes())
    folder = str(stop.value).partition("=")[2].split()[0]
    assert json.loads(Path(folder, "run.json").read_text())["state"] == "interrupted"
    assert (Path(folder) / "checkpoints" / "last.ckpt").is_file()
    network.sent = True
    resumed = cnnlit.fit(f"resume={folder}", model=network, data=Stripes())
    assert resumed.folder == Path(folder).absolute()
    whole = cnnlit.fit(*words, model=network, data=Stripes())
    assert_same(weights(resumed.folder), weights(whole.folder))
    with pytest.raises(cnnlit.RefusedError, match="this run is finished"):
        cnnlit.fit(f"resume={folder}", model=network, data=Stripes())


def test_a_fit_in_a_thread_leaves_signals_alone(here):
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    seen, results = [], []

    class Looks(Net):
        def forward(self, images):
            seen.append([signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)])
            return super().forward(images)

    words = (*SIZES, "recipe.epochs=1")
    thread = threading.Thread(target=lambda: results.append(cnnlit.fit(*words, model=Looks(), data=Stripes())))
    thread.start()
    thread.join()
    assert results
    assert all(each == handlers for each in seen)


@pytest.mark.slow
def test_several_devices_train_in_processes_of_their_own(here):
    words = (*QUICK, "trainer.accelerator=cpu", "trainer.devices=2", "trainer.strategy=ddp")
    result = cnnlit.fit(*words)
    record = json.loads((result.folder / "run.json").read_text())
    assert record["pid"] != os.getpid()
    assert result.folder.parents[2] == here
    with pytest.raises(cnnlit.RefusedError, match=r"^model: an object cannot be handed .* trainer\.devices=1"):
        cnnlit.fit(*words[1:], model=Net())
    with pytest.raises(cnnlit.RefusedError, match=r"^recipe\.micro_batch_size"):
        cnnlit.fit(*words, "recipe.micro_batch_size=-1")
