"""The training data loader: Detectron2's mapper and sampler behind a planned order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog
from detectron2.data.build import (
    filter_images_with_few_keypoints,
    filter_images_with_only_crowd_annotations,
    print_instances_class_histogram,
)
from detectron2.data.samplers import RepeatFactorTrainingSampler, TrainingSampler
from detectron2.utils import comm
from torch.utils.data import DataLoader, Dataset

from robust_det.core.errors import UserError
from robust_det.core.seeding import mixed_seed, seeded
from robust_det.core.signals import leave_to_parent
from robust_det.detection.datasets.class_matching import places_among
from robust_det.detection.datasets.dicts import DatasetDicts, wide_images
from robust_det.detection.datasets.registration import describe_dataset, prepared_dataset
from robust_det.detection.finetuning.plan import BatchPlan, Position
from robust_det.detection.finetuning.worker_errors import ReturningErrors, raise_returned
from robust_det.training.waiting import loaded, require_shared_memory

__all__ = ["TrainingLoader", "build_loader", "training_images"]


class _Mapped(Dataset):
    """Images as the mapper makes them, with random numbers that belong to the draw."""

    def __init__(
        self, images: Sequence[dict[str, Any]], mapper: Callable[[dict[str, Any]], Any], seed: int
    ) -> None:
        self.images, self.mapper, self.seed = images, ReturningErrors(mapper), seed

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, position: Position) -> Any:
        number, index = position
        with seeded(mixed_seed(self.seed, number)):
            mapped = self.mapper(dict(self.images[index]))
        if mapped is None:
            raise ValueError(f"the mapper made nothing of {self.images[index]['file_name']}")
        return mapped


class TrainingLoader:
    """Endless batches of a run, each a list of mapped images.

    Args:
        images: dataset dictionaries of Detectron2.
        mapper: turns one into what the model takes.
        plan: the batches.
        workers: processes that load; 0 loads in this one.
        seed: of the augmentation.
    """

    def __init__(
        self,
        images: Sequence[dict[str, Any]],
        mapper: Callable[[dict[str, Any]], Any],
        plan: BatchPlan,
        workers: int,
        seed: int,
    ) -> None:
        self.plan = plan
        self.dataset = _Mapped(images, mapper, seed)
        self._loader = DataLoader(
            self.dataset,
            batch_sampler=plan,  # type: ignore[arg-type]
            num_workers=workers,
            collate_fn=_as_it_is,
            worker_init_fn=leave_to_parent,
            # its own, so that starting the workers draws nothing from the model's
            generator=torch.Generator(),
        )

    def __iter__(self) -> Iterator[Any]:
        # a generator: the workers start at the first batch, when it is known which one that is
        for batch in loaded(self._loader):
            raise_returned(batch)
            yield batch


def _as_it_is(batch: Any) -> Any:
    return batch


def training_images(cfg: CfgNode) -> Sequence[dict[str, Any]]:
    """Return the dataset dictionaries of a config's training data.

    They are those of Detectron2's ``get_detection_dataset_dicts``, which would make and count all
    of them first, and knows no names of classes: theirs are those of the first data set.

    Raises:
        UserError: the data show nothing to learn.
    """
    names, filter_empty = cfg.DATASETS.TRAIN, cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS
    prepared = [prepared_dataset(name) for name in names]
    if cfg.MODEL.KEYPOINT_ON or any(p.images is None for p in prepared):
        head = cfg.MODEL.ROI_KEYPOINT_HEAD
        least = head.MIN_KEYPOINTS_PER_IMAGE if cfg.MODEL.KEYPOINT_ON else 0
        return _stock_dicts(names, filter_empty, least)
    has_objects = all(p.categories for p in prepared)
    images = DatasetDicts(prepared, filter_empty and has_objects)
    if not len(images):
        raise UserError(
            f"DATASETS.TRAIN {', '.join(names)}: all objects are crowds",
            "add others, or, if they are single objects, set DATASETS.CROWD objects",
        )
    if has_objects:
        counts = images.objects_of_class()
        objects = [{"category_id": c} for c, count in enumerate(counts) for _ in range(count)]
        print_instances_class_histogram([{"annotations": objects}], prepared[0].facts.classes)
    return images


def _stock_dicts(names: Sequence[str], filter_empty: bool, least: int) -> list[dict[str, Any]]:
    """Do what ``get_detection_dataset_dicts`` does, with classes told by their names."""
    classes = describe_dataset(names[0]).classes
    images: list[dict[str, Any]] = []
    for name in names:
        places = places_among(describe_dataset(name).classes, classes)
        for image in DatasetCatalog.get(name):
            for annotation in image["annotations"]:
                annotation["category_id"] = places[annotation["category_id"]]
            images.append(image)
    if filter_empty:
        images = filter_images_with_only_crowd_annotations(images)
    if least:
        images = filter_images_with_few_keypoints(images, least)
    if not images:
        raise UserError(f"DATASETS.TRAIN {', '.join(names)}: no image shows what is to be learnt")
    print_instances_class_histogram(images, classes)
    return images


def build_loader(
    cfg: CfgNode, images: Sequence[dict[str, Any]], mapper: Callable[[dict[str, Any]], Any]
) -> TrainingLoader:
    """Build the loader of training images.

    Raises:
        UserError: a batch that the processes cannot share, or an unknown sampler.
    """
    seed = comm.shared_random_seed()
    name = cfg.DATALOADER.SAMPLER_TRAIN
    if name == "TrainingSampler":
        draws: Any = TrainingSampler(len(images), seed=seed)
    elif name == "RepeatFactorTrainingSampler":
        factors = RepeatFactorTrainingSampler.repeat_factors_from_category_frequency(
            images, cfg.DATALOADER.REPEAT_THRESHOLD
        )
        draws = RepeatFactorTrainingSampler(factors, seed=seed)
    else:
        raise UserError(
            f"unknown DATALOADER.SAMPLER_TRAIN '{name}'; use TrainingSampler or"
            " RepeatFactorTrainingSampler"
        )
    # the plan shares a batch out by itself, so each process draws all of it
    draws._rank, draws._world_size = 0, 1
    world_size = comm.get_world_size()
    if cfg.SOLVER.IMS_PER_BATCH % world_size:
        raise UserError(
            f"SOLVER.IMS_PER_BATCH {cfg.SOLVER.IMS_PER_BATCH} cannot be shared by {world_size}"
            " processes; choose a multiple"
        )
    wide = wide_images(images) if cfg.DATALOADER.ASPECT_RATIO_GROUPING else None
    plan = BatchPlan(draws, wide, cfg.SOLVER.IMS_PER_BATCH, comm.get_rank(), world_size)
    _look_for_room(cfg, world_size)
    return TrainingLoader(images, mapper, plan, cfg.DATALOADER.NUM_WORKERS, cfg.SEED)


def _look_for_room(cfg: CfgNode, world_size: int) -> None:
    """Compare what workers may need of ``/dev/shm`` with what is there; boxes are not counted."""
    share, steps = cfg.SOLVER.IMS_PER_BATCH // world_size, cfg.SOLVER.MAX_ITER
    key, workers = "DATALOADER.NUM_WORKERS", cfg.DATALOADER.NUM_WORKERS
    # of an image that fills what images are resized to
    largest = 3 * max(cfg.INPUT.MIN_SIZE_TRAIN) * cfg.INPUT.MAX_SIZE_TRAIN
    tested = 3 * cfg.INPUT.MIN_SIZE_TEST * cfg.INPUT.MAX_SIZE_TEST
    loaders = [(share * largest, steps), (tested, math.inf)]
    require_shared_memory(loaders, workers, key, sure=False)
