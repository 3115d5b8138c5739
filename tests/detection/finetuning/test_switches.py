"""Accelerations change rounding and nothing else, and say so where they would change nothing."""

from typing import Any

import pytest
import torch
from detectron2.layers import FrozenBatchNorm2d
from detectron2.utils.events import EventStorage

from robust_det.core.errors import UserError
from robust_det.core.seeding import seed_generators
from robust_det.detection.config import load_config
from robust_det.detection.detector import load_detector
from robust_det.detection.finetuning.trainer import RobustTrainer

FASTER = ["MODEL.FOLD_NORMS", "True", "MODEL.TABLE_ROI_ALIGN", "True"]


def losses(path: Any, *overrides: Any, steps: Any = 6) -> Any:
    cfg, _ = load_config(str(path), overrides)
    seed_generators(cfg.SEED)
    model = RobustTrainer.build_model(cfg)
    for module in model.modules():
        if isinstance(module, FrozenBatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
    optimizer = RobustTrainer.build_optimizer(cfg, model)
    batches = iter(RobustTrainer.build_train_loader(cfg))
    found = []
    with EventStorage(0):
        for number in range(steps):
            seed_generators(number)
            of_step = model(next(batches))
            optimizer.zero_grad()
            sum(of_step.values()).backward()
            optimizer.step()
            found.append({name: float(value.detach()) for name, value in of_step.items()})
    return found


def test_losses_are_the_same_up_to_rounding(write_config: Any) -> None:
    path = write_config(DATALOADER={"NUM_WORKERS": 0})
    plain, faster = losses(path), losses(path, *FASTER)
    assert {"loss_cls", "loss_box_reg", "loss_mask", "loss_rpn_cls"} <= set(plain[0])
    for ours, theirs in zip(faster, plain, strict=True):
        for name, value in theirs.items():
            assert ours[name] == pytest.approx(value, rel=1e-3, abs=1e-4)
    assert faster != plain
    assert sum(plain[-1].values()) != pytest.approx(sum(plain[0].values()), rel=1e-2)  # it learns


def test_a_trained_detector_finds_the_same_to_the_bit(detector_config: Any) -> None:
    path = str(detector_config("mask"))
    image = torch.rand(3, 90, 70, generator=torch.Generator().manual_seed(0)) * 255
    found = []
    for overrides in ([], FASTER):
        with torch.no_grad():
            objects = load_detector(path, overrides).model([{"image": image}])[0]["instances"]
        found.append([objects.pred_boxes.tensor, objects.scores, objects.pred_masks])
    assert len(found[0][0]) > 5
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*found, strict=True))


def build(path: Any, *overrides: Any) -> Any:
    return RobustTrainer.build_model(load_config(str(path), overrides)[0])


@pytest.mark.parametrize(
    "overrides, message",
    [
        (("MODEL.RESNETS.NORM", "BN", "MODEL.BACKBONE.FREEZE_AT", "0"), "no frozen norm"),
        (("MODEL.BACKBONE.COMPILE", "True"), "COMPILE merges frozen norms"),
    ],
)
def test_norms_that_cannot_be_folded_are_refused(
    write_config: Any, overrides: Any, message: Any
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        build(write_config(), "MODEL.FOLD_NORMS", "True", *overrides)
    assert "\n" not in str(caught.value)


def test_a_detector_that_pools_nothing_is_refused(detector_config: Any) -> None:
    path = detector_config("retinanet", data=True)
    with pytest.raises(UserError, match="a RetinaNet with these keys has no ROIAlign"):
        build(path, "MODEL.TABLE_ROI_ALIGN", "True")


# boxes and masks of four levels; C4 has one pooler, and res5 after it
@pytest.mark.parametrize("kind, poolers, norms", [("mask", 8, 12), ("c4", 1, 12)])
def test_every_pooler_and_every_norm_is_found(
    kind: Any, poolers: Any, norms: Any, detector_config: Any
) -> None:
    model = build(detector_config(kind, data=True), *FASTER)
    kinds = [type(module).__name__ for module in model.modules()]
    assert (kinds.count("TableROIAlign"), kinds.count("ROIAlign")) == (poolers, 0)
    assert kinds.count("FoldingConv2d") == kinds.count("FrozenBatchNorm2d") == norms
