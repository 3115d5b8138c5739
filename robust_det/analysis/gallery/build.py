"""Drawn by the comparison where that can be, else by the runs."""

from __future__ import annotations

from dataclasses import replace

from robust_det.analysis.gallery.drawn import draw_gallery
from robust_det.analysis.gallery.from_runs import pictures_of_runs
from robust_det.analysis.gallery.gallery import Gallery
from robust_det.analysis.grouping import Setting
from robust_det.analysis.options import Options
from robust_det.analysis.significance.evidence import has_objects, lacking
from robust_det.core.errors import UserError

__all__ = ["build_gallery"]


def _possible(setting: Setting, options: Options) -> Setting:
    """Return a setting without the backbones of which nothing can be drawn, if that is wanted; all
    of them, if nothing is left."""
    if not options.where_possible:
        return setting
    rows = [row for row in setting.rows if not lacking(row.runs, options.annotations)]
    return replace(setting, rows=rows) if rows else setting


def build_gallery(setting: Setting, options: Options) -> Gallery:
    """Return the pictures of a setting.

    Without what is needed to draw, those that the runs drew; the page says so, and why.
    """
    if not options.pictures:
        return Gallery()
    if not all(has_objects(task) for task in setting.tasks):
        return pictures_of_runs(setting, options.pictures)
    try:
        return draw_gallery(_possible(setting, options), options)
    except UserError as error:
        gallery = pictures_of_runs(setting, options.pictures)
        what = (
            "Pictures are those of the runs, chosen before it was known where backbones disagree"
            if gallery.rows
            else "There are no pictures"
        )
        gallery.problems.insert(0, f"{what}: {error}.")
        return gallery
