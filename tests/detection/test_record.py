"""What of a config is part of a record's protocol."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from robust_det.detection.config import load_config
from robust_det.detection.record import write_detection_record
from robust_det.records import read_record
from robust_det.records.detection import DetectionRecord


def test_only_features_that_are_on_are_part_of_the_protocol(
    write_config: Callable[..., Path], tmp_path: Path
) -> None:
    def schedule(*overrides: Any) -> Any:
        cfg, card = load_config(str(write_config()), overrides)
        path = write_detection_record(
            tmp_path / "record",
            name="tiny",
            cfg=cfg,
            card=card,
            results={"bbox": {"AP": 1.0}},
            pictures=[],
            seconds=1.0,
        )
        return read_record(path, DetectionRecord).schedule

    off = schedule()
    on = schedule("SOLVER.EMA.ENABLED", "True", "SOLVER.PRECISION", "bf16")
    assert on == {**off, "SOLVER.EMA.ENABLED": True, "SOLVER.PRECISION": "bf16"}
    assert "SOLVER.PRECISION" not in off and off["SOLVER.BASE_LR"] == 0.02
