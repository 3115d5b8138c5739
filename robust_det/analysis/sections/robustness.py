"""The section of classifiers under attack: robust accuracy by eps, with intervals and checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure

from robust_det.analysis.differences import as_key
from robust_det.analysis.latex import PaperTable
from robust_det.analysis.options import Options
from robust_det.analysis.sections.provenance import provenance_entry
from robust_det.analysis.sections.section import Section
from robust_det.analysis.tables import csv_of, escape_markdown, render_table, title
from robust_det.core.axes import eps_axis, plain_axes
from robust_det.core.epsilon import eps_label, format_eps, norm_label
from robust_det.core.errors import counted
from robust_det.core.figures import COLOURS, INK, PLACEHOLDER, STYLE, image_bytes, inline_svg
from robust_det.records.robustness import RobustnessRecord

__all__ = ["robustness_section"]

_NAMES = ["evaluation", "weights", "arch", "trained"]
_MARKERS = "os^Dv"
_MOST_RUNS = 8  # with a line of their own name; of more it is that of their pretraining
_MOST_LINES = 12  # that are told apart
_HOW_TO_READ = (
    "A figure is the accuracy in the worst case of the attacks that the heading names, with its 95%"
    " score interval (Wilson) over images. An image that fell at one ε counts as fallen at larger"
    " ones. Figures of other attacks, ε or images stand in tables of their own: they are not"
    " comparable."
)


@dataclass(frozen=True)
class _Group:
    """Records of the same attacks, eps and images.

    Attributes:
        number: of the table, from 1.
        records: each with its file.
    """

    number: int
    records: list[tuple[Path, RobustnessRecord]]

    @property
    def first(self) -> RobustnessRecord:
        return self.records[0][1]

    @property
    def title(self) -> str:
        one = self.first
        data = one.data
        what = f"{one.attack}, {norm_label(one.attack_norm)}" if one.robust else "no attack"
        part = f" of {data.of:,}" if data.images < data.of else ""
        images = f"{counted(data.images, 'image')}{part} ({data.digest[:8]}), {data.size} px"
        return f"Robust accuracy {self.number}: {what}; {images}"

    @property
    def headers(self) -> list[str]:
        radii = [f"ε {format_eps(self.first.attack_norm, one.eps)}" for one in self.first.robust]
        return [*_NAMES, "clean top-1 %", *radii]

    @property
    def rows(self) -> list[list[str]]:
        return [
            [
                record.name,
                record.weights.path,
                record.arch,
                eps_label(record.norm, record.eps),
                f"{_clean(record):.1f}",
                *(f"{one.top1:.1f} [{one.low:.1f}, {one.high:.1f}]" for one in record.robust),
            ]
            for _, record in self.records
        ]

    @property
    def notes(self) -> list[str]:
        notes = [f"Here, the sequence of attacks {note}." for note in self.first.notes]
        kinds = len(set(_labels(self)))
        if self.first.robust and kinds > _MOST_LINES:
            notes.append(f"Not drawn: {kinds} kinds of networks are more than one tells apart.")
        for _, record in self.records:
            if not record.robust:
                continue
            if record.checks is None:
                notes.append(f"{record.name}: nothing was checked for masked gradients.")
                continue
            checks = record.checks
            failed = [one for one in checks.outcomes if not one.passed]
            notes += [f"{record.name}: FAIL {one.name}; {one.meaning}." for one in failed]
            if not failed:
                notes.append(
                    f"{record.name}: PASS of all {len(checks.outcomes)} checks for masked"
                    f" gradients, on {counted(checks.images, 'image')} at ε {checks.eps:g}."
                )
            if record.not_finite:
                notes.append(f"{record.name}: attacks met logits that are not finite.")
        return notes


def robustness_section(
    records: Sequence[tuple[Path, RobustnessRecord]], options: Options
) -> Section:
    """List evaluations under attack, those of the same attacks and images in one table.

    Args:
        records: each with its file; at least one.
        options: not for these records.
    """
    groups = _groups(records)
    files: dict[str, bytes | Path] = {"robustness.csv": _csv(groups)}
    plots = []
    for group in groups:
        if not group.first.robust or len(set(_labels(group))) > _MOST_LINES:
            continue
        for kind in ("png", "svg"):
            name = f"plots/robust_accuracy_{group.number}.{kind}"
            files[name] = image_bytes(_figure(group), kind)
        # Markup: our own SVG, in which matplotlib has escaped the names
        plots.append(Markup(inline_svg(_figure(group, PLACEHOLDER), _description(group))))

    def text(style: str) -> list[str]:
        safe, bullet = (escape_markdown, "- ") if style == "pipe" else (str, "")
        blocks = []
        for group in groups:
            blocks.append(title(group.title, style))
            blocks.append(render_table(group.headers, group.rows, len(_NAMES), style))
            if group.notes:
                blocks.append("\n".join(f"{bullet}{safe(note)}" for note in group.notes))
        return [*blocks, safe(_HOW_TO_READ)]

    return Section(
        text=text,
        template="robustness.html",
        values={"groups": groups, "names": len(_NAMES), "plots": plots, "how": _HOW_TO_READ},
        files=files,
        provenance=[_provenance(path, one) for group in groups for path, one in group.records],
        tables=[_for_paper(group) for group in groups],
    )


def _for_paper(group: _Group) -> PaperTable:
    images, names = [group.first.data.images], len(_NAMES)
    return PaperTable(group.title, group.headers, group.rows, names, images, "image", _HOW_TO_READ)


def _groups(records: Sequence[tuple[Path, RobustnessRecord]]) -> list[_Group]:
    found: dict[bytes, _Group] = {}
    for path, record in records:
        data = record.data
        attacks = [record.attack_norm, record.budget, record.budget_version]
        # not by their passes: the same attack may come to cost less
        members = [(one.name, one.attack, one.loss, one.targets) for one in record.members]
        radii = [one.eps for one in record.robust]
        key = as_key([*attacks, members, record.notes, radii, data.digest, data.size, data.resize])
        group = found.setdefault(key, _Group(len(found) + 1, []))
        group.records.append((path, record))
    return list(found.values())


def _clean(record: RobustnessRecord) -> float:
    return 100 * record.correct / record.data.images


def _points(record: RobustnessRecord) -> list[tuple[float, float]]:
    """Accuracy in percent by eps; 0 is clean."""
    return [(0.0, _clean(record)), *((one.eps, one.top1) for one in record.robust)]


def _figure(group: _Group, ink: str = INK) -> Figure:
    """Draw accuracy against the attack's eps, a line each record."""
    with matplotlib.rc_context({**STYLE, "text.color": ink}):
        figure = Figure(figsize=(6.2, 4.1), layout="constrained")
        axes = figure.add_subplot()
        labels = _labels(group)
        kinds = list(dict.fromkeys(labels))
        for place, (_, record) in enumerate(group.records):
            label = labels[place]
            number = kinds.index(label)
            colour, marker = COLOURS[number % len(COLOURS)], _MARKERS[number % len(_MARKERS)]
            xs, ys = zip(*_points(record), strict=True)
            first = labels.index(label) == place  # in the legend once
            axes.plot(
                xs, ys, color=colour, marker=marker, linewidth=2, label=label if first else None
            )
            for one in record.robust:
                ends = [[one.top1 - one.low], [one.high - one.top1]]
                axes.errorbar([one.eps], [one.top1], ends, fmt="none", ecolor=colour, capsize=4)
        norm = group.first.attack_norm
        eps_axis(axes, [(norm, x) for x, _ in _points(group.first)])
        plain_axes(axes, ink)
        meaning = f"{norm_label(norm)} ε of the attack (0 = clean)\nbars: 95% interval over images"
        axes.set_xlabel(meaning, color=ink)
        axes.set_ylabel("top-1 %", color=ink)
        heading = f"{group.first.attack}; {counted(group.first.data.images, 'image')}"
        axes.set_title(heading, color=ink, loc="left", fontsize=10.5)
        axes.legend(frameon=False, labelcolor=ink)
    return figure


def _labels(group: _Group) -> list[str]:
    """What each record's line is called: its run, or of many what they were trained against."""
    records = [record for _, record in group.records]
    if len(records) > _MOST_RUNS:
        return [f"{one.arch}, {eps_label(one.norm, one.eps)}" for one in records]
    return [f"{one.name} ({eps_label(one.norm, one.eps)})" for one in records]


def _description(group: _Group) -> str:
    said = []
    for _, record in group.records:
        values = ", ".join(f"{y:.1f} at ε {x:g}" for x, y in _points(record))
        said.append(f"{record.name}: {values}")
    return f"{group.title}; {'; '.join(said)}"


def _csv(groups: Sequence[_Group]) -> bytes:
    """Return all that the figures depend on, in full precision; a line for each eps."""
    head = ["table", "name", "weights", "weights_sha256", "arch", "norm", "eps"]
    head += ["images", "images_digest", "size", "budget", "budget_version", "attack_norm"]
    head += ["attack_eps", "clean_top1", "top1", "low", "high", "fell_earlier", "felled"]
    lines: list[list[Any]] = []
    for group in groups:
        for _, r in group.records:
            row = [group.number, r.name, r.weights.path, r.weights.sha256, r.arch, r.norm, r.eps]
            row += [r.data.images, r.data.digest, r.data.size, r.budget, r.budget_version]
            row += [r.attack_norm]
            clean = _clean(r)
            for one in r.robust:
                felled = "; ".join(f"{name} {n}" for name, n in one.felled.items())
                figures = [one.top1, one.low, one.high, one.earlier, felled]
                lines.append([*row, one.eps, clean, *figures])
            if not r.robust:
                lines.append([*row, None, clean, *[None] * 5])
    return csv_of(head, lines).encode()


def _provenance(path: Path, record: RobustnessRecord) -> dict[str, Any]:
    weights = record.weights
    return provenance_entry(
        record.environment,
        path,
        record.wall_time_s,
        [
            ("weights", weights.path),
            ("weights SHA-256", weights.sha256),
            ("images", f"{record.data.folder}, digest {record.data.digest[:16]}"),
        ],
        name=record.name,
        letter="",
        label=record.arch,
        seed=record.seed,
    )
