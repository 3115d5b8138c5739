"""The section of transfers: accuracy by backbone, which eps is the best, frozen and fine-tuned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from robust_det.analysis.options import Options
from robust_det.analysis.sections.provenance import provenance_entry
from robust_det.analysis.sections.section import Section
from robust_det.analysis.sections.transfer_paper import paper_tables
from robust_det.analysis.tables import escape_markdown
from robust_det.analysis.transfer.blocks import (
    HOW_TO_READ,
    best_block,
    block_text,
    gains_block,
    pair_block,
    setting_block,
)
from robust_det.analysis.transfer.contests import HOW_TO_READ_CONTESTS, families_of
from robust_det.analysis.transfer.csv_files import contests_csv, figures_csv, pairs_csv
from robust_det.analysis.transfer.findings import transfer_findings
from robust_det.analysis.transfer.grouping import Row, Setting, group_runs
from robust_det.analysis.transfer.modes import HOW_TO_READ_MODES, pairs_of
from robust_det.analysis.transfer.plots import plots_of
from robust_det.analysis.transfer.published import (
    HOW_TO_READ_PUBLISHED,
    published_block,
    published_csv,
    published_of,
)
from robust_det.analysis.transfer.runs import Run, runs_of
from robust_det.core.figures import PLACEHOLDER, image_bytes, inline_svg
from robust_det.records.transfer import TransferRecord

__all__ = ["transfer_section"]

_LEAD = (
    "Transfers: each row is the mean of image classifiers that started from backbones pretrained"
    " under attack, frozen or fine-tuned. ε is the strength of that attack, for pixels in [0, 1];"
    " the standard backbone (ε 0) saw none. Within a setting, images, mode, head and protocol are"
    " the same."
)


def transfer_section(records: Sequence[tuple[Path, TransferRecord]], options: Options) -> Section:
    """Compare transfers.

    Args:
        records: each with its file; at least one.
        options: not for these records.

    Raises:
        UserError: a record has not what comparison needs.
    """
    settings = group_runs(runs_of(records))
    families, pairs = families_of(settings), pairs_of(settings)
    findings = transfer_findings(settings, families, pairs)
    of_settings = [setting_block(setting) for setting in settings]
    gains = (gains_block(family) for family in families)
    contests = [block for block in gains if block is not None]
    contests += [best_block(family) for family in families]
    modes = [pair_block(pair) for pair in pairs]
    plots = plots_of(settings)
    parts = [
        ("Accuracy of transferred classifiers", of_settings, HOW_TO_READ),
        ("Which ε on which set", contests, HOW_TO_READ_CONTESTS),
        ("Frozen and fine-tuned", modes, HOW_TO_READ_MODES),
    ]
    if published := published_of(settings):
        parts.append(
            ("Beside reported figures", [published_block(published)], HOW_TO_READ_PUBLISHED)
        )
    parts = [part for part in parts if part[1]]
    files: dict[str, bytes | Path] = {"transfer.csv": figures_csv(settings).encode()}
    if families:
        files["transfer_differences.csv"] = contests_csv(families).encode()
    if pairs:
        files["transfer_modes.csv"] = pairs_csv(pairs).encode()
    if published:
        files["transfer_reported.csv"] = published_csv(published).encode()
    for plot in plots:
        figure = plot.draw()
        for kind in ("png", "svg"):
            files[f"plots/{plot.name}.{kind}"] = image_bytes(figure, kind)

    def text(style: str) -> list[str]:
        safe = escape_markdown if style == "pipe" else str
        bullet = "- " if style == "pipe" else ""
        said = "\n".join(f"{bullet}{safe(line)}" for line in findings)
        tables = [
            text for _, blocks, _ in parts for one in blocks for text in block_text(one, style)
        ]
        return [said, *tables, *(safe(how) for _, _, how in parts)]

    return Section(
        text=text,
        template="transfer.html",
        values={
            "parts": parts,
            # Markup: our own SVG, in which matplotlib has escaped the names
            "plots": [
                (Markup(inline_svg(one.draw(PLACEHOLDER), one.description)), len(one.panels) > 1)
                for one in plots
            ],
        },
        findings=findings,
        files=files,
        provenance=[
            _provenance(run, row, setting)
            for setting in settings
            for row in setting.rows
            for one in row.backbones
            for run in one.runs
        ],
        lead=_LEAD,
        tables=tuple(paper_tables(settings, families, pairs, published)),
    )


def _provenance(run: Run, row: Row, setting: Setting) -> dict[str, Any]:
    record = run.record
    chosen = ", ".join(f"{name} {value:g}" for name, value in record.selection.chosen.items())
    facts: list[tuple[str, object]] = [
        ("backbone", record.weights.path),
        ("weights SHA-256", record.weights.sha256),
        ("split manifest", record.data.manifest),
        ("chosen", f"{chosen or 'nothing'} (on {record.selection.on})"),
    ]
    if record.selection.remarks:
        facts.append(("remarks", " ".join(record.selection.remarks)))
    return provenance_entry(
        record.environment,
        run.path,
        record.wall_time_s,
        facts,
        name=record.name,
        letter=setting.name,
        label=row.label,
        seed=record.seed,
    )
