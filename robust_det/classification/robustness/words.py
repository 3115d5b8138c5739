"""What is evaluated and what came out, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tabulate import tabulate

from robust_det.attacks.budgets import Budget
from robust_det.attacks.checks import Check
from robust_det.classification.robustness.asked import Asked
from robust_det.classification.robustness.figures import interval
from robust_det.classification.robustness.subject import Subject
from robust_det.core.epsilon import eps_label
from robust_det.core.errors import counted
from robust_det.records.robustness import CheckOutcome, Checks, RobustAccuracy, RobustnessRecord

__all__ = ["announcement", "check_line", "report", "sentence"]


def announcement(
    subject: Subject, asked: Asked, budgets: Sequence[tuple[float, Budget]]
) -> Iterator[str]:
    """Say what is evaluated, and by which attacks, before it is."""
    card, data = subject.model.card, subject.data
    images = counted(len(data), "image")
    if len(data) < subject.of:
        images += f" of {subject.of:,}, drawn by seed {asked.seed},"
    if subject.held_out is not None:
        off = subject.held_out
        images += f" (split off {off.of:,} by fraction {off.fraction:g} and seed {off.seed})"
    yield (
        f"evaluating {subject.file.path} ({subject.model.format}): {card.arch},"
        f" {eps_label(card.norm, card.eps)}, on {images} of {data.folder}, {subject.size} px out of"
        f" {subject.resize}"
    )
    if not budgets:
        yield "no attack (eps 0)"
        return
    passes = [budget.passes for _, budget in budgets]
    yield (
        f"attack: {', '.join(member.name for member in budgets[0][1].members)}, at"
        f" {', '.join(eps_label(asked.norm, eps) for eps in asked.radii)}: an image takes"
        f" {sum(each.forward for each in passes):,} forward and"
        f" {sum(each.backward for each in passes):,} backward passes at most"
    )


def report(record: RobustnessRecord) -> str:
    """Return figures with 95% intervals, and the checks beside them, for a terminal."""
    images = record.data.images
    parts = [f"clean top-1: {_share(record.correct, images)} of {counted(images, 'image')}"]
    if (top5 := record.metrics.get("clean_top5")) is not None:
        parts[0] += f", top-5: {top5:.1f} %"
    if (mean := record.metrics.get("mean_per_class")) is not None:
        parts[0] += f", mean over classes: {mean:.1f} %"
    if record.robust:
        parts.append(_table(record))
        parts.append("\n".join(sentence(record, one) for one in record.robust))
    if record.not_finite:
        parts.append(
            f"an attack met NaN or Inf among an image's logits {record.not_finite} times, which"
            " tell it nothing: accuracy may be too high"
        )
    if record.checks is not None:
        head = f"checks on {counted(record.checks.images, 'image')} at eps {record.checks.eps:g}:"
        lines = [head, *map(check_line, record.checks.outcomes)]
        if not _telling(record.checks):
            lines.append(
                "the attack fells none that noise leaves, so that these checks tell little; give an"
                " --eps that fells some of the images, or more --check-images"
            )
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def sentence(record: RobustnessRecord, one: RobustAccuracy) -> str:
    """Say what was left at one eps, and of which attacks that is the worst case."""
    mean = ""
    if one.mean_per_class is not None:
        mean = f", mean over classes {one.mean_per_class:.1f} %"
    known = f"; {one.earlier:,} fell at a smaller eps and count as fallen" if one.earlier else ""
    return (
        f"{eps_label(record.attack_norm, one.eps)}, {record.attack}: {one.top1:.1f} %"
        f" [{one.low:.1f}, {one.high:.1f}] of {counted(record.data.images, 'image')}{mean}{known}"
    )


def check_line(one: CheckOutcome) -> str:
    """Return ``PASS``, or ``FAIL`` with what that means, with the figures."""
    figures = {figure.under: figure.top1 for figure in one.figures}
    return str(Check(one.name, one.passed, figures, one.meaning))


def _telling(checks: Checks) -> bool:
    """Whether anything lies between noise and the attack, which the checks could tell by."""
    noise = checks.outcomes[0]
    return len({figure.top1 for figure in noise.figures}) > 1


def _table(record: RobustnessRecord) -> str:
    """What each attack left, of those that it met, in percent of all images."""
    names = [member.name for member in record.members]
    rows = []
    for one in record.robust:
        left, cells = record.correct - one.earlier, []
        for name in names:
            left -= one.felled[name]
            cells.append(f"{100 * left / record.data.images:.1f}")
        rows.append([eps_label(record.attack_norm, one.eps), *cells])
    headers = ["top-1 %", *(f"after {name}" for name in names)]
    align = ["left"] + ["right"] * len(names)
    return tabulate(rows, headers, disable_numparse=True, colalign=align)


def _share(count: int, of: int) -> str:
    low, high = interval(count, of)
    return f"{100 * count / of:.1f} % [{low:.1f}, {high:.1f}]"
