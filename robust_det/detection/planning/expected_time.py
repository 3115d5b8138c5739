"""How long a run will take, from a step or two of its own network."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.modeling import build_model
from detectron2.structures import BitMasks, Boxes, Instances
from detectron2.utils.events import EventStorage

from robust_det.core.device import autocast
from robust_det.detection.finetuning.switches import accelerate_model, precision

__all__ = ["expected_seconds"]

_STEPS, _ENOUGH = 5, 10.0  # at most so many, and no other one after so many seconds
# of a training step's time, what an image takes in evaluation
_EVALUATION = 0.4


def expected_seconds(cfg: CfgNode, tested: int, processes: int = 1) -> float:
    """Return about how many seconds a run takes, its evaluation included.

    A network of the config, with weights of chance, does a few steps on images of noise.

    Args:
        cfg: a complete config.
        tested: images of the test set.
        processes: that share a batch.
    """
    device = torch.device(cfg.MODEL.DEVICE)
    batch = max(1, cfg.SOLVER.IMS_PER_BATCH // processes)
    with torch.random.fork_rng(enabled=True), EventStorage():
        model = accelerate_model(cfg, build_model(cfg)).train()
        images = [_image(cfg) for _ in range(batch)]
        times: list[float] = []
        while len(times) < 2 or (len(times) < _STEPS and sum(times) < _ENOUGH):
            start = time.perf_counter()
            with autocast(device, precision(cfg)):
                losses = model(images)
            sum(losses.values()).backward()
            if device.type == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
        seconds = median(times[1:])  # the first one plans and allocates
        del model, losses
    if device.type == "cuda":
        torch.cuda.empty_cache()
    steps = seconds * cfg.SOLVER.MAX_ITER * cfg.SOLVER.ACCUMULATE
    return steps + tested * seconds * _EVALUATION / batch / processes


def _image(cfg: CfgNode, objects: int = 8) -> dict[str, Any]:
    short, most = max(cfg.INPUT.MIN_SIZE_TRAIN), cfg.INPUT.MAX_SIZE_TRAIN
    height, width = short, min(most, short * 4 // 3)
    corner = torch.rand(objects, 2) * torch.tensor([width, height]) * 0.7
    size = torch.tensor([width, height]) * 0.25
    target = Instances((height, width))
    target.gt_boxes = Boxes(torch.cat([corner, corner + size], dim=1))
    target.gt_classes = torch.zeros(objects, dtype=torch.int64)
    if cfg.MODEL.MASK_ON:
        target.gt_masks = BitMasks(torch.ones(objects, height, width, dtype=torch.bool))
    image = torch.randint(0, 256, (3, height, width), dtype=torch.uint8)
    return {"image": image, "instances": target, "height": height, "width": width}
