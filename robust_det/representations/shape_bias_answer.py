"""What shape biases say of standard and robust networks: sentences, tables and a plot."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from robust_det.analysis.estimates import LEVEL
from robust_det.analysis.questions.answer import Answer, Sheet
from robust_det.analysis.questions.words import sure
from robust_det.analysis.tables import csv_of, signed
from robust_det.analysis.transfer.blocks import Block
from robust_det.analysis.transfer.cells import NONE, difference_cell
from robust_det.core.errors import counted
from robust_det.core.resampling import Interval
from robust_det.representations.cue_conflict import CueConflict
from robust_det.representations.shape_bias import (
    Decided,
    ShapeBias,
    by_category,
    shape_bias,
)
from robust_det.representations.shape_gaps import Gap, gaps_of
from robust_det.representations.share_plot import ShareRow, Shares
from robust_det.representations.trainings import training_of
from robust_det.visualization.networks import ShownBackbone

__all__ = ["NAME", "Asked", "answer_of", "asked", "tables_of"]

NAME = "texture_cue_conflict"
ASKS = "Do robust networks go by shape where standard ones go by texture?"
_HOW_TO_READ = (
    "Shape bias (Geirhos et al. 2019, section 2) is the share of decisions for the category of the"
    " shape among those for the category of the shape or of the texture; decisions for any other do"
    " not count. An image is taken for the category whose classes have the highest mean"
    " probability. A network that guesses has 50 %: look at how many decisions count.",
    "Intervals of a network are Wilson's (1927) over the images that count. Differences are told"
    " twice: over images, for these networks alone (bootstrap, paired, as all see the same images),"
    " and over pretraining runs, where there are two or more of both (t test of pairs where each"
    " began from the weights that one of the others began from, else Welch 1947; p holds for all at"
    " once, Holm 1979).",
)


@dataclass(frozen=True)
class Asked:
    """What networks were asked and took images for.

    Attributes:
        backbones: the networks.
        categories: those that all networks can tell.
        images: whose cues contradict each other.
        decided: by network.
        biases: of each.
        gaps: to the standard ones.
        size: side in pixels of what networks see.
    """

    backbones: Sequence[ShownBackbone]
    categories: Sequence[str]
    images: Sequence[CueConflict]
    decided: Mapping[str, Decided]
    biases: Mapping[str, ShapeBias]
    gaps: Sequence[Gap]
    size: int


def asked(
    backbones: Sequence[ShownBackbone],
    categories: Sequence[str],
    images: Sequence[CueConflict],
    decisions: Mapping[str, Decided],
    size: int,
) -> Asked:
    """Return what is to be said of decisions; see :class:`Asked`."""
    biases = {name: shape_bias(own) for name, own in decisions.items()}
    gaps = gaps_of(backbones, decisions, biases)
    return Asked(backbones, categories, images, decisions, biases, gaps, size)


def answer_of(one: Asked, notes: Sequence[str]) -> Answer:
    """Return the answer.

    Args:
        one: what was asked.
        notes: what is to be known of networks and images, in sentences.
    """
    trainings = [training_of(each) for each in one.backbones]
    each = ", ".join(f"{trainings.count(name)} {name}" for name in dict.fromkeys(trainings))
    basis = (
        f"From {counted(len(trainings), 'network')} ({each}) on"
        f" {counted(len(one.images), 'image')} of cue conflict at {one.size} px, between"
        f" {len(one.categories)} categories: {', '.join(one.categories)}."
    )
    sheets = [_biases_sheet(one)]
    if one.gaps:
        sheets.append(_gaps_sheet(one))
    lines = list(_category_rows(one))
    sheets.append(
        Sheet(
            f"{NAME}_categories",
            Block("Decisions by category of shape", [], [], 0, ("See the CSV file.",)),
            csv_of(list(lines[0]), [list(line.values()) for line in lines]),
        )
    )
    return Answer(
        NAME, ASKS, basis, list(_findings(one)), sheets, [_plot(one)], _HOW_TO_READ, notes
    )


def tables_of(one: Asked) -> dict[str, list[dict[str, Any]]]:
    """Return all figures by the name of their table."""
    return {
        NAME: list(_bias_rows(one)),
        f"{NAME}_differences": list(_gap_rows(one)),
        f"{NAME}_categories": list(_category_rows(one)),
    }


def _percent(figure: Interval) -> str:
    if math.isnan(figure.value):
        return NONE
    return f"{figure.value:.1f} [{figure.low:.1f}, {figure.high:.1f}]"


def _findings(one: Asked) -> Iterator[str]:
    if not one.gaps:
        said = "; ".join(
            f"{name} {_percent(bias.interval)} %" for name, bias in list(one.biases.items())[:6]
        )
        yield (
            "Not known: whether robust networks go by shape more than standard ones, as no two of"
            f" one architecture are among these. Shape bias: {said}."
        )
    for gap in one.gaps:
        whose = f"{gap.training} networks of {gap.arch}"
        found, these = gap.of_runs, gap.of_these
        runs = f"{gap.own.n} and {gap.standard.n} pretraining runs"
        runs += ", paired by their beginnings" if gap.paired else ""
        figures = f"{gap.own.mean:.1f} % of decisions against {gap.standard.mean:.1f} %"
        if math.isnan(found.value):
            yield f"Not known: whether {whose} go by shape, as they decide for neither cue."
            continue
        alone = f"of these networks alone, {_signed(these)} points over images"
        if math.isnan(found.p):
            start = f"Not known beyond these networks: whether {whose} go by shape more often than"
            yield f"{start} standard ones, with {runs}: {figures}; {alone}."
        elif found.p < LEVEL:
            answer, word = ("Yes", "more") if found.value > 0 else ("No", "less")
            start = f"{answer}, on this data: {whose} go by shape {word} often than standard ones"
            yield (
                f"{start}: {figures}, {sure(found.value, found.low, found.high, found.p)} points"
                f" over {runs}; {alone}."
            )
        else:
            yield (
                f"Not shown: that {whose} go by shape more or less often than standard ones:"
                f" {figures}, {sure(found.value, found.low, found.high, found.p)} points over"
                f" {runs}; {alone}."
            )
    counts = [(bias.shape + bias.texture, name) for name, bias in one.biases.items()]
    guessed = 2 * len(one.images) / len(one.categories)
    few, name = min(counts)
    most = max(counts)[0]
    between = f"{few:,}" if few == most else f"{few:,} (of {name}) to {most:,}"
    yield (
        f"Decisions for either cue: {between} of {len(one.images):,}; a network that guesses has"
        f" {guessed:.0f}."
    )


def _signed(figure: Interval) -> str:
    ends = "" if math.isnan(figure.low) else f" [{signed(figure.low)}, {signed(figure.high)}]"
    return f"{signed(figure.value)}{ends}"


def _biases_sheet(one: Asked) -> Sheet:
    rows = [
        [
            each.name,
            each.model.arch,
            training_of(each),
            _percent(bias.interval),
            str(bias.shape),
            str(bias.texture),
            str(bias.images - bias.shape - bias.texture),
        ]
        for each in one.backbones
        for bias in [one.biases[each.name]]
    ]
    headers = ["network", "arch", "trained", "shape bias %", "by shape", "by texture", "neither"]
    lines = list(_bias_rows(one))
    csv = csv_of(list(lines[0]), [list(line.values()) for line in lines])
    return Sheet(NAME, Block("Shape bias", headers, rows, 3), csv)


def _bias_rows(one: Asked) -> Iterator[dict[str, Any]]:
    for each in one.backbones:
        bias = one.biases[each.name]
        yield {
            "network": each.name,
            "sha256": each.file.sha256,
            "arch": each.model.arch,
            "training": training_of(each),
            "shape_bias": bias.interval.value,
            "low": bias.interval.low,
            "high": bias.interval.high,
            "shape": bias.shape,
            "texture": bias.texture,
            "images": bias.images,
        }


def _gaps_sheet(one: Asked) -> Sheet:
    rows = [
        [
            gap.arch,
            gap.training,
            f"{gap.own.mean:.1f}",
            f"{gap.standard.mean:.1f}",
            _signed(gap.of_these),
            difference_cell(gap.of_runs),
            f"{gap.own.n} and {gap.standard.n}",
        ]
        for gap in one.gaps
    ]
    headers = ["arch", "trained", "shape bias %", "standard %", "Δ of these, over images"]
    block = Block(
        "Less the standard networks", [*headers, "Δ over pretraining runs", "runs"], rows, 2
    )
    lines = list(_gap_rows(one))
    csv = csv_of(list(lines[0]), [list(line.values()) for line in lines])
    return Sheet(f"{NAME}_differences", block, csv)


def _gap_rows(one: Asked) -> Iterator[dict[str, Any]]:
    for gap in one.gaps:
        yield {
            "arch": gap.arch,
            "training": gap.training,
            "shape_bias": gap.own.mean,
            "runs": gap.own.n,
            "standard": gap.standard.mean,
            "standard_runs": gap.standard.n,
            "difference": gap.of_these.value,
            "images_low": gap.of_these.low,
            "images_high": gap.of_these.high,
            "paired_runs": int(gap.paired),
            "runs_low": gap.of_runs.low,
            "runs_high": gap.of_runs.high,
            "p": gap.of_runs.p,
        }


def _category_rows(one: Asked) -> Iterator[dict[str, Any]]:
    for name, own in one.decided.items():
        for category, (images, shape, texture) in by_category(one.images, own).items():
            yield {
                "network": name,
                "category": category,
                "images": images,
                "shape": shape,
                "texture": texture,
            }


def _plot(one: Asked) -> Shares:
    kinds = list(dict.fromkeys(training_of(each) for each in one.backbones))
    rows = [
        ShareRow(each.name, one.biases[each.name].interval, kinds.index(training_of(each)))
        for each in one.backbones
    ]
    x = "shape bias in % (0: all by texture, 100: all by shape; dashed: a guess)"
    x += "\nbars: 95% intervals over images"
    return Shares(NAME, "Decisions by shape, of those for shape or texture", x, tuple(kinds), rows)
