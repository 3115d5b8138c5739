"""A sweep of transfers, by the real tool."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from robust_det.checkpoints.model_file import NetworkFile
from robust_det.core.errors import UserError
from robust_det.launch.notation import parse_sweep
from robust_det.launch.sweep import Planned, plan
from robust_det.records import read_record
from robust_det.records.transfer import TransferRecord
from robust_det.transfer.planning import TransferCheck
from robust_det.transfer.run import transfer
from robust_det.transfer.settings import explain
from tests.support import run_tool
from tests.transfer.conftest import COLOURS, write_backbone, write_folders


def planned(folder: Path, *lines: str) -> list[Planned]:
    return plan(parse_sweep(lines, "runs.txt"), folder, {"transfer": TransferCheck(Path)})


@pytest.fixture
def config(tmp_path: Path) -> Path:
    images = write_folders(tmp_path / "images", {"train": 6, "test": 4}, tuple(COLOURS))
    path = tmp_path / "mine.yaml"
    path.write_text(
        f"DATA: {{ROOT: {images}, WORKERS: 0}}\n"
        "TRANSFER: {HEAD: ridge, STRENGTHS: 5}\nEVAL: {EPS: 0}\n"
    )
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROBUST_DET_CACHE", str(tmp_path / "cache"))


def test_a_sweep_of_transfers_does_what_is_missing(tmp_path: Path, config: Path) -> None:
    write_backbone(tmp_path / "b_eps0.pth", 0.0)
    folder, lines = tmp_path / "sweep", tmp_path / "runs.txt"
    lines.write_text(f"transfer --config {config} --backbone {tmp_path}/b_*.pth SEED 0\n")
    code, out, err = run_tool("sweep", "--runs", lines, "--output", folder)
    assert code == 0, err
    record = read_record(folder / "mine_b_eps0_seed0", TransferRecord)
    row = re.search(r"^mine_b_eps0 .*$", out, re.MULTILINE)
    assert row is not None
    cells = re.split("  +", row[0])
    accuracy = f"{record.metrics['top1']:.1f}"
    assert [*cells[:5], cells[-1]] == ["mine_b_eps0", "top-1", "—", accuracy, "—", "1"]
    assert "accuracy %" in (folder / "results.md").read_text()

    # another backbone, by the same glob; what is done stays
    write_backbone(tmp_path / "b_eps1.pth", 1.0, seed=1)
    done, missing = planned(folder, lines.read_text())
    assert done.finished and not missing.finished
    command = missing.command
    assert command[1:5] == ("-m", "robust_det", "transfer", "--config")
    assert command[command.index("--backbone") + 1] == str(tmp_path / "b_eps1.pth")
    assert "--resume" in command


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--backbone b.pth TRANSFER.HEED ridge", "unknown config key 'TRANSFER.HEED'"),
        ("--backbone b.pth OPTIM.LR 0.1", "OPTIM.LR"),  # has no effect on a ridge
        ("--backbone none.pth", "none.pth"),
        ("--backbone b.pth DATA.ROOT none", "none"),
        ("--backbone b.pth TRANSFER.DOWNSCALE 64", "TRANSFER.DOWNSCALE 64 is no less than"),
        ("SEED 3", "nothing says what is transferred"),
    ],
)
def test_a_mistake_in_the_last_run_is_said_before_the_first(
    tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch, arguments: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_backbone(tmp_path / "b.pth")
    good = f"transfer --config {config} --backbone b.pth"
    with pytest.raises(UserError) as caught:
        planned(tmp_path / "sweep", good, f"transfer --config {config} {arguments}")
    assert str(caught.value).startswith("run mine") and said in str(caught.value)
    assert not (tmp_path / "sweep").exists()


def test_a_folder_of_another_backbone_or_config_is_no_finished_run(
    tmp_path: Path, config: Path
) -> None:
    write_backbone(tmp_path / "b.pth")
    line = f"transfer --config {config} --backbone {tmp_path}/b.pth"
    (run,) = planned(tmp_path, line)
    options = ["OUTPUT_DIR", str(run.folder), "TRANSFER.BACKBONE", str(tmp_path / "b.pth")]
    cfg, _ = explain(str(config), options)
    cfg.freeze()
    transfer(cfg, "mine", NetworkFile(tmp_path / "b.pth"))
    assert [run.finished for run in planned(tmp_path, line)] == [True]
    config.write_text(config.read_text().replace("STRENGTHS: 5", "STRENGTHS: 6"))
    with pytest.raises(UserError, match=r"TRANSFER\.STRENGTHS: 5 -> 6"):
        planned(tmp_path, line)
    config.write_text(config.read_text().replace("STRENGTHS: 6", "STRENGTHS: 5"))
    write_backbone(tmp_path / "b.pth", seed=7)
    with pytest.raises(UserError, match="another file; choose another OUTPUT_DIR"):
        planned(tmp_path, line)


def test_a_finished_run_is_none_of_other_images(tmp_path: Path, config: Path) -> None:
    write_backbone(tmp_path / "b.pth")
    line = f"transfer --config {config} --backbone {tmp_path}/b.pth"
    (run,) = planned(tmp_path, line)
    options = ["OUTPUT_DIR", str(run.folder), "TRANSFER.BACKBONE", str(tmp_path / "b.pth")]
    cfg, _ = explain(str(config), options)
    cfg.freeze()
    transfer(cfg, "mine", NetworkFile(tmp_path / "b.pth"))
    for folder, counts in (("copy", {"train": 6, "test": 4}), ("less", {"train": 5, "test": 4})):
        write_folders(tmp_path / folder, counts, tuple(COLOURS))
    config.write_text(config.read_text().replace(f"{tmp_path}/images", f"{tmp_path}/copy"))
    assert [run.finished for run in planned(tmp_path, line)] == [True]
    config.write_text(config.read_text().replace(f"{tmp_path}/copy", f"{tmp_path}/less"))
    with pytest.raises(UserError, match="of a run with other images, labels or splits"):
        planned(tmp_path, line)
