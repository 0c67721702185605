"""The winners of ILSVRC, and runs among them."""

import json
import re
from xml.etree import ElementTree

import pytest
from runs.made_runs import made_run

from cnnlit.reports import ilsvrc
from cnnlit.reports.tables import as_text
from cnnlit.runs.records import find


def imagenet_run(folder, top5, **changes):
    settings = {"data___target_": ilsvrc.IMAGENET, "data__num_classes": 1000} | changes
    return made_run(folder, test={"test/top5_error": top5}, **settings)


@pytest.fixture
def chart(tmp_path):
    """ReLU at 18.0 and 18.2 %, tanh at 9 %, and a run of digits."""
    for seed, top5 in enumerate((0.180, 0.182)):
        imagenet_run(tmp_path / f"relu{seed}", top5, seed=seed, model__activation="relu")
    imagenet_run(tmp_path / "tanh", 0.09, model__activation="tanh")
    made_run(tmp_path / "digits")
    return ilsvrc.standing(find([str(tmp_path)]).records)


def test_a_year_has_one_winner_and_errors_fall_from_year_to_year():
    winners = [entry for entry in ilsvrc.PUBLISHED if entry.won]
    assert [entry.year for entry in winners] == list(range(2010, 2018))
    errors = [entry.error for entry in winners]
    assert errors == sorted(errors, reverse=True)
    assert (errors[1], errors[2], errors[4], errors[5]) == (0.258, 0.164, 0.067, 0.0357)  # the slides


def test_without_runs_the_winners_stand_alone():
    alone = ilsvrc.standing([])
    assert len(alone.entries) == len(ilsvrc.PUBLISHED)
    assert alone.sentences == []


def test_arms_stand_where_their_mean_puts_them(chart):
    names = [entry.name for entry in chart.entries]
    assert names[names.index("relu") - 1 :][:3] == ["XRCE", "relu", "SuperVision"]
    assert names[names.index("tanh") - 1 :][:3] == ["Clarifai", "tanh", "VGG"]
    text = as_text(ilsvrc.ilsvrc_page(chart))
    assert "relu, 18.10 %, would have won until 2011." in text
    assert "tanh, 9.00 %, would have won until 2013." in text
    assert re.search(r"here +relu +18\.10 % +█{18} .*n = 2", text)


def test_who_is_worse_than_all_wins_nothing(tmp_path):
    imagenet_run(tmp_path / "a", 0.3)
    assert "would not have won in any year" in ilsvrc.standing(find([str(tmp_path)]).records).sentences[0]


def test_runs_of_something_else_are_counted_and_not_placed(chart, tmp_path):
    assert chart.sentences[-1] == "Left out, not tested on the 1,000 classes of data=imagenet: 1 of the runs."
    for folder in ("relu0", "relu1", "tanh"):
        (tmp_path / folder / "test.json").write_text(json.dumps({"test/error": 0.1}))
    with pytest.raises(ValueError, match="none of 4 runs was tested on the 1,000 classes"):
        ilsvrc.standing(find([str(tmp_path)]).records)


def test_the_page_has_a_bar_for_each_as_long_as_its_error(chart):
    page = ilsvrc.ilsvrc_html(chart)
    drawn = ElementTree.fromstring(re.search(r"<svg.*?</svg>", page, re.DOTALL)[0])
    bars = [float(rect.get("width").rstrip("%")) for rect in drawn.iter("rect")]
    assert len(bars) == len(chart.entries)
    assert bars == pytest.approx([bars[0] * entry.error / chart.entries[0].error for entry in chart.entries], abs=0.02)
    assert "Russakovsky" in page
    assert "[16.83, 19.37] %, n = 2" in page


def test_each_arm_has_a_colour_of_its_own_and_published_entries_have_none(chart):
    groups = re.findall(r'<g class="([\w-]+)"><text[^>]*>(here|\d*) ([^,]*),', ilsvrc.ilsvrc_html(chart))
    assert {name: color for color, when, name in groups if when == "here"} == {"relu": "arm-0", "tanh": "arm-1"}
    assert {color for color, when, _ in groups if when != "here"} == {"plain"}


def test_data_are_fractions(chart):
    told = {each["name"]: each for each in ilsvrc.as_json(chart)["entries"]}
    assert told["relu"]["top5_error"] == pytest.approx(0.181)
    assert (told["relu"]["here"], told["MSRA"]["here"], told["MSRA"]["year"]) == (True, False, 2015)
    assert "2015,MSRA,0.0357,1," in ilsvrc.as_csv(chart)
