"""A frame of a network's page in Chromium: the digit prepared, all layers computed and drawn, with style and layout.

CPU time of the page's thread over frames in which the digit changes, and wall time beside it. Needs Playwright and a
Chromium.
"""

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.startup import child
from benchmarks.timing import Claim, Cost, interleaved, seconds

ROUNDS, FRAMES = 5, 60

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

PAGES = {
    "LeNet-5": ["model=lenet5", "model.weights=MNIST"],
    "CompactNet": ["model=compact", "model.weights=MNIST"],
    "LeNet-5 beside today's": ["model=lenet5", "model.weights=MNIST", "beside=LeNet5.MNIST_MODERN"],
}

DRAW = """async (frames) => {
  for (let at = 0; at < frames; at++) {
    const end = 38 + at % 7;
    cnnlit.pad.showPath(`M42 30C62 12 102 20 94 46C90 60 72 66 62 66C88 64 108 84 92 108C78 126 48 120 ${end} 106`);
    await new Promise(requestAnimationFrame);
  }
}"""


def measure(root: str) -> list[Claim]:
    """The claims about the page; MNIST plays no part."""
    from playwright.sync_api import sync_playwright

    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert browser, f"no browser: none of {', '.join(BROWSERS)}"
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as started:
        for name, words in PAGES.items():
            child(["-m", "cnnlit.export", *words, "format=web", f"to={folder}/{name}"], ends_with=0)
        chromium = started.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        variants = {name: _frames(chromium, Path(folder) / name / "network.html") for name in PAGES}
        costs = interleaved(variants, ROUNDS)
        kilobytes = (Path(folder) / "LeNet-5" / "network.html").stat().st_size / 1000
        chromium.close()
    of_frames = {name: [Cost(1000 * cost.cpu, 1000 * cost.wall) for cost in each] for name, each in costs.items()}
    size = Claim("LeNet-5's page", kilobytes, 600, True, "kB", kilobytes, (kilobytes, kilobytes))
    bounds = {"LeNet-5": 16.0, "CompactNet": 16.0}
    lines = [
        seconds(f"a frame of {name}", of_frames, name, bound=bounds.get(name), per=FRAMES, unit="ms") for name in PAGES
    ]
    return [*lines, size]


def _frames(chromium: Any, page: Path) -> Callable[[], Cost]:
    """A variant: FRAMES frames of a page."""
    tab = chromium.new_page(viewport={"width": 1280, "height": 900})
    tab.goto(page.as_uri())
    session = tab.context.new_cdp_session(tab)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def drawn() -> Cost:
        tab.bring_to_front()
        cpu, wall = _busy(session), time.perf_counter()
        tab.evaluate(DRAW, FRAMES)
        return Cost(_busy(session) - cpu, time.perf_counter() - wall)

    return drawn


def _busy(session: Any) -> float:
    """CPU seconds of the page's thread so far."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return float(next(each["value"] for each in metrics if each["name"] == "TaskDuration"))
