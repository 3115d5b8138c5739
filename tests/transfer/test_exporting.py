"""Transferred classifiers as other programs run them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import robust_det
from robust_det.checkpoints.model_file import NetworkFile
from robust_det.classification.exporting import export_classifier
from robust_det.transfer.run import transfer
from robust_det.transfer.settings import explain
from tests.transfer.conftest import SIZE, Overrides

FULL = (
    *("TRANSFER.MODE", "full-network", "TRANSFER.STRENGTHS", "45"),
    *("TRAIN.EPOCHS", "1", "TRAIN.BATCH_SIZE", "6"),
)


@pytest.mark.parametrize("how", [("TRANSFER.HEAD", "logreg"), ("TRANSFER.HEAD", "ridge"), FULL])
def test_the_exported_classifier_gives_the_same_logits(
    how: tuple[str, ...], overrides: Overrides, backbone: Path, images: Path, tmp_path: Path
) -> None:
    cfg, _ = explain(None, overrides(*how))
    cfg.freeze()
    transfer(cfg, "run", NetworkFile(backbone))
    file = NetworkFile(tmp_path / "run/final.pth")
    batch = torch.rand(3, 3, SIZE, SIZE)
    with torch.no_grad():
        expected = robust_det.load_classifier(file.path)(batch).numpy()
    for kind in ("onnx", "torchscript"):
        path = tmp_path / f"x.{kind}"
        said = json.loads(export_classifier(file, file.read(), kind, path).description.read_text())
        assert said["classes"] == ["blue", "green", "red"] and said["trained"]["eps"] == 0.5
        if kind == "onnx":
            session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
            (found,) = session.run(["logits"], {"images": batch.numpy()})
        else:
            found = torch.jit.load(str(path))(batch).numpy()
        assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()
