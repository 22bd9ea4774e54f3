"""Tables as notebooks draw them."""

from autoact.core.result_table import ResultTable, to_html


def test_values_are_escaped_wherever_they_stand() -> None:
    evil = "<script>alert('x')</script>"
    table = ResultTable(evil, (evil,), [(evil,)], [evil])
    html = to_html(evil, [table], [evil, ""])
    assert "<script>" not in html and html.count("&lt;script&gt;") == 6
    assert html.count("<p>") == 3  # the verdict, the footnote, the line that is not empty
