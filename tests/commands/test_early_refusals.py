"""What needs no tensors is refused before torch is imported, which takes seconds."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from robust_det.commands.main import main

# runs each command line in one process; says its answer, and whether torch was imported by then
RUN = """
import contextlib, io, json, sys
from robust_det.commands.main import main
for line in json.load(sys.stdin):
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = main(line)
    heavy = {"torch", "detectron2"} & set(sys.modules)
    print(json.dumps([code, said.getvalue(), bool(heavy)]))
"""


def test_refusals_that_need_no_tensors(tmp_path: Path) -> None:
    page, pointer, good = (tmp_path / name for name in ("page.pth", "lfs.pth", "good.pth"))
    page.write_text("\n<!DOCTYPE html><html>Quota exceeded</html>")
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    good.write_bytes(b"PK\x03\x04 as far as anybody can see")
    there, out = tmp_path / "there.pth", str(tmp_path / "out.pth")
    there.write_bytes(b"precious")
    absent = str(tmp_path / "absent")
    expected: dict[tuple[Any, ...], str] = {
        ("convert", absent, out): f"no checkpoint at {absent}",
        ("convert", tmp_path, out): f"{tmp_path} is a folder, not a checkpoint; give a file in it",
        ("convert", page, out): f"{page} is a web page, so its download failed",
        ("convert", pointer, out): f"{pointer} is a pointer of git-lfs; fetch the file itself",
        ("convert", good, there): f"{there} exists; --overwrite replaces it",
        ("convert", good, tmp_path / "out.x"): "OUTPUT must end in .pth, which detectron2 reads",
        ("convert", good, good): f"OUTPUT is INPUT, {good}; give another file",
        ("convert", good, out, "--to", "onnx"): "unknown target 'onnx'",
        ("convert", good, out, "--eps", "x"): "--eps needs a number such as 0.5 or 4/255",
        ("convert", "https://x.org/a.pth", out): "INPUT https://x.org/a.pth is an address",
        ("pretrain", "--config", absent): f"no config file '{absent}'",
        (
            *("evaluate", good, "--data", tmp_path, "--norm", "l2"),
            *("--eps", "1", "0.5", "--output", out),
        ): "--eps has to rise; give --eps 0.5 1",
        ("train", "--config", absent): f"no config file '{absent}'",
        ("predict", "--config", absent, "--input", page, "--output", out): "no config file",
        ("predict", "--config", "coco_detector.yaml", "--input", page, "--output", there): (
            f"--output {there} is a file"
        ),
        ("export", "--config", absent, "--sample", page, "--output", out): "no config file",
        (
            *("export", "--config", "base_small.yaml", "--sample", page, "--output", there),
        ): f"{there} exists; --overwrite replaces it",
        ("inspect", "--config", absent): f"no config file '{absent}'",
        ("visualize", "inversion", "--backbones", good, "--output", out): (
            "inversion shows images: give --images"
        ),
        (
            "inspect",
            "--json",
            absent,
            "--images",
            tmp_path,
        ): "data set 'absent' has",
        ("inspect", "--voc", absent, "--split", "train"): "data set 'absent_train' has",
        (
            "inspect",
            "--yolo",
            absent,
            "--split",
            "train",
        ): "data set 'absent_train' has",
    }
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        input=json.dumps([[*map(str, line)] for line in expected]),
        capture_output=True,
        text=True,
        check=True,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    for (code, said, heavy), (line, message) in zip(answers, expected.items(), strict=True):
        assert code == 2 and not heavy, (line, said)
        assert said.startswith(f"error: {message}") and said.count("\n") == 1, (line, said)
    assert there.read_bytes() == b"precious"


@pytest.mark.parametrize(
    "arguments, message",
    [
        ("train --config a.yaml --machine-rank 1", "are of several machines: add --num-machines"),
        ("train --config a.yaml --dist-url tcp://a:1", "are of several machines"),
        ("train --config a.yaml --init-detector b.pth --eval-only", "leave --init-detector out"),
        ("train --data a --init-detector b.pth", "--init-detector needs a config"),
        ("inspect --data a --samples 3", "--samples is of the sheet; add --output"),
        ("inspect --data a --output b --seed -1", "--seed is -1; it starts from 0"),
        ("inspect --data a --images b", "--images belongs to --json"),
        ("split a --output b --seed -1", "--seed is -1; it starts from 0"),
        ("visualize explain --detectors a --images b --size 64 --output c", "--size has no effect"),
        ("zoo fetch resnet18_l2_eps1 --arch resnet18", "--arch and --norm choose among --all"),
        (
            "export --config a.yaml --sample a.jpg --output b.onnx MODEL.DEVICE cuda",
            "MODEL.DEVICE has no effect on an export",
        ),
    ],
)
def test_arguments_without_effect_are_refused(arguments: str, message: str) -> None:
    out = io.StringIO()
    with contextlib.redirect_stderr(out):
        assert main(arguments.replace("a.yaml", "base_small.yaml").split()) == 2
    assert message in out.getvalue() and out.getvalue().count("\n") == 1
