"""robust://NAME wherever Detectron2 takes a path."""

import pytest
import torch
from detectron2.utils.file_io import PathManager

import robust_det
from robust_det.detection.paths import register_path_handler
from robust_det.errors import UserError

TINY = "tiny_l2_eps0.5"
URI = f"robust://{TINY}"


@pytest.fixture(autouse=True)
def registered(offline):
    register_path_handler()


def test_asking_whether_a_file_is_there_fetches_nothing(placed, tmp_path):
    assert PathManager.exists(URI) and PathManager.isfile(URI)
    assert not PathManager.exists("robust://nothing_like_it")
    assert not PathManager.isfile("robust://../secret")
    assert not (tmp_path / "cache/backbones").exists()


def test_opening_fetches(placed, tmp_path):
    with PathManager.open(URI, "rb") as file:
        content = file.read()
    path = tmp_path / "cache/backbones" / f"{TINY}.pth"
    assert content == path.read_bytes()
    assert PathManager.get_local_path(URI) == str(path)


def test_a_cached_file_cannot_be_written_to(placed):
    with pytest.raises(UserError, match="only for reading"):
        PathManager.open(URI, "wb")


def test_stock_checkpointer_loads_it(placed):
    """Detectron2's own DetectionCheckpointer, given nothing but the name."""
    from detectron2.checkpoint import DetectionCheckpointer

    wanted = robust_det.load_backbone(TINY)
    backbone = robust_det.load_backbone(TINY)
    for value in backbone.state_dict().values():
        value.zero_()
    DetectionCheckpointer(backbone).load(URI)
    got = backbone.state_dict()
    assert got and all(torch.equal(got[k], v) for k, v in wanted.state_dict().items())
