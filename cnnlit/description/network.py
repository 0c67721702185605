"""A network's layer table beside the paper's numbers, as one object, and the difference between two of them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from cnnlit.description.layer_table import Detail, Layer, LayerTable
from cnnlit.description.paper_check import Statement, compare
from cnnlit.description.paper_numbers import PaperNumbers

TOTALS = ("parameters", "parameters_inference", "macs", "units", "connections", "activation_bytes")
COMPARED = ("operation", "output", "parameters", "macs", "units", "receptive_field", "stride")


@dataclass(frozen=True)
class Description:
    """All that is said about a network.

    Args:
        model: its name.
        image: shape of its images, [C, H, W].
        table: its layers.
        detail: whether rows are blocks or layers.
        published: what the paper prints about it, if it is the paper's network.
        unlike: the keywords that make it a different network from the paper's.
        settings: all that its constructor was told, defaults included.
        training: constants of its recipe: key, value, and who says so (paper, authors' code, reproduction, ours).
    """

    model: str
    image: tuple[int, int, int]
    table: LayerTable
    detail: Detail
    published: PaperNumbers | None
    unlike: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    training: Sequence[tuple[str, Any, str]] = ()

    @property
    def layers(self) -> list[Layer]:
        return self.table.rows(self.detail)

    @property
    def totals(self) -> dict[str, int]:
        return {name: getattr(self.table, name) for name in TOTALS}

    def statements(self) -> list[Statement]:
        """The paper's numbers for these rows and totals."""
        if self.published is None:
            return []
        # Papers count the network used in inference.
        totals = {**self.totals, "parameters": self.table.parameters_inference}
        return compare(self.published, self.layers, totals)

    def as_json(self) -> dict[str, Any]:
        """Plain containers: totals, `layers`, `shares` per kind, and `paper` (null if the network is not a paper's)."""
        statements = self.statements()
        layers = []
        for layer in self.layers:
            printed = {each.quantity: each.printed for each in statements if each.layer == layer.name}
            layers.append({**asdict(layer), "output": list(layer.output), "paper": printed})
        return {
            "model": self.model,
            "image": list(self.image),
            **self.totals,
            "shares": {kind: self._share(kind) for kind in self.table.shares},
            "layers": layers,
            "paper": self._paper(statements),
            "unlike_the_paper": dict(self.unlike),
            "training": [dict(zip(("key", "value", "source"), each, strict=True)) for each in self.training],
        }

    def _share(self, kind: str) -> dict[str, float]:
        share = self.table.shares[kind]
        return {
            **share._asdict(),
            "parameters_share": share.parameters / max(1, self.table.parameters_inference),
            "macs_share": share.macs / max(1, self.table.macs),
        }

    def _paper(self, statements: list[Statement]) -> dict[str, Any] | None:
        if self.published is None:
            return None
        differences = [
            {"layer": each.layer or None, "quantity": each.quantity, "here": _plain(each.here)}
            | {"paper": each.printed, "why": each.note}
            for each in statements
            if not each.agrees
        ]
        return {"source": self.published.source, "totals": self.published.totals, "differences": differences}


class Change(NamedTuple):
    """A quantity of a layer that two networks share, a total, or a setting of both."""

    layer: str
    quantity: str
    one: Any
    other: Any


class NetworkDifference(NamedTuple):
    """How two networks differ.

    Args:
        only_one: layers that only the first has.
        only_other: layers that only the second has.
        changed: quantities that differ in layers of the same name.
        totals: of both, whether they differ or not.
        settings: those that both networks have and that differ: what layers do not show, such as shortcuts.
        same: number of layers that agree in everything compared.
    """

    only_one: list[Layer]
    only_other: list[Layer]
    changed: list[Change]
    totals: list[Change]
    settings: list[Change]
    same: int

    def as_json(self) -> dict[str, Any]:
        """Plain containers; `totals` have the ratio of the second network to the first."""
        return {
            "only_first": [layer.name for layer in self.only_one],
            "only_second": [layer.name for layer in self.only_other],
            "changed": [
                {**each._asdict(), "one": _plain(each.one), "other": _plain(each.other)} for each in self.changed
            ],
            "totals": {
                each.quantity: {"first": each.one, "second": each.other, "ratio": ratio(each)} for each in self.totals
            },
            "settings": {each.quantity: {"first": each.one, "second": each.other} for each in self.settings},
            "same": self.same,
        }


def difference(one: Description, other: Description) -> NetworkDifference:
    """Compare two networks by layers of the same name."""
    first, second = ({layer.name: layer for layer in each.layers} for each in (one, other))
    common = [name for name in first if name in second]
    changed = [
        Change(name, quantity, before, after)
        for name in common
        for quantity in COMPARED
        if (before := getattr(first[name], quantity)) != (after := getattr(second[name], quantity))
    ]
    return NetworkDifference(
        only_one=[layer for name, layer in first.items() if name not in second],
        only_other=[layer for name, layer in second.items() if name not in first],
        changed=changed,
        totals=[Change("", name, one.totals[name], other.totals[name]) for name in TOTALS],
        settings=[
            Change("", name, value, other.settings[name])
            for name, value in one.settings.items()
            if name in other.settings and other.settings[name] != value
        ],
        same=len(common) - len({change.layer for change in changed}),
    )


def ratio(change: Change) -> float | None:
    """The ratio of the second to the first; None if the first is zero."""
    return change.other / change.one if change.one else None


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
