"""Pieces of report.html: cards, tables, names."""

import html
from collections.abc import Iterable

from .charts import SERIES


__all__ = ["card", "escaped", "named", "table", "table_row"]


def escaped(value: object) -> str:
    """A value between tags."""
    return html.escape(str(value))


def card(title: str, *parts: str) -> str:
    """A section of the page."""
    return "\n".join([f"<h2>{title}</h2>", '<section class="card">', *parts, "</section>"])


def table(heads: Iterable[str], rows: Iterable[str], *, left: int = 1, kind: str = "") -> str:
    """Rows below their heads, the first columns of text."""
    cells = "".join(f'<th{_left(n < left)}>{head}</th>' for n, head in enumerate(heads))
    return "\n".join([f'<table class="{kind}"><thead><tr>{cells}</tr></thead><tbody>', *rows,
                      "</tbody></table>"])


def table_row(cells: Iterable[str], *, left: int = 1, kind: str = "") -> str:
    """A row of a table, the first cells text."""
    cells = "".join(f"<td{_left(n < left)}>{cell}</td>" for n, cell in enumerate(cells))
    return f'<tr class="{kind}">{cells}</tr>'


def _left(left: bool) -> str:
    return ' class="text name"' if left else ""


def named(name: str, n: int) -> str:
    """A network's name, with its colour."""
    colour = f"var(--series-{n % SERIES + 1})"
    return f'<span class="dot" style="background:{colour}"></span>{escaped(name)}'
