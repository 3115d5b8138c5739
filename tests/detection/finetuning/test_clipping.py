"""Clipped gradients are clipped at the size they have, whatever the precision scales them by."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2.solver import build_optimizer
from detectron2.utils.events import EventStorage
from torch import nn

from robust_det.core.errors import UserError
from robust_det.detection.config import detection_defaults, load_config
from robust_det.detection.finetuning.loop.detector_step import TrainingStep
from robust_det.detection.finetuning.switches import faster_optimizer

TYPES = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class Detector(nn.Module):
    """Two layers with a loss whose gradients are far above any bound."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 3))

    def forward(self, batch: Any) -> dict[Any, Any]:
        return {"loss": 100 * self.layers(batch).square().mean()}


def update(
    precision: str = "fp32",
    fused: bool = False,
    accumulate: int = 1,
    clip_norm: float = 0.0,
    **clipping: Any,
) -> list[Any]:
    """Do one update at learning rate 1; return each tensor's change, which is its gradient."""
    cfg = detection_defaults()
    cfg.SOLVER.BASE_LR, cfg.SOLVER.WEIGHT_DECAY, cfg.SOLVER.MOMENTUM = 1.0, 0.0, 0.0
    cfg.SOLVER.WEIGHT_DECAY_BIAS = 0.0
    cfg.SOLVER.FUSED = fused
    for key, value in clipping.items():
        cfg.SOLVER.CLIP_GRADIENTS[key] = value
    model = Detector()
    before = [p.detach().clone() for p in model.parameters()]
    noise = torch.Generator().manual_seed(1)
    batches = [torch.randn(4, 6, generator=noise) for _ in range(3)]
    step = TrainingStep(
        model,
        itertools.cycle(batches),
        faster_optimizer(cfg, build_optimizer(cfg, model)),
        dtype=TYPES[precision],
        accumulate=accumulate,
        clip_norm=clip_norm,
    )
    step.iter = 0
    if precision == "fp16":  # the first scale would be too large for gradients of this size
        scaler = step.update.scaler
        scaler.load_state_dict({**scaler.state_dict(), "scale": 64.0})
    with EventStorage():
        step.run_step()
    return [b - p.detach() for b, p in zip(before, model.parameters(), strict=True)]


def norm(tensors: Any) -> Any:
    return float(torch.cat([t.flatten() for t in tensors]).norm())


ways = pytest.mark.parametrize(
    ("precision", "fused", "accumulate"),
    [
        ("fp32", False, 1),
        ("fp32", True, 3),
        ("bf16", False, 1),
        ("fp16", False, 3),
        ("fp16", True, 1),
    ],
)


@ways
def test_the_update_is_bounded(precision: Any, fused: Any, accumulate: Any) -> None:
    how = {"precision": precision, "fused": fused, "accumulate": accumulate}
    free = update(**how)
    assert norm(free) > 20 and min(float(g.norm()) for g in free) > 1

    # one factor for all tensors: the direction stays
    bounded = update(**how, clip_norm=0.5)
    assert norm(bounded) == pytest.approx(0.5, rel=1e-4)
    for mine, whole in zip(bounded, free, strict=True):
        torch.testing.assert_close(mine, whole * 0.5 / norm(free), rtol=1e-3, atol=1e-6)

    # Detectron2's own: each tensor by itself, and each value by itself
    tensors = update(**how, ENABLED=True, CLIP_TYPE="norm", CLIP_VALUE=0.5)
    assert [float(g.norm()) for g in tensors] == pytest.approx([0.5] * 4, rel=1e-4)
    values = update(**how, ENABLED=True, CLIP_TYPE="value", CLIP_VALUE=0.01)
    for mine, whole in zip(values, free, strict=True):
        torch.testing.assert_close(mine, whole.clamp(-0.01, 0.01), rtol=1e-4, atol=1e-6)


def test_a_bound_that_is_not_reached_changes_nothing() -> None:
    for mine, whole in zip(update(clip_norm=1e6), update(), strict=True):
        assert torch.equal(mine, whole)


def test_the_bound_is_not_negative(write_config: Callable[..., Path]) -> None:
    with pytest.raises(UserError, match=r"^SOLVER.CLIP_NORM is -1.0; .* 0 does not clip$"):
        load_config(str(write_config()), ["SOLVER.CLIP_NORM", "-1"])
