"""``robust-det analyze similarity``: from backbones and images to an answer in a folder."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from robust_det.analysis.own_folder import OwnFolder
from robust_det.analysis.questions.analyze import MARKER, answer_text, write_answer
from robust_det.core.errors import UserError
from robust_det.core.progress import progress_bar
from robust_det.ranking.words import listed
from robust_det.representations.beginnings import beginning_of
from robust_det.representations.cka import FEWEST_IMAGES, Centred
from robust_det.representations.far_images import far_shares, far_words
from robust_det.representations.given_images import GivenImages, given_images
from robust_det.representations.outputs import Outputs, kept_words
from robust_det.representations.pairs import constant_stages, pairs_of
from robust_det.representations.record import record_bytes
from robust_det.representations.similarity_answer import NAME, Compared, answer_of, tables_of
from robust_det.representations.stage_features import check_grid, stage_outputs, stages_of
from robust_det.representations.yardstick import yardsticks
from robust_det.visualization.networks import ShownBackbone, load_backbones
from robust_det.zoo.backbone_files import BackboneFile

__all__ = ["SimilarityJob", "ask_similarity"]


@dataclass(frozen=True)
class SimilarityJob:
    """What to compare.

    Attributes:
        backbones: two or more.
        images: files, drawn already.
        device: where networks run.
        seed: of the draw.
        size: side in pixels of what networks see; the largest of their own if None.
        batch_size: images a pass.
        grid: cells a side that positions are averaged in.
        layers: names of stages; all of them if there are none.
        said: sentences about what was given.
    """

    backbones: Sequence[BackboneFile]
    images: Sequence[Path]
    device: torch.device
    seed: int = 0
    size: int | None = None
    batch_size: int = 64
    grid: int = 1
    layers: Sequence[str] = ()
    said: Sequence[str] = ()


def ask_similarity(job: SimilarityJob, output: Path) -> tuple[Path, str]:
    """Compare backbones stage by stage, and write summary, CSV files, heat maps and record.

    Args:
        job: what to compare.
        output: see :func:`~robust_det.analysis.questions.analyze.analyze`.

    Returns:
        The path of the summary, and what it says as text for a terminal.

    Raises:
        UserError: there is nothing to compare, or something does not fit. Nothing is written then.
    """
    folder = OwnFolder(output, MARKER, "answer")
    folder.files()  # refuses, before anything is read
    start = time.monotonic()
    _require_two(job)
    backbones = load_backbones(job.backbones)
    layers = {each.name: stages_of(each, job.layers) for each in backbones}
    images, said = given_images(job.images, backbones, job.size)
    if len(images) < FEWEST_IMAGES:
        raise UserError(
            f"debiased CKA needs {FEWEST_IMAGES} images of contents of their own or more, and there"
            f" {'is' if len(images) == 1 else 'are'} {len(images)}; give more --images"
        )
    for each in backbones:
        check_grid(each, job.grid, images.size)
    outputs, features = _features(backbones, layers, images, job)
    cells = sum(
        len(layers[a.name]) * len(layers[b.name])
        for at, a in enumerate(backbones)
        for b in backbones[at + 1 :]
    )
    with progress_bar(cells, "CKA", "pairs of stages") as bar:
        pairs = pairs_of(backbones, features, bar.update)
    shares = far_shares(features)
    compared = Compared(
        backbones,
        images,
        job.grid,
        pairs,
        yardsticks(backbones, pairs),
        far_words(shares, len(images)),
    )
    constant = [
        f"Undefined, since it is the same of all images: {stage}."
        for stage in constant_stages(features)
    ]
    unknown = [each.name for each in backbones if not beginning_of(each)]
    if unknown and compared.yardsticks:
        said.append(
            f"No record of pretraining lies beside {listed(unknown)}: whether pairs began from the"
            " same weights is not known of these."
        )
    notes = [*job.said, *said, kept_words(outputs, "features"), *constant]
    answer = answer_of(compared, notes)
    settings = {
        "size": images.size,
        "resize": images.size,
        "grid": job.grid,
        "layers": list(job.layers),
        "seed": job.seed,
        "batch_size": job.batch_size,
        "far_shares": {stage: share for stage, (share, _) in shares.items()},
        "kept": {name: one.kept for name, one in outputs.items()},
    }
    record = record_bytes(
        "similarity",
        backbones,
        images,
        settings,
        tables_of(compared),
        [*answer.findings, *notes],
        device=str(job.device),
        wall_time_s=time.monotonic() - start,
    )
    summary = write_answer(answer, folder, {f"{NAME}.json": record})
    return summary, answer_text(answer, "simple")


def _require_two(job: SimilarityJob) -> None:
    if len(job.backbones) > 1:
        return
    (only,) = job.backbones
    same = "".join(f"; {note.rstrip('.')}" for note in job.said if note.endswith("counts once."))
    raise UserError(
        f"{only.name} ({only.sha256[:12]}) alone has nothing to be compared with{same}; give two"
        " --backbones or more"
    )


def _features(
    backbones: Sequence[ShownBackbone],
    layers: Mapping[str, Sequence[str]],
    images: GivenImages,
    job: SimilarityJob,
) -> tuple[dict[str, Outputs], dict[str, dict[str, Centred]]]:
    """Return what is kept of each backbone, and its stages' features."""
    outputs, features = {}, {}
    for each in backbones:
        outputs[each.name], found = stage_outputs(
            each,
            images,
            layers[each.name],
            job.grid,
            device=job.device,
            batch_size=job.batch_size,
        )
        features[each.name] = {name: Centred(values) for name, values in found.items()}
    return outputs, features
