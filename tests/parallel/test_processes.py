"""What the processes of a run tell one another."""

from pathlib import Path

from parallel.processes import together
from torch import distributed

from cnnlit.parallel.processes import of_all


def gathered() -> list[str]:
    return of_all([["b", "a"], ["c", "a"]][distributed.get_rank()])


def test_what_each_process_has_is_known_to_all_once(tmp_path: Path) -> None:
    assert together(gathered, tmp_path) == [["a", "b", "c"]] * 2


def test_a_process_alone_has_what_it_has() -> None:
    assert of_all({"b", "a"}) == ["a", "b"]
