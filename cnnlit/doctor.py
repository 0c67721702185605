"""python -m cnnlit.doctor: what this machine is; with data=, what data.root holds, what cannot be read, and how fast.

What can be configured is in conf/doctor.yaml and the groups that it names; --help lists it.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge

from cnnlit import config
from cnnlit.config import Node, Values
from cnnlit.data.sources.found_files import check_root

PICTURE = Path("training_images.png")


def doctor(
    *,
    data: Node,
    recipe: Values,
    doctor: Node,
    format: Literal["text", "json", "markdown"],  # noqa: A002  the word for it
    pictures: bool,
    seed: Annotated[int, Ge(0)],
) -> None:
    """Print what this machine is, or where anything but the format is asked for, what an inspection of images finds.

    conf/doctor.yaml says what each key is for.
    """
    alone = all(word.startswith("format=") for word in config.overrides())
    with config.refusing():
        inspected = None if alone else config.build(data)
        found = config.build(doctor).examine(inspected).as_json() if inspected is not None else _machine()
    _print(found, format, alone=alone)
    if pictures:
        with config.refusing(exit_code=1):  # what was found is out, whatever becomes of the picture
            path = _draw_training_images(inspected, recipe)
        print(path, file=sys.stderr if format == "json" else sys.stdout)


def _print(found: dict[str, Any], format: str, *, alone: bool) -> None:  # noqa: A002
    if format == "json":
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    from rich.console import Console

    from cnnlit.reports.inspection_page import page
    from cnnlit.reports.machine_page import machine_page
    from cnnlit.reports.tables import as_markdown, print_page

    shown = machine_page(found) if alone else page(found)
    if format == "markdown":
        sys.stdout.write(as_markdown(shown))
    else:
        print_page(shown, Console())


def _draw_training_images(data: Any, recipe: Values) -> Path:
    """Draw what training presents first into the current folder.

    Raises:
        ValueError: one line, if a run would be refused, or its images come as a stream.
    """
    from cnnlit.drawings.tiled_figure import encoded
    from cnnlit.drawings.training_images import MIXED, draw_training_images
    from cnnlit.files import write_whole

    data.prepare_data()
    data.setup("fit")
    images = data.training_images(data.train_dataloader())
    if not images:
        raise ValueError("pictures=true: these images come as a stream, whose first ones nobody can see twice")
    remark = MIXED if recipe.get("mixing") else ""
    write_whole(PICTURE, encoded(draw_training_images(images, data.class_names, remark)))
    return PICTURE


def check_typed(*, data: Node, **_: object) -> None:
    """Refuse a root that is no folder, before PyTorch is imported for it."""
    check_root(data, config.overrides())


def _machine() -> dict[str, Any]:
    from cnnlit.data.loading.decoding import num_cores
    from cnnlit.description.machine import describe_machine
    from cnnlit.tracking.loggers import login

    return describe_machine(cores=num_cores(), folder=Path.cwd(), login=login())


main = config.entry_point(doctor, typed=check_typed)

if __name__ == "__main__":
    main()
