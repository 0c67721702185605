"""What a user installs and a contributor relies on: the wheel, the versions, the README on PyPI, the workflows."""

import ast
import email
import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import markdown_pages
import pytest
import yaml
from packaging.requirements import Requirement

from cnnlit import __version__

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("*.whl")
    return zipfile.ZipFile(wheel)


@pytest.fixture(scope="module")
def packed(wheel):
    """The names of the files in the wheel."""
    return set(wheel.namelist())


def below(folder, pattern):
    return {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob(pattern)}


def test_the_wheel_holds_the_modules_and_their_types(packed):
    assert below("cnnlit", "*.py") | {"cnnlit/py.typed"} <= packed


def test_the_wheel_holds_the_configuration(packed):
    assert {f"cnnlit/{path}" for path in below("conf", "*.yaml")} <= packed


def test_the_wheel_holds_trained_weights(packed):
    assert below("cnnlit", "*.safetensors") <= packed


def test_the_wheel_holds_hydras_plugins_and_leaves_their_namespace_open(packed):
    assert below("hydra_plugins", "*.py") <= packed
    assert "hydra_plugins/__init__.py" not in packed  # it would hide the launchers of other packages


def test_the_wheel_holds_nothing_else(packed):
    tops = {name.partition("/")[0] for name in packed}
    assert {top for top in tops if not top.endswith(".dist-info")} <= {"cnnlit", "hydra_plugins"}


def test_changelog_and_citation_agree_with_the_version():
    """Between releases the package is ahead of both: the changelog is open, the citation names what was released."""
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"
    cited = yaml.load((ROOT / "CITATION.cff").read_text(), yaml.BaseLoader)["version"]
    assert cited == headings[1]
    assert __version__ == headings[1] or re.fullmatch(r"\d+\.\d+\.\d+\.dev\d+", __version__)
    assert as_numbers(__version__) >= as_numbers(headings[1])


def as_numbers(version):
    return [int(number) for number in version.split(".")[:3]]


def test_the_changelog_links_each_version():
    text = (ROOT / "CHANGELOG.md").read_text()
    assert re.findall(r"^## \[(.+?)\]", text, re.MULTILINE) == re.findall(r"^\[(.+?)\]: http", text, re.MULTILINE)


def test_the_readmes_images_show_on_pypi():
    text = (ROOT / "README.md").read_text()
    images = re.findall(r"!\[[^]]*\]\(([^)]+)\)|<img[^>]+src=[\"']?([^\"' >]+)", text)
    assert images
    raw = "https://raw.githubusercontent.com/cnnlit/cnnlit/main/"
    for image in map("".join, images):
        assert image.startswith(raw)
        assert (ROOT / image.removeprefix(raw)).is_file(), image


def test_the_readmes_links_lead_somewhere_on_pypi(wheel):
    """There is no repository around it, so all of them are whole; tests/test_docs_links.py follows them."""
    (name,) = (each for each in wheel.namelist() if each.endswith(".dist-info/METADATA"))
    metadata = email.message_from_bytes(wheel.read(name))
    assert metadata["Description-Content-Type"] == "text/markdown"
    readme = ROOT / "README.md"
    assert metadata.get_payload(decode=True).decode().strip() == readme.read_text().strip()
    assert all(link.startswith("https://") for link in markdown_pages.links(readme))


def test_every_extra_that_is_named_exists():
    files = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "Makefile"]
    files += [path for folder in ("cnnlit", "conf", "docs", "benchmarks") for path in (ROOT / folder).rglob("*.*")]
    texts = [path.read_text() for path in files if path.is_file() and path.suffix in {".py", ".yaml", ".md", ""}]
    named = {extra for text in texts for extra in re.findall(r"(?:cnnlit|'\.)\[(\w[\w,]*)\]", text)}
    assert {"dashboard", "optuna", "test"} <= named
    assert {extra for each in named for extra in each.split(",")} <= PROJECT["optional-dependencies"].keys()


def test_every_module_that_is_imported_is_a_dependency():
    """What comes with another package today need not come with it tomorrow."""
    of_module = {"hydra": "hydra-core", "PIL": "pillow", "sklearn": "scikit-learn", "yaml": "pyyaml"}
    extras = [line for lines in PROJECT["optional-dependencies"].values() for line in lines]
    known = {re.split(r"[\[<>=]", line)[0].lower() for line in [*PROJECT["dependencies"], *extras]}
    for path in (ROOT / "cnnlit").rglob("*.py"):
        for module in imported(path):
            if module not in {"cnnlit", "hydra_plugins", *sys.stdlib_module_names}:
                assert of_module.get(module, module).replace("_", "-").lower() in known, f"{path.name}: {module}"


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def test_every_dependency_has_a_lower_bound():
    """Without one, `make check-lowest` would try the first version that was ever published."""
    extras = [line for lines in PROJECT["optional-dependencies"].values() for line in lines]
    assert not [line for line in [*PROJECT["dependencies"], *extras] if ">=" not in line and "cnnlit[" not in line]


def test_the_quick_part_of_the_suite_is_there():
    (quick,) = re.findall(r"^QUICK := ((?:.*\\\n)*.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for path in quick.replace("\\\n", " ").split():
        assert (ROOT / path).exists(), path


def test_the_workflows_are_valid_and_ask_for_no_more_than_they_need():
    zizmor = shutil.which("zizmor", path=Path(sys.executable).parent) or shutil.which("zizmor")
    if zizmor is None:
        pytest.skip("zizmor is not installed")
    outcome = subprocess.run(
        [zizmor, "--offline", "--strict-collection", "--collect=workflows", "--collect=dependabot", "."],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_the_workflows_try_what_the_classifiers_promise():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yml").read_text())
    matrix = workflow["jobs"]["suite"]["strategy"]["matrix"]
    promised = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if re.search(r"Python :: 3\.\d", line)]
    assert matrix["python"] == promised
    assert {"ubuntu-latest", "macos-latest"} <= set(matrix["os"])


@pytest.mark.parametrize("form", [form for form in FORMS if form.stem != "config"], ids=lambda path: path.stem)
def test_a_form_is_as_github_wants_it(form):
    """GitHub shows no form, and no error either, where one is wrong."""
    content = yaml.safe_load(form.read_text())
    assert {"name", "description", "body"} <= content.keys() <= {"name", "description", "body", "labels", "title"}
    fields = [each for each in content["body"] if each["type"] != "markdown"]
    assert fields
    for field in fields:
        assert field.keys() <= {"type", "id", "attributes", "validations"}
        assert field["type"] in {"textarea", "input", "dropdown", "checkboxes"}
        assert field["attributes"]["label"]
    assert len({field["id"] for field in fields}) == len(fields)


def test_the_constraints_are_names_and_versions_within_the_bounds():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line) for line in pins)
    known = dict(line.split("==") for line in pins)
    extras = [line for lines in PROJECT["optional-dependencies"].values() for line in lines]
    bounds = [Requirement(line) for line in [*PROJECT["dependencies"], *extras]]
    assert {Requirement(line).name for line in PROJECT["dependencies"]} <= known.keys()
    assert known.keys() <= {each.name.lower() for each in bounds}
    for each in bounds:
        pinned = known.get(each.name.lower())
        assert pinned is None or each.specifier.contains(pinned), each


def test_the_container_makes_what_make_knows():
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    makefile = (ROOT / "Makefile").read_text()
    made = re.findall(r"make (\S+)", container["postCreateCommand"])
    assert made
    assert all(f"\n{target.replace('.venv', '$(VENV)')}:" in makefile for target in made)
