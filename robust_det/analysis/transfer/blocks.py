"""The tables of transfers: what the terminal, the Markdown and the page show."""

from __future__ import annotations

from dataclasses import dataclass

from robust_det.analysis.tables import escape_markdown, render_table, title
from robust_det.analysis.transfer.cells import (
    NONE,
    attack_labels,
    attack_words,
    difference_cell,
    figure_cell,
    p_cell,
    range_cell,
)
from robust_det.analysis.transfer.conditions import METRIC_LABELS
from robust_det.analysis.transfer.contests import Contest, Family
from robust_det.analysis.transfer.grouping import Row, Setting
from robust_det.analysis.transfer.modes import Pair
from robust_det.analysis.transfer.runs import ADVERSARIAL_TOP1
from robust_det.records.pretrain import AttackEvaluator

__all__ = [
    "HOW_TO_READ",
    "Block",
    "best_block",
    "block_text",
    "gains_block",
    "pair_block",
    "setting_block",
]

HOW_TO_READ = (
    "A figure is the mean over pretraining runs, backbones of other weights; of one backbone its"
    " transfer seeds are averaged first, as they are no pretrainings of their own. [low, high] is"
    " the 95% t interval over these means, cut off at 0 and 100; 1 pretraining run has none."
    " Backbones of one architecture, norm and ε are taken for runs of one recipe: a record does not"
    " say what they were pretrained on."
)


@dataclass(frozen=True)
class Block:
    """A table with its heading.

    Attributes:
        title: may be empty.
        headers, rows: the cells.
        names: how many columns, from the left, hold names.
        notes: below it.
    """

    title: str
    headers: list[str]
    rows: list[list[str]]
    names: int
    notes: tuple[str, ...] = ()


def block_text(block: Block, style: str) -> list[str]:
    """Return a block as paragraphs; see :func:`.render_table`."""
    markdown = style == "pipe"
    safe = escape_markdown if markdown else str
    bullet = "- " if markdown else ""
    out = [title(block.title, style)]
    if block.rows:
        out.append(render_table(block.headers, block.rows, block.names, style))
    if block.notes:
        out.append("\n".join(f"{bullet}{safe(note)}" for note in block.notes))
    return out


def setting_block(setting: Setting) -> Block:
    """Return the accuracies of a setting, one row a backbone setting."""
    own = setting.conditions
    attacks = list(dict.fromkeys(attack for row in setting.rows for attack in row.attacks))
    labels = attack_labels(attacks)
    headers = ["arch", "backbone", f"{own.headline} %", f"{METRIC_LABELS[own.other]} %"]
    if attacks:
        headers += ["adversarial top-1 %", "attack"]
    headers += ["pretraining runs", "transfer seeds"]
    notes = list(setting.notes)
    if attacks:
        notes.append(f"Attacks: {'; '.join(map(attack_words, attacks))}.")
    return Block(
        f"Setting {setting.name} — {setting.heading}",
        headers,
        [_row(setting, row, labels) for row in setting.rows],
        2,
        tuple(notes),
    )


def _row(setting: Setting, row: Row, labels: dict[AttackEvaluator, str]) -> list[str]:
    figure = setting.figure(row)
    cells = [row.arch, row.eps_label, figure_cell(figure)]
    cells.append(figure_cell(row.figure(setting.conditions.other)))
    if labels:
        attacked = [(one, row.figure_under(one, ADVERSARIAL_TOP1)) for one in row.attacks]
        cells.append(
            "; ".join(
                # where not all were attacked, of how many it is
                figure_cell(f) + (f" (of {f.n})" if f.n != len(row.backbones) else "")
                for _, f in attacked
            )
            or NONE
        )
        cells.append("; ".join(labels[one] for one, _ in attacked) or NONE)
    runs = str(len(row.backbones))
    if figure.n != len(row.backbones):
        runs += f", {figure.n} with a figure"
    return [*cells, runs, range_cell([len(one.runs) for one in row.backbones])]


def _where(setting: Setting) -> list[str]:
    return [setting.conditions.set_title, setting.name, setting.conditions.headline]


def gains_block(family: Family) -> Block | None:
    """Return the differences to the standard backbone, a row a set; None if there are none."""
    contests = [one for one in family.contests if one.to_standard]
    labels = list(dict.fromkeys(row.eps_label for one in contests for row, _ in one.to_standard))
    if not labels:
        return None
    rows = []
    for one in contests:
        found = {row.eps_label: gap for row, gap in one.to_standard}
        standard = one.line.standard
        assert standard is not None  # there are differences to it
        cells = [difference_cell(found.get(label)) for label in labels]
        rows.append([*_where(one.setting), figure_cell(one.setting.figure(standard)), *cells])
    headers = ["set", "setting", "metric", "standard", *(f"Δ {label}" for label in labels)]
    return Block(f"Differences to the standard backbone — {family.how}", headers, rows, 3)


def best_block(family: Family) -> Block:
    """Return the highest mean of each set, and how sure it is that it is the best."""
    headers = ["set", "setting", "metric", "highest", "accuracy %"]
    headers += ["Δ to standard", "p", "next", "Δ to next", "p of the best"]
    return Block(
        f"The highest of the ε — {family.how}",
        headers,
        [_best(one) for one in family.contests],
        4,
    )


def _best(one: Contest) -> list[str]:
    gain, (second, gap) = one.gain(), one.second
    star = "*" if one.shown else ""
    return [
        *_where(one.setting),
        f"{one.best.eps_label}{star} (of {len(one.line.rows)})",
        figure_cell(one.setting.figure(one.best)),
        difference_cell(gain),
        NONE if gain is None else p_cell(gain.p),
        second.eps_label,
        difference_cell(gap, mark=False),
        p_cell(one.p_best),
    ]


def pair_block(pair: Pair) -> Block:
    """Return frozen beside fine-tuned figures, one row a backbone setting, clean or attacked."""
    own = pair.frozen.conditions
    attacks = [one.attack for _, _, under in pair.rows for one in under if one.attack]
    labels = attack_labels(list(dict.fromkeys(attacks)))
    rows = []
    for row, clean, under in pair.rows:
        for one in (clean, *under):
            what = own.headline if one.attack is None else f"top-1, under {labels[one.attack]}"
            figures = [figure_cell(one.before), figure_cell(one.after)]
            gap = difference_cell(one.difference, mark=False)
            rows.append([row.arch, row.eps_label, what, *figures, gap, str(len(one.backbones))])
    headers = ["arch", "backbone", "accuracy", f"{own.how} %", f"{pair.tuned.conditions.how} %"]
    heading = f"{pair.heading} ({pair.frozen.name}, {pair.tuned.name})"
    notes = (pair.note,) if pair.note else ()
    return Block(heading, [*headers, "Δ", "pretraining runs"], rows, 3, notes)
