"""What the commands take that train or test a network: one frozen dataclass each, which builds what it names.

Fields are keys of the configuration, and their annotations are its schema; the command's file in conf/ says what each
key is for.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from annotated_types import Ge, Gt

from cnnlit import config
from cnnlit.config import Also, Instead, ModelNode, Node, Nodes
from cnnlit.data.sources.found_files import check_root
from cnnlit.experiment import initial_weights
from cnnlit.parallel.trainer_arguments import INSTEAD, Precision, check_words
from cnnlit.runs.reading import read_record

if TYPE_CHECKING:  # imported where they are needed, so that --help and mistakes are answered at once
    from lightning.pytorch import Callback
    from torch import nn

    from cnnlit.data.datamodule import ResumableData
    from cnnlit.training.protocol import EvaluationProtocol


NO_GRAPHS = "compile=cuda_graphs: a CUDA graph needs a GPU; compile=true compiles for a CPU"


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """A network, its data, how it is trained and how it is tested."""

    model: ModelNode
    data: Node
    recipe: Node
    protocol: Node
    seed: Annotated[int, Ge(0)]

    def check_typed(self) -> None:
        """Refuse what the words alone show to be wrong, before PyTorch is imported for it.

        Raises:
            FileNotFoundError, ValueError: one line that says what to change.
        """

    def check_origin(self, run: str | None) -> None:
        """Refuse a folder that holds no run, and without one a network that names no weights; see `check_typed`."""
        if run:
            read_record(Path(run))
        else:
            config.require_weights(self.model)
            initial_weights.check_typed(self.model)

    def of_run(self, run: Path, command: Callable[..., Any], own: tuple[str, ...]) -> Self:
        """The settings of a run in place of these, with what the command line changes in its data.

        Args:
            run: its folder.
            command: that is running.
            own: how the words of the command line begin that say nothing about the run.

        Raises:
            FileNotFoundError: if the folder holds no run.
            ValueError: if the command line says anything else about the run.
        """
        from cnnlit.runs.reading import read_config

        return self._of_configuration(read_config(run), command, own, f"run={run}")

    def _of_configuration(self, kept: Node, command: Callable[..., Any], own: tuple[str, ...], said: str) -> Self:
        before = config.overridden(kept, self.data, command, own, said)
        return replace(self, **{key: before[key] for key in ("model", "data", "recipe", "seed")})

    def _of_weights(self, command: Callable[..., Any], own: tuple[str, ...]) -> Self:
        """The settings that a weights file brings along; these, if it brings none."""
        said = f"model.weights={self.model['weights']}"
        kept = initial_weights.told_by(self.model).get("config")
        if not kept:
            return self
        chosen = [word for word in config.overrides() if word.startswith("model=")]
        if chosen and kept["model"]["_target_"] != self.model["_target_"]:
            raise ValueError(f"{said}: these are weights of {kept['model']['_target_']}; leave out {chosen[0]}")
        kept["model"]["weights"] = self.model["weights"]
        if "root" in kept["data"] and "root" in self.data:
            kept["data"]["root"] = self.data["root"]  # where the files lie is this machine's, not the weights'
        return self._of_configuration(kept, command, (*own, "model=", "model.weights="), said)

    def of_run_or_weights(self, run: str | None, command: Callable[..., Any], own: tuple[str, ...]) -> Self:
        """The settings of a run, see `of_run`; without one those of the weights that the network has to name.

        Args:
            run: its folder, or None.
            command: that is running.
            own: as of `of_run`.

        Raises:
            FileNotFoundError, ValueError: one line.
        """
        if run:
            settings = self.of_run(Path(run), command, own)
        else:
            config.require_weights(self.model)
            settings = self._of_weights(command, own)
        settings.check_scale()
        return settings

    def build_trained_network(self, *, from_checkpoint: bool) -> "nn.Module":
        """The network to be asked, not trained.

        Args:
            from_checkpoint: as of `build_network`.

        Raises:
            ValueError: if its weights have another number of classes, so that its head would answer at random.
        """
        from cnnlit.models.weights import heads_must_fit

        with heads_must_fit():
            return self.build_network(from_checkpoint=from_checkpoint)

    def build_network(self, *, from_checkpoint: bool = False) -> "nn.Module":
        """The network with its initial weights, which the seed decides.

        Args:
            from_checkpoint: its weights are in a checkpoint, wherever the initial ones came from.
        """
        from lightning import seed_everything

        initial_weights.check_name(self.model)
        loads = initial_weights.is_loaded_here(self.model)
        seed_everything(self.seed, workers=True, verbose=False)
        strip = config.without_sources if from_checkpoint or loads else config.as_constructed
        network: nn.Module = config.build(strip(self.model))
        if loads and not from_checkpoint:
            initial_weights.load(network, self.model, self.data.get("num_classes"), self.data)
        return network

    def build_protocol(self, network: "nn.Module") -> "EvaluationProtocol":
        """How the network is tested.

        Raises:
            ValueError: if the network or its data cannot be tested so.
        """
        protocol: EvaluationProtocol = config.build(self.protocol)
        protocol.try_on(network, self.data)
        return protocol

    def build_data(self, changes: Node) -> "ResumableData":
        """The data, with changes to their node."""
        datamodule: ResumableData = config.build({**self.data, **changes})
        return datamodule

    def build_test_data(self) -> "ResumableData":
        """The data with the protocol's views; their batch size is the one of tests.

        What weights from a file know of their data, it knows too.
        """
        views = {"views": self.protocol["views"]} if "views" in self.data else {}
        datamodule = self.build_data({**views, "batch_size": 1})
        if state := initial_weights.told_by(self.model).get("data_state"):
            datamodule.load_state_dict(state)
        return datamodule

    def tell_classes(self, datamodule: "ResumableData", checkpoint: Path | None) -> None:
        """Let images to test with have the labels of the network.

        Args:
            datamodule: before `setup`.
            checkpoint: of the run; None for weights that the model names.
        """
        from cnnlit.runs.checkpoint_io import read_state_of_data

        if checkpoint:
            datamodule.answer_for(read_state_of_data(checkpoint, type(datamodule).__qualname__))
        else:
            datamodule.answer_for(initial_weights.classes_of(self.model, self.data["num_classes"]))

    def check_scale(self) -> None:
        """Refuse published weights on images of another scale than theirs."""
        if initial_weights.file_of(self.model):
            return  # it is asked for its run's own scale when it is read
        config.check_scale(self.model.get("weights"), self.data.get("normalization"))


@dataclass(frozen=True, kw_only=True)
class TrainSettings(NetworkSettings):
    """What `python -m cnnlit.train` takes; see conf/train.yaml."""

    trainer: Annotated[Node, Instead(INSTEAD), Also({"precision": Precision})]
    callbacks: Nodes
    logger: Nodes
    replicas: Annotated[int, Ge(1)]
    replicas_as: Literal["auto", "stack", "processes"]
    num_threads: Annotated[int, Ge(1)] | Literal["auto"] | None
    compile: bool | Literal["auto", "cuda_graphs"]
    channels_last: bool
    layer_statistics: bool
    timeout_seconds: Annotated[float, Gt(0)]
    checkpoint_minutes: Annotated[float, Gt(0)] | None
    requeue: bool
    resume: str | None
    run_root: str

    def of_one_run(self) -> Node:
        """What config.yaml keeps: everything that would train this run again, with its seed alone."""
        kept = asdict(self) | {"replicas": 1}
        return {key: value for key, value in kept.items() if key not in ("replicas_as", "resume", "run_root")}

    def check_typed(self) -> None:
        """See NetworkSettings."""
        check_words(self.trainer)
        if self.compile == "cuda_graphs" and self.trainer["accelerator"] == "cpu":
            raise ValueError(NO_GRAPHS)
        if self.resume:
            if not any(Path(self.resume).glob("*")):  # Hydra has made the folder that it was told
                read_record(Path(self.resume))
            return
        initial_weights.check_typed(self.model)
        check_root(self.data, config.overrides())

    def check(self) -> None:
        """Refuse what cannot be trained, before anything is built.

        Raises:
            ValueError: one line about two settings that exclude one another.
        """
        if self.compile not in (False, "auto") and self.layer_statistics:
            raise ValueError("layer_statistics=true: what torch.compile fused cannot be looked into; add compile=false")
        if self.compile == "cuda_graphs":
            from cnnlit.parallel.devices import uses_gpu

            if not uses_gpu(self.trainer["accelerator"]):
                raise ValueError(NO_GRAPHS)
        self.check_scale()

    def with_precision(self) -> Self:
        """The same with the precision that `trainer.precision=auto` stands for on this machine."""
        from cnnlit.parallel.devices import chosen_precision

        asked, half = self.trainer.get("precision"), bool(self.recipe.get("half_precision"))
        precision = chosen_precision(asked, self.trainer["accelerator"], half=half)
        return self if precision == asked else replace(self, trainer={**self.trainer, "precision": precision})

    def with_compiler(self, steps: int) -> Self:
        """The same with what `compile=auto` stands for in a training of so many steps on this machine."""
        from cnnlit.parallel.devices import compiling_pays

        if self.compile != "auto":
            return self
        one_device = self.trainer["strategy"] in ("auto", "ddp") and not self.layer_statistics
        sizes = {"batch_size": self.recipe["batch_size"], "image_size": self.data["image_size"]}
        pays = one_device and compiling_pays(self.trainer["accelerator"], steps=steps, **sizes)
        return replace(self, compile=pays)

    def build_callbacks(self) -> "list[Callback]":
        """The user's callbacks.

        Raises:
            ValueError: if one of them is none.
        """
        from lightning.pytorch import Callback

        built = {name: config.build(node) for name, node in self.callbacks.items()}
        for name, each in built.items():
            if not isinstance(each, Callback):
                target = self.callbacks[name]["_target_"]
                raise ValueError(f"callbacks.{name}._target_={target}: must be a lightning.pytorch.Callback")
        return list(built.values())

    def build_trainer_arguments(self) -> Node:
        """What was chosen of the Trainer, but for its class; profilers and plugins are built."""
        chosen = {key: value for key, value in self.trainer.items() if key != "_target_" and value is not None}
        arguments: Node = config.build({**chosen, "_target_": "builtins.dict"})
        return arguments

    def build_initial_network(self, run: Any) -> "nn.Module":
        """The network as its training begins or goes on, laid out as configured.

        Args:
            run: a cnnlit.runs.folder.Run; with a checkpoint, the weights are in there.
        """
        import torch

        network = self.build_network(from_checkpoint=bool(self.resume) and run.has_checkpoint)
        if self.channels_last:
            network.to(memory_format=torch.channels_last)  # activations follow the layout of the weights
        return network
