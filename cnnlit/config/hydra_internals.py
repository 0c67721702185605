"""Whatever of Hydra is private, patched, or not the same in versions 1.3 and 1.4."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.config_search_path import SearchPathElement
from hydra.core.default_element import ResultDefault
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

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


class NotingLoader(ConfigLoaderImpl):
    """Keeps the list of files that it composes, which Hydra would otherwise read and parse a second time to tell."""

    def _compose_config_from_defaults_list(self, defaults: list[ResultDefault], repo: Any) -> DictConfig:
        self.files = defaults
        return super()._compose_config_from_defaults_list(defaults, repo)


class Composition:
    """What a command line composes, with the files that it was composed of; nothing of Hydra's is started.

    Args:
        name: the command, as its file in conf/ is named.
        conf_dir: the folder of configuration files.
        words: overrides, and Hydra's own options.
    """

    def __init__(self, name: str, conf_dir: Path, words: list[str]) -> None:
        search_own_files_first()
        options = get_args_parser().parse_args(words)
        search_path = create_config_search_path(str(conf_dir))
        if options.config_dir:
            own = Path(options.config_dir).resolve()
            search_path.append(provider="command-line", path=f"file://{own}")  # see search_own_files_first
        self._loader = NotingLoader(search_path)
        self.overrides: list[str] = options.overrides
        self.config = self._loader.load_configuration(name, self.overrides, RunMode.RUN)
        self.header, self.footer = str(self.config.hydra.help.header), str(self.config.hydra.help.footer)
        self.files = [(each.config_path or "", each.package or "") for each in self._loader.files]
        """Path below a folder of configuration files, without suffix, and the part of the configuration that the file
        fills, in the order in which they are merged."""
        places = [each.path for each in self._loader.get_search_path().get_path()]
        self.folders = [
            Path(each.removeprefix("file://")) for each in places if not each.startswith(("pkg:", "struct"))
        ]
        chosen = self.config.hydra.runtime.choices
        self.choices = {str(group): choice for group, choice in chosen.items() if not str(group).startswith("hydra/")}
        OmegaConf.set_struct(self.config, value=False)
        del self.config["hydra"]

    def resolved(self) -> dict[str, Any]:
        """The configuration as plain containers; what cannot be resolved without a run stays as written."""
        try:
            return OmegaConf.to_container(self.config, resolve=True)  # type: ignore[return-value]
        except OmegaConfBaseException:
            return self.unresolved()

    def unresolved(self) -> dict[str, Any]:
        """The configuration as its files have it, as plain containers."""
        return OmegaConf.to_container(self.config)  # type: ignore[return-value]

    def options_of(self, group: str) -> list[str]:
        """What can be chosen of a group."""
        return sorted(self._loader.repository.get_group_options(group, ObjectType.CONFIG))


def parts_and_others(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The bare words of a command line (`model`), and the rest of it: overrides, and Hydra's own options."""
    options, _ = get_args_parser().parse_known_args(words)
    parts = [word for word in options.overrides if "=" not in word and not word.startswith("~")]
    return parts, [word for word in words if word not in parts]


def unknown_options(words: Sequence[str]) -> list[str]:
    """The options of a command line that Hydra does not have: `--epochs`."""
    return [word for word in get_args_parser().parse_known_args(words)[1] if word.startswith("-")]


def is_readable(word: str) -> bool:
    """Whether Hydra's grammar can read an override."""
    try:
        OverridesParser.create().parse_override(word)
    except HydraException:
        return False
    return True


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
