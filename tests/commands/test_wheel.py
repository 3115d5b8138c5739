"""A wheel of the project, alone in an environment: the whole road without a checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from robust_det.core.installation import REPOSITORY
from robust_det.data.synthetic import write_classification, write_coco

pytestmark = pytest.mark.slow
SOURCES = ("robust_det", "configs", "setup.py", "pyproject.toml", "MANIFEST.in", "LICENSE")
# nothing of this process may lead back to the checkout
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "ROBUST_DET_"))}


def run(*command: object, cwd: Path) -> str:
    done = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env={**ENVIRONMENT, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A repository with the sources, and its commit."""
    folder = tmp_path_factory.mktemp("sources")
    for name in SOURCES:
        source = REPOSITORY / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, folder / name, ignore=ignored)
        else:
            shutil.copy(source, folder)
    author = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    run("git", "init", "--quiet", cwd=folder)
    run("git", "add", ".", cwd=folder)
    run("git", *author, "commit", "--quiet", "--message", "all", cwd=folder)
    return folder, run("git", "rev-parse", "HEAD", cwd=folder).strip()


@pytest.fixture(scope="module")
def installed(
    committed: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., str]:
    """A function that runs a program of an environment that has the wheel, and of this one's
    packages all but the project."""
    place = tmp_path_factory.mktemp("installed")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
    wheels = ("--no-deps", "--no-build-isolation", "--wheel-dir", place)
    run(*pip, "wheel", *wheels, committed[0], cwd=place)
    (wheel,) = place.glob("robust_det-*.whl")
    run(sys.executable, "-m", "venv", "--without-pip", place / "venv", cwd=place)
    python = place / "venv/bin/python"
    run(*pip, "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=place)
    paths = sysconfig.get_paths()
    (folder,) = (place / "venv/lib").glob("python3*/site-packages")
    # its own .pth files, such as that of an editable installation, are not read from there
    (folder / "others.pth").write_text(f"{paths['purelib']}\n{paths['platlib']}\n")
    shutil.rmtree(committed[0])

    def program(name: str, *arguments: object, cwd: Path) -> str:
        return run(place / "venv/bin" / name, *arguments, cwd=cwd)

    return program


def test_the_whole_road(
    installed: Callable[..., str], committed: tuple[Path, str], tmp_path: Path
) -> None:
    write_classification(tmp_path / "shapes", train_per_class=2, val_per_class=1, size=32)
    write_coco(tmp_path / "datasets/scenes", train_images=4, val_images=2, size=96)

    def command(*arguments: object) -> str:
        return installed("robust-det", *arguments, cwd=tmp_path)

    where = installed("python", "-c", "import robust_det; print(robust_det.__file__)", cwd=tmp_path)
    assert "site-packages" in where and str(REPOSITORY) not in where
    assert f"commit {committed[1]}, in " in command("env")
    assert "coco_faster_rcnn_fpn_1x.yaml" in command("configs")

    command("configs", "copy", "demo_resnet10_l2_eps0.5.yaml", "small.yaml")
    command(
        "pretrain", "--config", "small.yaml", "DATA.ROOT", "shapes", "DATA.WORKERS", 0,
        "DATA.IMAGE_SIZE", 32, "DATA.RESIZE", 32, "TRAIN.EPOCHS", 1, "TRAIN.BATCH_SIZE", 8,
        "ATTACK.STEPS", 1, "EVAL.STEPS", 1, "OUTPUT_DIR", "pretrained",
    )  # fmt: skip
    said = command("convert", "pretrained/final.pth", "output/backbones/demo_resnet10_l2_eps0.pth")
    assert "resnet10_narrow, eps 0.5 l2, 8 classes" in said
    command(
        "train", "--config", "demo_mask_eps0.yaml", "OUTPUT_DIR", "run", "SOLVER.MAX_ITER", 2,
        "SOLVER.STEPS", "[1]", "SOLVER.IMS_PER_BATCH", 2, "DATALOADER.NUM_WORKERS", 0,
        "TEST.PICTURES", 1, "INPUT.MIN_SIZE_TRAIN", "[96]", "INPUT.MIN_SIZE_TEST", 96,
    )  # fmt: skip
    compared = command("compare", "pretrained", "run", "--output", "report")
    assert "Mask AP" in compared and (tmp_path / "report/index.html").is_file()

    for folder, name in (("pretrained", "pretrain"), ("run", "train")):
        environment = json.loads((tmp_path / folder / "record.json").read_text())["environment"]
        assert environment["commit"] == committed[1] and not environment["modified"]
        assert environment["command"][:3] == ["-m", "robust_det", name]
    assert (tmp_path / "run/config.yaml").read_text().startswith("# written by robust_det ")
