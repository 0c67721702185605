"""python -m cnnlit.doctor: what this machine is; with data=, what data.root holds, what cannot be read, and how fast.

With schemas=, what editors need to complete and check the configuration.

What can be configured is in conf/doctor.yaml and the groups that it names; --help lists it.
"""

import importlib
import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge

from cnnlit import config
from cnnlit.__main__ import COMMANDS
from cnnlit.config import Node, Values
from cnnlit.config.compose import conf_dir
from cnnlit.config.schema import settings_of
from cnnlit.config.signatures import name_of
from cnnlit.data.sources.found_files import check_root

PICTURE = Path("training_images.png")


def doctor(
    *,
    data: Node,
    recipe: Values,
    doctor: Node,
    format: Literal["text", "json", "markdown"],  # noqa: A002  the word for it
    pictures: bool,
    schemas: str | None,
    seed: Annotated[int, Ge(0)],
) -> None:
    """Print what this machine is, or where anything but the format is asked for, what an inspection of images finds.

    With `schemas`, write those instead. conf/doctor.yaml says what each key is for.
    """
    if schemas:
        with config.refusing():
            _write_schemas(Path(schemas))
        return
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


def check_typed(*, data: Node, schemas: str | None, **_: object) -> None:
    """Refuse a root that is no folder, and schemas beside anything else, before PyTorch is imported for it."""
    others = [word for word in config.overrides() if not word.startswith("schemas=")]
    if schemas and others:
        raise ValueError(f"schemas={schemas}: stands alone, for it inspects nothing; leave out {others[0]}")
    check_root(data, config.overrides())


def _write_schemas(folder: Path) -> None:
    """Write the schemas, and print what Visual Studio Code and its like want to be told."""
    from cnnlit.editors.json_schemas import write_schemas

    with_file = [name for name in COMMANDS if (conf_dir() / f"{name}.yaml").is_file()]
    modules = {name: importlib.import_module(f"cnnlit.{name}") for name in with_file}
    takes_keys = {name: name_of(settings_of(getattr(module, name))) for name, module in modules.items()}
    files = write_schemas(folder, takes_keys)
    settings = {(folder / name).as_posix(): pattern for name, pattern in files.items()}
    print(f"{len(files)} schemas; in .vscode/settings.json (docs/editors.md has other ways):", file=sys.stderr)  # noqa: T201
    sys.stdout.write(json.dumps({"yaml.schemas": settings}, indent=2) + "\n")


def _machine() -> dict[str, Any]:
    from cnnlit.data.loading.decoding import num_cores
    from cnnlit.description.machine import describe_machine
    from cnnlit.tracking.loggers import login

    return describe_machine(cores=num_cores(), folder=Path.cwd(), login=login())


main = config.entry_point(doctor, typed=check_typed)

if __name__ == "__main__":
    main()
