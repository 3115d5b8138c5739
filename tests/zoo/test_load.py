"""One line from a name to a model."""

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import robust_det
from robust_det.conversion.convert import convert
from robust_det.core.errors import UserError
from robust_det.models import Classifier
from robust_det.zoo.load import path_of

TINY = "tiny_l2_eps0.5"


@pytest.fixture
def images() -> Any:
    return torch.rand(2, 3, 48, 48, generator=torch.Generator().manual_seed(1))


def test_importing_the_package_is_light() -> None:
    code = (
        "import sys, robust_det, robust_det.zoo.locate\n"
        "print([m for m in ('torch', 'detectron2', 'huggingface_hub') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("name", [TINY, f"robust://{TINY}"])
def test_a_classifier_by_name(
    name: Any,
    placed: Path,
    images: Any,
    tmp_path: Path,
    write_classifier: Callable[..., Classifier],
) -> None:
    classifier = robust_det.load_classifier(name)
    source = write_classifier(tmp_path / "source.pth")
    assert not classifier.training
    with torch.no_grad():
        assert torch.equal(classifier(images), source(images))
    assert torch.equal(classifier.normalize.mean, source.normalize.mean)
    assert torch.equal(classifier.normalize.std, source.normalize.std)


def test_a_model_knows_what_it_is(placed: Path) -> None:
    for model in (robust_det.load_classifier(TINY), robust_det.load_backbone(TINY)):
        card = model.card
        assert (card.arch, card.norm, card.eps) == ("resnet10_narrow", "l2", 0.5)
        assert card.mean == pytest.approx((0.41, 0.52, 0.63))
        assert card.std == pytest.approx((0.21, 0.25, 0.3))


def test_a_model_outlives_its_file(
    offline: None, images: Any, tmp_path: Path, write_classifier: Callable[..., Classifier]
) -> None:
    source = write_classifier(tmp_path / "final.pth")
    classifier = robust_det.load_classifier("final.pth")
    (tmp_path / "final.pth").write_bytes(b"")
    with torch.no_grad():
        assert torch.equal(classifier(images), source(images))


def test_a_backbone_of_any_checkpoint(
    offline: None, images: Any, tmp_path: Path, write_classifier: Callable[..., Classifier]
) -> None:
    write_classifier(tmp_path / "final.pth")
    backbone = robust_det.load_backbone("final.pth", out_features=["res5"])
    with torch.no_grad():
        assert backbone(images)["res5"].shape == (2, 128, 2, 2)


def test_a_classifier_by_path(
    offline: None, images: Any, tmp_path: Path, write_classifier: Callable[..., Classifier]
) -> None:
    source = write_classifier(tmp_path / "final.pth")
    with torch.no_grad():
        assert torch.equal(robust_det.load_classifier("final.pth")(images), source(images))


def test_one_of_several_networks_in_a_file(
    offline: None, images: Any, tmp_path: Path, write_classifier: Callable[..., Classifier]
) -> None:
    states = []
    for i, eps in enumerate((0, 0.5)):
        source = write_classifier(tmp_path / "final.pth", eps=eps).body
        with torch.no_grad():
            source.fc.weight.add_(i)
            source.conv1.weight.add_(i)
        states.append({name: tensor.clone() for name, tensor in source.state_dict().items()})
    torch.save({"a": states[0], "b": states[1]}, "both.pth")
    with pytest.raises(UserError, match="choose with --prefix 'a/'"):
        robust_det.load_classifier("both.pth")
    with pytest.raises(UserError, match="choose with --prefix 'a/'"):
        robust_det.load_backbone("both.pth")
    for place, state in zip("ab", states, strict=True):
        classifier = robust_det.load_classifier("both.pth", prefix=place)
        assert torch.equal(classifier.body.state_dict()["fc.weight"], state["fc.weight"])
        backbone = robust_det.load_backbone("both.pth", prefix=place, arch="resnet10_narrow")
        assert torch.equal(backbone.state_dict()["stem.conv1.weight"], state["conv1.weight"])
    with pytest.raises(UserError, match="holds a resnet10_narrow, not a resnet18"):
        robust_det.load_backbone("both.pth", prefix="a", arch="resnet18")


@pytest.mark.parametrize("load", ["load_backbone", "load_classifier"])
def test_what_was_assumed_is_logged(
    load: str,
    offline: None,
    tmp_path: Path,
    write_classifier: Callable[..., Classifier],
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    body = write_classifier(tmp_path / "final.pth").body
    getattr(robust_det, load)("final.pth")
    assert caplog.messages == []  # it describes itself
    state = {f"net.{name}": tensor for name, tensor in body.state_dict().items()}
    torch.save({**state, "neck.weight": torch.zeros(7, 7)}, "bare.pth")
    getattr(robust_det, load)("bare.pth")
    notes = convert("bare.pth", "again.pth").notes
    assert caplog.messages == [f"bare.pth: {note}" for note in notes]
    for words in ("ImageNet's", "'neck' (", "running statistics"):
        assert [words in note for note in notes].count(True) == 1, notes
    assert {(r.name, r.levelname) for r in caplog.records} == {("robust_det.zoo.load", "WARNING")}
    with monkeypatch.context() as patch:  # as in a script that configures no logging
        patch.setattr(logging.root, "handlers", [])
        getattr(robust_det, load)("bare.pth")
    assert capsys.readouterr().err.splitlines() == caplog.messages


def test_a_backbone_by_name(
    placed: Path, images: Any, tmp_path: Path, write_classifier: Callable[..., Classifier]
) -> None:
    backbone = robust_det.load_backbone(TINY)
    assert not backbone.training
    assert [p for p in backbone.parameters() if not p.requires_grad] == []
    body = write_classifier(tmp_path / "source.pth").body
    with torch.no_grad():
        features = backbone(images)
        x = body.maxpool(body.relu(body.bn1(body.conv1(images))))
        for i in range(4):
            x = body.get_submodule(f"layer{i + 1}")(x)
            torch.testing.assert_close(features[f"res{i + 2}"], x, rtol=1e-4, atol=1e-4)
    assert list(features) == ["res2", "res3", "res4", "res5"]


def test_what_a_backbone_returns_and_freezes(placed: Path, images: Any) -> None:
    backbone = robust_det.load_backbone(TINY, norm="BN", out_features=["res3"], freeze_at=2)
    assert list(backbone(images)) == ["res3"]
    trainable = {n.partition(".")[0] for n, p in backbone.named_parameters() if p.requires_grad}
    assert {"res3"} <= trainable and not trainable & {"stem", "res2"}


def test_names_and_paths(offline: None, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="HF_HUB_OFFLINE"):
        path_of("resnet50_l2_eps0.5")
    with pytest.raises(UserError, match="did you mean 'resnet50_l2_eps3'"):
        path_of("resnet50_l2_eps_3")
    for odd in ("a" * 5000, "a\0b", "a\nb"):
        with pytest.raises(UserError, match="not of the form robust://NAME"):
            path_of(odd)
    for text in ("weights.pth", "folder/resnet50_l2_eps3", "../x.ckpt"):
        assert path_of(text) == Path(text)
    # a file of that name is what was meant
    (tmp_path / "resnet50_l2_eps0.5").touch()
    assert path_of("resnet50_l2_eps0.5") == Path("resnet50_l2_eps0.5")
    with pytest.raises(UserError, match=r"no checkpoint at .*weights\.pth|weights\.pth"):
        robust_det.load_classifier("weights.pth")
