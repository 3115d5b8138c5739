"""Files that were placed by hand, and folders that cannot be used: no network in these tests."""

import hashlib
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import robust_det
from robust_det.checkpoints.backbone_file import read_card
from robust_det.conversion.convert import convert
from robust_det.core.errors import UserError
from robust_det.models import Classifier
from robust_det.zoo import published
from robust_det.zoo.fetch import fetch
from robust_det.zoo.locate import locate_backbone
from robust_det.zoo.published import PublishedModel

TINY, FILE = "tiny_l2_eps0.5", "tiny_l2_eps0.5.ckpt"


pytestmark = pytest.mark.usefixtures("offline")


def test_a_file_placed_by_hand_is_used_and_kept(
    placed: Path, tmp_path: Path, tiny_bytes: bytes
) -> None:
    found = locate_backbone(f"robust://{TINY}")
    assert found == tmp_path / "cache/backbones" / f"{TINY}.pth"
    assert read_card(found).source_sha256 == hashlib.sha256(tiny_bytes).hexdigest()
    assert placed.read_bytes() == tiny_bytes


def test_a_damaged_file_is_named_and_nothing_is_cached(
    placed: Path, tmp_path: Path, tiny_bytes: bytes
) -> None:
    placed.write_bytes(tiny_bytes[: len(tiny_bytes) // 2])
    with pytest.raises(UserError, match=f"{placed} is .*; delete it") as caught:
        fetch(TINY)
    assert "\n" not in str(caught.value) and str(caught.value).count(str(placed)) == 1
    assert not list((tmp_path / "cache/backbones").glob("*.pth"))
    placed.write_bytes(tiny_bytes)
    assert fetch(TINY).is_file()


def test_a_file_of_another_model_is_refused(
    placed: Path, tmp_path: Path, write_classifier: Callable[..., Classifier]
) -> None:
    # the advice of the converter is not given: nobody gave --eps or --arch
    write_classifier(placed, eps=0.25)
    with pytest.raises(
        UserError, match=rf"has eps 0\.25, not 0\.5, so it is not .* {TINY}; delete it"
    ):
        fetch(TINY)
    write_classifier(placed, "resnet18")
    with pytest.raises(
        UserError, match=r"a resnet18, not a resnet10_narrow, so it is not"
    ) as caught:
        fetch(TINY)
    assert "--" not in str(caught.value) and str(caught.value).count(str(placed)) == 1
    assert not list((tmp_path / "cache/backbones").glob("*.pth"))


def test_a_file_placed_by_hand_must_have_the_hash_that_is_known(
    placed: Path, monkeypatch: pytest.MonkeyPatch, tiny_bytes: bytes
) -> None:
    model = PublishedModel(TINY, "resnet10_narrow", "l2", 0.5, None, FILE, "http://x", "00000000")
    monkeypatch.setitem(published.PUBLISHED, TINY, model)
    with pytest.raises(UserError, match=f"{placed} has SHA-256 .* instead of 00000000; delete it"):
        fetch(TINY)
    assert placed.exists()
    prefix = hashlib.sha256(tiny_bytes).hexdigest()[:8]
    monkeypatch.setitem(published.PUBLISHED, TINY, replace(model, sha256_prefix=prefix))
    assert fetch(TINY).is_file()


def test_own_conversions_come_before_the_cache_and_the_cache_before_the_hub(
    tmp_path: Path, backbone_file: Path
) -> None:
    with pytest.raises(UserError, match="HF_HUB_OFFLINE is set"):
        locate_backbone(f"robust://{TINY}")
    cached, own = tmp_path / "cache/backbones" / f"{TINY}.pth", tmp_path / "own" / f"{TINY}.pth"
    for path in (cached, own):
        path.parent.mkdir(exist_ok=True)
        shutil.copy(backbone_file, path)
        assert locate_backbone(f"robust://{TINY}") == path


def test_a_number_written_differently_finds_the_same_files(
    tmp_path: Path, backbone_file: Path
) -> None:
    own = tmp_path / "own" / f"{TINY}.pth"
    own.parent.mkdir()
    shutil.copy(backbone_file, own)
    assert locate_backbone(f"robust://{TINY}0") == own
    # an own file of exactly that name is what was asked for
    exact = own.with_name(f"{TINY}0.pth")
    shutil.copy(backbone_file, exact)
    assert locate_backbone(f"robust://{TINY}0") == exact


@pytest.mark.parametrize(
    "arch, eps, found",
    [
        ("resnet10_narrow", 0.25, "resnet10_narrow l2 eps 0.25"),
        ("resnet18", 0.5, "resnet18 l2 eps 0.5"),
    ],
)
def test_another_model_under_a_published_name_is_refused(
    arch: str, eps: float, found: str, tmp_path: Path, write_classifier: Callable[..., Classifier]
) -> None:
    write_classifier(tmp_path / "final.pth", arch, eps)
    own = tmp_path / "own" / f"{TINY}.pth"
    convert(tmp_path / "final.pth", own)
    expected = f"{own} holds {found}, not resnet10_narrow l2 eps 0.5; give it another name"
    with pytest.raises(UserError, match=re.escape(expected)):
        robust_det.load_classifier(TINY)
    own.rename(own.with_name("mine.pth"))
    assert robust_det.load_classifier("mine").card.eps == eps


def test_an_own_file_of_a_published_name_must_be_readable(tmp_path: Path) -> None:
    own = tmp_path / "own" / f"{TINY}.pth"
    own.parent.mkdir()
    own.touch()
    with pytest.raises(UserError, match=str(own)):
        locate_backbone(f"robust://{TINY}")


def test_a_variable_that_is_empty_is_not_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROBUST_DET_BACKBONES", "")
    (tmp_path / "mine.pth").touch()
    with pytest.raises(UserError, match="no backbone 'mine' at output/backbones/mine"):
        locate_backbone("robust://mine")


@pytest.mark.parametrize("blocked", ["cache", "cache/backbones", "cache/downloads"])
def test_a_cache_that_cannot_be_written_to(blocked: str, tmp_path: Path) -> None:
    """A file where a folder should be: it stops root as well, as permissions do not."""
    (tmp_path / blocked).parent.mkdir(exist_ok=True)
    (tmp_path / blocked).touch()
    with pytest.raises(UserError, match="ROBUST_DET_CACHE") as caught:
        fetch(TINY)
    assert str(caught.value).startswith(
        f"cannot write to {'' if 'down' in blocked else 'the cache '}"
    )
    assert "\n" not in str(caught.value)


def test_a_relative_cache_is_named_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROBUST_DET_CACHE", "here")
    with pytest.raises(UserError, match=f"put it into {tmp_path}/here/downloads"):
        fetch(TINY)


def test_the_default_cache_follows_the_xdg_convention(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROBUST_DET_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    with pytest.raises(UserError, match=f"put it into {tmp_path}/xdg/robust_det/downloads"):
        fetch(TINY)
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with pytest.raises(UserError, match=f"put it into {tmp_path}/home/.cache/robust_det/downloads"):
        fetch(TINY)
