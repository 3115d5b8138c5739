"""The answer in sentences: the recommended backbone, how sure that is, and what limits it."""

from __future__ import annotations

from collections.abc import Sequence

from robust_det.core.epsilon import eps_label
from robust_det.ranking.comparison import Row
from robust_det.ranking.correlation import rank_correlation
from robust_det.ranking.scores import LOGME
from robust_det.ranking.words import TITLES, backbone_label, format_figure, listed

__all__ = ["agreement", "findings"]


def findings(rows: Sequence[Row], headline: str, what: str) -> list[str]:
    """Return what the rows say, a sentence or two each.

    Args:
        rows: the best first.
        headline: the metric that orders them.
        what: examples are ``boxes`` or ``images``.
    """
    best = rows[0]
    what_it_is = backbone_label(best.arch, best.norm, best.eps)
    name = f"{what_it_is} ({listed([file.name for file in best.files])})"
    figure = f"{format_figure(best.figures[headline], headline)} {TITLES[headline]} of {what}"
    if len(rows) == 1:
        return [f"One backbone alone, and nothing to compare: {name} has {figure}."]
    out = [f"Recommended: {name}: {figure}. It is the best in {best.sure:.0%} of the resamples."]
    near = [row.label for row in rows[1:] if not row.is_told_apart]
    if near:
        out.append(
            f"Not told apart from it by these images: {listed(near)} (the interval of the"
            " difference reaches 0)."
        )
    else:
        out.append("All others are lower, also by the intervals of the differences.")
    if ties := [r.label for r in rows[1:] if r.behind is not None and r.behind.value == 0]:
        out.append(f"Its score is exactly that of {listed(ties)}; the smaller ε stands first.")
    out += _of_architectures(rows, headline)
    if unknown := [row.files[0].name for row in rows if row.eps is None]:
        out.append(f"Of unknown ε, and not in the plot: {listed(unknown)}.")
    if rho := agreement(rows, headline):
        out.append(rho)
    return out


def agreement(rows: Sequence[Row], headline: str) -> str:
    """Return how far the two scores agree on the order; nothing of fewer than three rows."""
    both = [[row.figures[metric].value for row in rows] for metric in (headline, LOGME)]
    rho = rank_correlation(*both) if len(rows) > 2 else None
    if rho is None:
        return ""
    shown = f"{rho:.2f}".replace("-", "−")
    return (
        f"Rank correlation of the {TITLES[headline]} and LogME over the {len(rows)} rows: {shown}"
        " (Spearman)."
    )


def _of_architectures(rows: Sequence[Row], headline: str) -> list[str]:
    """Return the best eps of each architecture, where there are several."""
    architectures = list(dict.fromkeys(row.arch for row in rows))
    if len(architectures) == 1:
        return []
    parts = []
    for arch in architectures:
        own = [row for row in rows if row.arch == arch and row.eps is not None]
        if len(own) > 1:
            parts.append(f"{arch}: {eps_label(own[0].norm, own[0].eps)}")
    out = ["Architectures differ in more than ε: compare ε within one of them."]
    if parts:
        out.append(f"The best ε within each: {'; '.join(parts)}.")
    return out
