"""``robust-det configs``: the list, and copies that work where they are put."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from robust_det.core.config.reading import load_raw
from robust_det.core.installation import CONFIGS, SCHEMAS


def test_every_config_has_a_line_that_says_what_it_does(command: Any) -> None:
    done = command("configs")
    assert done.code == 0
    lines = dict(re.findall(r"^  (\S+\.yaml) +(\S.*)$", done.out, re.MULTILINE))
    assert sorted(lines) == sorted(path.name for path in CONFIGS.rglob("*.yaml"))
    assert lines["tiny_resnet18_l2_eps0.25.yaml"] == (
        "resnet18, l2 eps 0.25, 8 epochs on datasets/tiny-imagenet-100"
    )
    assert lines["resnet50_l2_eps0.yaml"].startswith("resnet50, standard (eps 0), 90 epochs on ")
    assert lines["robust_r50_eps0.1_coco_mask.yaml"] == (
        "Mask R-CNN FPN from robust://resnet50_l2_eps0.1, 90000 iterations on coco_2017_train"
    )
    for name, model in {
        "coco_retinanet_fpn_1x.yaml": "RetinaNet",
        "coco_panoptic_fpn_1x.yaml": "Panoptic FPN",
        "coco_cascade_mask_rcnn_fpn_1x.yaml": "Cascade Mask R-CNN FPN",
        "voc_faster_rcnn_c4.yaml": "Faster R-CNN C4",
    }.items():
        assert lines[name].startswith(f"{model} from --backbone NAME, ")
    assert lines["base_small_rcnn_c4.yaml"] == "base: as base_small.yaml, for C4"


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda path: path.stem)
def test_a_copy_says_what_the_original_does(
    path: Path, command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = command("configs", "copy", path.name)
    assert (done.code, done.out) == (0, f"wrote {path.name}\n")
    copied = tmp_path / path.name
    assert load_raw(copied) == load_raw(path)
    first = copied.read_text().splitlines()[0]
    schema = first.removeprefix("# yaml-language-server: $schema=")
    assert Path(schema).parent == SCHEMAS and Path(schema).is_file()


def test_where_a_copy_goes(command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert command("configs", "copy", "base_small.yaml", "deep/mine.yaml").code == 0
    assert command("configs", "copy", "base_small.yaml", "deep").out == (
        "wrote deep/base_small.yaml\n"
    )
    mine = tmp_path / "deep/mine.yaml"
    mine.write_text("SEED: 1\n")
    done = command("configs", "copy", "base_small.yaml", "deep/mine.yaml")
    assert done.code == 2 and mine.read_text() == "SEED: 1\n"
    assert done.err == (
        "error: deep/mine.yaml exists; --overwrite replaces it, or name another output\n"
    )
    assert command("configs", "copy", "base_small.yaml", "deep/mine.yaml", "--overwrite").code == 0
    assert load_raw(mine) == load_raw(CONFIGS / "detection/base_small.yaml")
    done = command("configs", "copy", mine, mine, "--overwrite")  # itself
    assert done.code == 2 and "is read, and would be replaced" in done.err
    done = command("configs", "copy", "base_smal.yaml")
    assert done.code == 2 and "did you mean 'base_small.yaml'?" in done.err
    (tmp_path / "list.yaml").write_text("OUTPUT_DIR: x\n")  # either kind has it
    done = command("configs", "copy", "list.yaml", "other.yaml")
    assert done.code == 2 and "tells whether it is of pretraining" in done.err
    assert not (tmp_path / "other.yaml").exists()
