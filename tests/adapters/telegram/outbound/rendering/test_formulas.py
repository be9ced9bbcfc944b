r"""Formulas: written in one line without a change of their meaning, or shown as code."""

from __future__ import annotations

import pytest

from adapters.telegram.outbound.entities import Entity, Formatted, render
from adapters.telegram.outbound.rendering.latex.parts import UnknownLatex
from adapters.telegram.outbound.rendering.latex.reader import to_line
from tests.adapters.telegram.outbound.rendering.looks import looks

LINES = [
    (r"\dfrac{1}{2a}", "1/(2a)"),
    (r"\frac{1}{2a}", "1/(2a)"),
    (r"a/\frac{b}{c}", "a/(b/c)"),
    (r"\frac{a}{b}/c", "(a/b)/c"),
    (r"\frac12a", "(1/2)a"),
    (r"\frac{1}{2} x", "(1/2) x"),
    (r"\frac{a+b}{c}", "(a+b)/c"),
    (r"\frac{\frac{a}{b}}{c}", "(a/b)/c"),
    (r"\frac{a}{b}^2", "(a/b)^2"),
    (r"\left(\frac{a}{b}\right)^2", "(a/b)^2"),
    (r"\sin\frac{x}{2}", "sin(x/2)"),
    (r"x = \frac{-b \pm \sqrt{b^2-4ac}}{2a}", "x = (-b ± √(b^2-4ac))/(2a)"),
    (r"{a+b}^2", "(a+b)^2"),
    (r"x^{n+1}y", "x^(n+1) y"),
    (r"x^2y", "x^2 y"),
    (r"x_12", "x_1 2"),
    (r"a_{ij}", "a_(ij)"),
    (r"2^{2^x}", "2^(2^x)"),
    (r"e^{-x}", "e^(-x)"),
    (r"90^\circ", "90°"),
    (r"\sqrt{2}x", "√2 x"),
    (r"\sqrt{2x}", "√(2x)"),
    (r"\sqrt[3]{x}", "∛x"),
    (r"\sqrt[n]{x+1}", "(x+1)^(1/n)"),
    (r"\ce{H2SO4}", "H2SO4"),
    (r"\ce{2H2 + O2 -> 2H2O}", "2H2 + O2 → 2H2O"),
    (r"\sum_{i=1}^{n} i^2", "∑_(i=1)^n i^2"),
    (r"\int_0^1 x\,dx", "∫_0^1 x dx"),
    (r"\binom{n}{k}", "(n choose k)"),
    (r"\begin{pmatrix} a & b \\ c & d \end{pmatrix}", "(a, b; c, d)"),
    (r"\begin{cases} x & x>0 \\ 0 & x=0 \end{cases}", "{ x, x>0; 0, x=0 }"),
    (r"a \not\in B", "a ∉ B"),
    (r"\mathbb{R}^n", "ℝ^n"),
    (r"2\sin x\cos y", "2 sin x cos y"),
    (r"\text{speed} = \frac{\text{way}}{\text{time}}", "speed = way/time"),
    (r"f'(x)", "f′(x)"),
    (r"a \equiv b \pmod{n}", "a ≡ b (mod n)"),
]


@pytest.mark.parametrize(("tex", "line"), LINES)
def test_a_formula_in_one_line_keeps_its_meaning(tex: str, line: str) -> None:
    """T9: brackets wherever a fraction, a root or a script would take in too little or too much."""
    assert to_line(tex) == line
    assert render(f"so ${tex}$ holds").text == f"so {line} holds"


@pytest.mark.parametrize(
    "tex",
    [
        r"\foo{x}",
        r"\underbrace{x}_{y}",
        r"\frac{1}",
        r"\sqrt{",
        r"a & b",
        r"\hat{ab}",
        r"\not x y \foo",
    ],
)
def test_a_formula_that_cannot_be_written_in_one_line_is_shown_as_code(tex: str) -> None:
    """T9: its source, rather than another meaning."""
    with pytest.raises(UnknownLatex):
        to_line(tex)
    formatted = render(f"so $${tex}$$ holds")
    assert formatted.text == f"so {tex} holds" or formatted.text == f"so $${tex}$$ holds"


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("Let $n$ be even.", "Let n be even."),
        ("with $a_{ij}$ and $n+1$", "with a_(ij) and n+1"),
        ("$$\n\\frac{1}{2}\n$$", "1/2"),
        ("So:\n\n$$\nx = 1\n$$\n\nand", "So:\n\nx = 1\n\nand"),
        ("> $$\n> x = 1\n> $$", "x = 1"),
        ("- $$\n  x = 1\n  $$", "• x = 1"),
        (r"\( n \) and \[ x = 1 \]", "n and x = 1"),
        ("# The $n$-th", "The n-th"),
        ("**bold $x^2$**", "bold x^2"),
        ("[see $n$](https://e.example)", "see n"),
        ("angle $ABC$ is $90^\\circ$", "angle ABC is 90°"),
        (r"$|x| < \epsilon$, $\{1,2\}$", "|x| < ϵ, {1,2}"),
        ("$$\\begin{aligned} a &= b \\\\ c &= d \\end{aligned}$$", "a = b\nc = d"),
    ],
)
def test_a_formula_does_not_stay_raw(markdown: str, text: str) -> None:
    """T9: single letters, scripts and formulas of several lines."""
    assert render(markdown).text == text


@pytest.mark.parametrize(
    "text",
    [
        "set $PATH:$HOME first",
        "$$ is the shell and $$ too",
        "from $5/$10 up",
        "$A:$B:$C:$D",
        "it costs $5 or 6$",
        "between $5 and $10",
        "5$ and 6$ more",
        "US$ and A$",
        "$name is $value",
        "template $NAME_OF_IT$ here",
        "echo $HOME/$USER",
    ],
)
def test_dollars_of_prices_and_variables_stay(text: str) -> None:
    assert render(text) == Formatted(text)


def test_brackets_that_were_escaped_are_brackets() -> None:
    assert render(r"see \[1\] and \(see below\), \(5\)").text == "see [1] and (see below), (5)"


@pytest.mark.parametrize("formula", ["$n$", r"\(x^2\)", "$$x = 1$$", "`$n$"])
def test_a_formula_within_code_is_left_alone(formula: str) -> None:
    assert render(f"`` {formula} ``") == Formatted(formula, (Entity("code", 0, len(formula)),))
    assert looks(f"```sh\necho {formula}\n```") == [("pre", f"echo {formula}")]
    assert looks(f"~~~\na $b_1\n~~~\nand ~~~ {formula}")[0] == ("pre", "a $b_1")


@pytest.mark.parametrize(
    "tex",
    [
        r"\frac{" * 300 + "x" + "}{2}" * 300,
        r"\sqrt" * 700 + "2",
        "{" * 1_500 + "x^2" + "}" * 1_500,
        r"\substack{" * 300 + "x" + "}" * 300,
        r"\begin{matrix}" * 100 + "x" + r"\end{matrix}" * 100,
        "x" + "^{x" * 900 + "}" * 900,
    ],
)
def test_a_deep_formula_ends_as_code(tex: str) -> None:
    assert looks(f"$${tex}$$") == [("code", tex)]
