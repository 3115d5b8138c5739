"""A site of committed records of all kinds, built once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from robust_det.site.build import build_site
from tests.support import ROOT
from tests.support.browser import Pages, browser_pages

RESULTS = ROOT / "docs" / "results"
RUNS = (
    *(
        f"pretraining/runs/{way}_seed{n}{budget}"
        for way in ("pgd", "standard")
        for n in (0, 1)
        for budget in ("", "_quick")
    ),
    *(
        f"transfer/runs/small_flowers_r18_eps{eps}_seed{seed}_modefixed-feature_seed0"
        for eps in (0, 1)
        for seed in (0, 1)
    ),
    "detection/eps/runs/tiny_r18_eps0_bccd_seed0",
    "detection/eps/runs/tiny_r18_eps1_bccd_seed0",
)


def copy_runs(folder: Path) -> Path:
    """Copy some of this project's runs; one of them gets curves, as it had in its folder."""
    for name in RUNS:
        target = folder / Path(name).name
        target.mkdir(parents=True)
        shutil.copy(RESULTS / name / "record.json", target)
    lines = [
        {"epoch": epoch, "train_loss": 4 - epoch / 4, "clean_top1": 10.0 * epoch, "lr": 0.1}
        for epoch in range(1, 5)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "pgd_seed0" / "metrics.jsonl").write_text(f"{text}cut off")
    return folder


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    runs = copy_runs(folder / "runs")
    (runs / "going_on").mkdir()
    (runs / "going_on" / "metrics.jsonl").write_text("")
    shutil.copytree(runs / "pgd_seed1", runs / "pgd_seed1_copy")
    build_site([runs], folder / "out")
    return folder / "out"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return copy_runs(tmp_path / "runs")


@pytest.fixture(scope="session")
def pages() -> Iterator[Pages]:
    with browser_pages() as found:
        yield found
