"""From Hydra's configuration to checked objects; whatever is wrong with it is one line and exit code 2."""

from cnnlit.config.command import entry_point, mention_unchecked, quote, raising, refusing, showing_own_errors
from cnnlit.config.compose import (
    as_constructed,
    build,
    choice,
    command_words,
    compose_again,
    compose_seeds,
    conf_dir,
    overridden,
    overrides,
    run_folder,
    without_sources,
)
from cnnlit.config.conflicts import check_scale, refuse_changes, require_weights, with_changes
from cnnlit.config.nodes import Also, Instead, ModelNode, Node, Nodes, Values
from cnnlit.config.schema import check, named
from cnnlit.config.typed_words import as_hydra_reads, refuse_misread

__all__ = [
    "Also",
    "Instead",
    "ModelNode",
    "Node",
    "Nodes",
    "Values",
    "as_constructed",
    "as_hydra_reads",
    "build",
    "check",
    "check_scale",
    "choice",
    "command_words",
    "compose_again",
    "compose_seeds",
    "conf_dir",
    "entry_point",
    "mention_unchecked",
    "named",
    "overridden",
    "overrides",
    "quote",
    "raising",
    "refuse_changes",
    "refuse_misread",
    "refusing",
    "require_weights",
    "run_folder",
    "showing_own_errors",
    "with_changes",
    "without_sources",
]
