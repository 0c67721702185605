"""Somebody draws on the page of a network: with a mouse, a finger and the keyboard, at the width of either device."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from as_typed import here
from exports.web.pages import MNIST, browser, opened

SEVEN = [(0.28, 0.2), (0.5, 0.2), (0.72, 0.2), (0.62, 0.45), (0.5, 0.65), (0.44, 0.85)]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    done = here(folder, "export", "model=lenet5", "model.weights=MNIST", "format=web", "to=out")
    assert done.returncode == 0, done.stderr
    return folder / "out" / "network.html"


def _places(tab: Any) -> list[tuple[float, float]]:
    box = tab.locator("#pad").bounding_box()
    return [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in SEVEN]


def _answer(tab: Any) -> str:
    tab.wait_for_timeout(400)  # the pen rests
    return str(tab.locator(".answer b").inner_text())


@pytest.mark.parametrize("width", [390, 1280])
def test_a_mouse_draws(chromium: Any, page: Path, width: int) -> None:
    with opened(chromium, page, width) as tab:
        tab.locator("#clear").click()
        assert _answer(tab) == "·"
        (x, y), *rest = _places(tab)
        tab.mouse.move(x, y)
        tab.mouse.down()
        for x, y in rest:
            tab.mouse.move(x, y, steps=4)
        assert tab.locator(".answer b").inner_text() != "·", "the layers follow while the pen moves"
        tab.mouse.up()
        assert _answer(tab) == "7"
        assert tab.locator("#said").inner_text().startswith("LeNet-5 says 7: distance ")


@pytest.mark.parametrize("width", [390, 1280])
def test_a_finger_draws_and_the_page_stays(chromium: Any, page: Path, width: int) -> None:
    with opened(chromium, page, width, has_touch=True, is_mobile=width == 390) as tab:
        tab.locator("#clear").tap()
        session = tab.context.new_cdp_session(tab)
        places = [{"x": x, "y": y} for x, y in _places(tab)]
        touch = lambda kind, *points: session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})  # noqa: E731
        touch("touchStart", places[0])
        for place in places[1:]:
            touch("touchMove", place)
        touch("touchEnd")
        assert _answer(tab) == "7"
        assert tab.evaluate("scrollY") == 0


def test_the_keyboard_draws_and_takes_back(chromium: Any, page: Path) -> None:
    with opened(chromium, page) as tab:
        tab.locator("#clear").click()
        tab.locator("#pad").focus()
        for key, times in (("ArrowUp", 8), (" ", 1), ("ArrowDown", 16), (" ", 1)):
            for _ in range(times):
                tab.keyboard.press(key)
        assert _answer(tab) == "1"
        tab.keyboard.press("Backspace")
        assert _answer(tab) == "·"
        assert tab.locator("#said").inner_text() == "Nothing is drawn."


def test_every_control_is_reached_by_the_keyboard_and_has_a_name(chromium: Any, page: Path) -> None:
    names = """() => { const e = document.activeElement; return [e.id || e.className || e.name || e.tagName,
        e.getAttribute('aria-label') || e.labels?.[0]?.textContent || e.textContent.trim()]; }"""
    with opened(chromium, page) as tab:
        reached = {}
        for _ in range(60):
            tab.keyboard.press("Tab")
            name, label = tab.evaluate(names)
            reached[f"{name} {label}"] = label
        assert all(reached.values())
        layers = ["C3: 16 maps of 10 by 10; convolution 5 \u00d7 5", "F6: 84 units; sees all before"]
        wanted = ["pad Sheet to draw on", "clear Clear", "undo Undo", "slider-shear Shear", "random At random"]
        wanted += [f"field {layer}" for layer in layers]
        assert [each for each in wanted if each not in reached] == []


def test_a_chosen_map_tells_what_it_is_connected_to(chromium: Any, page: Path) -> None:
    """Map 4 of C3 sees maps 0, 4 and 5 of S2 by the paper's Table I."""
    with opened(chromium, page, 390, has_touch=True, is_mobile=True) as tab:
        field = tab.locator(".field[aria-label^=C3]")
        field.focus()
        for key in ("ArrowRight",) * 4 + ("Enter",):
            tab.keyboard.press(key)
        active = field.get_attribute("aria-activedescendant")
        assert tab.locator(f"#{active}").inner_text() == "C3, map 4: sees maps 0, 4 and 5 of S2"
        assert tab.locator(f"#{active}").get_attribute("aria-selected") == "true"
        assert tab.locator(".connections li").all_inner_texts() == ["S2 0", "S2 4", "S2 5"]
        assert tab.locator(".table-1 td.is").all_inner_texts() == ["\u00d7", "", "", "", "\u00d7", "\u00d7"]
        assert tab.locator(".field[aria-label^=S2] .marks .seen").count() == 3
        tab.keyboard.press("Escape")
        assert tab.locator(".detail").count() == 0


@pytest.mark.parametrize("width", [390, 1280])
def test_two_networks_follow_the_same_pen(chromium: Any, width: int, tmp_path: Path) -> None:
    words = ["model=lenet5", "model.weights=MNIST", "beside=CompactNet.MNIST", "format=web", "to=out"]
    assert here(tmp_path, "export", *words).returncode == 0
    with opened(chromium, tmp_path / "out" / "network.html", width) as tab:
        for digit in range(10):
            tab.locator("#plain button").nth(digit).click()
            tab.wait_for_timeout(400)
            assert tab.locator(".answer b").all_inner_texts() == [str(digit)] * 2
        assert tab.locator("h1").inner_text().startswith("LeNet-5 and CompactNet")
        assert tab.locator("#said").inner_text().count("says 9") == 2


@pytest.mark.skipif(MNIST is None, reason="MNIST is not at ../shared/data")
def test_a_hard_test_image_is_shown_as_it_is_with_its_label(chromium: Any, tmp_path: Path) -> None:
    words = ["model=lenet5", "model.weights=MNIST", "format=web", "pictures=3", f"data.root={MNIST}", "to=out"]
    assert here(tmp_path, "export", *words).returncode == 0
    with opened(chromium, tmp_path / "out" / "network.html") as tab:
        tab.locator("#pictures button").first.click()
        answer, label = _answer(tab), tab.evaluate("cnnlit.page.pictures[0].label")
        assert answer != label, "of 60 errors, the hardest is one"
        assert tab.locator("#said").inner_text().endswith(f"; its label is {label}.")


def test_sliders_have_the_ranges_of_1998_and_change_what_the_network_sees(chromium: Any, page: Path) -> None:
    seen = "[...cnnlit.networks[0].input]"
    with opened(chromium, page) as tab:
        before = tab.evaluate(seen)
        slider = tab.locator("#slider-right")
        assert [slider.get_attribute(each) for each in ("min", "max")] == ["-2", "2"]
        slider.press("ArrowRight")
        tab.wait_for_timeout(100)
        assert slider.get_attribute("aria-valuetext") == "0.10 px"
        assert tab.evaluate(seen) != before
        tab.locator("#neutral").click()
        tab.wait_for_timeout(100)
        assert tab.evaluate(seen) == before


def test_colours_follow_the_system_and_the_switch(chromium: Any, page: Path) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    with opened(chromium, page, color_scheme="dark") as tab:
        dark = tab.evaluate(ground)
        tab.get_by_text("Light", exact=True).click()
        assert tab.evaluate(ground) != dark
        tab.get_by_text("Auto", exact=True).click()
        assert tab.evaluate(ground) == dark
        tab.emulate_media(color_scheme="light")
        assert tab.evaluate(ground) != dark
