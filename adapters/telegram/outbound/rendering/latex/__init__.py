"""LaTeX formulas in one line."""
