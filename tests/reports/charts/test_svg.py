"""SVG is put together safely."""

from cnnlit.reports.charts.svg import tag


def test_text_and_attributes_are_escaped_and_elements_are_not() -> None:
    inner = tag("tspan", "a & <b>")
    assert tag("text", inner, aria_label='"x" & y') == (
        '<text aria-label="&#34;x&#34; &amp; y"><tspan>a &amp; &lt;b&gt;</tspan></text>'
    )


def test_names_of_attributes_are_those_of_svg() -> None:
    assert (
        tag("line", class_="grid", stroke_width=1 / 3, x1=None) == '<line class="grid" stroke-width="0.33333"></line>'
    )
