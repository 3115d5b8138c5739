"""Every committed config of pretraining: its network exists, and its step moves a small one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from robust_det.attacks import APGD
from robust_det.classification.attack_settings import attack_doubts, train_attack
from robust_det.classification.augmentation import mixing_of
from robust_det.classification.components import build_average, build_model, build_plan, build_step
from robust_det.classification.settings import load_config
from robust_det.models.stages import empty_network
from robust_det.training.world import world_from_environment
from tests.support import ROOT

CONFIGS = sorted(Path(ROOT, "configs/pretrain").glob("*.yaml"))
SMALL = ("MODEL.ARCH", "resnet10_narrow", "DATA.IMAGE_SIZE", "32", "DATA.RESIZE", "32")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_step_on_tiny_images(path: Path) -> None:
    empty_network(load_config(path.name).MODEL.ARCH, 1000)
    cfg, world = load_config(path.name, SMALL), world_from_environment()
    torch.manual_seed(0)
    model, _, _ = build_model(cfg, ("a", "b", "c"), torch.device("cpu"))
    before = {name: value.clone() for name, value in model.body.state_dict().items()}
    average = build_average(cfg, model)
    step = build_step(cfg, model, average, world)
    plan = build_plan(cfg, 10 * cfg.TRAIN.BATCH_SIZE, world.size)
    assert plan.steps == 10 * cfg.TRAIN.EPOCHS
    images = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8)
    targets = torch.arange(8) % 3
    if (mixing := mixing_of(cfg, 3)) is not None:
        images, targets = mixing(images, targets, 0)
    loss, _ = step(images, targets)
    assert 0 < float(loss) < 10
    moved = [n for n, value in model.body.named_parameters() if not torch.equal(value, before[n])]
    assert len(moved) == len([*model.body.parameters()])


@pytest.mark.parametrize(
    "arch, epochs, warm_up",
    [
        ("tiny", 300, 20),
        ("tiny_convstem", 300, 20),
        ("small", 50, 10),
        ("small_convstem", 50, 10),
        ("base", 300, 20),
        ("base_convstem", 300, 20),
    ],
)
def test_the_recipe_of_singh_croce_and_hein(arch: str, epochs: int, warm_up: int) -> None:
    cfg = load_config(f"convnext_{arch}_linf_eps4.yaml")
    attack, data, optim = train_attack(cfg), cfg.DATA, cfg.OPTIM
    assert f"convnext_{arch}" == cfg.MODEL.ARCH
    # the figures of nmndeep/revisiting-at
    assert attack.threat.norm == "linf" and attack.threat.eps == pytest.approx(4 / 255)
    assert isinstance(attack, APGD) and attack.steps == 2
    assert not attack.random_start and not attack_doubts(cfg)
    assert (data.MIXUP, data.CUTMIX, data.RANDOM_ERASING) == (0.8, 1.0, 0.25)
    assert (data.RAND_AUGMENT, data.CROP_SCALE, data.COLOR_JITTER) == ([2, 27], [0.08, 1.0], 0)
    assert (optim.NAME, optim.LR, optim.BETAS) == ("adamw", 1e-3, [0.9, 0.95])
    assert (optim.WEIGHT_DECAY, optim.DECAY_NORMS) == (0.05, False)
    assert ("cosine", warm_up, epochs) == (optim.SCHEDULE, optim.WARMUP_EPOCHS, cfg.TRAIN.EPOCHS)
    assert (optim.LABEL_SMOOTHING, optim.EMA_DECAY) == (0.1, 0.9999)
    assert (cfg.MODEL.MEAN, cfg.MODEL.STD) == ([0, 0, 0], [1, 1, 1])
