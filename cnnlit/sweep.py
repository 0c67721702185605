"""python -m cnnlit.sweep file=sweeps/pooling.yaml: check a W&B sweep before anything is uploaded.

Its keys are in conf/sweep.yaml; --help lists them.
"""

import importlib
from pathlib import Path

from cnnlit import config


def sweep(*, file: str) -> None:
    """Compose and check every command line that W&B's agents will run; then say how to start them.

    conf/sweep.yaml says what each key is for.
    """
    from cnnlit.tracking.wandb_sweep_file import command_lines, read_sweep

    with config.refusing():
        path = Path(file)
        sweep_file = read_sweep(path)
        lines = command_lines(sweep_file)
        for line in lines:
            match line:
                case ["-m", module, *overrides] if module.startswith("cnnlit."):
                    command = getattr(importlib.import_module(module), module.removeprefix("cnnlit."))
                    config.compose_again(command, overrides)
                case _:
                    raise ValueError(f"{path}: command must run -m cnnlit.train")
    number = len(lines) if sweep_file["method"] == "grid" else sweep_file.get("run_cap", "any number of")
    print(f"{path}: every key and value is one of the configuration's ({number} runs)")  # noqa: T201
    print(f"start: wandb sweep {path}, then the line `wandb agent` that it prints, as often as there are devices")  # noqa: T201


main = config.entry_point(sweep)

if __name__ == "__main__":
    main()
