"""Results as tables of text: the terminal, Markdown files and notebooks draw the same cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple


class ResultTable(NamedTuple):
    """Cells as text.

    Attributes:
        title: says what was compared, on what.
        columns: headings with their units.
        rows: one list of cells per row.
        footnotes: how to read it.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    footnotes: Sequence[str] = ()


def number(value: float | None, digits: int = 4) -> str:
    """A number for people: four decimals or significant digits, a dash where there is none.

    Example:
        >>> number(0.85712), number(1.0), number(68532.4), number(0.0475, 3), number(None)
        ('0.8571', '1.0000', '68,532', '0.0475', '-')
    """
    if value is None:
        return "-"
    if digits == 4 and 0.1 <= abs(value) < 10:
        return f"{value:.4f}"
    return f"{value:,.0f}" if abs(value) >= 10 ** min(digits, 4) else f"{value:.{digits}g}"


def short(value: float) -> str:
    """A number in a sentence: four significant digits, and no exponent from 1,000 on.

    Example:
        >>> short(0.85712), short(3167.2)
        ('0.8571', '3,167')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def to_html(verdict: str, tables: Iterable[ResultTable] = (), lines: Iterable[str] = ()) -> str:
    """A result as a notebook shows it: the verdict, plain tables, then a paragraph for each line that is not empty.

    Values are escaped.

    Example:
        >>> to_html("a < b", [ResultTable("t", ["x, ms"], [["1"]])])
        '<div><p><strong>a &lt; b</strong></p><table><caption>t</caption>...<td>1</td></tr></tbody></table></div>'
    """
    parts = [f"<p><strong>{escape(verdict)}</strong></p>"]
    for table in tables:
        body = "".join(f"<tr>{_cells('td', row)}</tr>" for row in table.rows)
        parts.append(
            f"<table><caption>{escape(table.title)}</caption><thead><tr>{_cells('th', table.columns)}</tr></thead>"
            f"<tbody>{body}</tbody></table>"
        )
        parts += [f"<p>{escape(line)}</p>" for line in table.footnotes]
    parts += [f"<p>{escape(line)}</p>" for line in lines if line]
    return f"<div>{''.join(parts)}</div>"


def _cells(tag: str, texts: Iterable[str]) -> str:
    return "".join(f"<{tag}>{escape(text)}</{tag}>" for text in texts)
