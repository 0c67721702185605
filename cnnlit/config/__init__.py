"""From Hydra's configuration to checked objects; whatever is wrong with it is one line and exit code 2."""

from cnnlit.config.command import entry_point, quote, refusing
from cnnlit.config.compose import (
    as_constructed,
    build,
    choice,
    compose_again,
    compose_seeds,
    conf_dir,
    overridden,
    overrides,
    run_folder,
    without_sources,
)
from cnnlit.config.conflicts import check_scale, require_weights
from cnnlit.config.nodes import Instead, ModelNode, Node, Nodes, Values
from cnnlit.config.schema import check, named

__all__ = [
    "Instead",
    "ModelNode",
    "Node",
    "Nodes",
    "Values",
    "as_constructed",
    "build",
    "check",
    "check_scale",
    "choice",
    "compose_again",
    "compose_seeds",
    "conf_dir",
    "entry_point",
    "named",
    "overridden",
    "overrides",
    "quote",
    "refusing",
    "require_weights",
    "run_folder",
    "without_sources",
]
