"""``robust-det analyze texture --cue-conflict``: from classifiers and images to an answer."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from robust_det.analysis.own_folder import OwnFolder
from robust_det.analysis.questions.analyze import MARKER, answer_text, write_answer
from robust_det.core.errors import UserError
from robust_det.representations.categories import CATEGORIES, classes_of_categories, decisions
from robust_det.representations.cue_conflict import conflicts_among, read_cue_conflicts
from robust_det.representations.given_images import GivenImages, given_images
from robust_det.representations.outputs import Outputs, cached_outputs, kept_words
from robust_det.representations.record import record_bytes
from robust_det.representations.shape_bias import decided
from robust_det.representations.shape_bias_answer import NAME, answer_of, asked, tables_of
from robust_det.transfer.features.network import FeatureNetwork
from robust_det.visualization.networks import ShownBackbone, load_backbones
from robust_det.zoo.backbone_files import BackboneFile

__all__ = ["CueConflictJob", "ask_cue_conflict"]


@dataclass(frozen=True)
class CueConflictJob:
    """What to ask.

    Attributes:
        backbones: files of classifiers.
        folder: of the images, see :func:`.read_cue_conflicts`.
        device: where networks run.
        size: side in pixels of what networks see; the largest of their own if None.
        batch_size: images a pass.
        said: sentences about what was given.
    """

    backbones: Sequence[BackboneFile]
    folder: str
    device: torch.device
    size: int | None = None
    batch_size: int = 64
    said: Sequence[str] = ()


def ask_cue_conflict(job: CueConflictJob, output: Path) -> tuple[Path, str]:
    """Count decisions by shape and by texture, and write summary, CSV files, plot and record.

    Args:
        job: what to ask.
        output: see :func:`~robust_det.analysis.questions.analyze.analyze`.

    Returns:
        The path of the summary, and what it says as text for a terminal.

    Raises:
        UserError: a network tells fewer than two categories with others, or something does not fit.
            Nothing is written then.
    """
    folder = OwnFolder(output, MARKER, "answer")
    folder.files()  # refuses, before anything is read
    start = time.monotonic()
    given = read_cue_conflicts(job.folder)
    backbones = load_backbones(job.backbones)
    classes = {
        each.name: classes_of_categories(each.model, str(each.file.path)) for each in backbones
    }
    categories, notes = _common(classes)
    conflicts, more = conflicts_among(given, categories)
    images, seen = given_images([one.path for one in conflicts], backbones, job.size)
    by_path = {one.path: one for one in conflicts}
    conflicts = [by_path[path] for path in images.paths]  # each content once
    found, outputs = {}, {}
    for each in backbones:
        outputs[each.name] = _probabilities(each, images, job)
        own = {name: classes[each.name][name] for name in categories}
        found[each.name] = decided(conflicts, decisions(outputs[each.name].values.numpy(), own))
    said = [*job.said, *notes, *more, *seen, kept_words(outputs, "probabilities")]
    one = asked(backbones, categories, conflicts, found, images.size)
    answer = answer_of(one, said)
    settings = {
        "size": images.size,
        "resize": images.size,
        "batch_size": job.batch_size,
        "categories": {
            name: {category: len(own[category]) for category in categories}
            for name, own in classes.items()
        },
        "kept": {name: each.kept for name, each in outputs.items()},
    }
    record = record_bytes(
        "cue-conflict",
        backbones,
        images,
        settings,
        tables_of(one),
        [*answer.findings, *said],
        device=str(job.device),
        wall_time_s=time.monotonic() - start,
    )
    summary = write_answer(answer, folder, {f"{NAME}.json": record})
    return summary, answer_text(answer, "simple")


def _common(classes: Mapping[str, Mapping[str, Sequence[int]]]) -> tuple[list[str], list[str]]:
    """Return the categories that all networks can tell, and what to say of the others."""
    common = [name for name in CATEGORIES if all(name in own for own in classes.values())]
    poorest = min(classes, key=lambda name: len(classes[name]))
    if len(common) < 2:
        told = ", ".join(classes[poorest]) or "none"
        raise UserError(
            f"between the networks there {'is' if len(common) == 1 else 'are'} {len(common)} of the"
            f" {len(CATEGORIES)} categories that all tell, and a choice needs two: {poorest} tells"
            f" {told}; give classifiers of ImageNet's classes, or of ones named as {CATEGORIES[0]}"
        )
    lost = [name for name in CATEGORIES if name not in common]
    if not lost:
        return common, []
    note = (
        f"{len(lost)} of {len(CATEGORIES)} categories left out, of which not every network has a"
        f" class: {', '.join(lost)}. Decisions are between the other {len(common)}, which makes"
        " figures others than those of all."
    )
    return common, [note]


def _probabilities(backbone: ShownBackbone, images: GivenImages, job: CueConflictJob) -> Outputs:
    def network() -> FeatureNetwork:
        model = backbone.model
        module = nn.Sequential(backbone.classifier(job.device), nn.Softmax(1))
        return FeatureNetwork(module.eval().requires_grad_(False), model.num_classes, model.arch)

    what = {"probabilities": backbone.model.num_classes}
    return cached_outputs(
        backbone, images, what, network, device=job.device, batch_size=job.batch_size
    )
