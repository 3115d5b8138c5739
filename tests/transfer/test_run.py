"""Transfers from images to records, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from imagecorruptions import get_corruption_names
from PIL import Image
from sklearn.metrics import balanced_accuracy_score

import robust_det
from robust_det.checkpoints.model_file import NetworkFile
from robust_det.conversion.convert import convert
from robust_det.core.errors import UserError
from robust_det.core.files import sha256_file
from robust_det.data.transfer.build import build_manifest
from robust_det.data.transfer.manifest import read_manifest, write_manifest
from robust_det.data.transfer.survey import survey
from robust_det.records import read_record
from robust_det.records.transfer import TransferRecord
from robust_det.transfer.corruptions import CORRUPTIONS
from robust_det.transfer.run import transfer
from robust_det.transfer.settings import explain
from tests.transfer.conftest import COLOURS, Overrides, write_backbone, write_folders


def run(overrides: list[str], backbone: Path, resume: bool = False) -> TransferRecord:
    cfg, _ = explain(None, overrides)
    cfg.freeze()
    return transfer(cfg, "run", NetworkFile(backbone), resume)


def predictions(classifier: Any, folder: Path) -> tuple[list[int], list[int]]:
    """Return the true and the predicted classes of a folder's images, by Pillow and torch alone."""
    true, predicted = [], []
    for number, name in enumerate(sorted(COLOURS)):
        for path in sorted((folder / name).iterdir()):
            pixels = Image.open(path).convert("RGB").resize((37, 37), Image.Resampling.BILINEAR)
            cut = np.asarray(pixels.crop((2, 2, 34, 34)), np.float32) / 255
            image = torch.from_numpy(cut).permute(2, 0, 1)[None]
            with torch.inference_mode():
                predicted.append(int(classifier(image).argmax()))
            true.append(number)
    return true, predicted


@pytest.mark.parametrize("head", ["logreg", "ridge"])
def test_the_written_classifier_has_the_accuracies_of_the_record(
    head: str, overrides: Overrides, backbone: Path, images: Path, tmp_path: Path
) -> None:
    record = run(overrides("TRANSFER.HEAD", head), backbone)
    classifier = robust_det.load_classifier(tmp_path / "run/final.pth")
    assert classifier.card is not None and classifier.card.classes == ("blue", "green", "red")
    assert (classifier.card.norm, classifier.card.eps) == ("l2", 0.5)
    true, predicted = predictions(classifier, images / "test")
    hits = [a == b for a, b in zip(true, predicted, strict=True)]
    assert record.metrics["top1"] == pytest.approx(100 * np.mean(hits))
    balanced = balanced_accuracy_score(true, predicted)
    assert record.metrics["mean_per_class"] == pytest.approx(100 * balanced)
    assert record.metrics["top1"] > 60  # three colours
    assert read_record(tmp_path / "run").config == record.config
    manifest = read_manifest(tmp_path / "run/manifest.csv")
    assert record.data.manifest == manifest.digest
    assert (record.data.train, record.data.val, record.data.test) == (18, 6, 12)
    assert not record.evaluators and "adversarial_top1" not in record.metrics


def test_nearest_neighbours_have_no_classifier(
    overrides: Overrides, backbone: Path, tmp_path: Path
) -> None:
    record = run(
        [*overrides("TRANSFER.HEAD", "knn", "TRANSFER.STRENGTHS", "45"), "EVAL.EPS", "-1"], backbone
    )
    assert record.classifier is None and record.metrics["top1"] > 60  # type: ignore[operator]
    assert not (tmp_path / "run/final.pth").exists()


def test_accuracy_under_the_backbones_own_threat_model_stands_beside_the_clean_one(
    overrides: Overrides, backbone: Path
) -> None:
    record = run([*overrides(), "EVAL.EPS", "-1", "EVAL.STEPS", "3"], backbone)
    [attack] = record.evaluators
    assert (attack.norm, attack.eps, attack.steps, attack.images) == ("l2", 0.5, 3, 12)
    assert record.metrics["adversarial_top1"] <= record.metrics["top1"]  # type: ignore[operator]
    larger = run([*overrides(output="larger"), "EVAL.EPS", "30", "EVAL.STEPS", "10"], backbone)
    assert larger.metrics["adversarial_top1"] < larger.metrics["top1"]  # type: ignore[operator]


def test_a_backbone_of_unknown_eps_is_told_of_and_not_attacked(
    overrides: Overrides, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    unknown = write_backbone(tmp_path / "unknown.pth", eps=None)
    record = run([*overrides(), "EVAL.EPS", "-1"], unknown)
    assert record.eps is None and not record.evaluators
    assert "does not say its eps: accuracy under attack is not measured" in caplog.text
    with pytest.raises(UserError, match=r"EVAL\.EPS 0\.5 needs EVAL\.NORM"):
        run([*overrides(output="other"), "EVAL.EPS", "0.5"], unknown)


def test_features_are_extracted_once_for_all_heads_seeds_and_subsets(
    overrides: Overrides, backbone: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(overrides(), backbone)
    assert len(list((cache / "features").glob("*.safetensors"))) == 2

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("features are extracted again")

    monkeypatch.setattr("robust_det.transfer.features.of_images.extract", refuse)
    run(overrides("TRANSFER.HEAD", "ridge", "SEED", "3", output="ridge"), backbone)
    small = run(overrides("TRANSFER.SUBSET", "4", "SEED", "1", output="few"), backbone)
    assert (small.data.train, small.data.val, small.data.subset) == (9, 3, 4)
    other = write_backbone(backbone.with_name("other.pth"), seed=1)
    with pytest.raises(AssertionError):
        run(overrides(output="others"), other)


def test_a_run_is_repeated_bit_for_bit(overrides: Overrides, backbone: Path, cache: Path) -> None:
    first = run(overrides(output="first"), backbone)
    shutil.rmtree(cache)
    second = run(overrides(output="second"), backbone)
    assert first.metrics == second.metrics and first.selection == second.selection
    assert first.classifier is not None and second.classifier is not None
    one, other = (
        robust_det.load_classifier(Path(each.config["OUTPUT_DIR"]) / "final.pth")
        for each in (first, second)
    )
    for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_folder_is_not_written_twice_and_a_finished_run_is_not_redone(
    overrides: Overrides, backbone: Path, tmp_path: Path
) -> None:
    record = run(overrides(), backbone)
    with pytest.raises(UserError, match="pass --resume"):
        run(overrides(), backbone)
    again = run(overrides(), backbone, resume=True)
    assert (again.metrics, again.wall_time_s) == (record.metrics, record.wall_time_s)
    # as before there were methods
    path = Path(record.config["OUTPUT_DIR"]) / "record.json"
    content = json.loads(path.read_text())
    del content["config"]["TRAIN"]["METHOD"], content["config"]["ATTACK"]["WARMUP_EPOCHS"]
    path.write_text(json.dumps(content))
    assert run(overrides(), backbone, resume=True).metrics == record.metrics
    with pytest.raises(UserError, match="another config"):
        run(overrides("TRANSFER.HEAD", "ridge"), backbone, resume=True)
    other = write_backbone(tmp_path / "other.pth", seed=1)
    with pytest.raises(UserError, match="another file"):
        run(overrides(), other, resume=True)


def test_a_run_is_not_gone_on_with_on_other_images_and_keeps_its_manifest(
    overrides: Overrides, backbone: Path, images: Path, tmp_path: Path
) -> None:
    run(overrides(), backbone)
    sgd = [
        *("DATA.ROOT", str(images), "DATA.WORKERS", "0", "EVAL.EPS", "0"),
        *("TRANSFER.HEAD", "sgd", "OPTIM.LR", "0.01", "TRAIN.EPOCHS", "1"),
        *("TRAIN.BATCH_SIZE", "8", "OUTPUT_DIR", str(tmp_path / "sgd")),
    ]
    run(sgd, backbone)
    for name in ("record.json", "final.pth"):  # as of a run that was stopped
        (tmp_path / "sgd" / name).unlink()
    manifests = [tmp_path / name / "manifest.csv" for name in ("run", "sgd")]
    before = [path.read_bytes() for path in manifests]
    moved = images.rename(tmp_path / "moved")  # the same ones elsewhere
    assert run([*overrides(), "DATA.ROOT", str(moved)], backbone, resume=True).name == "run"
    shutil.copy(moved / "train/red/03.png", moved / "train/red/more.png")
    for pairs in (overrides(), sgd):
        with pytest.raises(UserError, match="other images, labels or splits than those of"):
            run([*pairs, "DATA.ROOT", str(moved)], backbone, resume=True)
    assert [path.read_bytes() for path in manifests] == before


def test_test_images_among_the_training_images_are_left_out_and_told_of(
    overrides: Overrides, backbone: Path, images: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copy(images / "test/red/00.png", images / "train/red/copy.png")
    record = run(overrides(), backbone)
    assert (record.data.left_out, record.data.train + record.data.val) == (1, 24)
    assert "1 training image in the test split as well by content" in caplog.text


def test_an_unreadable_image_is_named_or_skipped_and_counted(
    overrides: Overrides, backbone: Path, images: Path
) -> None:
    (images / "test/red/00.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"cannot decode .*test/red/00\.png"):
        run(overrides(), backbone)
    record = run(overrides("DATA.ON_CORRUPT", "skip", output="skipped"), backbone)
    assert record.data.skipped == 1


def test_grey_images_are_converted_and_counted(
    overrides: Overrides, backbone: Path, images: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = images / "train/red/00.png"
    Image.open(path).convert("L").save(path)
    run(overrides(), backbone)
    assert "images that are not RGB are converted: 1 of grey" in caplog.text


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"train": 1, "test": 1}, "no class with two training images"),
        ({"train": 0, "test": 1}, "has no training images"),
        ({"train": 2, "test": 0}, "has no test images"),
    ],
)
def test_too_few_images_are_refused_in_a_line(
    counts: dict[str, int], message: str, overrides: Overrides, backbone: Path, tmp_path: Path
) -> None:
    root = tmp_path / "few"
    for split in counts:
        for name in COLOURS:
            (root / split / name).mkdir(parents=True)
    write_folders(root, counts, tuple(COLOURS))
    with pytest.raises(UserError, match=message):
        run([*overrides(), "DATA.ROOT", str(root)], backbone)


def test_a_class_without_training_images_is_refused_and_one_without_test_images_told_of(
    overrides: Overrides, backbone: Path, images: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.rmtree(images / "test/red")
    run(overrides(), backbone)
    assert "red, without test images: the per-class mean is of the others" in caplog.text
    shutil.rmtree(images / "train/blue")
    with pytest.raises(UserError, match="have no training image, such as blue"):
        run(overrides(output="other"), backbone)


@pytest.mark.parametrize("by_sgd", [False, True])
def test_accuracy_is_of_the_test_images_that_can_be_read(
    by_sgd: bool, backbone: Path, images: Path, tmp_path: Path
) -> None:
    (images / "test/red/00.png").write_bytes(b"no image")
    given = [
        *("DATA.ROOT", str(images), "DATA.WORKERS", "0", "EVAL.EPS", "0"),
        *("OUTPUT_DIR", str(tmp_path / "run"), "DATA.ON_CORRUPT", "skip"),
    ]
    if by_sgd:
        given += ["TRANSFER.HEAD", "sgd", "OPTIM.LR", "0.01", "TRAIN.EPOCHS", "1"]
        given += ["TRAIN.BATCH_SIZE", "8"]
    record = run(given, backbone)
    assert (record.data.test, record.data.skipped) == (11, 1)


def test_a_class_of_which_no_training_image_can_be_read_is_refused_by_name(
    overrides: Overrides, backbone: Path, images: Path
) -> None:
    for path in (images / "train/green").iterdir():
        path.write_bytes(str(path).encode())
    with pytest.raises(UserError, match="no training image of 1 class can be read, such as of gre"):
        run(overrides("DATA.ON_CORRUPT", "skip"), backbone)


def test_a_manifest_is_read_and_one_of_another_set_refused(
    overrides: Overrides, backbone: Path, tmp_path: Path
) -> None:
    record = run(overrides(), backbone)
    manifest = tmp_path / "run/manifest.csv"
    again = run(overrides("DATA.MANIFEST", str(manifest), output="again"), backbone)
    assert again.metrics == record.metrics and again.data == record.data
    with pytest.raises(UserError, match=r"is of the set .folder., DATA\.SET is .csv."):
        run(overrides("DATA.MANIFEST", str(manifest), "DATA.SET", "csv", output="c"), backbone)


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_manifest_of_another_copy_is_refused_and_nothing_of_it_kept(
    workers: str, overrides: Overrides, backbone: Path, images: Path, tmp_path: Path, cache: Path
) -> None:
    manifest = tmp_path / "manifest.csv"
    write_manifest(build_manifest(survey("folder", images)), manifest)
    changed = images / "train/red/03.png"
    shutil.copy(images / "train/blue/03.png", changed)
    same = [
        *("DATA.ROOT", str(images), "DATA.MANIFEST", str(manifest), "DATA.WORKERS", workers),
        *("DATA.ON_CORRUPT", "skip", "EVAL.EPS", "0"),
    ]
    trained = ["TRANSFER.HEAD", "sgd", "OPTIM.LR", "0.01", "TRAIN.EPOCHS", "1"]
    trained += ["TRAIN.BATCH_SIZE", "8"]
    for pairs in ([], trained):
        output = ["OUTPUT_DIR", str(tmp_path / f"run{len(pairs)}")]
        with pytest.raises(UserError, match="has another content than the manifest") as refused:
            run([*same, *pairs, *output], backbone)
        assert str(refused.value).startswith(str(changed))
    assert not [*cache.rglob("*.safetensors")]


def test_shrunken_images_are_other_features(
    overrides: Overrides, backbone: Path, cache: Path
) -> None:
    run(overrides(), backbone)
    record = run(overrides("TRANSFER.DOWNSCALE", "8", output="small"), backbone)
    assert record.data.downscale == 8
    assert len(list((cache / "features").glob("*.safetensors"))) == 4
    with pytest.raises(UserError, match=r"TRANSFER\.DOWNSCALE 40 is no less than"):
        run(overrides("TRANSFER.DOWNSCALE", "40", output="large"), backbone)


def test_common_corruptions_are_those_of_the_library_and_cost_accuracy(
    overrides: Overrides, backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(CORRUPTIONS) == set(get_corruption_names("common"))
    monkeypatch.setattr("robust_det.transfer.corruptions.CORRUPTIONS", ("fog", "gaussian_noise"))
    pairs = ("TRANSFER.CORRUPTIONS", "True", "DATA.RESIZE", "32")
    metrics = run(overrides(*pairs), backbone).metrics
    of_each = [metrics["corrupted_top1-fog"], metrics["corrupted_top1-gaussian_noise"]]
    assert metrics["corrupted_top1"] == pytest.approx(np.mean(of_each))  # type: ignore[arg-type]
    assert metrics["corrupted_top1"] < metrics["top1"]  # type: ignore[operator]
    again = run(overrides(*pairs, output="again"), backbone).metrics
    assert again == metrics
    with pytest.raises(UserError, match="of images of 32 px or more"):
        run(overrides(*pairs[:2], "DATA.IMAGE_SIZE", "16", output="small"), backbone)
    with pytest.raises(UserError, match="which nearest neighbours are not"):
        knn = ("TRANSFER.HEAD", "knn", "TRANSFER.STRENGTHS", "45")
        run(overrides(*pairs, *knn, output="knn"), backbone)


def test_the_whole_network_is_trained_from_a_config_to_a_record(
    overrides: Overrides, backbone: Path, images: Path, tmp_path: Path
) -> None:
    pairs = ("TRANSFER.MODE", "full-network", "TRAIN.EPOCHS", "2", "TRAIN.BATCH_SIZE", "6")
    given = [*(word for word in overrides() if word not in ("TRANSFER.STRENGTHS", "5")), *pairs]
    record = run([*given, "OPTIM.LR", "[0.02, 0.0001]"], backbone)
    assert (record.mode, record.head, record.selection.on) == ("full-network", "sgd", "validation")
    assert {one.settings["lr"] for one in record.selection.tried} == {0.02, 0.0001}
    true, predicted = predictions(
        robust_det.load_classifier(tmp_path / "run/final.pth"), images / "test"
    )
    hits = [a == b for a, b in zip(true, predicted, strict=True)]
    assert record.metrics["top1"] == pytest.approx(100 * np.mean(hits))
    balanced = balanced_accuracy_score(true, predicted)
    assert record.metrics["mean_per_class"] == pytest.approx(100 * balanced)
    assert run([*given, "OPTIM.LR", "[0.02, 0.0001]"], backbone, resume=True).name == "run"


def test_a_run_that_is_refused_for_its_batch_leaves_nothing(
    overrides: Overrides, backbone: Path, tmp_path: Path
) -> None:
    pairs = ("TRANSFER.MODE", "full-network", "TRAIN.EPOCHS", "2", "TRAIN.BATCH_SIZE", "4000")
    given = [*(word for word in overrides() if word not in ("TRANSFER.STRENGTHS", "5")), *pairs]
    with pytest.raises(UserError, match=r"TRAIN\.BATCH_SIZE 4000 is more than the \d+ training"):
        run([*given, "OPTIM.LR", "0.02"], backbone)
    assert not list(tmp_path.glob("run/*"))


def test_a_conversion_of_a_backbone_is_no_other_pretraining(
    overrides: Overrides, backbone: Path, tmp_path: Path
) -> None:
    converted = tmp_path / "converted.pth"
    convert(backbone, converted)
    first = run(overrides(), backbone)
    second = run(overrides(output="converted"), converted)
    assert first.weights.sha256 != second.weights.sha256
    assert first.weights.origin == second.weights.origin == sha256_file(backbone)
    assert first.metrics == pytest.approx(second.metrics)
    # what was trained further is another one
    again = run(overrides(output="again"), tmp_path / "run/final.pth")
    assert again.weights.origin == sha256_file(tmp_path / "run/final.pth")


def test_a_transferred_classifier_says_so(
    overrides: Overrides, backbone: Path, tmp_path: Path
) -> None:
    run(overrides(), backbone)
    model = NetworkFile(tmp_path / "run/final.pth").read()
    assert model.format == "transferred classifier"
    assert any("norm and eps are of its backbone's pretraining" in note for note in model.notes)
