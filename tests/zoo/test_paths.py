"""robust://NAME wherever Detectron2 takes a path."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2.utils.file_io import PathManager

import robust_det.detection
from robust_det.conversion.convert import convert
from robust_det.core.errors import UserError
from robust_det.models import Classifier, build_classifier

TINY = "tiny_l2_eps0.5"
URI = f"robust://{TINY}"

pytestmark = pytest.mark.usefixtures("offline")
# what people have that know Detectron2 and nothing of this project
SCRIPT = """
import robust_det.detection
import torch
from detectron2 import model_zoo
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.modeling import BACKBONE_REGISTRY, ROI_HEADS_REGISTRY, build_model

cfg = model_zoo.get_config("COCO-Detection/faster_rcnn_R_50_FPN_1x.yaml")
cfg.MODEL.DEVICE = "cpu"
cfg.MODEL.RESNETS.DEPTH, cfg.MODEL.RESNETS.RES2_OUT_CHANNELS = 18, 64
cfg.MODEL.ROI_BOX_HEAD.FC_DIM = 16
cfg.MODEL.WEIGHTS = "robust://mine"
model = build_model(cfg)
DetectionCheckpointer(model).resume_or_load(cfg.MODEL.WEIGHTS)
torch.save(model.backbone.bottom_up.state_dict(), "loaded.pth")
assert "build_robust_fpn_backbone" in BACKBONE_REGISTRY
assert "RobustRes5ROIHeads" in ROI_HEADS_REGISTRY
"""


def test_asking_whether_a_file_is_there_fetches_nothing(placed: Path, tmp_path: Path) -> None:
    assert PathManager.exists(URI) and PathManager.isfile(URI)
    assert not PathManager.exists("robust://nothing_like_it")
    assert not PathManager.isfile("robust://../secret")
    assert not (tmp_path / "cache/backbones").exists()


def test_opening_fetches(placed: Path, tmp_path: Path) -> None:
    with PathManager.open(URI, "rb") as file:
        content = file.read()
    path = tmp_path / "cache/backbones" / f"{TINY}.pth"
    assert content == path.read_bytes()
    assert PathManager.get_local_path(URI) == str(path)


def test_a_cached_file_cannot_be_written_to(placed: Path) -> None:
    with pytest.raises(UserError, match="only for reading"):
        PathManager.open(URI, "wb")


def test_stock_checkpointer_loads_it(placed: Path) -> None:
    """Detectron2's own DetectionCheckpointer, given nothing but the name."""
    from detectron2.checkpoint import DetectionCheckpointer

    wanted = robust_det.load_backbone(TINY)
    backbone = robust_det.load_backbone(TINY)
    for value in backbone.state_dict().values():
        value.zero_()
    DetectionCheckpointer(backbone).load(URI)
    got = backbone.state_dict()
    assert got and all(torch.equal(got[k], v) for k, v in wanted.state_dict().items())


def test_one_import_is_all_that_a_script_of_stock_detectron2_needs(
    place: Callable[..., Any], randomise: Callable[..., Classifier]
) -> None:
    here = place(None, ROBUST_DET_BACKBONES="own")
    classifier = randomise(build_classifier("resnet18", 4))
    torch.save(classifier.body.state_dict(), here.folder / "state.pth")
    convert(here.folder / "state.pth", here.folder / "own/mine.pth")
    done = here.run(SCRIPT)
    assert done.returncode == 0, done.stderr
    loaded = torch.load(here.folder / "loaded.pth", weights_only=True)
    wanted = robust_det.load_backbone("own/mine.pth").state_dict()
    assert len(loaded) == len(wanted) == 100
    assert all(torch.equal(loaded[name], tensor) for name, tensor in wanted.items())
