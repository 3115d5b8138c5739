"""Prediction through the real tool and the real models, on real files."""

import contextlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import faster_coco_eval
import numpy as np
import pytest
import yaml
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from robust_det.checkpoints.io import load_checkpoint, save_checkpoint
from robust_det.core.errors import UserError
from robust_det.detection.config import load_config
from robust_det.detection.detector import load_detector
from robust_det.detection.evaluation import DETECTIONS_NAME
from robust_det.detection.finetuning.jobs import FINAL, evaluate
from robust_det.detection.prediction.inputs import find_inputs
from robust_det.detection.prediction.journal import Journal
from robust_det.detection.prediction.predict import JOURNAL_NAME, PREDICTIONS_NAME, predict
from tests.support import refused, run_tool


def read(folder: Any) -> Any:
    return json.loads((folder / PREDICTIONS_NAME).read_text())


def by_name(document: dict[str, Any]) -> dict[str, np.ndarray]:
    """Scores and boxes of each image, best first."""
    names = {image["id"]: image["file_name"] for image in document["images"]}
    found: dict[str, list[Any]] = {name: [] for name in names.values()}
    for a in document["annotations"]:
        found[names[a["image_id"]]].append([a["score"], a["category_id"], *a["bbox"]])
    return {name: np.array(sorted(rows, reverse=True)) for name, rows in found.items()}


def assert_same(document: Any, other: Any, tolerance: float = 1e-4) -> None:
    ours, theirs = by_name(document), by_name(other)
    assert ours.keys() == theirs.keys()
    for name, rows in ours.items():
        np.testing.assert_allclose(rows, theirs[name], atol=tolerance, err_msg=name)


def average_precision(annotations: Any, results: Any, task: Any) -> Any:
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotations))
        # without boxes, so that the areas are those of the masks, as Detectron2 has it
        dropped = "bbox" if task == "segm" else ""
        results = [{k: v for k, v in result.items() if k != dropped} for result in results]
        evaluation = COCOeval(truth, truth.loadRes(results), task)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


def test_the_detections_are_those_of_evaluation(
    detector_config: Callable[..., Path], scenes: Path, tmp_path: Path
) -> None:
    config = detector_config(data=True)
    cfg, card = load_config(str(config))
    evaluate(cfg, card, "evaluated", Path(cfg.OUTPUT_DIR) / FINAL)
    saved = Path(cfg.OUTPUT_DIR) / "eval/inference/scenes_val" / DETECTIONS_NAME
    theirs = json.loads(saved.read_text())
    source = find_inputs(str(scenes / "val"), tmp_path / "out")
    assert predict(load_detector(str(config)), source, tmp_path / "out", pictures=False) == {}
    document = read(tmp_path / "out")
    annotations = scenes / "annotations/instances_val.json"
    truth = json.loads(annotations.read_text())
    assert document["categories"] == [
        {"id": c["id"], "name": c["name"]} for c in truth["categories"]
    ]
    ids = {image["file_name"]: image["id"] for image in truth["images"]}
    assert [image["file_name"] for image in document["images"]] == sorted(ids)
    ours = [
        {**a, "image_id": ids[document["images"][a["image_id"] - 1]["file_name"]]}
        for a in document["annotations"]
    ]
    assert len(ours) == len(theirs) > 60
    named = {"images": [{"id": i, "file_name": n} for n, i in ids.items()]}
    assert_same({**named, "annotations": ours}, {**named, "annotations": theirs})
    # weights that were never trained find something in what they found themselves
    truth["annotations"] = [
        {**a, "image_id": b["image_id"], "id": n}
        for n, (a, b) in enumerate(zip(document["annotations"][::3], ours[::3], strict=True), 1)
    ]
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    for task in ("bbox", "segm"):
        a, b = (average_precision(tmp_path / "truth.json", found, task) for found in (ours, theirs))
        np.testing.assert_allclose(a, b, atol=1e-6)
        assert a[0] > 0.1


def test_coco_libraries_load_the_file(
    detector_config: Callable[..., Path], scenes: Path, tmp_path: Path
) -> None:
    source = find_inputs(str(scenes / "val"), tmp_path)
    predict(load_detector(str(detector_config())), source, tmp_path, pictures=False)
    path = str(tmp_path / PREDICTIONS_NAME)
    with contextlib.redirect_stdout(io.StringIO()):
        for library in (COCO, faster_coco_eval.COCO):
            loaded = library(path)
            assert len(loaded.getImgIds()) == 6 and len(loaded.getCatIds()) == 8
            one = loaded.loadAnns(loaded.getAnnIds(imgIds=[1]))[0]
            mask = loaded.annToMask(one)
            assert mask.shape == (96, 96) and mask.sum() == one["area"]
            results = loaded.loadRes(loaded.dataset["annotations"])
            assert len(results.getAnnIds()) == len(loaded.getAnnIds()) > 60


def test_the_size_of_a_batch_changes_nothing(
    detector_config: Callable[..., Path], scenes: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for number, path in enumerate(sorted((scenes / "val").iterdir())):
        with Image.open(path) as image:
            image.resize(((96, 96), (96, 70), (60, 90))[number % 3]).save(folder / path.name)
    detector = load_detector(str(detector_config()))
    source = find_inputs(str(folder), tmp_path)
    sizes: list[int] = []
    inference = detector.model.forward

    def counted(inputs: list[Any]) -> Any:
        sizes.append(len(inputs))
        return inference(inputs)

    detector.model.forward = counted
    for size in (1, 4):
        predict(detector, source, tmp_path / str(size), pictures=False, batch_size=size)
    # those of 96 x 96 and of 96 x 70 are padded to the same shape, those of 60 x 90 to another
    assert sizes == [1] * 6 + [4, 2]
    assert_same(read(tmp_path / "1"), read(tmp_path / "4"))


def test_a_killed_run_goes_on(
    detector_config: Callable[..., Path],
    scenes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    detector = load_detector(str(detector_config()))
    source = find_inputs(str(scenes / "val"), tmp_path)
    predict(detector, source, tmp_path / "whole", batch_size=2)
    seen: list[Any] = []
    inference = detector.model.forward

    def watched(inputs: list[Any]) -> Any:
        seen.extend(inputs)
        return inference(inputs)

    detector.model.forward = watched
    add, left = Journal.add, [1]

    def stop_after_one(journal: Any, records: Any) -> None:
        if not left:
            raise KeyboardInterrupt
        left.pop()
        add(journal, records)

    monkeypatch.setattr(Journal, "add", stop_after_one)
    out = tmp_path / "killed"
    with pytest.raises(KeyboardInterrupt):
        predict(detector, source, out, batch_size=2)
    assert not (out / PREDICTIONS_NAME).exists()
    monkeypatch.setattr(Journal, "add", add)
    # as a crash leaves it: in the middle of a line
    with open(out / JOURNAL_NAME, "a") as file:
        file.write('{"name": "0000')
    seen.clear()
    predict(detector, source, out, batch_size=2)
    assert len(seen) == 4
    assert_same(read(out), read(tmp_path / "whole"), 0)
    assert len(list((out / "pictures").iterdir())) == 6
    seen.clear()
    predict(detector, source, out, batch_size=2)
    assert seen == []
    predict(detector, source, out, batch_size=2, overwrite=True)
    assert len(seen) == 6


def test_what_changed_is_done_again(
    detector_config: Callable[..., Path], scenes: Path, tmp_path: Path
) -> None:
    folder, out = tmp_path / "images", tmp_path / "out"
    shutil.copytree(scenes / "val", folder)
    detector = load_detector(str(detector_config()))
    predict(detector, find_inputs(str(folder), out), out, pictures=False)
    before = by_name(read(out))
    first, second, *rest = sorted(before)
    (folder / first).unlink()
    shutil.copy(folder / rest[0], folder / second)
    predict(detector, find_inputs(str(folder), out), out, pictures=False)
    after = by_name(read(out))
    assert sorted(after) == [second, *rest]
    np.testing.assert_allclose(after[second], before[rest[0]], atol=1e-4)


def test_predictions_of_another_detector_are_kept(
    detector_config: Callable[..., Path], scenes: Path, tmp_path: Path
) -> None:
    config, out = detector_config(), tmp_path / "out"
    image = sorted((scenes / "val").iterdir())[0]
    arguments = ["--config", config, "--input", image, "--output", out, "--no-pictures"]
    assert run_tool("predict", *arguments).code == 0
    before = (out / JOURNAL_NAME).read_bytes()
    content = load_checkpoint(tmp_path / "run" / FINAL)
    content["model"]["roi_heads.box_predictor.cls_score.bias"] += 1
    save_checkpoint(tmp_path / "other.pth", content)
    for change, reason in (
        (["--weights", tmp_path / "other.pth"], "weights: "),
        (["MODEL.ROI_HEADS.NMS_THRESH_TEST", "0.3"], "MODEL.ROI_HEADS.NMS_THRESH_TEST: 0.5 -> 0.3"),
    ):
        error = refused("predict", *arguments, *change, untouched=out)
        assert reason in error and "--overwrite" in error
        assert (out / JOURNAL_NAME).read_bytes() == before
    again = run_tool("predict", *arguments, "--weights", tmp_path / "other.pth", "--overwrite")
    assert again.code == 0
    assert (out / JOURNAL_NAME).read_bytes() != before
    (out / JOURNAL_NAME).write_text("[1]\n")
    assert "cannot be read; remove it, or pass --overwrite" in refused("predict", *arguments)


def test_all_kinds_of_images(
    detector_config: Callable[..., Path], scenes: Path, tmp_path: Path
) -> None:
    folder, out = tmp_path / "images", tmp_path / "images/out"
    (folder / "below").mkdir(parents=True)
    with Image.open(sorted((scenes / "val").iterdir())[0]) as image:
        image = image.convert("RGB").resize((96, 64))
    image.save(folder / "plain.png")
    for mode, name in (("L", "grey.png"), ("RGBA", "alpha.png"), ("CMYK", "cmyk.TIF")):
        image.convert(mode).save(folder / name)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    image.transpose(Image.Transpose.ROTATE_90).save(folder / "below/turned.png", exif=exif)
    image.save(folder / "below/whole.jpg")
    (folder / "cut.jpg").write_bytes((folder / "below/whole.jpg").read_bytes()[:900])
    (folder / "text.png").write_text("no image")
    (folder / "empty.jpg").touch()
    (folder / "notes.txt").write_text("not asked for")
    (folder / "._plain.png").write_text("hidden")
    Image.new("RGB", (700, 30)).save(folder / "thin.bmp")
    Image.new("RGB", (700, 2)).save(folder / "thinner.bmp")
    config = detector_config()
    done = run_tool("predict", "--config", config, "--input", folder, "--output", out)
    assert done.code == 1 and done.out == f"wrote {out / PREDICTIONS_NAME}\n"
    lines = done.err.splitlines()
    assert lines[0] == "4 images could not be read:"
    assert [line.split(": ")[0].strip() for line in lines[1:]] == [
        "cut.jpg",
        "empty.jpg",
        "text.png",
        "thinner.bmp",
    ]
    assert "truncated" in lines[1] and "cannot be resized" in lines[4]
    sizes = {i["file_name"]: (i["height"], i["width"]) for i in read(out)["images"]}
    assert sizes == {
        **dict.fromkeys(["alpha.png", "below/turned.png", "below/whole.jpg"], (64, 96)),
        **dict.fromkeys(["cmyk.TIF", "grey.png", "plain.png"], (64, 96)),
        "thin.bmp": (30, 700),
    }
    found = by_name(read(out))
    for same in ("alpha.png", "below/turned.png"):
        np.testing.assert_allclose(found[same], found["plain.png"], atol=1e-4)
    drawn = {p.relative_to(out / "pictures").as_posix() for p in out.rglob("*.jpg")}
    assert drawn == {n if n.endswith(".jpg") else f"{n}.jpg" for n in sizes}
    # the pictures of this run are no images of the next one; what was mended is added
    image.save(folder / "text.png")
    done = run_tool("predict", "--config", config, "--input", folder, "--output", out)
    assert done.code == 1 and done.err.splitlines()[0] == "3 images could not be read:"
    assert len(read(out)["images"]) == 8
    for name in ("cut.jpg", "empty.jpg"):
        image.save(folder / name)
    done = run_tool("predict", "--config", config, "--input", folder, "--output", out)
    assert done.code == 1 and done.err.splitlines()[0] == "1 image could not be read:"


def test_what_is_hidden_is_no_input(scenes: Path, tmp_path: Path) -> None:
    image = sorted((scenes / "val").iterdir())[0].read_bytes()
    for name in ("a.png", "._a.png", ".git/b.png", "__MACOSX/c.png", ".ipynb_checkpoints/d.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(image)
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store"):
        (tmp_path / "in" / name).touch()
    for text in ("in", "in/*", "in/**"):
        found = find_inputs(str(tmp_path / text), tmp_path / "out")
        assert [item.name for item, _ in found.items(lambda _: True)] == ["a.png"], text
    # what is named is meant
    for text in ("in/.git", "in/.git/*.png", "in/.git/b.png"):
        assert len(find_inputs(str(tmp_path / text), tmp_path / "out")) == 1, text


def test_the_config_of_a_run_means_its_folder(
    detector_config: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, folder = detector_config(), tmp_path / "run"
    raw = yaml.safe_load(config.read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump({**raw, "OUTPUT_DIR": "output/elsewhere"}))
    monkeypatch.chdir(tmp_path)
    for name in (folder / "config.yaml", "run/config.yaml"):
        assert load_detector(str(name)).path.resolve() == folder / FINAL


def test_globs(detector_config: Callable[..., Path], scenes: Path, tmp_path: Path) -> None:
    val = scenes / "val"
    names = sorted(path.name for path in val.iterdir())
    some: Any = find_inputs(str(val / "*1.*"), tmp_path)
    assert some.names == [n for n in names if "1." in n]
    source: Any = find_inputs(str(scenes / "**/*.png"), tmp_path)
    assert source.place == scenes and len(source) == 18
    assert source.names[0].startswith("train/") and source.names[-1].startswith("val/")
    assert find_inputs(str(scenes / "**/*.png"), val).place == scenes / "train"


@pytest.mark.parametrize(
    "change, message",
    [
        ({"input": "absent.jpg"}, "no image, folder or video at absent.jpg"),
        ({"input": "absent/*.jpg"}, "no file matches absent/*.jpg"),
        ({"input": "EMPTY"}, "no file ends in .jpg, .jpeg, .png"),
        ({"input": "BROKEN.mp4"}, "cannot be read as a video"),
        ({"weights": "absent.pth"}, "no detector at absent.pth; train it first, or give --weights"),
        ({"weights": "BACKBONE"}, "is a backbone; give the detector that was trained from it"),
        ({"output": "FILE"}, "is a file; give a folder"),
        ({"batch-size": 0}, "--batch-size is 0; it starts from 1"),
        ({"score-threshold": 50}, "--score-threshold is 50; it is from 0 to 1"),
    ],
)
def test_mistakes_are_one_line(
    detector_config: Callable[..., Path],
    scenes: Path,
    backbone_file: Path,
    tmp_path: Path,
    change: Any,
    message: str,
) -> None:
    (tmp_path / "EMPTY").mkdir()
    (tmp_path / "FILE").touch()
    (tmp_path / "BROKEN.mp4").write_text("no video")
    places = {name: tmp_path / name for name in ("EMPTY", "FILE", "BROKEN.mp4")}
    places["BACKBONE"] = backbone_file
    changed = {key: places.get(value, value) for key, value in change.items()}
    arguments = {
        "config": detector_config(),
        "input": scenes,
        "output": tmp_path / "out",
        **changed,
    }
    given = [x for key, value in arguments.items() for x in (f"--{key}", value)]
    assert message in refused("predict", *given, untouched=tmp_path)


def test_a_video(detector_config: Callable[..., Path], scenes: Path, tmp_path: Path) -> None:
    path, out = tmp_path / "clip.avi", tmp_path / "out"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (96, 96))
    frames = [cv2.imread(str(p)) for p in sorted((scenes / "val").iterdir())[:4]]
    for frame in frames:
        writer.write(frame)
    writer.release()
    config = detector_config("faster")
    assert run_tool("predict", "--config", config, "--input", path, "--output", out).code == 0
    document = read(out)
    names = [image["file_name"] for image in document["images"]]
    assert names == [f"clip_{number:06d}" for number in range(4)]
    assert "segmentation" not in document["annotations"][0]
    drawn = cv2.VideoCapture(str(out / "clip.mp4"))
    assert drawn.get(cv2.CAP_PROP_FRAME_COUNT) == 4 and drawn.get(cv2.CAP_PROP_FPS) == 10
    # the drawn frames show the frames, in their order
    for number in range(4):
        shown = cv2.resize(drawn.read()[1], (96, 96)).astype(float)
        distances = [np.abs(shown - other).mean() for other in frames]
        assert np.argmin(distances) == number
    # the frames of a run that was stopped
    whole = (out / JOURNAL_NAME).read_text().splitlines(keepends=True)
    (out / JOURNAL_NAME).write_text("".join(whole[:3]))
    assert run_tool("predict", "--config", config, "--input", path, "--output", out).code == 0
    assert_same(read(out), document)


def test_channels_reach_the_model_in_its_order(
    detector_config: Callable[..., Path], tmp_path: Path
) -> None:
    from robust_det.detection.prediction.batches import load_ahead

    Image.new("RGB", (96, 96), (250, 100, 0)).save(tmp_path / "red.png")
    detector = load_detector(str(detector_config()))
    source = find_inputs(str(tmp_path / "red.png"), tmp_path)
    (loaded,) = load_ahead(detector, source, source.items(lambda item: True), 1)
    assert detector.cfg.INPUT.FORMAT == "RGB"
    assert loaded.image[:, 0, 0].tolist() == [250, 100, 0]


def test_damaged_names_of_classes_are_refused(
    detector_config: Callable[..., Path], tmp_path: Path
) -> None:
    config = detector_config()
    content = load_checkpoint(tmp_path / "run" / FINAL)
    for damaged in ([{"id": 1}], [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}], "ab", 3):
        save_checkpoint(tmp_path / "damaged.pth", {**content, "categories": damaged})
        with pytest.raises(UserError, match="has a damaged list of classes"):
            load_detector(str(config), weights=tmp_path / "damaged.pth")
