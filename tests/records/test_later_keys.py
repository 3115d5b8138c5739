"""Runs of before a key are what they were: comparable with, and resumed as, those that have it."""

import json
from pathlib import Path
from typing import Any

import pytest

from robust_det.analysis.transfer.conditions import Conditions, conditions_of
from robust_det.classification.settings import SETTINGS as OF_PRETRAINING
from robust_det.core.config.reading import flatten
from robust_det.core.config.setting import Setting
from robust_det.core.installation import REPOSITORY
from robust_det.records.later_keys import LATER_KEYS, completed
from robust_det.records.record_file import read_record
from robust_det.records.transfer import TransferRecord
from robust_det.transfer.settings import SETTINGS as OF_TRANSFER

RESULTS = Path(REPOSITORY) / "docs" / "results"
FIRST = {
    "pretrain": RESULTS / "first-run" / "runs" / "tiny_resnet18_l2_eps0" / "record.json",
    "transfer": RESULTS
    / "transfer"
    / "runs"
    / "small_flowers_r18_eps1_seed0_modefull-network_seed0"
    / "record.json",
}


@pytest.mark.parametrize(
    ("kind", "settings"), [("pretrain", OF_PRETRAINING), ("transfer", OF_TRANSFER)]
)
def test_whoever_adds_a_key_says_what_it_means_for_earlier_runs(
    kind: str, settings: dict[str, Setting]
) -> None:
    config = json.loads(FIRST[kind].read_text())["config"]
    assert set(completed(config, settings)) == set(settings)


def test_a_key_that_is_there_counts() -> None:
    first = json.loads(FIRST["pretrain"].read_text())["config"]
    assert completed(first)["EVAL.OBJECTIVE"] == "cross_entropy"  # the default is another one now
    assert completed({"EVAL": {"OBJECTIVE": "dlr"}})["EVAL.OBJECTIVE"] == "dlr"
    assert {"TRAIN.METHOD", "DATA.EXACT_DECODE"} < set(LATER_KEYS) - set(flatten(first))


def test_a_transfer_of_before_is_comparable_with_one_of_today(tmp_path: Path) -> None:
    content = json.loads(FIRST["transfer"].read_text())
    assert "MIXUP" not in content["config"]["DATA"]
    old = read_record(FIRST["transfer"], TransferRecord)

    def of_today(**changed: Any) -> Conditions:
        content["config"]["DATA"] |= {"MIXUP": 0.0, "RAND_AUGMENT": [0, 0], **changed}
        (tmp_path / "record.json").write_text(json.dumps(content))
        return conditions_of(read_record(tmp_path / "record.json", TransferRecord))

    assert of_today() == conditions_of(old)
    assert of_today(MIXUP=0.2) != conditions_of(old)
