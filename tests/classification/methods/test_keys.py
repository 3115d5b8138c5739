"""Methods in configs: what they need, exclude and fix, in pretraining and in transfer."""

from __future__ import annotations

from pathlib import Path

import pytest

from robust_det.attacks import APGD, PGD
from robust_det.classification.attack_settings import train_attack
from robust_det.classification.components import build_plan
from robust_det.classification.methods import METHODS
from robust_det.classification.settings import explain, load_config, pretrain_defaults
from robust_det.core.config.reading import CfgNode
from robust_det.core.errors import UserError
from robust_det.transfer.settings import explain as explain_transfer

ADVERSARIAL = ["ATTACK.EPS", "0.5"]
TRANSFER = ["DATA.ROOT", "images", "TRANSFER.HEAD", "sgd", *ADVERSARIAL]


def pgd(cfg: CfgNode) -> PGD:
    attack = train_attack(cfg)
    assert isinstance(attack, PGD)
    return attack


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    "pairs, message",
    [
        ("TRAIN.METHOD trade", "TRAIN.METHOD is one of pgd, trades, mart, free, fast, not 'trade'"),
        (
            "TRAIN.METHOD trades",
            "TRAIN.METHOD trades needs TRAIN.TRADES_BETA: the weight of its second term, 6 in the",
        ),
        ("TRAIN.METHOD mart", "TRAIN.METHOD mart needs TRAIN.MART_LAMBDA: the weight of its"),
        ("TRAIN.METHOD free", "TRAIN.METHOD free needs TRAIN.REPLAYS: how often each batch is"),
        (
            "TRAIN.METHOD free TRAIN.REPLAYS 4",
            "TRAIN.EPOCHS 90 is not divisible by TRAIN.REPLAYS 4: each batch comes 4 times, in 90/4"
            " passes over the images; give TRAIN.EPOCHS 88 or 92, or TRAIN.REPLAYS 3 or 5",
        ),
        (
            "TRAIN.METHOD free TRAIN.REPLAYS 100",
            "give TRAIN.EPOCHS 100, or TRAIN.REPLAYS 90",
        ),
        ("TRAIN.METHOD free TRAIN.REPLAYS -1", "TRAIN.REPLAYS must be at least 0, not -1"),
        (
            "TRAIN.METHOD free TRAIN.REPLAYS 3 TRAIN.AWP_GAMMA 0.005",
            "TRAIN.AWP_GAMMA 0.005 needs a backward pass of its own, which TRAIN.METHOD free does",
        ),
        (
            "TRAIN.METHOD free TRAIN.REPLAYS 3 ATTACK.STEPS 7",
            "ATTACK.STEPS has no effect without another TRAIN.METHOD than free",
        ),
        (
            "TRAIN.METHOD fast ATTACK.STEPS 7",
            "TRAIN.METHOD fast has ATTACK.STEPS 1, not 7; leave ATTACK.STEPS out, or take"
            " TRAIN.METHOD pgd",
        ),
        (
            "TRAIN.METHOD fast ATTACK.RANDOM_START False",
            "TRAIN.METHOD fast has ATTACK.RANDOM_START True, not False",
        ),
        ("TRAIN.TRADES_BETA 6", "TRAIN.TRADES_BETA has no effect without TRAIN.METHOD trades"),
        ("TRAIN.MART_LAMBDA 6", "TRAIN.MART_LAMBDA has no effect without TRAIN.METHOD mart"),
        ("TRAIN.REPLAYS 3", "TRAIN.REPLAYS has no effect without TRAIN.METHOD free"),
        (
            "TRAIN.METHOD trades TRAIN.TRADES_BETA 6 ATTACK.OBJECTIVE margin",
            "ATTACK.OBJECTIVE has no effect without another TRAIN.METHOD than trades",
        ),
        (
            "ATTACK.NAME apgd ATTACK.STEP_SIZE 0.1",
            "ATTACK.STEP_SIZE has no effect without ATTACK.NAME pgd; set that, or leave it out",
        ),
        (
            "TRAIN.METHOD mart TRAIN.MART_LAMBDA 6 ATTACK.NAME apgd ATTACK.ITERATE best",
            "ATTACK.ITERATE has no effect without ATTACK.NAME pgd",
        ),
        (
            "TRAIN.METHOD fast ATTACK.NAME apgd",
            "TRAIN.METHOD fast has ATTACK.NAME pgd, not apgd; leave ATTACK.NAME out, or take",
        ),
        (
            "TRAIN.METHOD free TRAIN.REPLAYS 3 ATTACK.NAME apgd",
            "TRAIN.METHOD free has ATTACK.NAME pgd, not apgd",
        ),
        ("ATTACK.NAME fgsm", "ATTACK.NAME is one of pgd, apgd, not 'fgsm'"),
        ("TRAIN.CLEAN_SHARE 1", "TRAIN.CLEAN_SHARE must be below 1, not 1.0"),
        ("TRAIN.AWP_GAMMA -0.1", "TRAIN.AWP_GAMMA must be at least 0, not -0.1"),
        ("ATTACK.WARMUP_EPOCHS 90", "ATTACK.WARMUP_EPOCHS 90 must be below TRAIN.EPOCHS 90: eps"),
        (
            "MODEL.SEPARATE_NORMS True",
            "MODEL.SEPARATE_NORMS separates clean images, of which TRAIN.METHOD pgd has none; set"
            " TRAIN.CLEAN_SHARE above 0",
        ),
    ],
)
def test_what_does_not_fit_a_method_is_refused(pairs: str, message: str, tmp_path: Path) -> None:
    config = write(tmp_path / "config.yaml", "ATTACK: {NORM: l2}\n")
    with pytest.raises(UserError) as caught:
        load_config(config, [*ADVERSARIAL, *pairs.split()])
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "pairs",
    [
        "TRAIN.METHOD fast",
        "TRAIN.METHOD trades TRAIN.TRADES_BETA 6",
        "TRAIN.METHOD mart TRAIN.MART_LAMBDA 6",
        "TRAIN.METHOD free TRAIN.REPLAYS 3",
        "TRAIN.AWP_GAMMA 0.01",
        "TRAIN.CLEAN_SHARE 0.5",
        "ATTACK.WARMUP_EPOCHS 5",
        "ATTACK.NAME apgd",
        "MODEL.SEPARATE_NORMS True",
    ],
)
def test_methods_have_no_effect_on_standard_training_nor_on_an_evaluation(
    pairs: str, tmp_path: Path
) -> None:
    config = write(tmp_path / "config.yaml", "ATTACK: {NORM: l2}\n")
    key = pairs.split()[0]
    with pytest.raises(UserError, match=f"{key} has no effect without ATTACK.EPS above 0"):
        explain(config, pairs.split())
    with pytest.raises(UserError, match=f"{key}.* would have no effect on --eval-only"):
        explain(config, pairs.split(), eval_only=True)
    # files of several eps may keep them
    section, _, leaf = key.partition(".")
    rest = dict(zip(pairs.split()[2::2], pairs.split()[3::2], strict=True))
    more = "".join(f", {name.partition('.')[2]}: {value}" for name, value in rest.items())
    text = f"{section}: {{{leaf}: {pairs.split()[1]}{more}}}\n"
    explain(write(tmp_path / "file.yaml", text))


def test_fast_is_one_step_from_a_random_start_whatever_a_base_says(tmp_path: Path) -> None:
    write(tmp_path / "base.yaml", "ATTACK: {EPS: 0.5, STEPS: 3, RANDOM_START: false}\n")
    own = write(tmp_path / "own.yaml", "_BASE_: base.yaml\nTRAIN: {METHOD: fast}\n")
    cfg, origins = explain(own)
    assert (cfg.ATTACK.STEPS, cfg.ATTACK.RANDOM_START) == (1, True)
    assert origins["ATTACK.STEPS"] == "TRAIN.METHOD fast"
    attack = pgd(cfg)
    assert (attack.steps, attack.step_size, attack.random_start) == (1, 0.625, True)
    assert pgd(load_config(own, ["ATTACK.STEP_SIZE", "0.5"])).step_size == 0.5
    apgd = write(tmp_path / "apgd.yaml", "_BASE_: own.yaml\nATTACK: {NAME: apgd}\n")
    assert pgd(load_config(apgd)).step_size == 0.625  # nor is it APGD, whatever a file says
    both = write(tmp_path / "both.yaml", "ATTACK: {STEPS: 3}\nTRAIN: {METHOD: fast}\n")
    with pytest.raises(UserError, match=r"METHOD fast has ATTACK\.STEPS 1, not 3"):
        explain(both)


def test_step_sizes_that_are_not_given_are_the_methods_own() -> None:
    cfg = pretrain_defaults()
    cfg.ATTACK.EPS = 0.3
    sizes = {}
    for cfg.TRAIN.METHOD in METHODS:
        sizes[cfg.TRAIN.METHOD] = pgd(cfg).step_size
    third = 0.3 * 2 / 3
    assert sizes == {"pgd": third, "trades": third, "mart": third, "free": 0.3, "fast": 0.375}


def test_the_epochs_of_free_are_divided_by_its_replays(tmp_path: Path) -> None:
    config = write(tmp_path / "config.yaml", "TRAIN: {EPOCHS: 12, BATCH_SIZE: 5}\n")
    pgd = build_plan(load_config(config, ADVERSARIAL), 20, 1)
    free = ["TRAIN.METHOD", "free", "TRAIN.REPLAYS", "3"]
    plan = build_plan(load_config(config, [*ADVERSARIAL, *free]), 20, 1)
    assert (pgd.epochs, pgd.steps_per_epoch) == (12, 4)
    assert (plan.epochs, plan.steps_per_epoch) == (4, 12)
    assert plan.steps == pgd.steps and plan.learning_rate == pgd.learning_rate


@pytest.mark.parametrize("share, what", [("0.1", "leaves 1 clean"), ("0.9", "leaves 1 attacked")])
def test_a_share_that_leaves_no_batch_is_refused(share: str, what: str, tmp_path: Path) -> None:
    config = write(tmp_path / "config.yaml", "TRAIN: {BATCH_SIZE: 20}\n")
    cfg = load_config(config, [*ADVERSARIAL, "TRAIN.CLEAN_SHARE", share])
    build_plan(cfg, 20, 1)
    with pytest.raises(UserError, match=f"of the 10 images of a pass {what}, and 2 are needed"):
        build_plan(cfg, 20, 2)


@pytest.mark.parametrize(
    "pairs",
    [
        "TRAIN.METHOD trades TRAIN.TRADES_BETA 6",
        "TRAIN.METHOD mart TRAIN.MART_LAMBDA 6 TRAIN.AWP_GAMMA 0.01",
        "TRAIN.METHOD fast TRAIN.CLEAN_SHARE 0.5 ATTACK.WARMUP_EPOCHS 5",
        "TRAIN.METHOD pgd ATTACK.NAME apgd ATTACK.RANDOM_START True",
    ],
)
def test_transfer_takes_the_methods(pairs: str) -> None:
    cfg, _ = explain_transfer(None, [*TRANSFER, *pairs.split()])
    assert pairs.split()[1] == cfg.TRAIN.METHOD
    assert (cfg.ATTACK.STEPS == 1) == (cfg.TRAIN.METHOD == "fast")
    assert isinstance(train_attack(cfg), APGD if "apgd" in pairs else PGD)


@pytest.mark.parametrize(
    "pairs, message",
    [
        ("TRAIN.METHOD free", "TRAIN.METHOD is one of pgd, trades, mart, fast, not 'free'"),
        ("TRAIN.REPLAYS 3", "unknown config key 'TRAIN.REPLAYS'"),
        ("TRAIN.TRADES_BETA 6", "TRAIN.TRADES_BETA has no effect without TRAIN.METHOD trades"),
        ("TRAIN.METHOD mart", "TRAIN.METHOD mart needs TRAIN.MART_LAMBDA"),
        ("ATTACK.NAME apgd ATTACK.STEP_SIZE 0.1", "has no effect without ATTACK.NAME pgd"),
        ("ATTACK.EPS 0 TRAIN.AWP_GAMMA 0.01", "has no effect without ATTACK.EPS above 0"),
        ("TRANSFER.HEAD logreg TRAIN.METHOD fast", "has no effect without training by SGD"),
    ],
)
def test_transfer_refuses_what_it_cannot_use(pairs: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        explain_transfer(None, [*TRANSFER, *pairs.split()])
    assert message in str(caught.value)
