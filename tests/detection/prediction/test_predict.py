"""Prediction through the real tool and the real models, on real files."""

import contextlib
import io
import json
import os
import re
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
from robust_det.detection.prediction.inputs import find_inputs, left_out_lines
from robust_det.detection.prediction.journal import Journal
from robust_det.detection.prediction.output_folder import JOURNAL_NAME, PREDICTIONS_NAME
from robust_det.detection.prediction.overlay import Drawing
from robust_det.detection.prediction.predict import predict
from robust_det.detection.prediction.video import repeats
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
    source = find_inputs(str(scenes / "val"))
    done = predict(load_detector(str(config)), source, tmp_path / "out", pictures=False)
    assert (done.images, done.reused, done.unreadable) == (6, 0, {})
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
    source = find_inputs(str(scenes / "val"))
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
    source = find_inputs(str(folder))
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
    source = find_inputs(str(scenes / "val"))
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
    predict(detector, find_inputs(str(folder)), out, pictures=False)
    before = by_name(read(out))
    first, second, *rest = sorted(before)
    (folder / first).unlink()
    shutil.copy(folder / rest[0], folder / second)
    predict(detector, find_inputs(str(folder)), out, pictures=False)
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
    assert done.code == 1
    hidden, others, wrote, counts = done.out.splitlines()
    assert hidden == "left out 1 file (hidden): ._plain.png"
    assert others == "left out 1 file (no image): notes.txt"
    assert wrote == f"wrote {out / PREDICTIONS_NAME}, pictures in {out / 'pictures'}"
    total = len(read(out)["annotations"])
    assert counts.startswith(
        f"7 images (0 done before), {total} detections, 4 could not be read, 2 files left out, "
    )
    lines = done.err.splitlines()
    assert lines[0] == "4 images could not be read:"
    assert [line.split(": ")[0].strip() for line in lines[1:]] == [
        "cut.jpg",
        "empty.jpg",
        "text.png",
        "thinner.bmp",
    ]
    assert "truncated" in lines[1] and "cannot be resized" in lines[4]
    assert lines[2:4] == ["  empty.jpg: it is empty", "  text.png: it is not an image"]
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
        found = find_inputs(str(tmp_path / text))
        assert [item.name for item, _ in found.items(lambda _: True)] == ["a.png"], text
    # what is named is meant
    for text in ("in/.git", "in/.git/*.png", "in/.git/b.png"):
        assert len(find_inputs(str(tmp_path / text))) == 1, text


def names_of(source: Any) -> list[str]:
    return [item.name for item, _ in source.items(lambda _: True)]


def test_what_is_left_out_is_said(scenes: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    with Image.open(sorted((scenes / "val").iterdir())[0]) as opened:
        image = opened.convert("RGB")
    for name in ("a.png", "g.png", "g.png.jpg", "sub/a.png", "sub_a.png", "../elsewhere/f.png"):
        image.save(folder / name)
    for name, kind in (
        ("b.jfif", "JPEG"),
        ("c", "JPEG"),
        ("d.avif", "AVIF"),
        ("e.jp2", "JPEG2000"),
    ):
        image.save(folder / name, kind)
    (folder / "x.mp4").touch()
    (folder / "y.MOV").touch()
    (folder / "notes.txt").write_text("none")
    os.mkfifo(folder / "pipe.png")  # which would be waited for
    (folder / ".cache").mkdir()
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "sub/round").symlink_to(folder)  # in a circle
    source: Any = find_inputs(str(folder))
    read = ["a.png", "g.png", "g.png.jpg", "linked/f.png", "sub/a.png", "sub_a.png"]
    assert names_of(source) == read
    assert sorted(left_out_lines(source.left_out)) == sorted(
        [
            "left out 1 file (hidden): .cache",
            "left out 3 files (format that is read only if --input names it, as *.jfif does):"
            " b.jfif, d.avif, e.jp2",
            "left out 1 file (image without a suffix of images; add one, or give it by its name):"
            " c",
            "left out 2 files (video; --input takes one at a time): x.mp4, y.MOV",
            "left out 1 file (no image): notes.txt",
            "left out 1 file (pipe, socket or device): pipe.png",
        ]
    )
    for text, names in (
        ("*", [n for n in read if "/" not in n]),
        ("**", read),
        ("*.jfif", ["b.jfif"]),
        ("c", ["c"]),
        ("?.avif", ["d.avif"]),
    ):
        assert names_of(find_inputs(str(folder / text))) == names, text
    for text, message in (
        ("[xn]*", "no image matches .*left out 1 file .video; --input takes one at a time.: x.mp4"),
        ("su[b]", "no file matches .*; folders do: end it with /"),
    ):
        with pytest.raises(UserError, match=message):
            find_inputs(str(folder / text))


def test_pictures_are_one_an_image(tmp_path: Path) -> None:
    drawing = Drawing(tmp_path, [], "RGB", 0.5)
    names = ["a.png", "a.jpg", "a.PNG.jpeg", "a.PNG", "g.png", "g.png.jpg", "g.png.jpg.jpg"]
    names += ["sub/a.png", "sub_a.png", "sub/a.jpg"]
    assert len({drawing.path(name) for name in names}) == len(names)
    assert drawing.path("sub/a.jpg") == tmp_path / "sub/a.jpg"


def test_what_it_made_is_no_input(
    detector_config: Callable[..., Path], scenes: Path, tmp_path: Path
) -> None:
    photos, detector = tmp_path / "photos", load_detector(str(detector_config()))
    photos.mkdir()
    for path in sorted((scenes / "val").iterdir())[:2]:
        shutil.copy(path, photos)
    names = sorted(p.name for p in photos.iterdir())
    # beside each other, in each other, and into the folder of the photographs itself
    for output in (photos / "run1", photos / "run2", photos / "run1/run3", photos, photos):
        source = find_inputs(str(photos))
        assert names_of(source) == names
        predict(detector, source, output)
        assert sorted(i["file_name"] for i in read(output)["images"]) == names
        assert len(list((output / "pictures").iterdir())) == 2
    made = sum(map(len, find_inputs(str(photos)).left_out.values()))
    assert made == 4 * (2 + 2)
    for text in ("**/*", "**/*.*", "*"):
        assert names_of(find_inputs(str(photos / text))) == names, text
    for text in ("run1/pictures", f"pictures/{names[0]}.jpg", "run1/run3/pictures/*"):
        with pytest.raises(UserError, match="made by an earlier robust-det predict"):
            find_inputs(str(photos / text))


def test_what_others_made_is_not_replaced(
    detector_config: Callable[..., Path], scenes: Path, tmp_path: Path
) -> None:
    photos, config = tmp_path / "photos", detector_config()
    (photos / "pictures").mkdir(parents=True)
    image = sorted((scenes / "val").iterdir())[0]
    for name in ("a.png", "pictures/a.png.jpg"):
        shutil.copy(image, photos / name)
    arguments = ("--config", config, "--input", photos, "--output", photos)
    assert f"{photos / 'pictures'} is there" in refused("predict", *arguments, untouched=photos)
    assert run_tool("predict", *arguments, "--no-pictures").code == 0
    video = tmp_path / "clip.mp4"
    film(video, [cv2.imread(str(image))] * 2, "mp4v")
    error = refused("predict", "--config", config, "--input", video, "--output", tmp_path)
    assert "clip.mp4 would replace --input" in error


def test_a_lost_picture_is_drawn_again(
    detector_config: Callable[..., Path], scenes: Path, tmp_path: Path
) -> None:
    detector, source = load_detector(str(detector_config())), find_inputs(str(scenes / "val"))
    predict(detector, source, tmp_path / "out")
    pictures = sorted((tmp_path / "out/pictures").iterdir())
    pictures[2].unlink()
    done = predict(detector, source, tmp_path / "out")
    assert (done.images, done.reused) == (6, 5) and pictures[2].is_file()


def film(path: Path, frames: list[Any], code: str, rate: float = 10) -> None:
    """Write a video of a constant rate."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), rate, frames[0].shape[1::-1])
    for frame in frames:
        writer.write(frame)
    writer.release()


def test_a_varying_rate_keeps_its_times(
    detector_config: Callable[..., Path], tmp_path: Path
) -> None:
    path, ticks = tmp_path / "clip.mkv", [0, 10, 20, 120, 130]  # of 10 ms
    frames = [np.full((96, 96, 3), 50 * level, np.uint8) for level in (1, 4, 2, 5, 3)]
    size, raw = frames[0].shape[1::-1], [cv2.VIDEOWRITER_PROP_RAW_VIDEO, 1]
    code = cv2.VideoWriter.fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, 100, size, raw)
    for tick, frame in zip(ticks, frames, strict=True):
        writer.set(cv2.VIDEOWRITER_PROP_PTS, tick)
        writer.write(np.frombuffer(cv2.imencode(".jpg", frame)[1], np.uint8).reshape(1, -1))
    writer.release()
    done = predict(load_detector(str(detector_config())), find_inputs(str(path)), tmp_path / "out")
    assert done.images == 5 and not done.problems
    drawn = cv2.VideoCapture(str(tmp_path / "out/clip.mp4"))
    seconds = drawn.get(cv2.CAP_PROP_FRAME_COUNT) / drawn.get(cv2.CAP_PROP_FPS)
    assert seconds == pytest.approx(1.31, abs=0.1)
    shown: dict[int, float] = {}
    while drawn.grab():
        picture = cv2.resize(drawn.retrieve()[1], size).astype(float)
        nearest = int(np.argmin([np.abs(picture - frame).mean() for frame in frames]))
        shown.setdefault(nearest, drawn.get(cv2.CAP_PROP_POS_MSEC) / 10)
    assert [shown[n] for n in range(5)] == pytest.approx(ticks, abs=6)


@pytest.mark.parametrize(
    "times, rate, seconds, expected",
    [
        ([0, 0.1, 0.2], 10, 0.3, (10, [1, 1, 1])),
        ([0.04, 0.14, 0.24], 10, 0.3, (10, [1, 1, 1])),
        ([0, 0.033, 0.067, 0.1], 30000 / 1001, 0.133, (30000 / 1001, [1] * 4)),
        ([0], 90000, 0, (120, [1])),
        ([0, 0, 0], 25, 0.12, (25, [1, 1, 1])),  # no times at all
        ([0, 0.5, 0.75], 4, 1, (4, [2, 1, 1])),
        ([0, 0.5, 0.75], 1000, 0.01, (4, [2, 1, 1])),  # a header that says nothing of it
        ([0, 0.001, 1], 1000, 1.5, (120, [0, 120, 60])),
    ],
)
def test_repeats(times: list[float], rate: float, seconds: float, expected: Any) -> None:
    assert repeats(times, rate, seconds) == expected


def test_a_video_that_ends_too_early_is_a_failure(
    detector_config: Callable[..., Path], scenes: Path, tmp_path: Path
) -> None:
    path = tmp_path / "clip.avi"
    film(path, [cv2.imread(str(p)) for p in sorted((scenes / "val").iterdir())] * 2, "MJPG")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    arguments = ("--config", detector_config(), "--input", path, "--output", tmp_path / "out")
    done = run_tool("predict", *arguments)
    assert done.code == 1 and re.search(r"clip.avi ends after [4-7] of 12 frames", done.err)


def test_an_image_of_too_many_pixels_gets_advice(
    detector_config: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (100, 60)).save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)
    detector, source = load_detector(str(detector_config())), find_inputs(str(tmp_path / "*.png"))
    done = predict(detector, source, tmp_path / "out")
    assert "has more than 4,000 pixels; scale it down" in done.unreadable["large.png"]
    monkeypatch.setenv("ROBUST_DET_MAX_PIXELS", "12000")
    assert predict(detector, source, tmp_path / "out").images == 1


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
    some: Any = find_inputs(str(val / "*1.*"))
    assert some.names == [n for n in names if "1." in n]
    source: Any = find_inputs(str(scenes / "**/*.png"))
    assert source.place == scenes and len(source) == 18
    assert source.names[0].startswith("train/") and source.names[-1].startswith("val/")
    # what is nearly there is named, wherever the path goes wrong
    for wrong, right in ((val / f"{names[0]}g", names[0]), (scenes / "vall" / names[0], "val")):
        with pytest.raises(UserError, match=rf"no image.*; did you mean '{right}'\?"):
            find_inputs(str(wrong))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"input": "absent.jpg"}, "no image, folder or video at absent.jpg"),
        ({"input": ""}, "--input and --output must not be empty"),
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
    source = find_inputs(str(tmp_path / "red.png"))
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
