"""A card says what is known of a network, and nothing else."""

from typing import Any

from cnnlit.exports.card import render_card

FACTS: dict[str, Any] = {
    "file": "network.onnx", "format": "onnx", "difference": 3e-7, "network": "AlexNet", "parameters": 61_100_840,
    "images": ["N", 3, 224, 224], "classes": ["tench", "goldfish"],
}  # fmt: skip


def test_published_weights_have_no_recipe_data_or_results_of_ours() -> None:
    card = render_card({}, {}, {**FACTS, "data": None, "recipe": None, "weights": "IMAGENET1K_V1"})
    assert "| weights taken from | IMAGENET1K_V1 |" in card
    assert "| data | not recorded |" in card
    assert "| trained by | `not recorded` |" in card
    assert "## Training" not in card
    assert "None recorded." in card


def test_a_run_is_told_with_its_recipe_and_its_results() -> None:
    record = {"seed": 3, "command": "python -m cnnlit.train seed=3", "commit": "abc", "versions": {"cnnlit": "0.2"}}
    results = {"ten_crop": {"test/error": 0.25, "test/num_images": 50}}
    card = render_card(record, results, {**FACTS, "data": "folder", "recipe": "epochs: 3", "weights": None})
    assert "| ten_crop | 25.00 % | 50 |" in card
    assert "epochs: 3" in card
    assert "| seed | 3 |" in card
    assert "weights taken from" not in card
