"""What follows from weights and data is adopted; a config that contradicts it is refused."""

import argparse
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2.data import DatasetCatalog
from detectron2.modeling import build_model

from robust_det.checkpoints.io import load_checkpoint, save_checkpoint
from robust_det.conversion.convert import convert
from robust_det.core.config.reading import REPOSITORY, find_config, flatten, load_raw
from robust_det.core.errors import UserError
from robust_det.detection.config import explain, load_config, load_detector_config
from robust_det.models import Classifier
from tests.support import ROOT, run_python

MEAN, STD = [104.55, 132.6, 160.65], [53.55, 63.75, 76.5]  # 255 x those of write_classifier


def load(path: Any, *overrides: Any) -> Any:
    return load_config(str(path), overrides)


def test_weights_say_mean_std_order_and_architecture(write_config: Callable[..., Path]) -> None:
    cfg, card = load(write_config())
    assert pytest.approx(MEAN, abs=1e-9) == cfg.MODEL.PIXEL_MEAN
    assert pytest.approx(STD, abs=1e-9) == cfg.MODEL.PIXEL_STD
    assert (cfg.INPUT.FORMAT, cfg.MODEL.BACKBONE.ARCH) == ("RGB", "resnet10_narrow")
    assert (card.arch, card.eps) == ("resnet10_narrow", 0.5)
    assert cfg.MODEL.RESNETS.DEPTH == 10 and cfg.MODEL.RESNETS.STRIDE_IN_1X1 is False
    assert cfg.is_frozen()


def test_data_say_the_number_of_classes(write_config: Callable[..., Path]) -> None:
    cfg, _ = load(write_config())
    assert cfg.MODEL.ROI_HEADS.NUM_CLASSES == cfg.MODEL.RETINANET.NUM_CLASSES == 8
    assert build_model(cfg).roi_heads.box_predictor.cls_score.out_features == 9


AGREEING = {
    "MODEL.PIXEL_MEAN": str(MEAN),
    "MODEL.PIXEL_STD": str(STD),
    "INPUT.FORMAT": "RGB",
    "MODEL.BACKBONE.ARCH": "resnet10_narrow",
    "MODEL.ROI_HEADS.NUM_CLASSES": "8",
    "MODEL.RESNETS.RES2_OUT_CHANNELS": "16",
}
CONTRADICTING = {
    "MODEL.PIXEL_MEAN": "[103.53, 116.28, 123.675]",
    "MODEL.PIXEL_STD": "[1.0, 1.0, 1.0]",
    "INPUT.FORMAT": "BGR",
    "MODEL.BACKBONE.ARCH": "resnet50",
    "MODEL.ROI_HEADS.NUM_CLASSES": "80",
    "MODEL.RETINANET.NUM_CLASSES": "80",
    "MODEL.RESNETS.DEPTH": "50",
    "MODEL.RESNETS.DEFORM_ON_PER_STAGE": "[False, True, True, True]",
}


@pytest.mark.parametrize("key", AGREEING)
@pytest.mark.parametrize("by", ["file", "command line"])
def test_a_config_that_agrees_is_accepted(
    key: Any, by: str, write_config: Callable[..., Path]
) -> None:
    cfg, _ = load(*given(write_config, by, key, AGREEING[key]))
    assert pytest.approx(MEAN, abs=1e-9) == cfg.MODEL.PIXEL_MEAN


@pytest.mark.parametrize("key", CONTRADICTING)
@pytest.mark.parametrize("by", ["file", "command line"])
def test_a_config_that_contradicts_is_refused(
    key: Any, by: str, write_config: Callable[..., Path]
) -> None:
    with pytest.raises(UserError) as caught:
        load(*given(write_config, by, key, CONTRADICTING[key]))
    message = str(caught.value)
    assert message.startswith(f"{key} is ") and message.endswith("leave the key out")


def given(write_config: Any, by: Any, key: Any, text: Any) -> Any:
    """The arguments of load() that set one key, one way or the other."""
    if by == "command line":
        return write_config(), key, text
    top = write_config("top.yaml")
    raw = f"_BASE_: {top}\n"
    for depth, part in enumerate(key.split(".")):
        raw += "  " * depth + f"{part}:" + ("\n" if depth < key.count(".") else f" {text}\n")
    path = top.with_name("given.yaml")
    path.write_text(raw)
    return (path,)


@pytest.mark.parametrize(
    "overrides, message",
    [
        (["SOLVER.BASELR", "0.1"], "config key 'SOLVER.BASELR'; did you mean 'SOLVER.BASE_LR'"),
        (["MODEL.WEIGHTZ", "a"], "did you mean 'MODEL.WEIGHTS'"),
        (["MODEL.WEIGHTS", "model.pkl"], "no checkpoint at model.pkl"),
        (["MODEL.WEIGHTS", "nowhere.pth"], "no checkpoint at nowhere.pth"),
        (["MODEL.WEIGHTS", "robust://nothing_like_it"], "no backbone 'nothing_like_it'"),
        (["MODEL.WEIGHTS", ""], "give MODEL.WEIGHTS, or MODEL.BACKBONE.ARCH"),
        (["MODEL.WEIGHTS", "", "MODEL.BACKBONE.ARCH", "resnet5"], "unknown architecture 'resnet5'"),
        (["MODEL.BACKBONE.NAME", "build_robust_fpn"], "did you mean 'build_robust_fpn_backbone'"),
        (["MODEL.DEVICE", "cuda:99"], "GPU"),
        (["MODEL.DEVICE", "tpu"], "tpu"),
        (["SOLVER.MAX_ITER", "0"], "SOLVER.MAX_ITER is 0; it starts from 1"),
        (["SOLVER.MAX_ITER", "5"], "is [5]; its iterations rise, are above 0, and none is SOLVER"),
        (["SOLVER.STEPS", "[3, 2]"], "is [3, 2]; its iterations rise"),
        (["SOLVER.STEPS", "[0, 2]"], "is [0, 2]; its iterations rise"),
        (["DATASETS.TRAIN", "[]"], "need at least one data set each"),
        (["DATASETS.TEST", "['scene_val']"], "'scene_val'; did you mean 'scenes_val'"),
        (["DATASETS.TEST", "['voc_2007_test']"], "no folder datasets/VOC2007/Annotations"),
    ],
)
def test_a_wrong_value_is_named(
    overrides: Any, message: str, write_config: Callable[..., Path]
) -> None:
    with pytest.raises(UserError) as caught:
        load(write_config(), *overrides)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_devices_without_a_gpu(write_config: Callable[..., Path]) -> None:
    assert load(write_config())[0].MODEL.DEVICE == "cpu"
    with pytest.raises(UserError, match="there is no CUDA GPU"):
        load(write_config(), "MODEL.DEVICE", "cuda")
    with pytest.raises(UserError, match=r"SOLVER\.AMP\.ENABLED .* is SOLVER\.PRECISION here"):
        load(write_config(), "SOLVER.AMP.ENABLED", "True")


@pytest.mark.parametrize("end", ["1", "6"])
def test_steps_after_the_end_are_left_out(end: str, write_config: Callable[..., Path]) -> None:
    cfg, _ = load(write_config(), "SOLVER.MAX_ITER", end, "SOLVER.STEPS", "[5, 7]")
    assert int(end) == cfg.SOLVER.MAX_ITER


def test_each_process_takes_its_own_gpu(
    write_config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    # "cuda:0" would put the models of all processes on one GPU
    assert load(write_config())[0].MODEL.DEVICE == "cuda"
    assert load(write_config(), "MODEL.DEVICE", "cuda")[0].MODEL.DEVICE == "cuda"
    assert load(write_config(), "MODEL.DEVICE", "cuda:1")[0].MODEL.DEVICE == "cuda:1"


def test_a_classifier_has_to_be_converted_first(
    write_config: Callable[..., Path], classifier_file: Path
) -> None:
    with pytest.raises(UserError) as caught:
        load(write_config(), "MODEL.WEIGHTS", str(classifier_file))
    command = f"robust-det convert {classifier_file} output/backbones/{classifier_file.stem}.pth"
    assert str(caught.value).endswith(f"does not say what it is; convert it: {command}")


def test_a_file_of_any_kind_is_told_from_a_name(
    write_config: Callable[..., Path],
    classifier_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    config = str(write_config().absolute())

    def said(backbone: str) -> str:
        with pytest.raises(UserError) as caught:
            load_config(config, [], backbone)
        return str(caught.value)

    shutil.copy(classifier_file, "plain.ckpt")
    command = "convert it: robust-det convert {} {}"
    plain = command.format("plain.ckpt", "output/backbones/plain.pth")
    assert said("plain.ckpt").endswith(f"is not a .pth file; {plain}")
    assert said("absent.safetensors") == "no checkpoint at absent.safetensors"
    assert "no backbone 'absent' at" in said("absent")
    torch.save({"model": {}, "args": argparse.Namespace()}, "script.pth")
    message = said("script.pth")
    assert "holds objects that could run code (argparse.Namespace); refused" in message
    assert message.endswith(command.format("script.pth", "output/backbones/script.pth"))
    # one that lies there already is not to be converted onto itself
    monkeypatch.setenv("ROBUST_DET_BACKBONES", ".")
    assert said("script.pth").endswith(command.format("script.pth", "script_converted.pth"))


def test_training_does_not_start_from_a_trained_detector(
    detector_config: Callable[..., Path], tmp_path: Path
) -> None:
    config = detector_config(data=True)
    detector = tmp_path / "run/model_final.pth"
    for arguments in (["MODEL.WEIGHTS", str(detector)], []):
        backbone = None if arguments else str(detector)
        with pytest.raises(
            UserError, match=r"is a trained detector; .* to start from its backbone"
        ):
            load_config(str(config), arguments, backbone)
    convert(detector, tmp_path / "backbone.pth")
    _, card = load_config(str(config), [], str(tmp_path / "backbone.pth"))
    assert card.arch == "resnet10_narrow"


@pytest.mark.parametrize("arch, dilation", [("resnet18", 2), ("vgg16_bn", 2), ("resnet50", 4)])
def test_dilation_is_for_bottleneck_networks(
    arch: str, dilation: int, write_config: Callable[..., Path]
) -> None:
    scratch = ["MODEL.WEIGHTS", "", "MODEL.BACKBONE.ARCH"]
    keys = ["MODEL.RESNETS.RES5_DILATION", str(dilation)]
    with pytest.raises(UserError, match=f"RES5_DILATION is {dilation}; {arch} takes 1"):
        load(write_config(), *scratch, arch, *keys)
    plain = ["MODEL.BACKBONE.NAME", "build_robust_backbone"]
    for head in ("RPN", "ROI_HEADS"):
        plain += [f"MODEL.{head}.IN_FEATURES", "['res5']"]
    keys[1] = "2"
    cfg, _ = load(write_config(), *scratch, "resnet50", *plain, *keys)
    assert cfg.MODEL.RESNETS.RES5_DILATION == 2


def test_heads_that_are_not_built_take_no_features(write_config: Callable[..., Path]) -> None:
    keys = ["MODEL.PROPOSAL_GENERATOR.NAME", "PrecomputedProposals"]
    keys += ["MODEL.RPN.IN_FEATURES", "['res4']"]
    cfg, _ = load(write_config(), *keys)
    assert cfg.MODEL.RPN.IN_FEATURES == ["res4"]


R18 = ["MODEL.WEIGHTS", "", "MODEL.BACKBONE.ARCH", "resnet18"]
R50 = [*R18[:-1], "resnet50"]
MOBILENET = [*R18[:-1], "mobilenet_v2"]
PLAIN = ["MODEL.BACKBONE.NAME", "build_robust_backbone"]
RETINANET = ["MODEL.META_ARCHITECTURE", "RetinaNet"]
RETINANET_NAME = ["MODEL.BACKBONE.NAME", "build_robust_retinanet_fpn_backbone"]
GIVES = "MODEL.BACKBONE.NAME build_robust_"


@pytest.mark.parametrize(
    "overrides, message",
    [
        ([*R50, "MODEL.RESNETS.RES5_DILATION", "2"], "are 4, 8, 16, 16; RES5_DILATION 2 is for"),
        ([*R18, *PLAIN], f"MODEL.RPN.IN_FEATURES has p2, but {GIVES}backbone gives res2, res3"),
        ([*R18, *RETINANET], f"MODEL.RETINANET.IN_FEATURES has p7, but {GIVES}fpn_backbone gives"),
        (
            [*MOBILENET, *RETINANET, *PLAIN, "MODEL.RESNETS.OUT_FEATURES", "['res4']"],
            f"MODEL.RETINANET.IN_FEATURES has p3, but {GIVES}backbone gives res4; let them agree",
        ),
        (
            [*R18, "MODEL.META_ARCHITECTURE", "SemanticSegmentor", *PLAIN],
            "MODEL.SEM_SEG_HEAD.IN_FEATURES has p2, but",
        ),
        (
            [*R18, *RETINANET_NAME, "MODEL.RESNETS.OUT_FEATURES", "['res3', 'res4']"],
            "RetinaNet makes p6 of res5; add it to MODEL.RESNETS.OUT_FEATURES",
        ),
        ([*R18, "MODEL.RESNETS.OUT_FEATURES", "['res6']"], "resnet18 has no stage 'res6'"),
        ([*MOBILENET, "MODEL.RESNETS.OUT_FEATURES", "['foo']"], "mobilenet_v2 has no stage 'foo'"),
        ([*R18, "MODEL.RESNETS.OUT_FEATURES", "[]"], "OUT_FEATURES is [], not a list of stem"),
        (
            [*R18, "MODEL.RESNETS.OUT_FEATURES", "['res3', 'res4']"],
            "MODEL.FPN.IN_FEATURES is ['res2', 'res3', 'res4', 'res5'], and MODEL.RESNETS.OUT_",
        ),
        ([*R18, "MODEL.FPN.IN_FEATURES", "['res2', 'res4']"], "are 4, 16; RES5_DILATION"),
        ([*R18, "MODEL.BACKBONE.FREEZE_AT", "6"], "FREEZE_AT is 6, not a number up to 5"),
        ([*MOBILENET, "MODEL.BACKBONE.FREEZE_AT", "6"], "FREEZE_AT is 6, not a number up to 5"),
        (
            [*MOBILENET, "MODEL.BACKBONE.NAME", "build_resnet_fpn_backbone"],
            "Detectron2's own ResNet, and mobilenet_v2 is none; use build_robust_fpn_backbone",
        ),
        (
            [*MOBILENET, "MODEL.RESNETS.DEFORM_ON_PER_STAGE", "[False, False, False, True]"],
            "DEFORM_ON_PER_STAGE is not supported with mobilenet_v2",
        ),
    ],
)
def test_heads_take_what_the_backbone_gives(
    overrides: Any, message: str, write_config: Callable[..., Path]
) -> None:
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        load(write_config(), *overrides)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "name"), [("PROPOSAL_GENERATOR", "RRPN"), ("ROI_HEADS", "RROIHeads")]
)
def test_rotated_boxes_need_compiled_operators(
    key: Any, name: Any, write_config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [*R18, f"MODEL.{key}.NAME", name]
    compiled = "robust_det.detection.config.features.operators_are_compiled"
    monkeypatch.setattr(compiled, lambda: False)
    with pytest.raises(UserError, match=f"^MODEL.{key}.NAME {name} is for rotated boxes, .* use "):
        load(write_config(), *keys)
    monkeypatch.setattr(compiled, lambda: True)
    assert name == load(write_config(), *keys)[0].MODEL[key].NAME


def test_backbones_of_others_are_left_alone(write_config: Any) -> None:
    cfg, _ = load(write_config(), *R18, "MODEL.BACKBONE.NAME", "build_resnet_fpn_backbone")
    assert build_model(cfg).backbone.output_shape()["p5"].stride == 32


def test_malicious_weights_are_refused(
    write_config: Callable[..., Path], malicious: tuple[Path, Path]
) -> None:
    path, marker = malicious
    with pytest.raises(UserError, match="nothing was executed"):
        load(write_config(), "MODEL.WEIGHTS", str(path))
    assert not marker.exists()


def test_from_scratch_needs_only_an_architecture(write_config: Callable[..., Path]) -> None:
    cfg, card = load(write_config(), "MODEL.WEIGHTS", "", "MODEL.BACKBONE.ARCH", "wide_resnet50_2")
    assert card is None
    assert pytest.approx([123.675, 116.28, 103.53], abs=1e-9) == cfg.MODEL.PIXEL_MEAN
    assert (cfg.INPUT.FORMAT, cfg.MODEL.RESNETS.WIDTH_PER_GROUP) == ("RGB", 128)


def test_robust_uri_is_found_in_the_named_folder(
    write_config: Callable[..., Path], backbone_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROBUST_DET_BACKBONES", str(backbone_file.parent))
    cfg, card = load(write_config(), "MODEL.WEIGHTS", f"robust://{backbone_file.stem}")
    assert cfg.MODEL.WEIGHTS == "robust://narrow_l2_eps0.5" and card.eps == 0.5


def test_a_card_that_lies_about_its_architecture(
    write_config: Callable[..., Path], backbone_file: Path, tmp_path: Path
) -> None:
    from robust_det.detection.checkpointer import RobustCheckpointer

    content = load_checkpoint(backbone_file)
    content["robust_det"]["arch"] = "resnet18"
    save_checkpoint(tmp_path / "liar.pth", content)
    cfg, _ = load(write_config(), "MODEL.WEIGHTS", str(tmp_path / "liar.pth"))
    with pytest.raises(UserError, match="weights of another architecture"):
        RobustCheckpointer(build_model(cfg)).load(cfg.MODEL.WEIGHTS)


def test_bare_names_are_found_from_the_repository_root() -> None:
    assert find_config("robust_r50_eps1_coco.yaml") == (
        REPOSITORY / "configs/detection/grid/robust_r50_eps1_coco.yaml"
    )


@pytest.mark.parametrize("suffix", ["coco", "coco_mask"])
def test_standard_and_robust_differ_in_their_weights_alone(suffix: str) -> None:
    standard, robust = (
        flatten(load_raw(find_config(f"robust_r50_eps{eps}_{suffix}.yaml"))) for eps in (0, 1)
    )
    differing = {k for k in standard | robust if standard.get(k) != robust.get(k)}
    assert differing == {"MODEL.WEIGHTS"}


def test_coco_itself(tmp_path: Path, write_classifier: Callable[..., Classifier]) -> None:
    """The real configs with the real data, where they are."""
    data = Path(os.environ.get("DETECTRON2_DATASETS", ROOT / "../shared/data"))
    if not (data / "coco/annotations/instances_val2017.json").is_file():
        pytest.skip("no COCO")
    for eps in (0, 1):
        write_classifier(tmp_path / "in.pth", "resnet50", eps=float(eps))
        convert(tmp_path / "in.pth", tmp_path / f"resnet50_l2_eps{eps}.pth")
    # Detectron2 reads the variable once, at its import
    code = (
        "from robust_det.detection.config import load_config\n"
        "from robust_det.core.config.reading import config_differences as d\n"
        "for kind in ('coco', 'coco_mask'):\n"
        "    a, b = (load_config(f'robust_r50_eps{e}_{kind}.yaml') for e in (0, 1))\n"
        "    print([x.split(':')[0] for x in d(a[0], b[0])], a[1].eps, b[1].eps,\n"
        "          b[0].MODEL.ROI_HEADS.NUM_CLASSES, b[0].MODEL.MASK_ON)\n"
    )
    places = {"DETECTRON2_DATASETS": str(data), "ROBUST_DET_BACKBONES": str(tmp_path)}
    done = run_python(code, environment=places)
    assert done.code == 0, done.err
    differing = "['MODEL.WEIGHTS', 'OUTPUT_DIR'] 0.0 1.0 80"
    assert done.out.splitlines() == [f"{differing} False", f"{differing} True"]


def test_custom_data_are_registered_once(write_config: Callable[..., Path]) -> None:
    load(write_config())
    load(write_config())
    assert DatasetCatalog.list().count("scenes_train") == 1


def test_a_backbone_by_option_sets_weights_and_folder(
    write_config: Callable[..., Path], backbone_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROBUST_DET_BACKBONES", str(backbone_file.parent))
    config = write_config(OUTPUT_DIR="output/x")
    cfg, card = load_config(str(config), [], backbone_file.stem)
    assert f"robust://{backbone_file.stem}" == cfg.MODEL.WEIGHTS
    assert f"output/x_{backbone_file.stem}" == cfg.OUTPUT_DIR and card.arch == "resnet10_narrow"
    cfg, _ = load_config(str(config), ["OUTPUT_DIR", "output/y"], str(backbone_file))
    assert (str(backbone_file), "output/y") == (cfg.MODEL.WEIGHTS, cfg.OUTPUT_DIR)
    with pytest.raises(UserError, match=r"--backbone and MODEL\.WEIGHTS say the same"):
        load_config(str(config), ["MODEL.WEIGHTS", "robust://a"], "b")


def test_a_run_lies_where_config_backbone_and_seed_say(
    write_config: Callable[..., Path], backbone_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROBUST_DET_BACKBONES", str(backbone_file.parent))
    config, name = write_config(OUTPUT_DIR="", MODEL={"WEIGHTS": ""}), backbone_file.stem
    expected = f"output/detection/{config.stem}_{name}"
    for backbone in (name, f"robust://{name}", str(backbone_file)):
        assert expected == load_config(str(config), [], backbone)[0].OUTPUT_DIR
    assert f"{expected}_seed2" == load_config(str(config), ["SEED", "2"], name)[0].OUTPUT_DIR
    _, origins, _ = explain(str(config), ["MODEL.WEIGHTS", f"robust://{name}"])
    assert origins["OUTPUT_DIR"] == "config, backbone and seed"


def test_the_card_has_mean_and_std_of_images_in_0_1(write_config: Callable[..., Path]) -> None:
    cfg, card = load_config(str(write_config()))
    # what the file was written with, as conftest has it
    assert card.mean == pytest.approx((0.41, 0.52, 0.63))
    assert [255 * value for value in card.std] == pytest.approx(cfg.MODEL.PIXEL_STD)


def test_a_run_is_found_by_its_backbone(
    write_config: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = write_config(OUTPUT_DIR="", MODEL={"WEIGHTS": ""})
    with pytest.raises(UserError, match=f"no detector at output/detection/{config.stem}/model_fin"):
        load_detector_config(str(config))
    for name in ("one", "two"):
        folder = tmp_path / f"output/detection/{config.stem}_{name}"
        folder.mkdir(parents=True)
        (folder / "model_final.pth").write_bytes(b"")
    with pytest.raises(UserError, match=rf"--backbone which of {config.stem}_one, {config.stem}_"):
        load_detector_config(str(config))
    with pytest.raises(UserError, match=r"_one/model_final\.pth"):
        load_detector_config(str(config), backbone="one")


def test_the_learning_rate_follows_the_batch(write_config: Callable[..., Path]) -> None:
    solver = {"REFERENCE_BATCH": 16, "IMS_PER_BATCH": 16, "BASE_LR": 0.02}
    config = str(write_config(SOLVER=solver))
    assert load_config(config)[0].SOLVER.BASE_LR == 0.02
    cfg, _ = load_config(config, ["SOLVER.IMS_PER_BATCH", "4"])
    assert (cfg.SOLVER.BASE_LR, cfg.SOLVER.LR_SCALED_BY) == (0.005, 0.25)
    cfg, _ = load_config(config, ["SOLVER.IMS_PER_BATCH", "4", "SOLVER.ACCUMULATE", "4"])
    assert cfg.SOLVER.BASE_LR == 0.02
    cfg, _ = load_config(config, ["SOLVER.IMS_PER_BATCH", "4", "SOLVER.BASE_LR", "0.01"])
    assert (cfg.SOLVER.BASE_LR, cfg.SOLVER.LR_SCALED_BY) == (0.01, 1.0)


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("SOLVER.PRECISION", "fp8", "unknown SOLVER.PRECISION 'fp8'; use fp32, bf16, fp16"),
        ("SOLVER.ACCUMULATE", "0", "SOLVER.ACCUMULATE is 0; it starts from 1"),
        ("SOLVER.EMA.DECAY", "1.5", "SOLVER.EMA.DECAY is 1.5"),
        ("MODEL.RESNETS.NORM", "SyncBN", "SyncBN trains on GPUs alone"),
    ],
)
def test_engine_keys_are_checked(
    write_config: Callable[..., Path], key: str, value: str, message: str
) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        load(write_config(), "MODEL.DEVICE", "cpu", key, value)


def rate_of(config: Path, *overrides: str) -> tuple[float, float, int]:
    cfg, _ = load_config(str(config), overrides)
    return cfg.SOLVER.BASE_LR, cfg.SOLVER.LR_SCALED_BY, cfg.SOLVER.REFERENCE_BATCH


def test_the_learning_rate_of_a_rerun_follows_the_batch(
    write_config: Callable[..., Path], tmp_path: Path
) -> None:
    solver = {"REFERENCE_BATCH": 16, "IMS_PER_BATCH": 4, "BASE_LR": 0.02}
    config, again = write_config(SOLVER=solver), tmp_path / "again.yaml"

    def keep(*overrides: str) -> None:
        again.write_text(load_config(str(config), overrides)[0].dump())

    keep()
    assert rate_of(again) == (0.005, 0.25, 16)
    assert rate_of(again, "SOLVER.IMS_PER_BATCH", "8") == (0.01, 0.5, 16)
    assert rate_of(again, "SOLVER.ACCUMULATE", "4") == (0.02, 1.0, 16)
    assert rate_of(again, "SOLVER.REFERENCE_BATCH", "8") == (0.01, 0.5, 8)
    assert rate_of(again, "SOLVER.BASE_LR", "0.1", "SOLVER.REFERENCE_BATCH", "8") == (0.05, 0.5, 8)
    # scaled by 1, it is scaled all the same
    keep("SOLVER.IMS_PER_BATCH", "16")
    assert rate_of(again, "SOLVER.IMS_PER_BATCH", "4") == (0.005, 0.25, 16)
    # a rate that is given by hand is meant for the batch that it is given with
    keep("SOLVER.BASE_LR", "0.01")
    assert rate_of(again) == (0.01, 1.0, 4)
    assert rate_of(again, "SOLVER.IMS_PER_BATCH", "8") == (0.02, 2.0, 4)
    # which versions before did not keep
    again.write_text(again.read_text().replace("REFERENCE_BATCH: 4", "REFERENCE_BATCH: 16"))
    assert rate_of(again) == (0.01, 1.0, 4)
    # a rate of a file over it is nobody's scaled one
    over = tmp_path / "over.yaml"
    over.write_text(f"_BASE_: {again}\nSOLVER: {{BASE_LR: 0.04}}\n")
    keep()
    assert rate_of(over) == (0.01, 0.25, 16)


@pytest.mark.parametrize("seed", ["-1", "4294967296"])
def test_a_seed_that_is_none_gets_a_line(seed: str, write_config: Callable[..., Path]) -> None:
    with pytest.raises(UserError, match=rf"^SEED is {seed}, and seeds are from 0 .*; give 0, and"):
        load_config(str(write_config()), ["SEED", seed])
