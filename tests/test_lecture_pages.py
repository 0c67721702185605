"""docs/lecture.py: the lecture's pages say what was measured, and their figures come out again."""

import importlib.util
import re
import shlex
import sys
from pathlib import Path

import matplotlib
import pytest
import torch
from runs.made_runs import made_run

import cnnlit

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "lecture"
COMMITTED = sorted(path.stem for path in PAGES.glob("*.md"))
MOST_BYTES = 3_000_000


@pytest.fixture(scope="module")
def lecture():
    """The script as a module, with the modules beside it."""
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        spec = importlib.util.spec_from_file_location("docs_lecture", ROOT / "docs" / "lecture.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(ROOT / "docs"))


@pytest.fixture(scope="module")
def sources(lecture):
    """Neither runs nor images."""
    return lecture.Sources(runs=Path("no runs"), data=Path("no images"))


def drawings(lecture):
    return {drawing.file: drawing for topic in lecture.TOPICS for drawing in topic.drawings}


def test_the_pages_are_what_the_script_writes(lecture):
    written = lecture.pages()
    assert sorted(written) == COMMITTED
    for name, page in written.items():
        assert (PAGES / f"{name}.md").read_text() == page, f"{name}: run `python docs/lecture.py`"


def test_every_page_has_its_figures_described_and_its_neighbours(lecture):
    for topic in lecture.TOPICS:
        page = (PAGES / f"{topic.name}.md").read_text()
        shown = {place: alt for alt, place in re.findall(r"!\[([^\]]*)\]\(([^)]*)\)", page)}
        assert list(shown) == [drawing.file for drawing in topic.drawings]
        assert all(len(alt) > 25 for alt in shown.values())
        for heading in ("## The question, and what answers it", "## What the paper says", "## Try it"):
            assert heading in page
    names = re.findall(r"\]\((\w+)\.md\)", (PAGES / "index.md").read_text())  # docs/conf.py takes the order from there
    assert names == [topic.name for topic in lecture.TOPICS]


@pytest.mark.parametrize("name", COMMITTED)
def test_every_link_leads_somewhere(name):
    for place in re.findall(r"\]\(([^)#]+)", (PAGES / f"{name}.md").read_text()):
        assert (PAGES / place).is_file(), place


def test_a_verdict_is_the_report_s_with_its_interval(lecture):
    found = lecture.results()["distortions_mnist"]["reports"][0]["verdict"]
    told = lecture.verdict("distortions_mnist")
    assert told.startswith("`affine1998 < none` **holds**: ")
    assert re.sub(r"[`*]|\. \(\[.*", "", told) == found["sentence"]
    assert "**no difference larger than 0.10 pp**: " in lecture.verdict("pooling")


def test_training_commands_of_the_pages_are_accepted(lecture):
    lines = [line for name in COMMITTED for line in (PAGES / f"{name}.md").read_text().splitlines()]
    # A folder of the reader's own, and the lists of a sweep, are left out.
    commands = [re.sub(r"\S*<[^>]*>", "", line) for line in lines if line.startswith("    python -m cnnlit.train ")]
    assert len(commands) >= len(lecture.TOPICS)
    for command in commands:
        words = [word for word in shlex.split(command)[3:] if word != "-m" and not re.search(r"=.*[,(]", word)]
        cnnlit.compose(*words)


def test_the_runs_that_are_trained_are_composed(lecture):
    for words in lecture.RUNS.values():
        cnnlit.compose(*words.split())


def test_figures_need_runs_that_are_trained(lecture):
    assert {run for drawing in drawings(lecture).values() for run in drawing.runs} == set(lecture.RUNS)


def test_a_figure_that_needs_neither_runs_nor_images_is_the_committed_one(lecture, sources):
    for drawing in drawings(lecture).values():
        if drawing.runs or drawing.images:
            continue
        same_letters = lecture.facts()["matplotlib"] == matplotlib.__version__
        before = (PAGES / drawing.file).read_bytes() if same_letters else lecture.drawn(drawing, sources)
        assert lecture.drawn(drawing, sources) == before, f"{drawing.file}: run `python docs/lecture.py <runs>`"


@pytest.mark.slow  # MNIST is read and distorted
def test_digits_are_drawn_alike_each_time(lecture, real_mnist):
    sources = lecture.Sources(runs=Path("no runs"), data=real_mnist)
    for file in ("lenet5.png", "distortions.png"):
        drawing = drawings(lecture)[file]
        assert lecture.drawn(drawing, sources) == lecture.drawn(drawing, sources)


def made_curves(folder, runs):
    """Runs as far as curves are drawn from them."""
    for place, run in enumerate(runs):
        (folder / run).mkdir(parents=True)
        lines = ["epoch,step,train/error", *(f"{epoch},{epoch},{0.9 / (epoch + place + 1)}" for epoch in range(3))]
        (folder / run / "metrics.csv").write_text("\n".join(lines) + "\n")


def test_curves_are_drawn_alike_from_the_same_runs_and_differently_from_others(lecture, tmp_path):
    drawing = drawings(lecture)["relu.svg"]
    made_curves(tmp_path / "one", drawing.runs)
    made_curves(tmp_path / "other", reversed(drawing.runs))
    one, again, other = (
        lecture.drawn(drawing, lecture.Sources(tmp_path / runs, tmp_path)) for runs in ("one", "one", "other")
    )
    assert one == again != other


def test_the_bound_of_the_slides_is_met_where_its_condition_is(lecture):
    for each in lecture.counted.reductions():
        if each.reduced_to <= 1 / 3:
            assert each.threes <= lecture.counted.BOUND
    assert [each.module for each in lecture.counted.reductions() if each.threes > lecture.counted.BOUND] == ["3a", "3b"]


def test_a_stack_of_small_filters_sees_as_far_as_the_large_one_that_it_is_held_against(lecture):
    found = [(each.layers, each.field, each.weights, each.single) for each in lecture.counted.stacks()]
    assert found == [(1, 3, 9, 9), (2, 5, 18, 25), (3, 7, 27, 49), (4, 9, 36, 81)]


def test_ten_crops_are_those_of_the_protocol(lecture):
    from cnnlit.data.transforms.evaluation_crops import FiveCrops
    from cnnlit.data.transforms.geometry import Windows

    pixels = torch.randint(256, (2, 3, 64, 64), dtype=torch.uint8)
    made = lecture.photographs.crops(pixels)
    assert made.shape == (2, 10, 3, 56, 56)
    boxes = FiveCrops(pixels=56).views(Windows.whole(torch.tensor([[64, 64]])), 1.0).box
    for crop, (left, top, *_) in zip(made[0, :5], boxes.int().tolist(), strict=True):
        assert torch.equal(crop, pixels[0, :, top : top + 56, left : left + 56])
    assert torch.equal(made[0, 5:], made[0, :5].flip(-1))


def test_the_layers_of_lenet5_are_those_that_it_computes(lecture):
    from cnnlit.models.lenet5 import LeNet5

    network, images = LeNet5().eval(), torch.randn(2, 1, 32, 32)
    outputs = lecture.digits.outputs_of_layers(network, images)
    sizes = {"c1": 4704, "s2": 1176, "c3": 1600, "s4": 400, "c5": 120, "f6": 84, "output": 10}
    assert {name: output[0].numel() for name, output in outputs.items()} == sizes
    assert torch.equal(outputs["output"], network(images))
    c1 = network.activation(network.c1(images))
    assert torch.equal(outputs["c1"], c1)
    assert torch.equal(outputs["s2"], network.squash(network.s2(c1)))


def test_a_run_is_trained_once_and_one_that_was_cut_off_goes_on(lecture, tmp_path, monkeypatch):
    made_run(tmp_path / "relu", seed=0, error=0.1)
    made_run(tmp_path / "alexnet", seed=0, error=0.1, state="interrupted")
    lines = []
    monkeypatch.setattr(lecture.subprocess, "run", lambda words, check: lines.append(words[3:]))
    sources = lecture.Sources(runs=tmp_path, data=Path("images"))
    for run in ("relu", "alexnet", "tanh", "zfnet"):
        lecture.train(run, sources)
    alexnet, tanh, zfnet = lines
    assert alexnet == [f"resume={tmp_path / 'alexnet'}", "data.root=images"]
    assert tanh[:2] == ["experiment=activation", "model.activation=tanh"]
    assert not any(word.startswith("data.root") for word in tanh)  # digits come with scikit-learn
    assert {"model=zfnet", f"hydra.run.dir={tmp_path / 'zfnet'}", "data.root=images"} <= set(zfnet)


def test_figures_are_not_drawn_without_images(lecture, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["lecture.py", str(tmp_path)])
    with pytest.raises(SystemExit) as refused:
        lecture.main()
    assert refused.value.code == 2
    assert (
        capsys.readouterr()
        .err.splitlines()[-1]
        .endswith("add --data <folder with MNIST and ten classes of Tiny ImageNet>")
    )


def test_all_of_it_is_small():
    assert sum(path.stat().st_size for path in PAGES.rglob("*") if path.is_file()) < MOST_BYTES
