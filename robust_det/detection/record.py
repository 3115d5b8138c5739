"""The run record of a fine-tuned detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode, get_cfg

from robust_det.checkpoints.backbone_file import BackboneCard
from robust_det.core.config.reading import flatten, to_dict
from robust_det.core.files import sha256_file
from robust_det.detection.config.defaults import detection_defaults
from robust_det.detection.config.init_detector import init_content
from robust_det.detection.config.trained import NOT_THE_MODEL
from robust_det.detection.config.weights import weights_file
from robust_det.detection.datasets import describe_dataset
from robust_det.detection.datasets.registration import annotations_file, prepared_dataset
from robust_det.detection.evaluation import (
    describe_evaluators,
    saved_detections,
    saved_segmentations,
)
from robust_det.detection.provenance import (
    Provenance,
    detector_of,
    iterations_in,
    provenance_in,
)
from robust_det.records import environment, write_record
from robust_det.records.base import Change, Weights, as_json
from robust_det.records.detection import (
    DataSet,
    DataSets,
    DetectionRecord,
    InitDetector,
    Picture,
)
from robust_det.records.evaluation_keys import at_evaluation

__all__ = ["described", "provenance_of", "write_detection_record"]

# keys that do not change what a run computes, or that the record states by themselves
_NOT_PROTOCOL = (
    "CUDNN_BENCHMARK",
    "DATALOADER.NUM_WORKERS",
    "DATASETS.",
    "INPUT.FAST_JPEG",
    "INPUT.FORMAT",
    "MODEL.BACKBONE.ARCH",
    *NOT_THE_MODEL,
    # what follows from the architecture
    "MODEL.RESNETS.DEFORM_ON_PER_STAGE",
    "MODEL.RESNETS.DEPTH",
    "MODEL.RESNETS.NUM_GROUPS",
    "MODEL.RESNETS.RES2_OUT_CHANNELS",
    "MODEL.RESNETS.STEM_OUT_CHANNELS",
    "MODEL.RESNETS.STRIDE_IN_1X1",
    "MODEL.RESNETS.WIDTH_PER_GROUP",
    "OUTPUT_DIR",
    "SEED",
    "SOLVER.CHECKPOINT_PERIOD",
    "SOLVER.FUSED",
    "TEST.EVAL_PERIOD",
    "TEST.EXPECTED_RESULTS",
    "TEST.KEEP_BEST",
    "TEST.PICTURES",
    "VERSION",
    "VIS_PERIOD",
)


def write_detection_record(
    folder: Path,
    *,
    name: str,
    cfg: CfgNode,
    card: BackboneCard | None,
    results: Mapping[str, Mapping[str, float]],
    pictures: list[Picture],
    seconds: float,
    detector: Path | None = None,
    changes: Sequence[Change] | None = None,
) -> Path:
    """Write ``record.json`` of a run.

    Args:
        folder: where to.
        name: of the run.
        cfg: the run's complete config.
        card: of the backbone it started from; without one eps is null, as it is for a card that
            does not know it, and comparison leaves the record out.
        results: the evaluators' figures by task (``bbox``, ``segm``, ``sem_seg``,
            ``panoptic_seg``), in percent.
        pictures: see :func:`robust_det.detection.pictures.draw_pictures`.
        seconds: wall time of training and evaluation, over all sessions.
        detector: file of the detector evaluated, which says how it was trained; without one, or
            where it does not say, the config does.
        changes: of the run until its evaluation; those that the detector says if None.
    """
    file, known = detector_of(detector, cfg) if detector else (None, None)
    made = known or provenance_of(cfg)
    now, then = _computing(to_dict(cfg)), _computing(made.config)
    rest = {k: v for k, v in then.items() if not at_evaluation(k)}
    rest |= {k: v for k, v in now.items() if at_evaluation(k)}
    record = DetectionRecord(
        name=name,
        arch=cfg.MODEL.BACKBONE.ARCH,
        norm=card.norm if card else "",
        eps=card.eps if card else None,
        weights=Weights(
            made.config["MODEL"]["WEIGHTS"],
            made.weights_sha256,
            card.source_sha256 if card else "",
        ),
        seed=made.config["SEED"],
        raw_config=as_json(to_dict(cfg)),
        environment=environment(cfg.MODEL.DEVICE),
        wall_time_s=round(seconds, 1),
        data=DataSets(made.train, described(cfg.DATASETS.TEST)),
        schedule={k: v for k, v in rest.items() if k.startswith("SOLVER.")},
        protocol={k: v for k, v in rest.items() if not k.startswith("SOLVER.")},
        evaluators=describe_evaluators(cfg),
        detections=saved_detections(cfg),
        segmentations=saved_segmentations(cfg),
        # numpy's numbers among them
        metrics={t: {k: float(v) for k, v in values.items()} for t, values in results.items()},
        pictures=pictures,
        detector=file,
        init_detector=made.init_detector,
        changes=made.changes if changes is None else list(changes),
    )
    return write_record(folder, record)


def _computing(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of a config that change what is computed, flat."""
    off = _features_off()
    return {
        key: value
        for key, value in sorted(flatten(config).items())
        if not key.startswith(_NOT_PROTOCOL) and not (key in off and value == off[key])
    }


def provenance_of(cfg: CfgNode) -> Provenance:
    """Return the provenance of what a complete config trains."""
    init, before = _init_detector(cfg)
    if before is not None:
        weights_sha256 = before.weights_sha256
    else:
        weights = weights_file(cfg.MODEL.WEIGHTS) if cfg.MODEL.WEIGHTS else None
        weights_sha256 = sha256_file(weights) if weights else ""
    return Provenance(
        to_dict(cfg),
        described(cfg.DATASETS.TRAIN),
        weights_sha256,
        init,
        list(describe_dataset(cfg.DATASETS.TRAIN[0]).stuff),
        test=described(cfg.DATASETS.TEST),
    )


def _init_detector(cfg: CfgNode) -> tuple[InitDetector | None, Provenance | None]:
    """Return the detector that a config's run starts from, and how that was trained."""
    path = cfg.MODEL.INIT_DETECTOR
    if not path:
        return None, None
    content = init_content(path)
    before = provenance_in(content, path)
    train = tuple(before.train) if before else ()
    return InitDetector(path, sha256_file(path), train, iterations_in(content)), before


def described(names: Sequence[str]) -> list[DataSet]:
    """Return prepared data sets as records have them."""
    out = []
    for name in names:
        facts = describe_dataset(name)
        out.append(
            DataSet(
                name=facts.name,
                images=facts.images,
                annotations=facts.annotations,
                classes=len(facts.classes),
                sha256=facts.sha256,
                annotations_file=annotations_file(name),
                image_folder=prepared_dataset(name).image_root,
                stuff=len(facts.stuff),
                panoptic_sha256=facts.panoptic_sha256 if facts.stuff else "",
            )
        )
    return out


def _features_off() -> dict[str, Any]:
    """Return the keys that are not Detectron2's, with the values that change nothing.

    Left out of records, they let runs from before and after a feature was added be compared.
    """
    stock, ours = (flatten(to_dict(keys)) for keys in (get_cfg(), detection_defaults()))
    return {key: value for key, value in ours.items() if key not in stock}
