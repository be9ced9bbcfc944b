"""Environments of LaTeX with rows and cells: matrices, cases, aligned equations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Environment:
    """How rows are written in one line.

    Attributes:
        opening, closing: brackets around all of it.
        separator: between cells; `""`: they follow each other, and each row has its own line.
        has_columns: an argument describes the columns.
    """

    opening: str = ""
    closing: str = ""
    separator: str = ""
    has_columns: bool = False


_LINES = Environment()
ENVIRONMENTS = {
    "matrix": Environment("[", "]", ", "),
    "smallmatrix": Environment("[", "]", ", "),
    "pmatrix": Environment("(", ")", ", "),
    "bmatrix": Environment("[", "]", ", "),
    "Bmatrix": Environment("{", "}", ", "),
    "vmatrix": Environment("|", "|", ", "),
    "Vmatrix": Environment("‖", "‖", ", "),
    "array": Environment("[", "]", ", ", has_columns=True),
    "cases": Environment("{ ", " }", ", "),
    "dcases": Environment("{ ", " }", ", "),
    "aligned": _LINES,
    "align": _LINES,
    "alignedat": Environment(has_columns=True),
    "split": _LINES,
    "gather": _LINES,
    "gathered": _LINES,
    "equation": _LINES,
    "multline": _LINES,
    "eqnarray": _LINES,
}


def rows_text(rows: Sequence[Sequence[str]], kind: Environment) -> str:
    """The rows: of a matrix `(a, b; c, d)`."""
    filled = [row for row in rows if any(row)]
    if not kind.separator:
        return "\n".join(" ".join(cell for cell in row if cell) for row in filled)
    inside = "; ".join(kind.separator.join(row).rstrip(", ") for row in filled)
    return f"{kind.opening}{inside}{kind.closing}"
