"""Records as they are written, and what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from msgspec.structs import replace

from robust_det.core.errors import UserError
from robust_det.core.files import sha256_file
from robust_det.records import RECORD_NAME, SCHEMA, environment, read_record, write_record
from robust_det.records.base import File, Weights, as_json
from robust_det.records.detection import (
    DataSet,
    DataSets,
    DetectionRecord,
    Evaluator,
    Picture,
)
from robust_det.records.json_schema import FOLDER, schema_text
from robust_det.records.kinds import KINDS
from robust_det.records.pretrain import (
    AttackEvaluator,
    ImageSets,
    PretrainRecord,
    TrainImages,
    ValImages,
)

CONFIG = {"SOLVER": {"MAX_ITER": 5}, "A": [1, 2.5, None, "ε"]}
COMMON: dict[str, Any] = {
    "name": "x",
    "arch": "resnet18",
    "norm": "l2",
    "eps": 0.5,
    "weights": Weights("final.pth", "aa" * 32),
    "seed": 3,
    "raw_config": as_json(CONFIG),
    "environment": environment("cpu"),
    "wall_time_s": 12.5,
}
PRETRAIN = PretrainRecord(
    **COMMON,
    data=ImageSets(TrainImages(36, 3), ValImages(15)),
    evaluators=[AttackEvaluator("PGD", "l2", 0.5, 10, 0.125, 15)],
    metrics={"clean_top1": 12.5},
    processes=2,
)
SCENES = DataSet(name="scenes", images=6, annotations=20, classes=8, sha256="bb" * 32)
DETECTION = DetectionRecord(
    **COMMON,
    data=DataSets([SCENES], [replace(SCENES, stuff=3)]),
    schedule={"SOLVER.MAX_ITER": 5},
    protocol={"MODEL.MASK_ON": True},
    evaluators=[Evaluator("COCOEvaluator", "faster-coco-eval", "1.8.0")],
    detections={"scenes": File("inference/scenes/found.json", "cc" * 32)},
    segmentations={},
    metrics={"bbox": {"AP": 40.25, "APs": float("nan")}},
    pictures=[Picture("0.jpg", "pictures/0_t.jpg", "pictures/0_p.jpg")],
)


@pytest.mark.parametrize("record", [PRETRAIN, DETECTION], ids=lambda record: record.kind())
def test_what_is_written_is_read(record: Any, tmp_path: Path) -> None:
    path = write_record(tmp_path / "run", record)
    assert path == tmp_path / "run" / RECORD_NAME
    found = read_record(path)
    assert type(found) is type(record) and found.config == CONFIG
    again = read_record(path.parent, type(record))
    assert again == found
    for field in set(record.__struct_fields__) - {"raw_config", "metrics"}:
        assert getattr(found, field) == getattr(record, field)
    # plain JSON for everyone else, where undefined is null
    plain = json.loads(path.read_text())
    assert (plain["schema"], plain["kind"]) == (SCHEMA, record.kind())
    assert plain["config"] == CONFIG
    assert list(plain) == sorted(plain)
    if record is DETECTION:
        assert isinstance(found, DetectionRecord)
        assert plain["metrics"]["bbox"] == {"AP": 40.25, "APs": None} == found.metrics["bbox"]
        assert "stuff" not in plain["data"]["train"][0] and plain["data"]["test"][0]["stuff"] == 3
    assert os.listdir(path.parent) == [RECORD_NAME]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": "3"}, r"Expected `int`, got `str` - at `\$\.seed`"),
        ({"eps": -0.5}, r"Expected `float` >= 0\.0 - at `\$\.eps`"),
        ({"metrics": {"bbox": {"AP": "high"}}}, r"got `str` - at `\$\.metrics"),
        ({"wall_time_s": float("nan")}, r"got `null` - at `\$\.wall_time_s`"),
        ({"evaluators": [{"name": "COCO + VOC"}]}, r"`library` - at `\$\.evaluators\[0\]`"),
    ],
)
def test_an_invalid_record_is_not_written(change: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"detection record of run 'x': .*{message}"):
        write_record(tmp_path, replace(DETECTION, **change))
    assert not os.listdir(tmp_path)
    with pytest.raises(TypeError, match="Missing required argument 'eps'"):
        PretrainRecord(**{k: v for k, v in COMMON.items() if k != "eps"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no run record at "),
        (b"", "cannot be read: Input data was truncated"),
        (b"{", "cannot be read: Input data was truncated"),
        (b'{"schema": 2, "kind": "\xff', "cannot be read: "),
        (b'{"a":' * 100_000, "cannot be read: maximum recursion depth"),
        (b"[]", "is not a run record: Expected `object`, got `array`"),
        (b"{}", "is not a run record: Object missing required field `schema`"),
        (b'{"schema": "2", "kind": "pretrain"}', "is not a run record: Expected `int`, got `str`"),
        (b'{"schema": 0, "kind": "pretrain"}', "is not a run record: its schema is 0"),
        (
            b'{"schema": 3, "kind": "more", "x": 1}',
            "is of schema 3, this version reads up to 2: upgrade robust_det",
        ),
        (
            b'{"schema": 2, "kind": "detect\\nion"}',
            "kind' is \"detect\\\\nion\"; this version knows .*; did you mean 'detection'",
        ),
        (b'{"schema": 2, "kind": "pretrain"}', "Object missing required field `name`"),
        (b'{"schema": 1, "kind": "pretrain"}', r"got `null` - at `\$\.evaluators\[0\]`"),
        (b'{"schema": 1, "kind": "detection"}', "missing required field `evaluator`"),
    ],
)
def test_what_is_no_record_is_refused(text: bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / RECORD_NAME
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(UserError, match=message) as caught:
        read_record(tmp_path)
    assert str(path) in str(caught.value) and str(caught.value).isprintable()


def test_another_kind_than_asked_for_is_refused(tmp_path: Path) -> None:
    write_record(tmp_path, PRETRAIN)
    with pytest.raises(UserError, match="is of kind pretrain; one of detection is needed here"):
        read_record(tmp_path, DetectionRecord)


@pytest.mark.parametrize("kind", KINDS)
def test_schemas_are_those_of_the_classes(kind: str) -> None:
    """After a change of a class: python -m robust_det.records.json_schema."""
    assert (FOLDER / f"{kind}.json").read_bytes() == schema_text(kind)
    assert {path.stem for path in FOLDER.iterdir()} == set(KINDS)


@pytest.mark.parametrize("record", [PRETRAIN, DETECTION], ids=lambda record: record.kind())
def test_schemas_describe_what_is_written(record: Any, tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((FOLDER / f"{record.kind()}.json").read_text())
    plain = json.loads(write_record(tmp_path, record).read_text())
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    validator.validate(plain)
    later = {"detector", "changes", "started_from", "init_detector", "cost", "per_class"}
    for field in set(plain) - later:
        assert list(validator.iter_errors({k: v for k, v in plain.items() if k != field})), field
    assert list(validator.iter_errors({**plain, "more": 1}))
    assert list(validator.iter_errors({**plain, "config": 1}))


def test_hash(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_file(tmp_path / "x") == known


def test_environment_says_what_ran() -> None:
    found = environment("cpu")
    assert found.versions["torch"] == torch.__version__.split("+")[0] or "torch" in found.versions
    assert found.device.startswith("cpu")
    assert msgspec.json.decode(msgspec.json.encode(found), type=type(found)) == found
