"""The bytes that docs/parallel.md shows are what the code counts."""

from pathlib import Path

from cnnlit.parallel.communication import exchanges, table

DOCS = Path(__file__).parents[2] / "docs" / "parallel.md"


def test_the_documented_table_is_the_computed_one() -> None:
    assert table(exchanges(batch_size=128)) in DOCS.read_text()


def test_towers_exchange_only_where_krizhevskys_do_and_replicas_send_every_gradient() -> None:
    rows = {row.layer: row for row in exchanges(batch_size=128)}
    image = 4 * 128
    assert rows["conv3"].towers == 2 * image * 128 * 13 * 13
    assert rows["fc6"].towers == 2 * image * 128 * 6 * 6
    assert rows["fc7"].towers == 2 * rows["fc8"].towers == 2 * image * 2048
    assert rows["conv2"].if_joined == 2 * image * 48 * 27 * 27
    assert [name for name, row in rows.items() if not row.towers] == ["conv1", "conv2", "conv4", "conv5"]
    assert sum(row.replicas for row in rows.values()) == 4 * 60_965_224
