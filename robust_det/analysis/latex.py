r"""Tables of a comparison for a paper: LaTeX with booktabs, one ``table`` each.

The preamble that they need, with pdfLaTeX and any class:

    \usepackage[T1]{fontenc}
    \usepackage{textcomp,booktabs,graphicx}
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from tabulate import DataRow, Line, TableFormat, tabulate

from robust_det.core.errors import counted

__all__ = ["TEX_NAME", "PaperTable", "escape_latex", "latex_text"]

TEX_NAME = "tables.tex"
# as wide as it is, or as a line of the page if that is less
_FITTED = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
_HEAD = r"""% Preamble: \usepackage[T1]{fontenc}
%           \usepackage{textcomp,booktabs,graphicx}
% Then: \input{tables}, or any of the tables below by itself."""

_ROW = DataRow("", " & ", r" \\")
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    **{sign: f"\\{sign}" for sign in "&%$#_"},
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
    # a row may begin with these, and the \\ before it would take them for its own
    "[": "{[}",
    "*": "{*}",
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "œ": r"\oe{}",
    "Œ": r"\OE{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
    "—": "---",
    "–": "--",
    "…": r"\dots{}",
    "“": "``",
    "”": "''",
    "’": "'",
    "°": r"\textdegree{}",
    **{
        sign: f"$\\{name}$"
        for sign, name in {
            "±": "pm",
            "×": "times",
            "·": "cdot",
            "≤": "leq",
            "≥": "geq",
            "≈": "approx",
            "→": "rightarrow",
            "∞": "infty",
            "α": "alpha",
            "β": "beta",
            "γ": "gamma",
            "δ": "delta",
            "ε": "varepsilon",
            "λ": "lambda",
            "μ": "mu",
            "µ": "mu",
            "σ": "sigma",
            "Δ": "Delta",
        }.items()
    },
    "−": "$-$",
    "²": "$^2$",
}
# of a letter: the mark that Unicode has beside it
_ACCENTS = {
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0304": "=",
    "\u0306": "u",
    "\u0307": ".",
    "\u0308": '"',
    "\u030a": "r",
    "\u030b": "H",
    "\u030c": "v",
    "\u0327": "c",
    "\u0328": "k",
}
# between two signs that would become one
_LIGATURE = re.compile(r"(?<=-)(?=-)|(?<=,)(?=,)")


@dataclass(frozen=True)
class PaperTable:
    """A table with what its caption says.

    Attributes:
        title: what it is of.
        headers, rows: the cells, as the terminal has them.
        names: how many columns, from the left, hold names; the rest are numbers.
        numbers: of how many each figure is, as far as is known one a row.
        unit: what is counted, such as ``seed``.
        how: what a figure and its interval are, in sentences.
    """

    title: str
    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    names: int
    numbers: Sequence[int]
    unit: str
    how: str

    @property
    def caption(self) -> str:
        """What it is of, of how many a figure is, and what its interval is."""
        low, high = min(self.numbers), max(self.numbers)
        number = counted(high, self.unit)
        n = number if low == high else f"{low:,} to {number}"
        return f"{self.title}. Of n = {n}. {self.how}"


def escape_latex(text: str) -> str:
    r"""Return a text as LaTeX that shows it, in T1.

    A character that pdfLaTeX has no sign for by the documented preamble, such as a Chinese one, is
    shown by its number, as ``\texttt{U+4E2D}``.
    """
    plain = " ".join(unicodedata.normalize("NFC", text).split())
    return "{}".join("".join(map(_escaped, part)) for part in _LIGATURE.split(plain))


def _escaped(one: str) -> str:
    if one in _SPECIAL:
        return _SPECIAL[one]
    if one.isascii() and one.isprintable():
        return one
    parts = unicodedata.normalize("NFD", one)
    letter, marks = parts[0], parts[1:]
    if letter.isascii() and marks in _ACCENTS:
        return f"\\{_ACCENTS[marks]}{{{letter}}}"
    return f"\\texttt{{U+{ord(one):04X}}}"


def latex_text(tables: Sequence[PaperTable]) -> str:
    r"""Return tables as LaTeX, each a float with its caption and a label ``tab:NAME``."""
    labels: dict[str, int] = {}
    parts = [_HEAD]
    for one in tables:
        name = re.sub(r"[^a-z0-9]+", "-", one.title.lower()).strip("-")[:60] or "table"
        labels[name] = labels.get(name, 0) + 1
        parts.append(_float(one, name if labels[name] == 1 else f"{name}-{labels[name]}"))
    return "\n\n".join(parts) + "\n"


def _float(one: PaperTable, label: str) -> str:
    return "\n".join(
        [
            r"\begin{table}[htbp]",
            r"\centering",
            rf"\caption{{{escape_latex(one.caption)}}}",
            rf"\label{{tab:{label}}}",
            r"\smallskip",
            _FITTED,
            _tabular(one),
            "}",
            r"\end{table}",
        ]
    )


def _tabular(one: PaperTable) -> str:
    letters = "l" * one.names + "r" * (len(one.headers) - one.names)
    begin = f"\\begin{{tabular}}{{{letters}}}\n\\toprule"
    style = TableFormat(
        lineabove=Line(begin, "", "", ""),
        linebelowheader=Line(r"\midrule", "", "", ""),
        linebetweenrows=None,
        linebelow=Line("\\bottomrule\n\\end{tabular}", "", "", ""),
        headerrow=_ROW,
        datarow=_ROW,
        padding=1,
        with_header_hide=None,
    )
    return tabulate(
        [[escape_latex(cell) for cell in row] for row in one.rows],
        headers=[escape_latex(cell) for cell in one.headers],
        tablefmt=style,
        disable_numparse=True,
    )
