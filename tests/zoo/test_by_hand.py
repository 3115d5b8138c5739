"""Files that were placed by hand, and folders that cannot be used: no network in these tests."""

import hashlib

import pytest

from robust_det.checkpoints.backbone_file import read_card
from robust_det.errors import UserError
from robust_det.zoo import registry
from robust_det.zoo.fetch import fetch
from robust_det.zoo.locate import locate_backbone
from robust_det.zoo.registry import PublishedModel

TINY, FILE = "tiny_l2_eps0.5", "tiny_l2_eps0.5.ckpt"


pytestmark = pytest.mark.usefixtures("offline")


def test_a_file_placed_by_hand_is_used_and_kept(placed, tmp_path, tiny_bytes):
    found = locate_backbone(f"robust://{TINY}")
    assert found == tmp_path / "cache/backbones" / f"{TINY}.pth"
    assert read_card(found).source_sha256 == hashlib.sha256(tiny_bytes).hexdigest()
    assert placed.read_bytes() == tiny_bytes


def test_a_damaged_file_is_named_and_nothing_is_cached(placed, tmp_path, tiny_bytes):
    placed.write_bytes(tiny_bytes[: len(tiny_bytes) // 2])
    with pytest.raises(UserError, match=f"if {placed} is damaged, delete it") as caught:
        fetch(TINY)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "cache/backbones").glob("*.pth"))
    placed.write_bytes(tiny_bytes)
    assert fetch(TINY).is_file()


def test_a_file_of_another_model_is_refused(placed, tmp_path, write_classifier):
    write_classifier(placed, eps=0.25)
    with pytest.raises(UserError, match=r"eps 0\.25"):
        fetch(TINY)
    assert not list((tmp_path / "cache/backbones").glob("*.pth"))


def test_a_file_placed_by_hand_must_have_the_hash_that_is_known(placed, monkeypatch):
    model = PublishedModel(TINY, "resnet10_narrow", "l2", 0.5, None, FILE, "http://x", "00000000")
    monkeypatch.setitem(registry.PUBLISHED, TINY, model)
    with pytest.raises(UserError, match=f"{placed} has SHA-256 .* instead of 00000000; delete it"):
        fetch(TINY)
    assert placed.exists()


def test_own_conversions_come_before_the_cache_and_the_cache_before_the_hub(tmp_path):
    with pytest.raises(UserError, match="HF_HUB_OFFLINE is set"):
        locate_backbone(f"robust://{TINY}")
    cached, own = tmp_path / "cache/backbones" / f"{TINY}.pth", tmp_path / "own" / f"{TINY}.pth"
    for path in (cached, own):
        path.parent.mkdir(exist_ok=True)
        path.touch()
        assert locate_backbone(f"robust://{TINY}") == path


def test_a_number_written_differently_finds_the_same_files(tmp_path):
    own = tmp_path / "own/resnet18_linf_eps4.pth"
    own.parent.mkdir()
    own.touch()
    assert locate_backbone("robust://resnet18_linf_eps4.0") == own
    # an own file of exactly that name is what was asked for
    exact = own.with_name("resnet18_linf_eps4.0.pth")
    exact.touch()
    assert locate_backbone("robust://resnet18_linf_eps4.0") == exact


@pytest.mark.parametrize("blocked", ["cache", "cache/backbones", "cache/downloads"])
def test_a_cache_that_cannot_be_written_to(blocked, tmp_path):
    """A file where a folder should be: it stops root as well, as permissions do not."""
    (tmp_path / blocked).parent.mkdir(exist_ok=True)
    (tmp_path / blocked).touch()
    with pytest.raises(UserError, match="ROBUST_DET_CACHE") as caught:
        fetch(TINY)
    assert str(caught.value).startswith(
        f"cannot write to {'' if 'down' in blocked else 'the cache '}"
    )
    assert "\n" not in str(caught.value)


def test_a_relative_cache_is_named_in_full(tmp_path, monkeypatch):
    monkeypatch.setenv("ROBUST_DET_CACHE", "here")
    with pytest.raises(UserError, match=f"put it into {tmp_path}/here/downloads"):
        fetch(TINY)


def test_the_default_cache_follows_the_xdg_convention(tmp_path, monkeypatch):
    monkeypatch.delenv("ROBUST_DET_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    with pytest.raises(UserError, match=f"put it into {tmp_path}/xdg/robust_det/downloads"):
        fetch(TINY)
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with pytest.raises(UserError, match=f"put it into {tmp_path}/home/.cache/robust_det/downloads"):
        fetch(TINY)
