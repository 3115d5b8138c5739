"""Export: the written file is run by itself and finds the same objects."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from detectron2.data.detection_utils import read_image

from robust_det.core.errors import UserError
from robust_det.detection.detector import load_detector
from robust_det.detection.export.agreement import compare
from robust_det.detection.export.exporting import export_detector
from robust_det.export import formats
from tests.support import refused

NAMES = ["boxes", "scores", "classes"]


@pytest.fixture
def sample(scenes: Path) -> Path:
    return sorted((scenes / "val").iterdir())[0]


@pytest.mark.parametrize("kind", ["mask", "faster", "cascade", "retinanet", "c4"])
@pytest.mark.parametrize("form", ["onnx", "torchscript"])
def test_the_file_finds_the_same_objects(
    detector_config: Callable[..., Path],
    sample: Path,
    scenes: Path,
    tmp_path: Path,
    kind: str,
    form: str,
) -> None:
    detector = load_detector(str(detector_config(kind)))
    path = tmp_path / f"detector.{form}"
    description = json.loads(export_detector(detector, form, sample, path).read_text())
    names = list(description["outputs"])
    assert names == ([*NAMES, "masks"] if kind in ("mask", "cascade") else NAMES)
    # an image that the export did not see, in another shape
    pixels = read_image(str(sorted((scenes / "val").iterdir())[1]), "RGB")[:70, :90]
    image = torch.as_tensor(pixels.transpose(2, 0, 1).astype("float32"))
    with torch.no_grad():
        expected = detector.model([{"image": image}])[0]["instances"]
        if form == "onnx":
            session = onnxruntime.InferenceSession(str(path))
            assert [output.name for output in session.get_outputs()] == names
            found = [torch.as_tensor(o) for o in session.run(None, {"image": image.numpy()})]
        else:
            found = torch.jit.load(str(path))(image)
    assert len(expected) > 5
    ours = [expected.pred_boxes.tensor, expected.scores, expected.pred_classes]
    result = compare(NAMES, (70, 90), ours, found[:3])
    assert result.same, str(result)
    assert result.differences["boxes"] < 1e-3 and result.differences["scores"] < 1e-5


def test_the_description_says_how_to_use_it(
    detector_config: Callable[..., Path], sample: Path, tmp_path: Path
) -> None:
    detector = load_detector(str(detector_config()))
    path = export_detector(detector, "torchscript", sample, tmp_path / "a.ts")
    said = json.loads(path.read_text())
    assert said["input"]["channels"] == "RGB" and said["input"]["range"] == [0, 255]
    assert said["input"]["resized"]["short_side"] == 96
    assert len(said["categories"]) == 8 and said["categories"] == detector.categories
    masks = torch.jit.load(str(tmp_path / "a.ts"))(torch.full((3, 96, 96), 90.0))[3]
    assert masks.dim() == 3 and masks.shape[1:] == (28, 28)
    assert masks.min() >= 0 and masks.max() <= 1


def test_other_boxes_are_refused(
    detector_config: Callable[..., Path],
    sample: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    detector = load_detector(str(detector_config("faster")))
    honest = formats.FORMATS["torchscript"]

    def shifted(*arguments: Any) -> Any:
        content, run = honest(*arguments)
        return content, lambda image: [run(image)[0] + 0.05, *run(image)[1:]]

    monkeypatch.setattr(formats, "FORMATS", {"torchscript": shifted})
    with pytest.raises(UserError, match=r"finds other objects \(96 x 96: 20 and 20 objects, 0 the"):
        export_detector(detector, "torchscript", sample, tmp_path / "a.ts")
    assert not list(tmp_path.glob("a.ts*"))


def test_matching_is_one_to_one_and_ignores_the_order() -> None:
    boxes = torch.tensor([[0.0, 0, 9, 9], [5, 5, 20, 20], [5, 5, 20, 20]])
    scores, classes = torch.tensor([0.9, 0.5, 0.5]), torch.tensor([0, 1, 1])
    swapped = [2, 0, 1]
    same = compare(
        NAMES, (30, 30), [boxes, scores, classes], [x[swapped] for x in (boxes, scores, classes)]
    )
    assert same.same and same.matched == 3
    doubled = [0, 1, 1]
    once = compare(
        NAMES,
        (30, 30),
        [boxes, scores, torch.tensor([0, 1, 2])],
        [boxes[doubled], scores[doubled], classes],
    )
    assert not once.same and once.matched == 2
    fewer = compare(NAMES, (30, 30), [boxes, scores, classes], [boxes[:2], scores[:2], classes[:2]])
    assert not fewer.same and fewer.matched == 2
    none = [boxes[:0], scores[:0], classes[:0]]
    assert compare(NAMES, (30, 30), none, none).same


@pytest.mark.parametrize(
    "change, message",
    [
        ({"format": "torch_export"}, "torch.export cannot take Detectron2's detectors"),
        ({"format": "caffe2"}, "unknown format 'caffe2'; use onnx or torchscript"),
        ({"sample": "absent.jpg"}, "--sample absent.jpg cannot be read"),
        ({"weights": "absent.pth"}, "no detector at absent.pth"),
    ],
)
def test_mistakes_are_one_line(
    detector_config: Callable[..., Path], sample: Path, tmp_path: Path, change: Any, message: str
) -> None:
    arguments = {"config": detector_config(), "sample": sample, "output": tmp_path / "x", **change}
    given = [part for key, value in arguments.items() for part in (f"--{key}", value)]
    assert message in refused("export_detector", *given, untouched=tmp_path)


def test_a_sample_without_objects_proves_nothing(
    detector_config: Callable[..., Path], sample: Path, tmp_path: Path
) -> None:
    detector = load_detector(str(detector_config()), ["MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.999"])
    with pytest.raises(UserError, match=r"finds nothing on .* give another --sample"):
        export_detector(detector, "torchscript", sample, tmp_path / "x")
    assert not list(tmp_path.glob("x*"))
