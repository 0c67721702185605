"""python -m cnnlit.describe: what it prints, what it refuses, what it leaves alone."""

import json
import os
import re
import subprocess
import sys
from html import unescape
from pathlib import Path
from typing import get_args

import hydra
import pytest
from rich.console import Console

from cnnlit import config, describe
from cnnlit.config.hydra_internals import DEFAULTS
from cnnlit.description import diagram
from cnnlit.reports.description_page import described
from cnnlit.reports.tables import print_page

ROOT = Path(__file__).parents[1]
MODELS = sorted(path.stem for path in (ROOT / "conf" / "model").glob("*.yaml"))


@pytest.fixture
def printed(monkeypatch, capsys, tmp_path):
    """What the command prints on stdout, run in an empty folder that stays empty."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["describe.py", *arguments])
        describe.main()
        captured = capsys.readouterr()
        assert captured.err == ""
        assert not list(tmp_path.iterdir()), "nothing is left behind"
        return captured.out

    return run


def tables_of(markdown):
    """Each table of a Markdown text as rows of cells, its head first."""
    for lines in re.findall(r"(?:^\|.*\n)+", markdown, flags=re.MULTILINE):
        yield [[cell.strip() for cell in line.strip("|\n").split("|")] for line in lines.splitlines()]


@pytest.mark.parametrize("model", MODELS)
def test_every_model_is_described(printed, model):
    told = json.loads(printed(f"model={model}", "format=json"))
    assert told["parameters"] >= told["parameters_inference"] > 0
    answering = [layer for layer in told["layers"] if not layer["training_only"]]
    for quantity in ("macs", "units"):
        assert sum(layer[quantity] for layer in answering) == told[quantity] > 0
    assert sum(layer["parameters"] for layer in told["layers"]) == told["parameters"]
    assert sum(layer["parameters"] for layer in answering) == told["parameters_inference"]
    assert told["paper"] or told["unlike_the_paper"] or model == "compact"  # which is of no paper
    assert all(difference["why"] for difference in (told["paper"] or {"differences": []})["differences"])


def test_json_is_one_object_of_plain_keys(printed):
    told = json.loads(printed("model=googlenet", "format=json"))
    assert told["model"] == "googlenet"
    assert told["image"] == [3, 224, 224]
    assert (told["parameters"], told["parameters_inference"]) == (13_378_280, 6_998_552)
    assert (told["macs"], told["units"]) == (1_582_671_872, 3_227_160)
    layers = {layer["name"]: layer for layer in told["layers"]}
    assert layers["inception_3a"] == {
        "name": "inception_3a",
        "module": "inception_3a",
        "kind": "convolution",
        "operation": "Inception, 6 conv",
        "output": [256, 28, 28],
        "parameters": 163_696,
        "weights": 163_328,
        "macs": 128_049_152,
        "units": 288_512,
        "connections": 128_049_152 + 288_512,
        "receptive_field": 59,
        "stride": 8,
        "activation_bytes": 4 * (368 + 192) * 28**2,  # the maps of six convolutions and of the pool
        "training_only": False,
        "paper": {"output": "256x28x28", "weights": "159K", "macs": "128M"},
    }
    assert layers["auxiliary_4a"]["training_only"]
    stem = [each for each in told["paper"]["differences"] if each["layer"] == "conv1"]
    assert [(each["quantity"], each["here"], each["paper"]) for each in stem] == [
        ("weights", 9408, "2.7K"),
        ("macs", 118_013_952, "34M"),
    ]


def test_most_parameters_are_fully_connected_and_most_work_is_convolution(printed):
    # The lecture's claim, for the networks that it shows.
    for model in ("alexnet", "zfnet", "vgg16"):
        shares = json.loads(printed(f"model={model}", "format=json"))["shares"]
        assert shares["fully connected"]["parameters_share"] > 0.89
        assert shares["convolution"]["macs_share"] > 0.89
        assert sum(share["parameters_share"] for share in shares.values()) == pytest.approx(1)


def test_the_text_has_the_papers_numbers_beside_ours(printed):
    text = printed("model=alexnet")
    line = " ".join(next(line for line in text.splitlines() if line.startswith("conv1")).split())
    assert line == "conv1 conv 11x11/4 96x55x55 34,944 105.4M 290,400 253,440 [1] 11 4 1.16 MB"
    assert "[1] 253,440 = 96 x 55 x 48 is a slip" in text
    assert re.search(r"^total +60,965,224 +60 million +724\.4M +659,272 +about 650,000 +5\.04 MB", text, re.MULTILINE)
    assert max(map(len, text.splitlines()[:20])) > 100, "in a file nothing is cut off"
    assert "…" not in text


def test_what_is_changed_is_named_and_has_no_column_of_the_paper(printed):
    text = printed("model=alexnet", "model.groups=1", "data.num_classes=37")
    assert text.startswith("alexnet model.groups=1 data.num_classes=37: images 3x224x224\n")
    assert "with num_classes=37, groups=1 this is another network" in text
    assert "paper:" not in text


def test_blocks_unfold(printed):
    blocks = json.loads(printed("model=resnet50", "format=json"))["layers"]
    layers = json.loads(printed("model=resnet50", "format=json", "detail=layers"))["layers"]
    assert [layer["name"] for layer in blocks[:4]] == ["conv1", "bn1", "pool", "conv2_x.0"]
    assert len(blocks) == 3 + 16 + 1
    assert len([layer for layer in layers if layer["kind"] == "convolution"]) == 53
    assert layers[3]["name"] == "conv2_x.0.conv1"


@pytest.mark.parametrize("arguments", [["model=googlenet"], ["model=vgg16", "against=vgg19"]])
def test_markdown_is_made_of_whole_tables(printed, arguments):
    markdown = printed(*arguments, "format=markdown")
    tables = list(tables_of(markdown))
    assert len(tables) >= 2
    for head, rule, *rows in tables:
        assert all(re.fullmatch("-{3}:?", cell) for cell in rule)
        assert rows
        assert {len(row) for row in rows} == {len(head)} == {len(rule)}
    assert not [line for line in markdown.splitlines() if line.startswith("|") != line.endswith("|")]


@pytest.mark.parametrize("arguments", [["model=googlenet"], ["model=vgg16", "against=vgg19"]])
def test_the_page_of_html_has_what_the_text_has(printed, arguments):
    page, text = printed(*arguments, "format=html"), printed(*arguments)
    assert page.startswith("<!doctype html>")
    cells = [unescape(cell) for cell in re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", page)]
    notes = [unescape(note) for note in re.findall(r'<p class="note">([^<]*)</p>', page)]
    headings = [unescape(heading) for heading in re.findall(r"<h2>([^<]*)</h2>", page)]
    assert " ".join(text.split()).startswith(headings[0])
    words = sorted(" ".join([*headings, *cells, *notes]).split())
    assert words == sorted(re.sub(r"─+", "", text).split())


@pytest.mark.parametrize("name", get_args(describe.Format))
def test_every_format_goes_to_a_file_as_it_goes_to_the_terminal(printed, tmp_path_factory, name):
    path = tmp_path_factory.mktemp("a page") / f"x=1{describe.SUFFIXES[name][0]}"
    line = ["model=vgg16", "against=model.configuration=E", f"format={name}"]
    assert printed(*line, f"to={path}") == f"{path}\n"
    assert path.read_text() == printed(*line)


def test_two_models_are_told_by_what_they_do_not_share(printed):
    text = printed("model=vgg16", "against=vgg19")
    assert re.search(r"^parameters +138,357,544 +143,667,240 +1\.04$", text, re.MULTILINE)
    assert re.search(r"^MACs +15\.470G +19\.632G +1\.27$", text, re.MULTILINE)
    only = text[text.index("Only in vgg19") : text.index("In both, and not the same")]
    assert re.findall(r"^conv\d_\d", only, re.MULTILINE) == ["conv3_4", "conv4_4", "conv5_4"]
    assert "Only in vgg16" not in text
    assert re.search(r"^pool5 +field +212 +268$", text, re.MULTILINE)
    assert "Layers that are the same in both: 9." in text


@pytest.mark.parametrize(
    ("arguments", "ratio"),
    [
        (["model=plain18", "against=resnet18"], 11_689_512 / 11_515_688),
        (["model=resnet18", "against=resnet18 model.shortcut=none"], 11_515_688 / 11_689_512),
        (["model=resnet18", "against=model.shortcut=none"], 11_515_688 / 11_689_512),
        (["model=alexnet", "model.width=0.5", "against=model.width=0.5"], 1.0),
        (["model=alexnet", "data.num_classes=37", "against=alexnet"], 1.0),
    ],
)
def test_the_other_model_is_another_command_line(printed, arguments, ratio):
    told = json.loads(printed(*arguments, "format=json"))
    assert told["difference"]["totals"]["parameters"]["ratio"] == ratio
    assert told["against"]["parameters"] == pytest.approx(told["parameters"] * ratio)
    if ratio == 1:
        assert not told["difference"]["changed"]
        assert told["difference"]["same"] == len(told["layers"])


@pytest.mark.parametrize("width", [80, 160])
def test_a_terminal_of_any_width_shows_every_cell(printed, width, capsys):
    whole = printed("model=googlenet")
    lines = [line for line in whole.splitlines() if line.startswith("inception_4d")]
    cells = lines[0].split()

    with hydra.initialize_config_dir(str(config.conf_dir()), **DEFAULTS):
        settings = config.compose_again(describe.describe, ["model=googlenet"])
    one = describe._described("googlenet", settings["model"], settings["data"], "blocks")
    print_page(described(one), Console(width=width, force_terminal=True, color_system=None))
    narrow = capsys.readouterr().out
    rows = [line.split()[1:] for line in narrow.splitlines() if line.startswith("inception_4d")]
    assert (len(rows) > 1) == (width == 80)
    assert [cell for row in rows for cell in row] == cells[1:]
    assert max(len(line) for line in narrow.splitlines()) <= width
    assert "…" not in narrow


def test_no_run_folder_no_data_and_nothing_heavy_is_touched(tmp_path):
    """As a user types it, in an empty folder that must not be removed either."""
    program = (
        "import sys\n"
        "from cnnlit import describe\n"
        "sys.argv = ['describe.py', 'model=vgg19', 'format=json', 'data.root=nowhere']\n"
        "describe.main()\n"
        "heavy = {'lightning', 'torchvision', 'torchmetrics', 'matplotlib', 'wandb', 'sympy', 'torch._dynamo'}\n"
        "print(*sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    folder = tmp_path / "empty"
    folder.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(Path(describe.__file__).absolute().parents[1])}
    outcome = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    assert outcome.stderr == "\n"
    assert json.loads(outcome.stdout)["parameters"] == 143_667_240
    assert folder.is_dir()
    assert not list(folder.iterdir())


def refusal(monkeypatch, capsys, folder, *arguments):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["describe.py", *arguments])
    with pytest.raises(SystemExit) as stop:
        describe.main()
    captured = capsys.readouterr()
    assert stop.value.code == 2
    assert captured.out == ""
    assert captured.err.startswith("cnnlit: ")
    assert captured.err.count("\n") == 1
    assert folder.is_dir(), "the user's folder stays, empty as it is"
    assert not list(folder.iterdir())
    return captured.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["model=alexnt"], ["model=alexnt", "did you mean alexnet?"]),
        (["format=xml"], ["format=xml", "text, html, markdown, json"]),
        (["detail=all"], ["detail=all", "blocks, layers"]),
        (["model=alexnet", "model.width=0"], ["model.width=0", "greater than 0"]),
        (["model=alexnet", "model.widht=2"], ["model.widht", "did you mean model.width?"]),
        (["formt=json"], ["formt", "did you mean format?"]),
        (["model=lenet5", "model.num_classes=7"], ["num_classes=7", "head=linear"]),
        (["against=vgg17"], ["model=vgg17", "did you mean vgg1"]),
        (["model=alexnet", "against=model.groups=3"], ["model.groups=3"]),
        (["against=vgg16 model.configuration=F"], ["model.configuration=F", "A-LRN"]),
        (["against=vgg16 width"], ["width"]),
        (["to=."], ["to=.", "is a folder"]),
        (["to=table.pdf"], ["to=table.pdf", "format=text", ".txt"]),
        (["format=html", "to=table.md"], ["to=table.md", "format=html", ".html"]),
        (["picture=network.bmp"], ["picture=network.bmp", ".png, .svg, .pdf"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_what_is_wrong_is_one_line_that_names_it(monkeypatch, capsys, tmp_path, arguments, says):
    line = refusal(monkeypatch, capsys, tmp_path, *arguments)
    for words in says:
        assert words in line, line


@pytest.mark.parametrize(
    ("package", "program", "says"), [(None, "dot", 'pip install "cnnlit[pictures]"'), ("found", None, "program dot")]
)
def test_a_picture_says_what_it_lacks(monkeypatch, capsys, tmp_path, package, program, says):
    monkeypatch.setattr(diagram.importlib.util, "find_spec", lambda name: package)
    monkeypatch.setattr(diagram.shutil, "which", lambda name: program)
    line = refusal(monkeypatch, capsys, tmp_path, "picture=network.svg")
    assert "picture=network.svg" in line
    assert says in line


def test_a_picture_is_drawn(monkeypatch, capsys, tmp_path):
    pytest.importorskip("torchview")
    if diagram.shutil.which("dot") is None:
        pytest.skip("no program dot")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["describe.py", "picture=pictures/lenet5.svg"])
    describe.main()
    assert capsys.readouterr().out.startswith("lenet5")
    drawn = (tmp_path / "pictures" / "lenet5.svg").read_text()
    assert "TableConv2d" in drawn
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["lenet5.svg"]


@pytest.mark.parametrize(
    ("arguments", "setting", "first", "second"),
    [
        (["model=resnet20", "against=plain20"], "shortcut", "A", "none"),
        (["model=resnet18", "against=model.activation=tanh"], "activation", "relu", "tanh"),
        (["model=lenet5", "against=model.c3=full"], "c3", "table", "full"),
        (["model=lenet5", "against=model.dropout=0.5"], "dropout", 0.0, 0.5),
    ],
)
def test_what_layers_do_not_show_is_told_by_the_settings(printed, arguments, setting, first, second):
    told = json.loads(printed(*arguments, "format=json"))["difference"]
    assert told["settings"] == {setting: {"first": first, "second": second}}
    assert re.search(rf"{setting} .*{first} .*{second}", printed(*arguments))


def test_the_constants_of_a_papers_training_are_shown_with_who_says_so(printed):
    page = printed("model=alexnet")
    assert re.search(r"initialization +cuda_convnet2 +authors' code", page)
    assert re.search(r"batch_size +128 +paper", page)
    said = json.loads(printed("model=resnet110", "format=json"))["training"]
    assert {"key": "schedule.first_steps", "value": 400, "source": "paper"} in said
    assert json.loads(printed("model=lenet5", "recipe/loss=cross_entropy", "format=json"))["training"] == []
