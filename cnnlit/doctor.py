"""python -m cnnlit.doctor: check what data.root holds, what of it cannot be read, and whether it is read fast enough.

What can be configured is in conf/doctor.yaml and the groups that it names; --help lists it.
"""

import json
import sys
from typing import Annotated, Literal

from annotated_types import Ge

from cnnlit import config
from cnnlit.config import Node, Values


def doctor(
    *,
    data: Node,
    recipe: Values,
    doctor: Node,
    format: Literal["text", "json", "markdown"],  # noqa: A002  the word for it
    seed: Annotated[int, Ge(0)],
) -> None:
    """Print what an inspection of a set of images finds.

    conf/doctor.yaml says what each key is for.
    """
    with config.refusing():
        finding = config.build(doctor).examine(config.build(data)).as_json()
    if format == "json":
        sys.stdout.write(json.dumps(finding, indent=2) + "\n")
        return
    from rich.console import Console

    from cnnlit.reports.inspection_page import page
    from cnnlit.reports.tables import as_markdown, print_page

    if format == "markdown":
        sys.stdout.write(as_markdown(page(finding)))
    else:
        print_page(page(finding), Console())


main = config.entry_point(doctor)

if __name__ == "__main__":
    main()
