"""Templates are filled in safely, and wholly."""

import subprocess
import sys

import pytest
from jinja2 import UndefinedError

from cnnlit.reports.html import TEMPLATES, render
from cnnlit.reports.tables import Column, Table


def test_words_are_escaped_wherever_they_stand():
    words = "a<b>&\"c'"
    page = render("description.html", title=words, page=[words, Table(words, [Column(words, [words])])])
    assert words not in page
    assert page.count("a&lt;b&gt;&amp;&#34;c&#39;") == 7


def test_a_value_that_is_not_given_is_an_error_and_not_a_gap():
    with pytest.raises(UndefinedError, match="page"):
        render("description.html", title="no page")


def test_styles_and_script_stand_in_the_page_as_they_are():
    page = render("description.html", title="", page=[])
    for name in ("report.css", "report.js"):
        assert (TEMPLATES / name).read_text() in page


def test_a_table_has_the_papers_numbers_beside_ours_and_its_sums_are_marked():
    columns = [Column("layer", ["c1", "total"]), Column("units", ["4,704", "8,094"], ["4,704", "8,000 [1]"])]
    page = render("description.html", title="", page=[Table("LeNet-5", columns, sums=(1,))])
    assert page.count('<th scope="col" class="number">paper</th>') == 1
    assert '<td class="number agrees">4,704</td>' in page
    assert '<td class="number differs">8,000 [1]</td>' in page
    assert page.index('<tr class="sum">') < page.index(">total<")


@pytest.mark.parametrize("command", ["report", "describe"])
def test_help_does_not_wait_for_the_templates(command):
    program = (
        f"import sys; from cnnlit import {command}; sys.argv = ['{command}.py', '--help']\n"
        f"try: {command}.main()\n"
        "finally: print('jinja2' in sys.modules, file=sys.stderr)\n"
    )
    outcome = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert "python -m cnnlit" in outcome.stdout
    assert outcome.stderr == "False\n"
