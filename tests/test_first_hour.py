"""A newcomer's hour: README.md's own lines in their order, and the lines that these print as what comes next."""

import re
import shlex
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import as_typed
import pytest
from drawn_sevens import draw_seven

README = (as_typed.ROOT / "README.md").read_text(encoding="utf-8")
LONGEST_SECONDS = 900


def block(heading: str) -> list[list[str]]:
    """The words of each line in the first shell block below a heading."""
    (text,) = re.findall(rf"^## {heading}\n.*?^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)[:1]
    return [words for line in text.splitlines() if (words := shlex.split(line, comments=True))]


class Newcomer:
    """Somebody with a Python of their own, in an empty folder.

    Args:
        folder: where all is typed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "work"
        self.folder.mkdir()
        subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
        self.python = str(folder / "venv" / "bin" / "python")
        # What cnnlit is built on is that of the test's own Python.
        asks = "import sysconfig; print(sysconfig.get_path('purelib'))"
        site = subprocess.run([self.python, "-c", asks], capture_output=True, text=True, check=True).stdout.strip()
        Path(site, "host.pth").write_text(sysconfig.get_path("purelib"))
        self.environment = as_typed.environment(HOME=str(folder))
        del self.environment["PYTHONPATH"]

    def start(self, words: list[str]) -> "subprocess.Popen[str]":
        assert words[0] == "python", words
        return subprocess.Popen(
            [self.python, *words[1:]], cwd=self.folder, env=self.environment, text=True, stdout=-1, stderr=-1
        )

    def types(self, words: list[str]) -> tuple[str, str]:
        """Stdout and stderr of a line that has to succeed."""
        process = self.start(words)
        out, err = process.communicate(timeout=LONGEST_SECONDS)
        assert process.returncode == 0, (words, out, err)
        return out, err

    def types_and_presses_ctrl_c(self, words: list[str], after: str) -> tuple[int, str]:
        """The exit code and stderr of a line that is interrupted once it has said something."""
        process = self.start(words)
        assert process.stderr
        said = ""
        for line in process.stderr:
            said += line
            if after in line:
                process.send_signal(signal.SIGINT)
        return process.wait(), said


def printed(text: str, command: str) -> list[str]:
    """The words of the last line that names a command as what can be typed."""
    lines = [line for line in text.splitlines() if f"python -m cnnlit.{command}" in line]
    return shlex.split(lines[-1][lines[-1].index("python -m") :])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent as a signal")
def test_the_first_hour_goes_by_the_readme_and_by_what_is_printed(tmp_path: Path) -> None:
    newcomer = Newcomer(tmp_path)
    install, train = block("Two commands")
    assert install == ["pip", "install", "."]
    # Without the network, and from the tree; what is built there is what a newcomer installs.
    quiet = ("--quiet", "--no-deps", "--no-build-isolation")
    newcomer.types(["python", "-m", *install[:2], *quiet, str(as_typed.ROOT)])
    assert "site-packages" in newcomer.types(["python", "-c", "import cnnlit; print(cnnlit.__file__)"])[0]
    predict, export, ablation, report, describe = block("You are learning")

    code, said = newcomer.types_and_presses_ctrl_c(train, after="epoch 2/")
    assert code == 128 + signal.SIGINT
    assert said.splitlines()[-1].startswith("cnnlit: Ctrl-C; this goes on with the run: ")
    _, after = newcomer.types(printed(said, "train"))
    assert "epoch 20/20" in after
    assert "epoch 1/" not in after

    draw_seven(newcomer.folder / "digit.png")
    assert re.search(r"digit\.png.*\b7\b", newcomer.types(predict)[0])
    newcomer.types(export)
    assert "<canvas" in (newcomer.folder / "page" / "network.html").read_text(encoding="utf-8")
    assert "340,908" in newcomer.types(describe)[0]
    own = [word.replace("<file or folder>", "digit.png") for word in printed_with_blank(after)]
    assert "digit.png" in newcomer.types(own)[0]
    page = newcomer.types(printed(after, "report"))[0].splitlines()[-1]
    assert "<html" in (newcomer.folder / page).read_text(encoding="utf-8")

    _, after = newcomer.types(ablation)
    pages = [newcomer.types(words)[0].splitlines()[-1] for words in (printed(after, "report"), report)]
    for page in pages:
        text = (newcomer.folder / page).read_text(encoding="utf-8")
        assert "average" in text
        assert "<svg" in text


def printed_with_blank(text: str) -> list[str]:
    """The words of the line that asks a run, with what is to be filled in as one word."""
    (line,) = [line for line in text.splitlines() if "python -m cnnlit.predict" in line]
    return shlex.split(re.sub(r"(\S*<.*>)", r"'\1'", line[line.index("python -m") :]))
