"""A description of a network, or of how two differ, as tables for people."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from cnnlit.description.layer_table import Layer
from cnnlit.description.network import Change, Description, NetworkDifference, ratio
from cnnlit.description.paper_check import Statement
from cnnlit.reports.tables import Column, Page, Table

LEGEND = (
    "MACs: multiply-adds of convolutions and matrices for one image, without biases. units: outputs of layers with "
    "weights. field, stride: side of the square of pixels that an output depends on, and distance of neighbours, in "
    "pixels of the image. memory: outputs of the layers for one image, float32; activation functions overwrite theirs."
)


def short(count: float) -> str:
    """`724.4M`, `19.632G`; all digits below a million."""
    if count < 10**6:
        return f"{count:,}"
    return f"{count / 10**9:,.3f}G" if count >= 10**9 else f"{count / 10**6:.1f}M"


def in_bytes(count: int) -> str:
    """`1.16 MB`, `18.8 kB`."""
    return f"{count / 10**6:,.2f} MB" if count >= 10**6 else f"{count / 10**3:.1f} kB"


class Quantity(NamedTuple):
    """How a quantity of a layer is shown."""

    head: str
    cell: Callable[[Any], str] = str
    where_printed: bool = False  # only if the paper prints it for some layer


QUANTITIES = {
    "name": Quantity("layer"),
    "operation": Quantity("operation"),
    "output": Quantity("output", lambda shape: "x".join(map(str, shape))),
    "parameters": Quantity("parameters", "{:,}".format),
    "weights": Quantity("weights", "{:,}".format, where_printed=True),
    "macs": Quantity("MACs", short),
    "units": Quantity("units", "{:,}".format),
    "connections": Quantity("connections", "{:,}".format, where_printed=True),
    "receptive_field": Quantity("field"),
    "stride": Quantity("stride", "{:g}".format),
    "activation_bytes": Quantity("memory", in_bytes),
}


def described(description: Description) -> Page:
    """The page of one network: its layers, its kinds of layers, and why the paper's numbers differ."""
    statements = description.statements()
    notes = list(dict.fromkeys(each.note for each in statements if each.note))
    page: Page = [_layers(description, statements, notes), _kinds(description), *_training(description)]
    if description.table.parameters > description.table.parameters_inference:
        page.append("Below the total: what is there in training alone, and the parameters of all.")
    if description.published:
        why = " Numbers in brackets: what differs, and why." if notes else ""
        page.append(f"paper: {description.published.source}.{why}")
    elif description.unlike:
        keys = ", ".join(f"{key}={_word(value)}" for key, value in description.unlike.items())
        page.append(f"Without the paper's numbers: with {keys} this is another network.")
    return [*page, *(f"[{number}] {note}" for number, note in enumerate(notes, 1)), LEGEND]


def compared(one: Description, other: Description, found: NetworkDifference) -> Page:
    """The page of two networks: their totals, and the layers in which they differ."""
    names = (one.model, other.model)
    alike = all(each.table.parameters == each.table.parameters_inference for each in (one, other))
    untold = {"connections"} | ({"parameters"} if alike else set())
    totals = [_total_row(each) for each in found.totals if each.quantity not in untold]
    page: Page = [Table.of("Totals", ("quantity", *names, "ratio"), totals)]
    if found.settings:
        settings = [(each.quantity, _word(each.one), _word(each.other)) for each in found.settings]
        page.append(Table.of("Settings", ("setting", *names), settings))
    page += [
        Table(f"Only in {name}", list(_columns(layers)))
        for name, layers in zip(names, (found.only_one, found.only_other), strict=True)
        if layers
    ]
    if found.changed:
        rows = [
            (
                each.layer,
                QUANTITIES[each.quantity].head,
                _cell(each.quantity, each.one),
                _cell(each.quantity, each.other),
            )
            for each in found.changed
        ]
        page.append(Table.of("In both, and not the same", ("layer", "quantity", *names), rows))
    return [*page, f"Layers that are the same in both: {found.same}.", LEGEND]


def _layers(description: Description, statements: list[Statement], notes: list[str]) -> Table:
    """The layers used in inference, their total, the layers used in training alone, and the total of all."""
    layers = description.layers
    answering = [layer for layer in layers if not layer.training_only]
    training = [layer for layer in layers if layer.training_only]
    table = description.table
    totals = description.totals | {"name": "total", "parameters": table.parameters_inference}
    rows: list[Any] = [*answering, totals, *training]
    sums = [len(answering)]
    if training:
        rows.append({"name": "in training", "parameters": table.parameters})
        sums.append(len(rows) - 1)
    channels, height, width = description.image
    heading = f"{description.model}: images {channels}x{height}x{width}"
    return Table(heading, list(_columns(rows, statements, notes)), tuple(sums))


def _columns(
    rows: list[Any], statements: list[Statement] | None = None, notes: list[str] | None = None
) -> Iterator[Column]:
    """One column per quantity; a row is a layer, or a dictionary of quantities."""
    printed = {
        (each.layer or "total", each.quantity): each.printed + _mark(each, notes or []) for each in statements or []
    }
    beside = {quantity for _, quantity in printed}
    for name, quantity in QUANTITIES.items():
        if quantity.where_printed and name not in beside:
            continue
        paper = [printed.get((_get(row, "name"), name), "") for row in rows] if name in beside else []
        yield Column(quantity.head, [_cell(name, _get(row, name)) for row in rows], paper)


def _get(row: Layer | dict[str, Any], name: str) -> Any:
    return row.get(name) if isinstance(row, dict) else getattr(row, name)


def _cell(name: str, value: Any) -> str:
    return "" if value in (None, 0) else QUANTITIES[name].cell(value)


def _mark(statement: Statement, notes: list[str]) -> str:
    if statement.agrees:
        return ""
    return f" [{notes.index(statement.note) + 1}]" if statement.note else " [?]"


def _kinds(description: Description) -> Table:
    """Each kind of layer's share of the network used in inference."""
    table = description.table
    rows = [
        (
            kind,
            str(share.layers),
            _cell("parameters", share.parameters),
            _percent(share.parameters, table.parameters_inference),
            _cell("macs", share.macs),
            _percent(share.macs, table.macs),
            in_bytes(share.activation_bytes),
        )
        for kind, share in table.shares.items()
    ]
    return Table.of("Shares", ("kind", "layers", "parameters", "share", "MACs", "share", "memory"), rows)


def _training(description: Description) -> Iterator[Table]:
    """The constants of the recipe, and who says so; nothing for a recipe of no paper."""
    rows = [(key, _value(value), source) for key, value, source in description.training]
    if rows:
        yield Table.of("Training", ("setting", "value", "source"), rows)


def _value(value: Any) -> str:
    """A value as it is typed; of steps in a list, their names."""
    if isinstance(value, list) and any(isinstance(each, dict) for each in value):
        return ", ".join(str(each.get("_target_", each)).rpartition(".")[2] for each in value)
    return f"[{', '.join(map(_word, value))}]" if isinstance(value, list) else _word(value)


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if part else ""


def _total_row(total: Change) -> tuple[str, ...]:
    words = {"parameters": "parameters in training", "parameters_inference": "parameters"}
    shown = QUANTITIES.get(total.quantity, QUANTITIES["parameters"])
    name = words.get(total.quantity, shown.head)
    return name, shown.cell(total.one), shown.cell(total.other), _times(ratio(total))


def _times(quotient: float | None) -> str:
    if quotient is None:
        return ""
    return f"{quotient:,.2f}" if quotient >= 0.1 else f"{quotient:.2g}"


def _word(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
