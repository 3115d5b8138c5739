"""Augmentation by config: what is refused, what a step makes of mixed batches, and whole runs."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from robust_det.attacks import PGD, classifier_objective, frozen, make_threat
from robust_det.classification.adversarial_step import TrainingStep
from robust_det.classification.augmentation import mixing_of
from robust_det.classification.methods import PGDTraining
from robust_det.classification.settings import explain, load_config, pretrain_defaults
from robust_det.core.errors import UserError
from robust_det.models import build_classifier
from robust_det.transfer.settings import explain as explain_transfer

TRANSFER = ["DATA.ROOT", "images"]
SOFT = "makes targets soft, and"


@pytest.mark.parametrize(
    "pairs, message",
    [
        ("DATA.MIXUP -0.1", "DATA.MIXUP must be at least 0, not -0.1"),
        ("DATA.LIGHTING 12.75", "DATA.LIGHTING must be below 1, not 12.75"),
        ("DATA.RANDOM_ERASING 25", "DATA.RANDOM_ERASING is the probability that a part is erased"),
        ("DATA.RAND_AUGMENT [2,9.5]", "DATA.RAND_AUGMENT needs two whole numbers, operations and"),
        ("DATA.RAND_AUGMENT [2]", "DATA.RAND_AUGMENT needs two whole numbers, operations and"),
        ("DATA.RAND_AUGMENT [2,31]", "a magnitude from 0 to 30"),
        ("DATA.RAND_AUGMENT [-1,9]", "needs operations from 0"),
        ("DATA.RAND_AUGMENT [0,9]", "has a magnitude and no operation; give [0, 0] for none, or"),
        ("DATA.REPEATS 0", "DATA.REPEATS must be at least 1, not 0"),
        (
            "DATA.REPEATS 3 TRAIN.BATCH_SIZE 64",
            "TRAIN.BATCH_SIZE 64 does not hold two or more images, each DATA.REPEATS 3 times; give"
            " a multiple of 3 from 6",
        ),
        ("DATA.REPEATS 64 TRAIN.BATCH_SIZE 64", "give a multiple of 64 from 128"),
        (
            "DATA.MIXUP 0.2 ATTACK.EPS 0.5 TRAIN.METHOD mart TRAIN.MART_LAMBDA 5",
            f"DATA.MIXUP 0.2 {SOFT} TRAIN.METHOD mart is defined on one true class an image",
        ),
        (
            "DATA.CUTMIX 1 ATTACK.EPS 0.5 ATTACK.OBJECTIVE dlr",
            f"DATA.CUTMIX 1 {SOFT} ATTACK.OBJECTIVE dlr is of one true class an image; set it to 0,"
            " or ATTACK.OBJECTIVE to cross_entropy",
        ),
        (
            "DATA.CUTMIX 1 ATTACK.EPS 0.5 ATTACK.OBJECTIVE margin TRAIN.METHOD fast",
            f"DATA.CUTMIX 1 {SOFT} ATTACK.OBJECTIVE margin is",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(pairs: str, message: str, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("ATTACK: {NORM: l2}\n")
    for call in (
        lambda: load_config(str(config), pairs.split()),
        lambda: explain_transfer(None, [*TRANSFER, "TRANSFER.HEAD", "sgd", *pairs.split()]),
    ):
        with pytest.raises(UserError) as refused:
            call()
        assert message in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "pairs",
    [
        "DATA.LIGHTING 0.1",
        "DATA.RAND_AUGMENT [2,9]",
        "DATA.RANDOM_ERASING 0.25",
        "DATA.MIXUP 0.2",
        "DATA.CUTMIX 1",
        "DATA.REPEATS 2",
    ],
)
def test_keys_are_of_training_alone(pairs: str, tmp_path: Path) -> None:
    key = pairs.split()[0]
    config = tmp_path / "config.yaml"
    config.write_text("ATTACK: {NORM: l2}\n")
    explain(str(config), pairs.split())
    with pytest.raises(UserError, match=f"{key} would have no effect on --eval-only"):
        explain(str(config), pairs.split(), eval_only=True)
    explain_transfer(None, [*TRANSFER, "TRANSFER.MODE", "full-network", *pairs.split()])
    with pytest.raises(UserError, match=f"{key} has no effect without training by SGD"):
        explain_transfer(None, [*TRANSFER, *pairs.split()])


def test_the_recipe_of_the_paper_has_the_noise_of_its_library() -> None:
    for eps in ("0", "0.5", "1", "3"):
        data = load_config(f"resnet50_l2_eps{eps}.yaml").DATA
        # TRAIN_TRANSFORMS_IMAGENET of the `robustness` library
        assert (data.COLOR_JITTER, data.LIGHTING, data.CROP_SCALE) == (0.1, 0.05, [0.08, 1.0])
        assert (data.MIXUP, data.CUTMIX, data.REPEATS, data.RANDOM_ERASING) == (0, 0, 1, 0)


@pytest.mark.parametrize("eps", [0.0, 0.5])
def test_a_step_on_mixed_images_by_hand(eps: float) -> None:
    cfg = pretrain_defaults()
    cfg.DATA.CUTMIX = 1.0
    mixing = mixing_of(cfg, 4)
    assert mixing is not None and mixing_of(pretrain_defaults(), 4) is None
    torch.manual_seed(0)
    model = build_classifier("resnet10_narrow", 4)
    pixels = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8)
    images, soft = mixing(pixels, torch.arange(8) % 4, 0)
    attack = PGD(make_threat("l2", eps), 2, eps / 3)
    x = images.float() / 255
    if eps > 0:
        # the attack climbs the cross-entropy of the soft targets, without smoothing
        with frozen(model) as network:
            named = attack(classifier_objective(network, soft), x)
            x = attack(lambda z: -(soft * F.log_softmax(network(z), 1)).sum(1), x)
            torch.testing.assert_close(named, x)
    with torch.no_grad():
        logits = copy.deepcopy(model).train()(x)  # whose statistics move on
        smoothed = 0.9 * soft + 0.1 / 4
        expected = -(smoothed * F.log_softmax(logits, 1)).sum(1).mean()
        right = (logits.argmax(1) == soft.argmax(1)).sum()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    step = TrainingStep(model, model, optimizer, attack, PGDTraining(label_smoothing=0.1))
    loss, correct = step(images, soft)
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-4)
    assert correct == right


RUNS = {
    "pgd": "DATA.MIXUP 0.4 DATA.CUTMIX 1 DATA.REPEATS 3 DATA.LIGHTING 0.1 OPTIM.LABEL_SMOOTHING 0.1"
    " TRAIN.ACCUMULATE 2",
    "trades": "DATA.MIXUP 0.4 DATA.RAND_AUGMENT [2,9] DATA.RANDOM_ERASING 0.5 TRAIN.TRADES_BETA 6",
    "free": "DATA.MIXUP 0.4 TRAIN.REPLAYS 2",
    "fast": "DATA.CUTMIX 1 TRAIN.AWP_GAMMA 0.01 TRAIN.CLEAN_SHARE 0.34",
}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_that_was_killed_goes_on_to_the_same_bits(
    name: str,
    tmp_path: Path,
    pretrain: Any,
    monkeypatch: pytest.MonkeyPatch,
    killed_and_resumed: Callable[..., Any],
    assert_same_tensors: Callable[[Path, Path], None],
) -> None:
    options = ("TRAIN.METHOD", name, *RUNS[name].split(), "TRAIN.CHECKPOINT_STEPS", 1)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    call = TrainingStep.__call__
    seen = list[tuple[torch.Tensor, torch.Tensor]]()

    def noted(self: TrainingStep, images: torch.Tensor, targets: torch.Tensor, *rest: Any) -> Any:
        seen.append((images, targets))
        return call(self, images, targets, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingStep, "__call__", noted)
        outcome = pretrain(*options, "OUTPUT_DIR", whole)
    assert outcome.code == 0, outcome.err
    assert "counts the class that has the larger share" in outcome.out
    assert len(seen) == 12 and all(targets.shape == (6, 3) for _, targets in seen)
    assert any(((targets > 0) & (targets < 1)).any() for _, targets in seen)
    if name == "free":  # which goes on with the perturbation of the same images
        pairs = zip(seen[::2], seen[1::2], strict=True)
        assert all(torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in pairs)

    killed_and_resumed(*options, "OUTPUT_DIR", broken)
    assert_same_tensors(whole / "last.pth", broken / "last.pth")
