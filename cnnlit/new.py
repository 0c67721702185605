"""python -m cnnlit.new my_project: lay out a project with a network, data and an experiment of your own."""

import argparse
from pathlib import Path

from cnnlit import config
from cnnlit.projects.layout import lay_out


def new(name: str) -> None:
    """Write a project into a new folder of this name, and say how it is run."""
    with config.refusing():
        for path in lay_out(name, Path(name)):
            print(path)  # noqa: T201
    print(  # noqa: T201
        f"\ncd {name}\npython -m cnnlit.train --config-dir conf model=small data=photographs "
        "recipe/loss=cross_entropy recipe.epochs=10"
    )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m cnnlit.new", description=__doc__.partition(": ")[2])
    parser.add_argument("name", help="of the package, and of the folder to create")
    new(parser.parse_args().name)


if __name__ == "__main__":
    main()
