# SPDX-License-Identifier: Apache-2.0
"""Reports that are a few tables: Markdown for people, JSON for programs."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from facefactor.export.atomic import write_bytes

Cell = str | int | float


@dataclass(frozen=True)
class Table:
    """Rows under named columns; the first column says what a row is of."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    """Said below it."""


def write_tables(out: Path, title: str, facts: Mapping[str, object], tables: Sequence[Table]) -> None:
    """Write report.md and report.json.

    Args:
        out: folder; made if needed.
        title: of the report.
        facts: what was measured.
        tables: what came of it.

    Raises:
        OutputUnwritable: a file cannot be written.
    """
    content = {"facts": dict(facts), "tables": [asdict(table) for table in tables]}
    write_bytes(out / "report.json", (json.dumps(content, indent=1) + "\n").encode())
    write_bytes(out / "report.md", as_markdown(title, facts, tables).encode())


def as_markdown(title: str, facts: Mapping[str, object], tables: Sequence[Table]) -> str:
    """The report as text."""
    lines = [f"# {title}", "", *(f"- {name}: {value}" for name, value in facts.items())]
    for table in tables:
        lines += ["", f"## {table.title}", "", _line(table.columns), "|---|" + "---:|" * (len(table.columns) - 1)]
        lines += [_line([_text(cell) for cell in row]) for row in table.rows]
        lines += ["", table.note] if table.note else []
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _text(cell: Cell) -> str:
    if isinstance(cell, float):
        return "–" if math.isnan(cell) else f"{cell:.3g}"
    return str(cell)
