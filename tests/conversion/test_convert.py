"""Conversion: the features are the same, and whatever would change them is found."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2.modeling import build_model
from torchvision.models.feature_extraction import create_feature_extractor

from robust_det.backbones.builders import build_backbone
from robust_det.checkpoints.backbone_file import read_card
from robust_det.checkpoints.io import load_checkpoint, save_checkpoint
from robust_det.conversion import convert as conversion
from robust_det.core.errors import UserError
from robust_det.core.files import sha256_file
from robust_det.detection.checkpointer import RobustCheckpointer
from robust_det.detection.config import load_config
from robust_det.models import IMAGENET_MEAN, IMAGENET_STD, Classifier, build_classifier
from tests.support import refused, run_tool

MEAN, STD = (0.41, 0.52, 0.63), (0.21, 0.25, 0.3)  # those of write_classifier


@pytest.mark.parametrize(
    "arch", ["resnet10_narrow", "resnet50", "mobilenet_v2", "shufflenet_v2_x1_0", "convnext_tiny"]
)
def test_features_survive_and_the_card_is_complete(
    arch: str, tmp_path: Path, write_classifier: Callable[..., Classifier]
) -> None:
    write_classifier(tmp_path / "in.pth", arch, eps=0.25)
    done = conversion.convert(tmp_path / "in.pth", tmp_path / "out.pth")
    card = done.card
    assert list(card.differences) == ["res2", "res3", "res4", "res5"]
    assert all(0 <= value <= 1e-4 for value in card.differences.values())
    for stage, value in card.differences.items():
        assert value == max(done.differences["random"][stage], done.differences["real"][stage])
    assert (done.format, done.num_classes, done.notes) == ("checkpoint of tools/pretrain.py", 4, ())
    assert (card.arch, card.norm, card.eps, card.input_format) == (arch, "l2", 0.25, "RGB")
    assert card.pixel_mean == pytest.approx([255 * v for v in MEAN], abs=1e-9)
    assert card.pixel_std == pytest.approx([255 * v for v in STD], abs=1e-9)
    assert card.source_sha256 == sha256_file(tmp_path / "in.pth")
    assert read_card(tmp_path / "out.pth") == card


@pytest.mark.parametrize("builder", ["build_robust_backbone", "build_robust_fpn_backbone"])
@pytest.mark.parametrize("norm", ["FrozenBN", "BN"])
def test_a_detector_sees_what_the_classifier_sees(
    builder: str,
    norm: str,
    tmp_path: Path,
    write_classifier: Callable[..., Classifier],
    write_config: Callable[..., Path],
) -> None:
    """One image, from [0, 1] into the classifier and from [0, 255] through Detectron2's way."""
    classifier = write_classifier(tmp_path / "in.pth")
    conversion.convert(tmp_path / "in.pth", tmp_path / "out.pth")
    fpn = builder == "build_robust_fpn_backbone"
    levels = ["p2", "p3", "p4", "p5"] if fpn else ["res4"]
    config = write_config(
        MODEL={
            "WEIGHTS": str(tmp_path / "out.pth"),
            "BACKBONE": {"NAME": builder},
            "RESNETS": {"NORM": norm, "OUT_FEATURES": ["res2", "res3", "res4", "res5"]},
            "RPN": {"IN_FEATURES": [*levels, "p6"] if fpn else levels},
            "ROI_HEADS": {"IN_FEATURES": levels},
            "ANCHOR_GENERATOR": {"SIZES": [[16], [32], [64], [128], [256]] if fpn else [[32]]},
        }
    )
    cfg, _ = load_config(str(config))
    model = build_model(cfg).eval()
    RobustCheckpointer(model).resume_or_load(cfg.MODEL.WEIGHTS, resume=False)

    pixels = torch.randint(0, 256, (3, 96, 128), generator=torch.Generator().manual_seed(1))
    names = {f"body.layer{i}": f"res{i + 1}" for i in range(1, 5)}
    with torch.no_grad():
        expected = create_feature_extractor(classifier, names)(pixels[None] / 255)
        batch = model.preprocess_image([{"image": pixels.to(torch.uint8)}])
        bottom_up = model.backbone.bottom_up if fpn else model.backbone
        got = bottom_up(batch.tensor)
    assert list(got) == ["res2", "res3", "res4", "res5"]
    for stage, features in expected.items():
        assert features.abs().max() > 0.1
        torch.testing.assert_close(got[stage], features, rtol=1e-4, atol=1e-5)


def perturb_a_weight(weights: Any) -> None:
    weights["res4.0.conv2.weight"] = weights["res4.0.conv2.weight"].clone()
    weights["res4.0.conv2.weight"][0] *= 1.01


def swap_channels(weights: Any) -> None:
    weights["stem.conv1.weight"] = weights["stem.conv1.weight"].flip(1)


def swap_norms(weights: Any) -> None:
    name = "res3.0.conv1.norm."
    weights[name + "running_mean"], weights[name + "bias"] = (
        weights[name + "bias"],
        weights[name + "running_mean"],
    )


@pytest.mark.parametrize("damage", [perturb_a_weight, swap_channels, swap_norms])
def test_wrong_weights_fail_the_check_and_write_nothing(
    damage: Any, tmp_path: Path, classifier_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    respell = conversion._spelled

    def wrong(model: Any, library: Any) -> Any:
        weights = respell(model, library)
        damage(weights)
        return weights

    monkeypatch.setattr(conversion, "_spelled", wrong)
    (tmp_path / "old.pth").write_bytes(b"precious")
    for target in ("new.pth", "old.pth"):
        with pytest.raises(UserError, match=r"features of res\d differ by .* nothing was written"):
            conversion.convert(classifier_file, tmp_path / target, overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["old.pth"]
    assert (tmp_path / "old.pth").read_bytes() == b"precious"


def test_the_stride_in_another_convolution_fails_the_check(
    tmp_path: Path, write_classifier: Callable[..., Classifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_classifier(tmp_path / "in.pth", "resnet50")

    def caffe_style(arch: Any, **kwargs: Any) -> Any:
        backbone = build_backbone(arch, **kwargs)
        block = backbone.res3[0]
        block.conv1.stride, block.conv2.stride = (2, 2), (1, 1)
        return backbone

    monkeypatch.setattr(conversion, "build_backbone", caffe_style)
    with pytest.raises(UserError, match="features of res3 differ"):
        conversion.convert(tmp_path / "in.pth", tmp_path / "out.pth")
    assert not (tmp_path / "out.pth").exists()


@pytest.mark.parametrize(
    "settings",
    [
        lambda mean, std: ([255 * v for v in mean], [255 * v for v in std], "BGR"),
        lambda mean, std: ([255 * v for v in mean], [1.0] * 3, "RGB"),
        lambda mean, std: ([255 * v + 0.5 for v in mean], [255 * v for v in std], "RGB"),
    ],
    ids=["channel order", "std", "mean"],
)
def test_wrong_pixel_settings_fail_the_check(
    settings: Any, tmp_path: Path, classifier_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion, "pixel_settings", settings)
    with pytest.raises(UserError, match="features of res2 differ"):
        conversion.convert(classifier_file, tmp_path / "out.pth")
    assert not (tmp_path / "out.pth").exists()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_refused(
    bad: Any, tmp_path: Path, classifier_file: Path
) -> None:
    content = load_checkpoint(classifier_file)
    content["model"]["layer4.0.conv2.weight"][0] = bad  # the first stages are as they should be
    save_checkpoint(tmp_path / "in.pth", content)
    with pytest.raises(
        UserError, match=r"damaged or diverged: \d+ of \d+ values of layer4.0.conv2.weight"
    ):
        conversion.convert(tmp_path / "in.pth", tmp_path / "out.pth")
    assert not (tmp_path / "out.pth").exists()


@pytest.fixture
def state_dict_file(tmp_path: Path, randomise: Callable[..., Classifier]) -> Path:
    path = tmp_path / "torchvision.pth"
    torch.manual_seed(0)
    torch.save(randomise(build_classifier("resnet18", 10)).body.state_dict(), path)
    return path


def test_features_that_overflow_are_refused(tmp_path: Path, classifier_file: Path) -> None:
    """Every weight is finite, and what they compute is not."""
    content = load_checkpoint(classifier_file)
    content["model"]["layer4.0.bn2.running_var"].fill_(-1)
    save_checkpoint(tmp_path / "in.pth", content)
    with pytest.raises(UserError, match="features of res5 are not finite on random images"):
        conversion.convert(tmp_path / "in.pth", tmp_path / "out.pth")
    assert not (tmp_path / "out.pth").exists()


def test_a_state_dict_does_not_know_its_eps(tmp_path: Path, state_dict_file: Path) -> None:
    card = conversion.convert(state_dict_file, tmp_path / "out.pth").card
    assert (card.arch, card.norm, card.eps) == ("resnet18", "", None)
    assert card.pixel_mean == pytest.approx([255 * v for v in IMAGENET_MEAN], abs=1e-9)
    assert card.pixel_std == pytest.approx([255 * v for v in IMAGENET_STD], abs=1e-9)
    assert max(card.differences.values()) <= 1e-4


@pytest.mark.parametrize("norm, eps", [(None, 0.0), ("l2", 3.0), ("Linf", 4 / 255)])
def test_a_state_dict_can_be_told_its_eps(
    tmp_path: Path, state_dict_file: Path, norm: str | None, eps: Any
) -> None:
    card = conversion.convert(state_dict_file, tmp_path / "out.pth", norm=norm, eps=eps).card
    assert (card.norm, card.eps) == ((norm or "").lower(), eps)


@pytest.mark.parametrize(
    "given, message",
    [
        ({"arch": "resnet34"}, "holds a resnet18, not a resnet34; leave --arch out"),
        ({"arch": "vgg16_bn"}, "holds a resnet18, not a vgg16_bn; leave --arch out"),
        ({"arch": "resnet-18"}, "unknown architecture 'resnet-18'; did you mean 'resnet18'"),
        ({"eps": 0.5}, "--eps 0.5 needs --norm"),
        ({"norm": "l3", "eps": 0.5}, "unknown norm 'l3'"),
        ({"norm": "l2", "eps": -1.0}, "not a number from 0 up"),
        ({"norm": "l2", "eps": math.nan}, "not a number from 0 up"),
        ({"mean": (0.5, 0.5, 0.5)}, "--mean and --std together"),
        ({"mean": (0.5, 0.5), "std": (1, 1)}, "three numbers each"),
        ({"mean": (0.5, 0.5, 0.5), "std": (1, 0, 1)}, "std above 0"),
        ({"to": "caffe"}, "unknown target 'caffe'"),
    ],
)
def test_a_wrong_description_of_a_state_dict(
    tmp_path: Path, state_dict_file: Path, given: Any, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        conversion.convert(state_dict_file, tmp_path / "out.pth", **given)
    assert not (tmp_path / "out.pth").exists()


def test_a_state_dict_can_be_told_its_normalisation(tmp_path: Path, state_dict_file: Path) -> None:
    done = conversion.convert(
        state_dict_file, tmp_path / "out.pth", mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4)
    )
    assert done.card.pixel_mean == pytest.approx((127.5, 102, 76.5))
    assert done.card.pixel_std == pytest.approx((51, 76.5, 102))
    assert not [note for note in done.notes if "normalisation" in note]


@pytest.mark.parametrize(
    "given, message",
    [
        ({"arch": "resnet18"}, "holds a resnet10_narrow, not a resnet18; leave --arch out"),
        ({"norm": "linf"}, "has norm l2, not linf; leave --norm out"),
        ({"eps": 1.0}, "has eps 0.5, not 1.0; leave --eps out"),
        ({"mean": (0.5, 0.5, 0.5), "std": (1, 1, 1)}, "leave --mean and --std out"),
    ],
)
def test_a_description_that_contradicts_a_checkpoint(
    tmp_path: Path, classifier_file: Path, given: Any, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        conversion.convert(classifier_file, tmp_path / "out.pth", **given)


def test_a_file_that_torchvision_would_not_load_is_refused(
    tmp_path: Path, write_classifier: Callable[..., Classifier]
) -> None:
    write_classifier(tmp_path / "in.pth", "mnasnet1_0")
    with pytest.raises(UserError, match=r"versions of its modules.* give OUTPUT the suffix .pth"):
        conversion.convert(tmp_path / "in.pth", tmp_path / "o.safetensors", to="torchvision")
    assert not (tmp_path / "o.safetensors").exists()
    conversion.convert(tmp_path / "in.pth", tmp_path / "o.pth", to="torchvision")
    state = torch.load(tmp_path / "o.pth", weights_only=True)
    build_classifier("mnasnet1_0", 4).body.load_state_dict(state)


def test_the_averaged_weights_are_converted_where_there_are_any(
    tmp_path: Path, classifier_file: Path
) -> None:
    content = load_checkpoint(classifier_file)
    content["ema"] = {name: value.clone() for name, value in content["model"].items()}
    content["ema"]["conv1.weight"] += 1
    save_checkpoint(tmp_path / "in.pth", content)
    conversion.convert(tmp_path / "in.pth", tmp_path / "out.pth")
    stem = load_checkpoint(tmp_path / "out.pth")["model"]["stem.conv1.weight"]
    assert torch.equal(stem, content["ema"]["conv1.weight"])


def test_the_source_is_never_overwritten(
    tmp_path: Path, write_classifier: Callable[..., Classifier]
) -> None:
    write_classifier(tmp_path / "in.pth")
    before = sha256_file(tmp_path / "in.pth")
    with pytest.raises(UserError, match="OUTPUT is INPUT"):
        conversion.convert(tmp_path / "in.pth", tmp_path / "folder" / ".." / "in.pth")
    assert sha256_file(tmp_path / "in.pth") == before


def test_code_in_a_file_is_not_run(tmp_path: Path, malicious: tuple[Path, Path]) -> None:
    path, marker = malicious
    with pytest.raises(UserError, match="not rebuilt, since that would run code"):
        conversion.convert(path, tmp_path / "out.pth")
    assert not marker.exists() and not (tmp_path / "out.pth").exists()


def test_the_tool_prints_the_proof(tmp_path: Path, state_dict_file: Path) -> None:
    out, given = tmp_path / "out.pth", (state_dict_file, "--arch", "resnet18")
    done = run_tool("convert_backbone", *given, out, "--norm", "linf", "--eps", "4/255")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].startswith("resnet18, eps 0.0156863 linf, 10 classes, source sha256 ")
    assert lines[1] == "read as: state dict in torchvision's names"
    assert lines[2] == (
        "PIXEL_MEAN [123.675, 116.28, 103.53], PIXEL_STD [58.395, 57.12, 57.375], INPUT.FORMAT RGB"
    )
    assert lines[3].startswith("note: ") and lines[4].startswith("note: the running statistics")
    assert lines[6].split() == ["random", "real", "images"]
    stages = [line.split() for line in lines[7:11]]
    assert [stage for stage, *_ in stages] == ["res2", "res3", "res4", "res5"]
    assert all(0 < float(value) <= 1e-4 for _, *values in stages for value in values)
    assert lines[11] == "weights: at the top of the file, all of its parameters"
    assert read_card(out).eps == 4 / 255

    error = refused("convert_backbone", *given, tmp_path / "out.pkl", untouched=tmp_path)
    assert error.startswith("OUTPUT must end in .pth")
