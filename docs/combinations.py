"""python docs/combinations.py: what goes together on two devices, tried; writes the tables of docs/parallel.md.

Each strategy with each precision and each protocol, for networks of each kind, is composed as the command does and
taken through a training step, a validation and a test in two processes on the CPU, or is refused before anything
starts. `--some 5` tries every fifth and prints them.
"""

import argparse
import os
import re
import socket
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from torch import distributed
from torch.multiprocessing import spawn  # type: ignore[attr-defined]  # as torch documents it

PAGE = Path(__file__).parent / "parallel.md"
BEGIN, END = "<!-- Written by `python docs/combinations.py`, from here -->\n", "<!-- to here -->\n"

STRATEGIES = ("ddp", "fsdp", "two_towers")
PRECISIONS = ("32-true", "bf16-mixed", "bf16-true", "16-mixed", "16-true", "64-true")
PROTOCOLS = (
    "single_crop", "ten_crop", "multi_crop_144", "multi_crop_150", "dense", "multi_scale", "multi_scale_he2015",
    "shifts",
)  # fmt: skip
PHOTOGRAPHS = ("data=synthetic", "data.image_size=64", "data.num_classes=4", "data.drawn_images=16", "data.val_split=4")
NETWORKS = {
    "LeNet-5": ("model=lenet5",),
    "AlexNet": ("model=alexnet", "model.width=0.125", *PHOTOGRAPHS),
    "VGG": ("model=vgg11", "model.width=0.125", *PHOTOGRAPHS),
    "GoogLeNet": ("model=googlenet", "model.width=0.125", "recipe.averaging_decay=null", *PHOTOGRAPHS),
    "ResNet": ("model=resnet18", *PHOTOGRAPHS),
}
ALWAYS = (
    "trainer.devices=2", "trainer.accelerator=cpu", "+trainer.fast_dev_run=true", "recipe.batch_size=4", "logger=none",
    "data.eval_batch_size=4", "num_threads=1", "timeout_seconds=120",
)  # fmt: skip
RUNS = "runs"


class Combination(NamedTuple):
    """What is tried."""

    network: str
    strategy: str
    precision: str
    protocol: str

    @property
    def words(self) -> list[str]:
        """On the command line."""
        spread = (f"trainer.strategy={self.strategy}", f"trainer.precision={self.precision}")
        return [*NETWORKS[self.network], *ALWAYS, *spread, f"protocol={self.protocol}"]


def combinations() -> list[Combination]:
    """Every strategy with every precision and every protocol, for every network."""
    return [
        Combination(network, strategy, precision, protocol)
        for network in NETWORKS
        for strategy in STRATEGIES
        for precision, protocol in [
            *((precision, "single_crop") for precision in PRECISIONS),
            *(("32-true", protocol) for protocol in PROTOCOLS[1:]),
        ]
    ]


def tried(chosen: Sequence[Combination]) -> dict[Combination, str]:
    """RUNS, or the line that refuses it, of each; in two processes for all of them.

    Raises:
        RuntimeError: if the two processes do not agree.
    """
    with tempfile.TemporaryDirectory() as folder:
        ports = [_free_port() for _ in chosen]
        spawn(_try_all, (chosen, ports, folder), nprocs=2)  # type: ignore[no-untyped-call]
        said = [Path(folder, f"{rank}.txt").read_text().splitlines() for rank in range(2)]
    for each, one, other in zip(chosen, *said, strict=True):
        if one != other:
            raise RuntimeError(f"{each}: {one} in one process, {other} in the other")
    return dict(zip(chosen, said[0], strict=True))


def _try_all(rank: int, chosen: Sequence[Combination], ports: Sequence[int], folder: str) -> None:
    os.environ |= {"LOCAL_RANK": str(rank), "NODE_RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    with Path(folder, f"{rank}.txt").open("w") as file:
        for number, (each, port) in enumerate(zip(chosen, ports, strict=True)):
            os.environ["MASTER_PORT"] = str(port)
            outcome = _try(each, Path(folder) / str(number))
            file.write(f"{outcome}\n")
            file.flush()
            if rank == 0:
                sys.stderr.write(f"{number + 1}/{len(chosen)} {' '.join(each)}: {outcome}\n")


def _try(each: Combination, folder: Path) -> str:
    from cnnlit import RefusedError, compose, config
    from cnnlit.experiment.assembly import begin
    from cnnlit.experiment.fitting import fit_and_test
    from cnnlit.experiment.settings import TrainSettings
    from cnnlit.parallel.devices import as_it_was
    from cnnlit.runs.folder import Run

    try:
        with as_it_was(), config.raising(RefusedError):
            settings = TrainSettings(**compose(*each.words))
            settings.check()
            run = Run(folder)
            settings, assembly = begin(settings, run)
    except RefusedError as error:
        return " ".join(str(error).split())
    with as_it_was():
        fit_and_test(run, assembly, settings, says=False)
    distributed.destroy_process_group()
    return RUNS


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def tables(outcomes: dict[Combination, str]) -> str:
    """What runs, by strategy and precision, and by strategy and protocol; the refusals below."""
    refusals: dict[str, int] = {}
    lines = [*_table("precision", PRECISIONS, outcomes, refusals), ""]
    lines += [*_table("protocol", PROTOCOLS, outcomes, refusals), ""]
    lines += [f"{number}. {refusal}" for refusal, number in refusals.items()]
    return "\n".join(lines) + "\n"


def _table(name: str, rows: Iterable[str], outcomes: dict[Combination, str], refusals: dict[str, int]) -> list[str]:
    lines = [
        f"| `{'trainer.' if name == 'precision' else ''}{name}` | {' | '.join(f'`{each}`' for each in STRATEGIES)} |"
    ]
    lines.append("|---" * (1 + len(STRATEGIES)) + "|")
    for row in rows:
        cells = []
        for strategy in STRATEGIES:
            usual = {"precision": "32-true", "protocol": "single_crop"} | {name: row}
            of_row = [Combination(each, strategy, usual["precision"], usual["protocol"]) for each in NETWORKS]
            cells.append(_cell({each.network: outcomes[each] for each in of_row}, refusals))
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return lines


def _cell(outcomes: dict[str, str], refusals: dict[str, int]) -> str:
    """`runs` or the number of the refusal, of all networks; or of which."""
    by_outcome: dict[str, list[str]] = {}
    for network, outcome in outcomes.items():
        told = RUNS if outcome == RUNS else f"no ({refusals.setdefault(_without_names(outcome), len(refusals) + 1)})"
        by_outcome.setdefault(told, []).append(network)
    if len(by_outcome) == 1:
        return next(iter(by_outcome))
    return "; ".join(f"{', '.join(networks)}: {told}" for told, networks in by_outcome.items())


def _without_names(refusal: str) -> str:
    return re.sub(r"(trainer\.strategy|trainer\.precision|protocol)=[\w-]+(?=[:, ])", r"\1=...", refusal)


def main() -> None:
    """Try all, and write the page; or some, and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--some", type=int, metavar="N", help="every Nth of them, and write nothing")
    every = parser.parse_args().some
    if every:
        for each, outcome in tried(combinations()[::every]).items():
            sys.stdout.write(f"{' '.join(each)}: {outcome}\n")
        return
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(before + BEGIN + "\n" + tables(tried(combinations())) + "\n" + END + after)


if __name__ == "__main__":
    main()
