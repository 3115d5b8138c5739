"""Does pretraining accuracy tell transfer accuracy? (Salman et al. 2020, section 4.1)"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from scipy.stats import linregress
from scipy.stats import t as students_t

from robust_det.analysis.estimates import LEVEL, holm
from robust_det.analysis.questions.answer import Answer, Missing, Picture, Sheet
from robust_det.analysis.questions.cells import Cell
from robust_det.analysis.questions.collecting import MODES, cells_of, reported_cells
from robust_det.analysis.questions.drawings import Fit, Points, Scatter
from robust_det.analysis.questions.evidence import Evidence
from robust_det.analysis.questions.words import REPORTED_BASIS, basis, notes_of, others
from robust_det.analysis.tables import csv_of, signed
from robust_det.analysis.transfer.blocks import Block
from robust_det.analysis.transfer.cells import NONE, p_cell
from robust_det.core.epsilon import eps_label
from robust_det.core.errors import UserError, counted
from robust_det.records.pretrain import AttackEvaluator, ClassifierEvaluationRecord, PretrainRecord
from robust_det.zoo.published import PUBLISHED

__all__ = ["ASKS", "NAME", "of_reported", "of_runs"]

NAME = "accuracy-vs-transfer"
ASKS = "Does accuracy in pretraining, or robustness there, tell accuracy after transfer?"
_LARGE = 3.0  # eps
_FEWEST = 3  # points of a line that has a residual
_NAMED = 6  # lines in a sentence
_ALL = "all ε"
_MAIN = ("resnet18", "resnet50", "wide_resnet50_2", "wide_resnet50_4")
_COMMANDS = (
    "robust-det pretrain --config CONFIG --eval-only --weights BACKBONE",
    "robust-det transfer --config transfer_dtd.yaml --backbone BACKBONE --mode full-network",
)
_HOW_TO_READ = (
    "A point is a pretraining run: its accuracy in pretraining, and its mean accuracy after"
    " transfer over fine-tuning seeds. Lines are least squares; R² is the share of the variance"
    " over these points that they explain, and the interval of the slope is of 95% (t, points - 2"
    " degrees of freedom). p is of the slope, and holds for all lines of a table at once (Holm"
    f" 1979). Of fewer than {_FEWEST} points there is no line. At a fixed ε the training is the"
    " same for all points; across ε it is what makes them differ."
)


@dataclass(frozen=True)
class _Line:
    """A fit.

    Attributes:
        subject, how: what was transferred to, and how.
        x: what it is over, in words.
        label: which points it is of, such as ``L2 ε 3``.
        points: name, x and y.
        slope, intercept, low, high, r2, p: of the line; NaN of too few points.
    """

    subject: str
    how: str
    x: str
    label: str
    points: tuple[tuple[str, float, float], ...]
    slope: float = math.nan
    intercept: float = math.nan
    low: float = math.nan
    high: float = math.nan
    r2: float = math.nan
    p: float = math.nan

    def fitted(self) -> _Line:
        """Return it with its line, if there can be one."""
        xs, ys = [x for _, x, _ in self.points], [y for _, _, y in self.points]
        if len(xs) < _FEWEST or len(set(xs)) < 2:
            return self
        found = linregress(xs, ys)
        half = float(students_t.ppf(1 - LEVEL / 2, len(xs) - 2)) * float(found.stderr)
        slope = float(found.slope)
        return replace(
            self,
            slope=slope,
            intercept=float(found.intercept),
            low=slope - half,
            high=slope + half,
            r2=float(found.rvalue) ** 2,
            p=float(found.pvalue),
        )


def of_runs(evidence: Evidence) -> Answer:
    """Answer from records.

    Raises:
        UserError: of no backbone both accuracies are known.
    """
    cells = cells_of(evidence)
    measured = _measured(evidence)
    lines = [one for x, known in measured.items() for one in _lines(cells, known, x)]
    lines = _corrected([one.fitted() for one in lines])
    known = {origin for each in measured.values() for origin in each}
    used = {unit.origin for cell in cells for arm in cell.arms for unit in arm.units}
    if not any(len(one.points) >= _FEWEST for one in lines):
        raise UserError(
            f"accuracies in pretraining are missing: {len(used & known)} of"
            f" {counted(len(used), 'transferred backbone')} have a record of pretraining or"
            f" evaluation among these, and {_FEWEST} in one setting are needed{others(evidence)}",
            f"make them, as by: {' ; '.join(_COMMANDS)}",
        )
    names = {record.weights.origin: record.weights.path for _, record in evidence.transfers}
    lacking = sorted(names[origin] for origin in used - known if origin in names)
    missing = []
    if lacking:
        commands = (
            f"robust-det pretrain --config CONFIG --eval-only --weights {name}" for name in lacking
        )
        missing.append(Missing("No accuracy in pretraining is known of:", tuple(commands)))
    return Answer(
        NAME,
        ASKS,
        basis(evidence, cells),
        [*_findings(lines), *_few(lines)],
        [_sheet("accuracy-vs-transfer", lines)],
        _scatters("accuracy-vs-transfer", lines),
        [_HOW_TO_READ],
        [*evidence.left_out, *notes_of(evidence, cells)],
        missing,
    )


def _measured(evidence: Evidence) -> dict[str, dict[str, float]]:
    """Return by what was measured (clean, or under an attack) the accuracy of each backbone.

    Figures of other images are other measures; an evaluation counts before the pretraining's own.
    """
    out: dict[str, dict[str, float]] = {}
    records: Iterable[tuple[Path, PretrainRecord | ClassifierEvaluationRecord]] = [
        *evidence.evaluations,
        *evidence.pretrainings,
    ]
    for path, record in records:
        if isinstance(record, PretrainRecord):
            images, classes = record.data.val.images, record.data.train.classes
        else:
            images, classes = record.data.images, record.classes
        on = f"{images:,} images of {counted(classes, 'class', 'es')}"
        found = {f"top-1 in pretraining, {on}": "clean_top1"}
        if len(record.evaluators) == 1 and record.evaluators[0].eps:
            found[f"top-1 in pretraining {_attack(record.evaluators[0])}"] = "adversarial_top1"
        for name, metric in found.items():
            value = record.metrics.get(metric)
            if value is not None and (path, metric) not in evidence.figures_left_out:
                out.setdefault(name, {}).setdefault(record.weights.sha256, value)
    return out


def _attack(one: AttackEvaluator) -> str:
    return (
        f"under {one.name}-{one.steps} {eps_label(one.norm, one.eps)}"
        f" on {one.objective.replace('_', '-')}, {one.images:,} images"
    )


def _lines(cells: Sequence[Cell], known: Mapping[str, float], x: str) -> Iterable[_Line]:
    grouped: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        grouped.setdefault((cell.name, cell.how), []).append(cell)
    for (subject, how), alike in grouped.items():
        points: dict[str, dict[str, tuple[str, float, float]]] = {}
        for cell in alike:
            for arm in cell.arms:
                for unit in arm.units:
                    if unit.origin in known:
                        point = (f"{cell.arch} {arm.label}", known[unit.origin], unit.value)
                        points.setdefault(arm.label, {})[unit.origin] = point
        for label, own in points.items():
            yield _Line(subject, how, x, label, tuple(own.values()))
        every = {origin: point for own in points.values() for origin, point in own.items()}
        if len(points) > 1:
            yield _Line(subject, how, x, _ALL, tuple(every.values()))


def _corrected(lines: Sequence[_Line]) -> list[_Line]:
    corrected = holm({place: one.p for place, one in enumerate(lines)})
    return [replace(one, p=corrected[place]) for place, one in enumerate(lines)]


def _findings(lines: Sequence[_Line]) -> Iterable[str]:
    """Yield a sentence each for what was measured in pretraining, at a fixed ε and across them."""
    fitted = [one for one in lines if not math.isnan(one.slope)]
    for x, across in dict.fromkeys((one.x, one.label == _ALL) for one in fitted):
        own = [one for one in fitted if (one.x, one.label == _ALL) == (x, across)]
        shown = sorted((one for one in own if one.p < LEVEL), key=lambda one: one.p)
        where = "across ε" if across else "at a fixed ε"
        if shown:
            answer = f"Yes, on {len(shown)} of {len(own)} lines: transfer goes with {x}"
            each = f": {'; '.join(map(_told, shown[:_NAMED]))}{'; ...' * (len(shown) > _NAMED)}"
        else:
            # of corrected p many are 1
            nearest = min(own, key=lambda one: (one.p, -abs(one.slope) / (one.high - one.low)))
            answer = f"Not shown, of {counted(len(own), 'line')}: that transfer goes with {x}"
            each = f"; the nearest to it is {_told(nearest)}"
        points = sorted({len(one.points) for one in own})
        of = f"{points[0]}" if len(points) == 1 else f"{points[0]} to {points[-1]}"
        yield f"{answer} ({where}, {of} points a line){each}."


def _told(one: _Line) -> str:
    label = "" if one.label == _ALL else f", {one.label}"
    return (
        f"{one.subject}, {one.how}{label}: R² {one.r2:.3f}, slope {signed(one.slope, 2)}"
        f" {_interval(one)} (p {p_cell(one.p)})"
    )


def _interval(one: _Line) -> str:
    return f"[{signed(one.low, 2)}, {signed(one.high, 2)}]"


def _few(lines: Sequence[_Line]) -> Iterable[str]:
    labels = dict.fromkeys(one.label for one in lines)
    few = [
        label
        for label in labels
        if all(len(one.points) < _FEWEST for one in lines if one.label == label)
    ]
    if few:
        yield (
            f"Not known: at fixed ε ({', '.join(few)}), where fewer than {_FEWEST} backbones have"
            " both accuracies."
        )


def _sheet(name: str, lines: Sequence[_Line]) -> Sheet:
    fits = [one for one in lines if not math.isnan(one.slope)]
    rows = [
        [one.subject, one.how, one.x, one.label, str(len(one.points)), f"{one.r2:.3f}"]
        + [signed(one.slope, 2), _interval(one), p_cell(one.p) or NONE]
        for one in fits
    ]
    headers = ["subject", "setting", "over", "backbones", "points", "R²", "slope", "95%", "p"]
    head = ["subject", "how", "over", "backbones", "name", "x", "y", "r2", "slope", "intercept"]
    csv = csv_of(
        [*head, "low", "high", "p"],
        (
            [one.subject, one.how, one.x, one.label, point, x, y, one.r2, one.slope]
            + [one.intercept, one.low, one.high, one.p]
            for one in lines
            for point, x, y in one.points
        ),
    )
    return Sheet(name, Block("Fits", headers, rows, 4), csv)


def _scatters(name: str, lines: Sequence[_Line], subjects: Sequence[str] = ()) -> list[Picture]:
    out = list[Picture]()
    for number, (x, how) in enumerate(dict.fromkeys((one.x, one.how) for one in lines)):
        own = [one for one in lines if (one.x, one.how) == (x, how)]
        fits = [one for one in own if not math.isnan(one.slope)]
        panels = []
        for subject in dict.fromkeys(one.subject for one in fits):
            if subjects and subject not in subjects:
                continue
            alike = [one for one in own if one.subject == subject]
            single = [one for one in alike if one.label != _ALL]
            every = next((one for one in alike if one.label == _ALL), None)
            points = [_points(one) for one in single]
            if every is not None and not any(not math.isnan(one.slope) for one in single):
                points.append(_fit_alone(every))
            panels.append((subject, "after transfer, %", tuple(points)))
        if panels:
            title = f"Transfer by pretraining: {how}"
            out.append(Scatter(f"{name}_{number + 1}", title, f"{x}, %", tuple(panels)))
    return out


def _points(one: _Line) -> Points:
    xs, ys = tuple(x for _, x, _ in one.points), tuple(y for _, _, y in one.points)
    fit = None if math.isnan(one.slope) else Fit(one.slope, one.intercept)
    return Points(one.label, xs, ys, (), fit)


def _fit_alone(one: _Line) -> Points:
    """Return the line over all points, which are drawn as those of single eps."""
    ends = sorted(x for _, x, _ in one.points)
    xs = (ends[0], ends[-1])
    ys = tuple(one.slope * x + one.intercept for x in xs)
    fit = Fit(one.slope, one.intercept)
    return Points(f"fit over {one.label}", xs, ys, (), fit, drawn=False)


def of_reported() -> Answer:
    """Answer from the reported figures and the reported top-1 of the published models."""
    top1 = {(one.arch, one.norm, round(one.eps, 9)): one.top1 for one in PUBLISHED.values()}
    x = "reported ImageNet top-1"
    lines = list[_Line]()
    cells = [c for c in reported_cells("full-network", 0) if c.norm == "l2"]
    six = [cell for cell in cells if cell.arch not in _MAIN]
    for subject in dict.fromkeys(cell.subject for cell in six):
        for eps in (0.0, _LARGE):
            points = []
            for cell in six:
                arm, value = cell.arm(eps), top1.get((cell.arch, "l2", eps))
                if cell.subject == subject and arm is not None and value is not None:
                    points.append((cell.arch, value, arm.figure.mean))
            label = f"six architectures, {eps_label('l2', eps)}"
            lines.append(_Line(subject, "full-network", x, label, tuple(points)).fitted())
    across = list[_Line]()
    for mode in MODES:
        for cell in reported_cells(mode, 0, _MAIN):
            if cell.norm != "l2" or len(cell.arms) < 10:
                continue
            points = []
            for arm in cell.arms:
                value = top1.get((cell.arch, "l2", round(arm.eps, 9)))
                if value is not None:
                    points.append((arm.label, value, arm.figure.mean))
            label = f"{cell.arch}, all ε"
            across.append(_Line(cell.subject, mode, x, label, tuple(points)).fitted())
    pairs = []
    for subject in dict.fromkeys(one.subject for one in lines):
        two = [one for one in lines if one.subject == subject]
        each = (f"{one.r2:.3f} at {one.label.partition(', ')[2]}" for one in two)
        pairs.append(f"{subject}: {', '.join(each)}")
    falls = [one for one in across if one.slope < 0]
    rises = [one for one in across if one.slope > 0]
    findings = [
        "R² of full-network accuracy on ImageNet top-1 at a fixed ε, over the six other"
        f" architectures: {'; '.join(pairs)}. Six points each; slopes and intervals are in the"
        " table.",
        "Across the ten ε of one architecture, accuracy after transfer rises with ImageNet top-1 in"
        f" {len(rises)} of {len(across)} cells of a set, a mode and an architecture, and falls in"
        f" {len(falls)}: {', '.join(dict.fromkeys(one.subject for one in falls))}. ε moves both.",
        "Not known: how sure the points are, with one pretraining run of each architecture and ε;"
        " intervals of slopes take their scatter about the line for chance.",
    ]
    corrected = _corrected([*lines, *across])
    return Answer(
        NAME,
        ASKS,
        f"{REPORTED_BASIS} ImageNet top-1 is as published with the models.",
        findings,
        [_sheet("accuracy-vs-transfer_reported", corrected)],
        _scatters("accuracy-vs-transfer_reported", lines),
        [_HOW_TO_READ],
    )
