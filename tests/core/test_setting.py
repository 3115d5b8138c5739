"""A table of settings gives defaults and checks."""

from __future__ import annotations

import pytest

from robust_det.core.config.reading import CfgNode
from robust_det.core.config.setting import Setting, add_defaults, check_settings
from robust_det.core.errors import UserError

TABLE = {
    "SEED": Setting(0, "of all", least=0, below=2**32),
    "A.RATE": Setting(0.5, "of change", above=0, below=1),
    "A.KIND": Setting("x", "of change", ("x", "yes")),
    "A.LIST": Setting([1, 2], "of numbers"),
}


def test_defaults_are_laid_over_what_is_there() -> None:
    cfg = add_defaults(CfgNode({"A": {"RATE": 0.1, "OTHER": 3}}), TABLE)
    assert cfg == {"SEED": 0, "A": {"RATE": 0.5, "OTHER": 3, "KIND": "x", "LIST": [1, 2]}}
    cfg.A.LIST.append(3)
    assert add_defaults(CfgNode(), TABLE).A.LIST == [1, 2]  # each config has a list of its own


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("SEED", -1, "SEED must be at least 0, not -1"),
        ("SEED", 2**32, r"SEED must be below 2\*\*32, not 4294967296"),
        ("A.RATE", 0.0, "A.RATE must be above 0, not 0.0"),
        ("A.RATE", 1.0, "A.RATE must be below 1, not 1.0"),
        ("A.RATE", float("nan"), "A.RATE must be above 0, not nan"),
        ("A.KIND", "yess", "A.KIND is one of x, yes, not 'yess'; did you mean 'yes'"),
    ],
)
def test_what_is_out_of_range_is_named(key: str, value: object, message: str) -> None:
    cfg = add_defaults(CfgNode(), TABLE)
    check_settings(cfg, TABLE)
    cfg.merge_from_list([key, value])
    with pytest.raises(UserError, match=message):
        check_settings(cfg, TABLE)
