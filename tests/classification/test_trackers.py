"""Weights & Biases and MLflow beside TensorBoard: the same scalars, one run, never in the way."""

from __future__ import annotations

import json
import os
import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from robust_det.training.trackers import trackers

Scalars = dict[str, dict[int, float]]
_BLOCK, _FULL, _LAST = 32768, 1, 4


def on_board(folder: Path) -> Scalars:
    """By name and step, as TensorBoard reads them."""
    events = EventAccumulator(str(folder / "tensorboard"), {"scalars": 0}).Reload()
    return {
        name: {event.step: event.value for event in events.Scalars(name)}
        for name in events.Tags()["scalars"]
    }


def assert_same(found: Scalars, board: Scalars) -> None:
    assert set(found) == set(board) and len(board) > 8
    for name, steps in board.items():
        # TensorBoard keeps single precision
        assert found[name] == pytest.approx(steps, rel=1e-6), name


class Noted:
    """A tracker that keeps what it is given."""

    def __init__(self, session: Any, given: list[Any], fails: str = "") -> None:
        self.session, self.given, self.fails = session, given, fails
        self.kept: Mapping[str, str] = session.kept or {"id": f"run{len(given)}"}
        given.append(self)
        self.rows: list[tuple[int, dict[str, float]]] = []
        self.files: list[str] = []
        self.finished: bool | None = None

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self.rows.append((step, dict(values)))
        if self.fails == "scalars" and step == 3:
            raise ConnectionError("no route\nto host")

    def flush(self) -> None:
        pass

    def file(self, path: Path) -> None:
        self.files.append(path.name)

    def close(self, finished: bool) -> None:
        self.finished = finished
        if self.fails == "close":
            raise TimeoutError


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put another library in the place of W&B, which is there; return what it is given."""

    def put(fails: str = "") -> list[Noted]:
        given: list[Noted] = []
        kind = trackers._Kind("W&B", "json", lambda session: Noted(session, given, fails))
        monkeypatch.setitem(trackers._KINDS, "LOG.WANDB", kind)
        return given

    return put


@pytest.mark.parametrize(("key", "package"), [("LOG.WANDB", "wandb"), ("LOG.MLFLOW", "mlflow")])
def test_a_package_that_is_not_there_is_refused_before_anything(
    key: str, package: str, pretrain: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = trackers.find_spec
    monkeypatch.setattr(trackers, "find_spec", lambda n: None if n == package else find_spec(n))
    outcome = pretrain(key, "true", "DATA.ROOT", tmp_path / "nowhere")
    assert outcome.error == (
        f"error: {key} needs the package {package}: pip install {package}; or leave the key out"
    )
    assert not (tmp_path / "run").exists()


def test_the_files_that_wandb_leaves_are_no_package(
    pretrain: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wandb_of_no_package").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    kind = trackers._Kind("W&B", "wandb_of_no_package", lambda session: pytest.fail("opened"))
    monkeypatch.setitem(trackers._KINDS, "LOG.WANDB", kind)
    assert "pip install wandb_of_no_package" in pretrain("LOG.WANDB", "true").error


def test_keys_of_logs_are_of_training(pretrain: Any) -> None:
    error = pretrain("--eval-only", "LOG.MLFLOW", "true").error
    assert "LOG.MLFLOW would have no effect on --eval-only" in error


def test_a_tracker_gets_what_tensorboard_gets(noted: Any, pretrain: Any, tmp_path: Path) -> None:
    given = noted()
    assert pretrain("LOG.WANDB", "true").code == 0
    (one,) = given
    found: Scalars = defaultdict(dict)
    for step, values in one.rows:
        for name, value in values.items():
            assert step not in found[name]
            found[name][step] = value
    assert_same(found, on_board(tmp_path / "run"))
    assert set(found["train/loss"]) == set(range(1, 13))
    assert one.session.name == "tiny" and one.session.config["OPTIM.EMA_DECAY"] == 0.9
    assert "record.json" in one.files and one.finished is True
    kept = json.loads((tmp_path / "run/trackers.json").read_text())
    assert kept == {"json": {"id": "run0"}}


def test_a_resumed_run_goes_on_with_its_own_and_a_new_one_does_not(
    noted: Any, killed_and_resumed: Any, tmp_path: Path
) -> None:
    given = noted()
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "trackers.json").write_text('{"json": {"id": "of a run before"}}')
    killed_and_resumed("LOG.WANDB", "true", "TRAIN.CHECKPOINT_STEPS", 2)
    first, second = given
    assert (first.session.kept, second.session.kept) == ({}, {"id": "run0"})
    assert (first.finished, second.finished) == (False, True)
    assert [s for s, values in first.rows if "train/loss" in values] == [1, 2, 3]
    assert [s for s, values in second.rows if "train/loss" in values] == list(range(3, 13))


@pytest.mark.parametrize("fails", ["scalars", "close", "open"])
def test_a_tracker_that_fails_is_left_out_with_one_warning(
    fails: str,
    noted: Any,
    pretrain: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = noted(fails)
    if fails == "open":
        nothing = trackers._Kind("W&B", "json", lambda session: {}["no login"])
        monkeypatch.setitem(trackers._KINDS, "LOG.WANDB", nothing)
    outcome = pretrain("LOG.WANDB", "true")
    assert outcome.code == 0 and outcome.out.count("W&B failed") == 1
    reason = {"scalars": "no route to host", "close": "TimeoutError", "open": "'no login'"}[fails]
    assert f"W&B failed ({reason}): the run goes on without it" in outcome.out
    assert (tmp_path / "run/record.json").exists()
    if fails == "scalars":
        assert max(step for step, _ in given[0].rows) == 3 and not given[0].files
    assert set(on_board(tmp_path / "run")["train/loss"]) == set(range(1, 13))


def environment(tmp_path: Path) -> dict[str, str]:
    """Let the libraries write into a folder."""
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "WANDB_MODE": "offline",
        "WANDB_SILENT": "true",
        "MLFLOW_TRACKING_URI": f"file://{tmp_path / 'mlruns'}",
        "MLFLOW_ALLOW_FILE_STORE": "true",
        "MLFLOW_EXPERIMENT_NAME": "robust",
    }


@pytest.fixture
def stopped_and_resumed(start: Any, finish: Any, tmp_path: Path, pretrain: Any) -> Any:
    """Train for an epoch, and for another one after that; in processes of their own."""

    def run(key: str) -> None:
        env = environment(tmp_path)
        assert finish(start(key, "true", "TRAIN.EPOCHS", 1, env=env)).code == 0
        more = ("--resume", "--new-schedule", "TRAIN.EPOCHS", 2)
        outcome = finish(start(key, "true", *more, env=env))
        assert outcome.code == 0 and "failed" not in outcome.out + outcome.err, outcome.out

    return run


def records_in(content: bytes) -> Iterator[bytes]:
    """The records of a log as LevelDB lays it out, after a head of 7 bytes."""
    assert content.startswith(b":W&B")
    place, parts = 7, b""
    while place + 7 <= len(content):
        left = _BLOCK - place % _BLOCK
        if left < 7:
            place += left
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + 7])
        parts += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (_FULL, _LAST):
            yield parts
            parts = b""


def test_on_weights_and_biases(stopped_and_resumed: Any, tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    from wandb.proto.wandb_internal_pb2 import Record

    stopped_and_resumed("LOG.WANDB")
    files = sorted((tmp_path / "run/wandb").glob("offline-run-*/*.wandb"))
    (kept,) = json.loads((tmp_path / "run/trackers.json").read_text()).values()
    assert len(files) == 2 and {path.stem for path in files} == {f"run-{kept['id']}"}
    found: Scalars = defaultdict(dict)
    config: dict[str, Any] = {}
    for path in files:
        for data in records_in(path.read_bytes()):
            record = Record()
            record.ParseFromString(data)
            for item in record.config.update:
                config["".join(item.nested_key) or item.key] = json.loads(item.value_json)
            row = {
                "".join(item.nested_key) or item.key: json.loads(item.value_json)
                for item in record.history.item
            }
            for name, value in row.items():
                if "/" in name:
                    found[name][row["step"]] = value
    assert_same(found, on_board(tmp_path / "run"))
    assert (config["TRAIN.EPOCHS"], config["MODEL.ARCH"]) == (2, "resnet10_narrow")
    assert list((tmp_path / "run/wandb").glob("offline-run-*/files/record.json"))


def test_on_mlflow(
    stopped_and_resumed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow", exc_type=ImportError)
    stopped_and_resumed("LOG.MLFLOW")
    from mlflow import MlflowClient

    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    client = MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    experiment = client.get_experiment_by_name("robust")
    (run,) = client.search_runs([experiment.experiment_id])
    found = {
        name: {one.step: one.value for one in client.get_metric_history(run.info.run_id, name)}
        for name in run.data.metrics
    }
    assert_same(found, on_board(tmp_path / "run"))
    assert run.info.status == "FINISHED" and run.info.run_name == "tiny"
    assert run.data.params["MODEL.ARCH"] == "resnet10_narrow"
    names = {one.path for one in client.list_artifacts(run.info.run_id)}
    assert {"config.json", "record.json"} <= names
    file = client.download_artifacts(run.info.run_id, "config.json", str(tmp_path))
    assert json.loads(Path(file).read_text())["TRAIN.EPOCHS"] == 2
