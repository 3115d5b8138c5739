"""Each key of Detectron2 has its effect, or is refused where it is set."""

from collections.abc import Callable
from pathlib import Path

import pytest
from detectron2.config import get_cfg

from robust_det.core.config.reading import flatten
from robust_det.core.errors import UserError
from robust_det.detection.config import load_config
from robust_det.detection.config.keys import _SWITCHES, HONOURED, REFUSED
from robust_det.detection.finetuning.trainer import RobustTrainer


def test_each_key_of_detectron2_is_in_one_list() -> None:
    # a new one: find out whether it has an effect here, and write it down
    assert flatten(get_cfg()).keys() <= HONOURED | REFUSED.keys()
    assert not HONOURED & REFUSED.keys()


OTHER = {
    "DATASETS.PRECOMPUTED_PROPOSAL_TOPK_TEST": "5",
    "DATASETS.PRECOMPUTED_PROPOSAL_TOPK_TRAIN": "5",
    "DATASETS.PROPOSAL_FILES_TEST": "('a.pkl',)",
    "DATASETS.PROPOSAL_FILES_TRAIN": "('a.pkl',)",
    "GLOBAL.HACK": "2.0",
    "MODEL.LOAD_PROPOSALS": "True",
    "MODEL.PANOPTIC_FPN.COMBINE.ENABLED": "False",
    "MODEL.RESNETS.DEFORM_MODULATED": "True",
    "MODEL.RESNETS.DEFORM_NUM_GROUPS": "2",
    "SOLVER.AMP.ENABLED": "True",
    "TEST.EXPECTED_RESULTS": "[['bbox', 'AP', 38.5, 0.2]]",
}


@pytest.mark.parametrize("key", OTHER)
def test_a_key_without_effect_is_refused(key: str, write_config: Callable[..., Path]) -> None:
    with pytest.raises(UserError, match=rf"^{key} .* has no effect here \(.*\); leave it out$"):
        load_config(str(write_config()), [key, OTHER[key]])


def test_all_of_them_are_tried() -> None:
    assert OTHER.keys() == REFUSED.keys() & flatten(get_cfg()).keys()


@pytest.mark.parametrize(
    "keys, message",
    [
        ("SOLVER.EMA.DECAY 0.9", "SOLVER.EMA.DECAY has no effect without SOLVER.EMA.ENABLED True"),
        ("DATALOADER.REPEAT_THRESHOLD 0.5", "without DATALOADER.SAMPLER_TRAIN RepeatFactor"),
        ("INPUT.CROP.SIZE [0.5,0.5]", "INPUT.CROP.SIZE has no effect without INPUT.CROP.ENABLED"),
        ("MODEL.RETINANET.NUM_CONVS 2", "without MODEL.META_ARCHITECTURE RetinaNet"),
        ("TEST.AUG.FLIP False", "TEST.AUG.FLIP has no effect without TEST.AUG.ENABLED True"),
        ("SOLVER.STEPS (2,) SOLVER.LR_SCHEDULER_NAME WarmupCosineLR", "WarmupMultiStepLR"),
        ("INPUT.RANDOM_FLIP Horizontal", "not 'Horizontal'; did you mean 'horizontal'?"),
        ("SOLVER.WARMUP_METHOD none", "SOLVER.WARMUP_METHOD is one of linear, constant"),
        ("SOLVER.CHECKPOINT_PERIOD 0", "SOLVER.CHECKPOINT_PERIOD is 0; it starts from 1"),
        ("SOLVER.BASE_LR 0", "SOLVER.BASE_LR is 0.0; it is above 0"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused(
    keys: str, message: str, write_config: Callable[..., Path]
) -> None:
    with pytest.raises(UserError) as caught:
        load_config(str(write_config()), keys.split())
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_may_keep_values_for_what_is_switched_off(write_config: Callable[..., Path]) -> None:
    config = write_config(SOLVER={"EMA": {"DECAY": 0.9}})
    assert load_config(str(config))[0].SOLVER.EMA.DECAY == 0.9
    assert load_config(str(config), ["SOLVER.EMA.ENABLED", "True", "SOLVER.EMA.DECAY", "0.5"])


def test_switches_are_of_keys_that_there_are(write_config: Callable[..., Path]) -> None:
    cfg, _ = load_config(str(write_config()))
    later = ("SOLVER.BASE_LR_END", "SOLVER.NUM_DECAYS")
    for beginning, is_on, _ in _SWITCHES:
        assert is_on(cfg) is not None
        assert beginning in later or any(key.startswith(beginning) for key in flatten(cfg))


def test_statistics_of_frozen_norms_are_refused(write_config: Callable[..., Path]) -> None:
    cfg, card = load_config(str(write_config()), ["TEST.PRECISE_BN.ENABLED", "True"])
    with pytest.raises(UserError, match=r"TEST\.PRECISE_BN\.ENABLED finds no batch norm that"):
        RobustTrainer(cfg, card)


def test_a_layout_of_residual_networks_is_refused_for_others(
    write_config: Callable[..., Path],
) -> None:
    others = ["MODEL.WEIGHTS", "", "MODEL.BACKBONE.ARCH", "mobilenet_v2"]
    with pytest.raises(UserError, match=r"RESNETS\.DEPTH is of ResNets, and mobilenet_v2"):
        load_config(str(write_config()), [*others, "MODEL.RESNETS.DEPTH", "101"])
