"""Export of classifiers: the written file is run by itself and gives the same logits."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from robust_det import load_classifier
from robust_det.checkpoints.model_file import NetworkFile
from robust_det.classification.class_order import imagenet_synsets
from robust_det.classification.exporting import export_classifier
from robust_det.core.errors import UserError
from robust_det.export import formats
from robust_det.models import build_classifier
from tests.support import refused, run_tool


def session_of(path: Path) -> Any:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("form", ["onnx", "torchscript"])
def test_the_file_gives_the_same_logits(
    classifier_file: Path, image_tree: Path, tmp_path: Path, form: str
) -> None:
    path, sample = tmp_path / f"classifier.{form}", next((image_tree / "val/red").iterdir())
    given = ("--weights", classifier_file, "--output", path, "--format", form, "--sample", sample)
    done = run_tool("export_detector", *given)
    assert done.code == 0, done.err
    assert "largest difference of logits: " in done.out and "on photographs" in done.out
    images = torch.rand(5, 3, 48, 48)
    with torch.no_grad():
        expected = load_classifier(classifier_file)(images)
    said = json.loads((tmp_path / f"classifier.{form}.json").read_text())
    assert said["format"] == form and said["classes"] == ["a", "b", "c", "d"]
    assert said["input"]["shape"] == ["batch", 3, 48, 48] and said["input"]["range"] == [0, 1]
    assert said["input"]["resized"]["short_side"] == 55
    assert said["trained"] == {"norm": "l2", "eps": 0.5}
    if form == "onnx":
        graph = onnx.load(path)
        onnx.checker.check_model(graph, full_check=True)
        written = {each.key: each.value for each in graph.metadata_props}
        session = session_of(path)
        (entry,) = session.get_inputs()
        assert (entry.name, entry.shape) == ("images", ["batch", 3, 48, 48])
        (found,) = session.run(["logits"], {"images": images.numpy()})
    else:
        written = {"classes": "", "arch": ""}
        found = torch.jit.load(str(path), _extra_files=written)(images).numpy()
    assert json.loads(written["classes"]) == ["a", "b", "c", "d"]
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)
    assert expected.std() > 0.01


def test_another_architecture(write_classifier: Callable[..., Any], tmp_path: Path) -> None:
    file = NetworkFile(tmp_path / "final.pth")
    classifier = write_classifier(file.path, "mobilenet_v2")
    done = export_classifier(file, file.read(), "onnx", tmp_path / "x.onnx", size=32)
    assert max(done.differences.values()) < 1e-5 and done.notes == ()
    images = torch.rand(3, 3, 32, 32)
    (found,) = session_of(tmp_path / "x.onnx").run(None, {"images": images.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(found, classifier(images).numpy(), atol=1e-5)


def test_what_a_file_leaves_open_is_said(tmp_path: Path) -> None:
    torch.save(build_classifier("resnet10_narrow", 1000).body.state_dict(), tmp_path / "a.pth")
    given = ("--weights", tmp_path / "a.pth", "--output", tmp_path / "a.onnx")
    done = run_tool("export_detector", *given, "--arch", "resnet10_narrow")
    assert done.code == 0, done.err
    assert "does not say the size of its images: 224 px are taken" in done.out
    assert "does not name its classes: they are ImageNet's, by their WordNet ids" in done.out
    said = json.loads((tmp_path / "a.onnx.json").read_text())
    assert said["classes"] == [*imagenet_synsets()] and said["input"]["shape"][3] == 224


def test_other_logits_are_refused(
    classifier_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = formats.FORMATS["torchscript"]

    def wrong(*arguments: Any) -> Any:
        content, run = honest(*arguments)
        # as a trace that keeps the size of its batch
        return content, lambda images: [run(images)[0] + 0.1 * (len(images) != 2)]

    monkeypatch.setattr(formats, "FORMATS", {"torchscript": wrong})
    file = NetworkFile(classifier_file)
    with pytest.raises(UserError, match=r"differ by .* on photographs, in a batch of 1, more than"):
        export_classifier(file, file.read(), "torchscript", tmp_path / "a.ts")
    assert not list(tmp_path.iterdir())


def test_a_dead_network_proves_nothing(
    write_classifier: Callable[..., Any], tmp_path: Path
) -> None:
    file = NetworkFile(tmp_path / "final.pth")
    write_classifier(file.path)
    model = file.read()
    model.state["fc.weight"].zero_()
    with pytest.raises(UserError, match="logits are the same for all photographs"):
        export_classifier(file, model, "torchscript", tmp_path / "a.ts")
    model.state["fc.weight"].fill_(torch.nan)
    with pytest.raises(UserError, match="logits are not finite on photographs"):
        export_classifier(file, model, "torchscript", tmp_path / "a.ts")
    assert [each.name for each in tmp_path.iterdir()] == ["final.pth"]


def test_what_onnx_cannot_hold_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    network, interface = nn.AdaptiveAvgPool2d(7), formats.Interface("x", ("y",), {})
    with pytest.raises(UserError, match=r"written as ONNX: .*adaptive_avg_pool2d.*torchscript"):
        formats.to_onnx(network, torch.rand(2, 3, 10, 10), interface, {})
    assert capfd.readouterr() == ("", "")


def test_a_network_larger_than_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "_LARGEST", 4 * 6)
    interface = formats.Interface("x", ("y",), {})
    with pytest.raises(UserError, match="more than the 2 GiB of an ONNX file; use torchscript"):
        formats.to_onnx(nn.Linear(2, 2), torch.rand(1, 2), interface, {})


@pytest.mark.parametrize(
    "arguments, message",
    [
        ("", "give the --config of a detector's run, or the --weights of a classifier"),
        ("--weights FILE MODEL.MASK_ON True", "MODEL.MASK_ON has no effect without the --config"),
        ("--weights FILE --backbone x", "--backbone has no effect without the --config"),
        ("--weights FILE --size 0", "--size is 0; it starts from 1 pixel"),
        ("--weights FILE --format caffe2", "unknown format 'caffe2'; use onnx or torchscript"),
        ("--weights FILE --sample absent.jpg", "--sample absent.jpg cannot be read"),
        ("--weights absent.pth", "no checkpoint at absent.pth"),
        ("--config base_small.yaml --sample a.jpg --size 32", "--size is of a classifier"),
        ("--config base_small.yaml", "a detector needs --sample, an image with objects"),
        (
            "--config base_small.yaml --sample a.jpg --weights FILE",
            "final.pth is a classifier, and --config is of a detector; leave --config out, or give",
        ),
        (
            "--config base_small.yaml --sample a.jpg --weights robust://resnet50_l2_eps3",
            "robust://resnet50_l2_eps3 is a classifier, and --config is of a detector",
        ),
    ],
)
def test_mistakes_are_one_line(
    classifier_file: Path, tmp_path: Path, arguments: str, message: str
) -> None:
    words = [str(classifier_file) if word == "FILE" else word for word in arguments.split()]
    given = ("--output", tmp_path / "x", *words)
    assert message in refused("export_detector", *given, untouched=tmp_path)


def test_a_file_without_a_head(tmp_path: Path) -> None:
    state = build_classifier("resnet10_narrow", 4).body.state_dict()
    torch.save({k: v for k, v in state.items() if not k.startswith("fc.")}, tmp_path / "a.pth")
    given = ("--weights", tmp_path / "a.pth", "--output", tmp_path / "x.onnx")
    message = refused("export_detector", *given, untouched=tmp_path)
    assert "has no classification head" in message
    assert "a detector is exported with the --config of its run" in message


def test_the_head_that_was_left_out_is_named(tmp_path: Path) -> None:
    body = build_classifier("resnet10_narrow", 4).body
    body.fc = nn.Sequential(nn.BatchNorm1d(128), nn.Linear(128, 4))
    torch.save(body.state_dict(), tmp_path / "a.pth")
    given = ("--weights", tmp_path / "a.pth", "--output", tmp_path / "x.onnx")
    message = refused("export_detector", *given, "--arch", "resnet10_narrow", untouched=tmp_path)
    assert "the head (fc.0.weight, ...) is not one of resnet10_narrow and was left out" in message


def test_a_normalisation_and_dropout_inside_the_network(tmp_path: Path) -> None:
    class Normalise(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1))
            self.register_buffer("std", torch.tensor([0.5, 0.6, 0.7]).view(3, 1, 1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x - self.mean) / self.std

    body = build_classifier("resnet10_narrow", 4).body
    body.fc = nn.Sequential(nn.Dropout(), nn.Linear(128, 4))
    whole = nn.Sequential(Normalise(), body).eval()
    torch.save(whole.state_dict(), tmp_path / "a.pth")
    file = NetworkFile(tmp_path / "a.pth", "resnet10_narrow")
    export_classifier(file, file.read(), "onnx", tmp_path / "x.onnx", size=32)
    images = torch.rand(3, 3, 32, 32)
    (found,) = session_of(tmp_path / "x.onnx").run(None, {"images": images.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(found, whole(images).numpy(), atol=1e-5)
