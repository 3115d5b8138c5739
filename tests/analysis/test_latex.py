"""Tables for a paper: what LaTeX makes of any name, and that all of a comparison is there."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from robust_det.analysis.compare import compare
from robust_det.analysis.latex import PaperTable, latex_text
from robust_det.analysis.options import Options
from tests.analysis.conftest import WriteRun
from tests.support import ROOT

RESULTS = ROOT / "docs/results"
# names that end a row, a column or a file, or that are another sign in LaTeX
NAMES = [
    "resnet18_l2_eps0.25",
    "50% & more",
    "a#b $5 {c} ~/x^2",
    r"C:\new\tab",
    "[bracket]",
    "*star",
    "a--b---c, ,, <<d>> |e|",
    '`quoted\' "and" so',
    "L∞ ε 4/255 ± 0.3, −0.4, Δ × 2 → ∞ …",
    "Zoë Ångström Łódź façade",
    "模型 \x07",
]
PREAMBLE = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage{textcomp,booktabs,graphicx}
\begin{document}
\input{tables}
\end{document}
"""


def cells_of(text: str) -> list[tuple[str, list[list[str]]]]:
    """The column letters and the rows of each tabular."""
    out = []
    for letters, body in re.findall(
        r"\\begin\{tabular\}\{(\w+)\}(.*?)\\end\{tabular\}", text, re.DOTALL
    ):
        lines = [line.strip() for line in body.splitlines() if line.strip().endswith(r" \\")]
        rows = [re.split(r"(?<!\\)&", line.removesuffix(r" \\")) for line in lines]
        out.append((letters, [[cell.strip() for cell in row] for row in rows]))
    return out


def test_each_name_is_one_cell_of_signs_that_latex_has() -> None:
    rows = [[name, "1.0 ± 0.2"] for name in NAMES]
    text = latex_text([PaperTable("A_table & more", ["name %", "AP"], rows, 1, [3], "seed", "So.")])
    assert text.isascii()
    ((letters, (head, *found)),) = cells_of(text)
    assert letters == "lr" and head == [r"name \%", "AP"]
    assert [cell for cell, _ in found] == [
        r"resnet18\_l2\_eps0.25",
        r"50\% \& more",
        r"a\#b \$5 \{c\} \textasciitilde{}/x\textasciicircum{}2",
        r"C:\textbackslash{}new\textbackslash{}tab",
        r"{[}bracket]",
        r"{*}star",
        r"a-{}-b-{}-{}-c, ,{}, \textless{}\textless{}d\textgreater{}\textgreater{} |e|",
        r"\textasciigrave{}quoted\textquotesingle{} " + '"and" so',
        r"L$\infty$ $\varepsilon$ 4/255 $\pm$ 0.3, $-$0.4, $\Delta$ $\times$ 2 $\rightarrow$"
        r" $\infty$ \dots{}",
        r"Zo\"{e} \r{A}ngstr\"{o}m \L{}\'{o}d\'{z} fa\c{c}ade",
        r"\texttt{U+6A21}\texttt{U+578B} \texttt{U+0007}",
    ]
    assert {value for _, value in found} == {r"1.0 $\pm$ 0.2"}
    assert r"\caption{A\_table \& more. Of n = 3 seeds. So.}" in text


def test_captions_say_of_how_many_and_labels_differ() -> None:
    one = PaperTable("Set", ["a"], [["1"]], 1, [1, 3], "pretraining run", "[low, high] is 95%.")
    text = latex_text([one, one])
    assert text.count(r"Of n = 1 to 3 pretraining runs. {[}low, high] is 95\%.") == 2
    assert re.findall(r"\\label\{(.*)\}", text) == ["tab:set", "tab:set-2"]


def test_all_tables_of_a_comparison_are_there(tmp_path: Path) -> None:
    runs = [RESULTS / "detection/eps/runs", RESULTS / "pretraining/runs"]
    names = ("caltech101_r18_eps0_seed*", "caltech101_r18_eps1_seed*", "flowers_r18_eps*_seed0_*")
    for name in names:
        runs += sorted((RESULTS / "transfer/runs").glob(f"small_{name}"))
    compare(runs, tmp_path / "report", options=Options(pictures=0, latex=True))
    text = (tmp_path / "report/tables.tex").read_text()
    assert text.isascii() and text.count("{") == text.count("}")
    tables = cells_of(text)
    assert text.count(r"\begin{table}") == len(tables) == text.count(r"\caption{")
    for letters, rows in tables:
        assert len(rows) > 1 and {len(row) for row in rows} == {len(letters)}
    # as many tables as Markdown has, but for those of what has no rows
    assert len(tables) == (tmp_path / "report/ap.md").read_text().count("\n|:--")
    captions = re.findall(r"\\caption\{(.*)\}", text)
    for start, said in (
        ("Setting A --- Box AP on bccd", "sample standard deviation over seeds"),
        ("Setting T1 --- Caltech-101", r"95\% t interval"),
        ("Differences to the standard backbone", r"95\% t interval over pretraining runs"),
        ("Robust accuracy 1", r"95\% score interval (Wilson) over images"),
        ("Trainings under L2", r"95\% t interval"),
    ):
        found = [one for one in captions if one.startswith(start)]
        assert found and all(said in one and "Of n = " in one for one in found)
    (ap,) = (rows for _, rows in tables[:1])
    assert any(re.fullmatch(r"\+2\.\d \$\\pm\$ \d\.\d", cell) for row in ap for cell in row)


def test_without_the_option_there_is_no_such_file(write_run: WriteRun, tmp_path: Path) -> None:
    run = write_run("a", 0.0, 38.0)
    compare([run], tmp_path / "report", options=Options(latex=True))
    assert (tmp_path / "report/tables.tex").exists()
    compare([run], tmp_path / "report")  # what an earlier comparison wrote goes
    assert not (tmp_path / "report/tables.tex").exists()


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_pdflatex_takes_them(tmp_path: Path) -> None:
    rows = [[name, "1.0 ± 0.2"] for name in NAMES]
    tables = [PaperTable(name, ["[head] *", name], rows, 1, [3], "seed", name) for name in NAMES]
    (tmp_path / "tables.tex").write_text(latex_text(tables))
    (tmp_path / "main.tex").write_text(PREAMBLE)
    line = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Missing character" not in (tmp_path / "main.log").read_text()
    assert "Overfull" not in (tmp_path / "main.log").read_text()
