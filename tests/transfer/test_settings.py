"""Transfer configs: what is refused, and what counts."""

from __future__ import annotations

import pytest

from robust_det.core.errors import UserError
from robust_det.transfer.settings import (
    PAPER,
    Choice,
    choices_of,
    explain,
    paper_protocol,
    quirks_of,
    with_choice,
)

ROOT = ["DATA.ROOT", "images"]


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (["OPTIM.LR", "0.1"], "OPTIM.LR has no effect without training by SGD"),
        (["ATTACK.EPS", "0.5"], "ATTACK.EPS has no effect without training by SGD"),
        (["TRAIN.EPOCHS", "3"], "TRAIN.EPOCHS has no effect without training by SGD"),
        (["TRANSFER.FREEZE", "res2"], "TRANSFER.FREEZE has no effect without TRANSFER.MODE full"),
        (["TRANSFER.NEIGHBOURS", "[3]"], "TRANSFER.NEIGHBOURS has no effect without TRANSFER.HEAD"),
        (
            ["TRANSFER.MODE", "full-network", "TRANSFER.HEAD", "ridge"],
            "TRANSFER.HEAD has no effect without TRANSFER.MODE fixed-feature",
        ),
        (
            ["TRANSFER.MODE", "full-network", "ATTACK.STEPS", "7"],
            "ATTACK.STEPS has no effect without ATTACK.EPS above 0",
        ),
        (["PAPER.DTD_OUTPUTS", "True"], "PAPER.DTD_OUTPUTS has no effect without DATA.SET dtd"),
        (["PAPER.FIRST_FILES", "True"], "PAPER.FIRST_FILES has no effect without DATA.SET caltech"),
        (["PAPER.BEST_EPOCH", "True"], "PAPER.BEST_EPOCH has no effect without training by SGD"),
        (["TRANSFER.SUBSET", "2.5"], "TRANSFER.SUBSET is so many images a class, or a part below"),
        (["TRANSFER.VALIDATION", "1"], "TRANSFER.VALIDATION must be below 1"),
        (
            ["TRANSFER.HEAD", "ridge", "TRANSFER.VALIDATION", "0.3"],
            "TRANSFER.VALIDATION has no effect without validation images to choose by",
        ),
        (
            ["TRANSFER.HEAD", "sgd", "OPTIM.LR", "0.1", "TRANSFER.VALIDATION", "0.3"],
            "TRANSFER.VALIDATION has no effect without validation images to choose by",
        ),
        (["TRANSFER.HEAD", "knn", "TRANSFER.NEIGHBOURS", "[1.5]"], "needs whole numbers from 1"),
        (["TRANSFER.HEAD", "knn", "TRANSFER.NEIGHBOURS", "[0, 3]"], "needs whole numbers from 1"),
        (["TRANSFER.HEAD", "knn", "TRANSFER.NEIGHBOURS", "[]"], "not none"),
        (["TRANSFER.HEAD", "knn", "TRANSFER.NEIGHBOURS", "[3, 3]"], "has a number twice"),
        (["TRANSFER.MODE", "full"], "TRANSFER.MODE is one of"),
        (["DATA.SET", "flower"], "did you mean 'flowers'?"),
        (["TRANSFER.MODE", "full-network", "OPTIM.LR", "[0.1, 0.1]"], "has a number twice"),
        (["TRANSFER.MODE", "full-network", "OPTIM.LR", "[]"], "OPTIM.LR needs positive numbers"),
        (["TRANSFER.MODE", "full-network", "OPTIM.LR", "0"], "OPTIM.LR needs positive numbers"),
        (
            [
                *("TRANSFER.MODE", "full-network", "TRANSFER.FREEZE", "res5"),
                *("TRANSFER.LAYER_DECAY", "0.5"),
            ],
            "TRANSFER.LAYER_DECAY has no effect without TRANSFER.FREEZE below res5",
        ),
        (
            ["TRANSFER.MODE", "full-network", "TRANSFER.LAYER_DECAY", "2"],
            "trains lower stages faster than upper ones",
        ),
        (
            ["TRANSFER.MODE", "full-network", "OPTIM.LAYER_DECAY", "0.5"],
            "unknown config key 'OPTIM.LAYER_DECAY'",
        ),
        (["OPTIM.NAME", "adamw"], "OPTIM.NAME has no effect without training by SGD"),
        (
            ["TRANSFER.MODE", "full-network", "OPTIM.NAME", "adamw", "OPTIM.MOMENTUM", "0.8"],
            "OPTIM.MOMENTUM has no effect without OPTIM.NAME sgd",
        ),
        (
            ["TRANSFER.MODE", "full-network", "OPTIM.WEIGHT_DECAY", "0", "OPTIM.DECAY_NORMS", "0"],
            "'OPTIM.DECAY_NORMS' needs a bool, not 0",
        ),
        (
            ["TRANSFER.MODE", "full-network", "OPTIM.SCHEDULE", "multistep"],
            "OPTIM.SCHEDULE multistep needs OPTIM.MILESTONES",
        ),
        (["TRANSFER.HED", "ridge"], "did you mean 'TRANSFER.HEAD'?"),
    ],
)
def test_what_is_wrong_or_has_no_effect_is_refused(pairs: list[str], message: str) -> None:
    with pytest.raises(UserError) as refused:
        explain(None, [*ROOT, *pairs])
    assert message in str(refused.value) and "\n" not in str(refused.value)


def test_a_config_may_keep_values_of_what_is_off() -> None:
    cfg, origins = explain("transfer_dtd.yaml", ["TRANSFER.HEAD", "ridge"])
    assert cfg.TRAIN.EPOCHS == 150 and cfg.OPTIM.LR == [0.01, 0.001]
    assert origins["TRANSFER.HEAD"] == "command line"


def test_one_number_is_a_list_of_one_and_several_are_choices() -> None:
    pairs = ["TRANSFER.MODE", "full-network", "OPTIM.LR", "0.05"]
    cfg, _ = explain(None, [*ROOT, *pairs])
    assert choices_of(cfg) == [Choice(0.05, 5e-4)]
    cfg, _ = explain(None, [*ROOT, *pairs[:2], "OPTIM.WEIGHT_DECAY", "[0, 1e-4]"])
    assert choices_of(cfg) == [
        Choice(0.01, 0.0),
        Choice(0.01, 1e-4),
        Choice(0.001, 0.0),
        Choice(0.001, 1e-4),
    ]
    own = with_choice(cfg, Choice(0.001, 1e-4))
    assert (own.OPTIM.LR, own.OPTIM.WEIGHT_DECAY) == (0.001, 1e-4)
    assert cfg.OPTIM.LR == [0.01, 0.001]


@pytest.mark.parametrize(
    ("pairs", "missing"),
    [
        ([], {"DRIFTING_NORMS", "BEST_EPOCH", "DTD_OUTPUTS", "FIRST_FILES"}),
        (["TRANSFER.HEAD", "sgd", "DATA.SET", "dtd"], {"FIRST_FILES"}),
        (
            ["TRANSFER.MODE", "full-network", "DATA.SET", "caltech101"],
            {"DRIFTING_NORMS", "DTD_OUTPUTS"},
        ),
        (
            ["TRANSFER.MODE", "full-network", "OPTIM.LR", "0.1"],
            {"SELECT_ON_TEST", "DRIFTING_NORMS", "DTD_OUTPUTS", "FIRST_FILES"},
        ),
    ],
)
def test_the_papers_protocol_is_every_quirk_that_has_an_effect(
    pairs: list[str], missing: set[str]
) -> None:
    cfg, _ = explain(None, [*ROOT, *pairs])
    assert quirks_of(cfg) == ()
    quirks = paper_protocol(cfg)
    cfg, _ = explain(None, [*quirks, *ROOT, *pairs])
    assert set(quirks_of(cfg)) == set(PAPER) - {f"PAPER.{name}" for name in missing}
