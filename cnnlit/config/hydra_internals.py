"""Whatever of Hydra is private, patched, or not the same in versions 1.3 and 1.4."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra._internal.utils import get_args_parser
from hydra.core.config_search_path import SearchPathElement
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from omegaconf import OmegaConf

EXECUTION_CHECKS = "UNSAFE_DISABLE_EXECUTION_CHECKS"
HYDRA_1_4 = hasattr(hydra.utils, EXECUTION_CHECKS)

DEFAULTS: dict[str, Any] = {} if HYDRA_1_4 else {"version_base": "1.3"}
"""Arguments of hydra.main and hydra.initialize_config_dir; 1.4 warns of what 1.3 needs."""


def instantiate(node: dict[str, Any], *args: Any, **keywords: Any) -> Any:
    """hydra.utils.instantiate for any class, also of the user's own package, with plain containers as arguments."""
    # 1.4 asks which classes a node may name; here whoever types the command line owns the process.
    allowed = {"_execution_whitelist_": getattr(hydra.utils, EXECUTION_CHECKS)} if HYDRA_1_4 else {}
    return hydra.utils.instantiate(node, *args, _convert_="all", **allowed, **keywords)


def register_resolver(name: str, function: Callable[..., Any], *, use_cache: bool = False) -> None:
    """Let `${name:arguments}` in YAML be what a function returns; with `use_cache`, of its first call."""
    # In OmegaConf 2.3 register_resolver is another, older function; 2.4 warns of register_new_resolver.
    register: Callable[..., None] = OmegaConf.register_resolver if HYDRA_1_4 else OmegaConf.register_new_resolver
    register(name, function, use_cache=use_cache, replace=True)


def hydra_options() -> set[str]:
    """Hydra's own options on the command line: `--multirun`, `-m` and so on."""
    return set(get_args_parser()._option_string_actions)


def list_groups_fast() -> None:
    """Let --help list a group's choices from the files.

    Hydra 1.3 copies all configuration in memory for each group that it lists, which doubles the time of --help.
    """

    def group_options(
        loader: ConfigLoaderImpl,
        group_name: str,
        results_filter: ObjectType | None = ObjectType.CONFIG,
        config_name: str | None = None,
        overrides: list[str] | None = None,
    ) -> list[str]:
        return loader.repository.get_group_options(group_name, results_filter)

    if not HYDRA_1_4:
        ConfigLoaderImpl.get_group_options = group_options  # type: ignore[assignment]


def search_own_files_first() -> None:
    """Let files of `--config-dir` and of hydra.searchpath win over ours of the same name; Hydra passes them over."""

    def first(method: Callable[..., None]) -> Callable[..., None]:
        def place(searched: ConfigSearchPathImpl, provider: str, path: str, anchor: Any = None) -> None:
            elements = searched.config_search_path
            ours = [number for number, each in enumerate(elements) if each.provider == "main"]
            if ours and provider.startswith(("command-line", "hydra.searchpath")):
                elements.insert(ours[0], SearchPathElement(provider, path))
            else:
                method(searched, provider, path, anchor)

        return place

    if not hasattr(ConfigSearchPathImpl, "searches_own_files_first"):
        ConfigSearchPathImpl.append = first(ConfigSearchPathImpl.append)  # type: ignore[method-assign]  # 1.3.2 to 1.3.7
        ConfigSearchPathImpl.prepend = first(ConfigSearchPathImpl.prepend)  # type: ignore[method-assign]
        ConfigSearchPathImpl.searches_own_files_first = True  # type: ignore[attr-defined]


@contextmanager
def searching(ours: Path, own: Path | None) -> Iterator[None]:
    """Within the block, hydra.compose finds files as a command with `--config-dir <own>` does."""
    search_own_files_first()
    at_work = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()  # of a command that composes another's configuration
    try:
        with hydra.initialize_config_dir(str(ours), **DEFAULTS):
            if own is not None:
                loader: Any = GlobalHydra.instance().config_loader()
                loader.config_search_path.append("command-line", f"file://{own.resolve()}")
                loader.repository.initialize_sources(loader.config_search_path)
            yield
    finally:
        if at_work:
            GlobalHydra.instance().initialize(at_work)
