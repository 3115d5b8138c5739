"""What the converter cannot use, as its command line says it: one line, and nothing is written."""

from __future__ import annotations

import os
import pickle
import runpy
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn
from torchvision import models as tv

from robust_det.checkpoints.model_file import read_model
from robust_det.checkpoints.names import COUNTER
from robust_det.checkpoints.pretrained import FORMAT
from robust_det.models import (
    ARCHITECTURES,
    IMAGENET_MEAN,
    IMAGENET_STD,
    ModelCard,
    build_classifier,
)
from robust_det.models.catalogue import _narrow
from robust_det.models.registry import Architecture, ResNetLayout, register

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "tools" / "convert_backbone.py"
ARCH = "resnet10_narrow"
MEAN, STD = (0.41, 0.52, 0.63), (0.21, 0.25, 0.3)


@pytest.fixture
def network(randomise):
    torch.manual_seed(0)
    return randomise(build_classifier(ARCH, 10)).body


@pytest.fixture
def state(network):
    return network.state_dict()


@pytest.fixture
def source(tmp_path, state):
    """A file that can be converted."""
    torch.save(state, tmp_path / "good.pth")
    return tmp_path / "good.pth"


@pytest.fixture
def tool(capsys, monkeypatch):
    """The command line without a new process, which would take seconds to import torch."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", [str(TOOL), *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            runpy.run_path(str(TOOL), run_name="__main__")
        return left.value.code, *capsys.readouterr()

    return run


def files(folder):
    return {
        path.relative_to(folder): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.fixture
def refused(tool, tmp_path):
    """Return a function that expects a refusal and returns its line."""

    def run(*arguments):
        before = files(tmp_path)
        code, out, err = tool(*arguments)
        assert (code, out) == (2, "")
        assert err.startswith("error: ") and err.endswith("\n") and err.count("\n") == 1
        assert len(err) < 1000
        assert files(tmp_path) == before
        return err.removeprefix("error: ").removesuffix("\n")

    return run


# --- no checkpoint at all -----------------------------------------------------------------------


def text(path):
    path.write_text("# Weights\n\nare in another repository\n")


def image(path):
    Image.new("RGB", (32, 32)).save(path, "PNG")


def random_bytes(path):
    path.write_bytes(torch.randint(256, (5000,)).to(torch.uint8).numpy().tobytes())


def cut_off(path):
    torch.save(build_classifier(ARCH, 10).body.state_dict(), path)
    path.write_bytes(path.read_bytes()[:-1000])


def web_page(path):
    path.write_text("<!DOCTYPE html><html><body>Quota exceeded</body></html>")


def empty(path):
    path.touch()


def folder(path):
    path.mkdir()


def nothing(path):
    pass


def torchscript(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated, but there are such files
        traced = torch.jit.trace(build_classifier(ARCH, 10).eval(), torch.rand(1, 3, 32, 32))
        torch.jit.save(traced, str(path))


def hyperparameters(path):
    torch.save({"epoch": 3, "optimizer": {"lr": 0.1}, "names": ["a"]}, path)


def one_tensor(path):
    torch.save(torch.rand(3, 4), path)


def objects_alone(path):
    torch.save({"args": torch.Generator}, path)


@pytest.mark.parametrize(
    "write, found",
    [
        (text, "not a checkpoint"),
        (image, "not a checkpoint"),
        (random_bytes, "not a checkpoint"),
        (cut_off, "truncated"),
        (web_page, "is a web page, so its download failed; download it again"),
        (empty, "is empty"),
        (folder, "is a folder, not a checkpoint; give a file"),
        (nothing, "no checkpoint at"),
        (torchscript, "checkpoint"),
        (hyperparameters, "holds no tensors by name; save a network's state_dict()"),
        (one_tensor, "holds no tensors by name; save a network's state_dict()"),
        (objects_alone, "holds no tensors by name; save a network's state_dict()"),
    ],
)
def test_what_is_no_checkpoint(tmp_path, refused, write, found):
    path = tmp_path / "weights.pth"
    write(path)
    message = refused(path, tmp_path / "out.pth")
    assert str(path) in message and found in message


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("container", [None, "model"])
def test_a_whole_network_is_not_unpickled(tmp_path, refused, network, legacy, container):
    path = tmp_path / "weights.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch cannot find the source of every class
        torch.save(
            network if container is None else {container: network, "epoch": 1},
            path,
            _use_new_zipfile_serialization=not legacy,
        )
    assert refused(path, tmp_path / "out.pth") == (
        f"{path} holds an object of class robust_det.models.narrow.NarrowResNet, which is not"
        " rebuilt, since that would run code; save the network's state_dict() instead"
    )


def test_a_trap_does_not_go_off(malicious, tmp_path, refused):
    path, marker = malicious
    message = refused(path, tmp_path / "out.pth")
    assert str(path) in message
    assert not marker.exists()


# --- another network ----------------------------------------------------------------------------


@pytest.mark.parametrize("arch", ["squeezenet1_0", "efficientnet_b0"])
def test_a_network_that_is_not_registered(tmp_path, refused, arch):
    path = tmp_path / "weights.pth"
    state = getattr(tv, arch)(num_classes=10).state_dict()
    torch.save(state, path)
    message = refused(path, tmp_path / "out.pth")
    first, tensor = next(iter(state.items()))
    shape = "x".join(map(str, tensor.shape))
    assert f"holds tensors that are not those of a registered architecture: {first} {shape}" in (
        message
    )
    for known in ARCHITECTURES:
        assert known in message
    assert "or register this one" in message


def test_a_near_relative_of_a_registered_network(tmp_path, refused):
    timm = pytest.importorskip("timm")
    path = tmp_path / "weights.pth"
    torch.save(timm.create_model("resnet50d", num_classes=10).state_dict(), path)
    message = refused(path, tmp_path / "out.pth")
    assert (
        "is not a registered architecture: the nearest is resnet50, with tensors 17 missing"
        " (first: conv1.weight), 4 of another shape (first: layer1.0.downsample.1.weight is"
        " 256x64x1x1, not 256), 33 unexpected (first: conv1.0.weight); register this one"
    ) in message


def test_a_block_with_something_more_in_it(tmp_path, refused, state):
    torch.save({**state, "layer4.0.se.weight": torch.rand(3)}, tmp_path / "weights.pth")
    message = refused(tmp_path / "weights.pth", tmp_path / "out.pth")
    assert (
        "the nearest is resnet10_narrow, with tensors 1 unexpected (first: layer4.0.se.weight)"
    ) in message


def test_networks_of_caffe2(tmp_path, refused):
    names = {"conv1_w": (64, 3, 7, 7), "res_conv1_bn_s": (64,), "res2_0_branch2a_w": (64, 64, 1, 1)}
    with open(tmp_path / "R-50.pkl", "wb") as file:
        blobs = {name: torch.rand(shape).numpy() for name, shape in names.items()}
        pickle.dump({"model": blobs, "__author__": "Caffe2"}, file)
    message = refused(tmp_path / "R-50.pkl", tmp_path / "out.pth")
    assert "holds Caffe2 names (conv1_w)" in message and "use weights of torchvision" in message


@pytest.mark.parametrize(
    "lost, what",
    [
        ("layer4.", "res5 (no layer4.0.conv1.weight and 14 more)"),
        (("layer3.", "layer4."), "res4, res5 (no layer3.0.conv1.weight and 29 more)"),
        (("conv1.", "bn1."), "stem (no conv1.weight and 4 more)"),
        ("conv1.", "conv1.weight"),
        ("layer2.0.bn2.", "layer2.0.bn2.weight and 3 more"),
    ],
)
def test_stages_that_are_missing(tmp_path, refused, state, lost, what):
    path = tmp_path / "weights.pth"
    torch.save({n: t for n, t in state.items() if not n.startswith(lost)}, path)
    assert refused(path, tmp_path / "out.pth") == (
        f"{path} is a resnet10_narrow without {what}; give the file of the whole network"
    )


@pytest.mark.parametrize("channels, said", [(1, "1 channel,"), (4, "4 channels,")])
def test_images_of_other_than_three_channels(tmp_path, refused, state, channels, said):
    path = tmp_path / "weights.pth"
    torch.save({**state, "conv1.weight": torch.rand(16, channels, 7, 7)}, path)
    assert refused(path, tmp_path / "out.pth") == (
        f"{path} is a resnet10_narrow for images of {said} and a detector's have 3 (RGB); take a"
        " network of RGB images"
    )


# --- which network ------------------------------------------------------------------------------


@pytest.fixture
def twin():
    """Another architecture with the tensors of the narrow network."""
    layout = ResNetLayout((1, 1, 1, 1), False, 16, 16, 16)
    register(
        Architecture(
            "resnet10_twin", _narrow, head="fc", stem="maxpool", stages=layout.stages, layout=layout
        )
    )
    yield
    del ARCHITECTURES["resnet10_twin"]


def test_two_architectures_that_it_could_be(twin, source, tmp_path, refused, tool):
    assert refused(source, tmp_path / "out.pth") == (
        f"{source} could be resnet10_narrow or resnet10_twin; say which with --arch resnet10_narrow"
    )
    for arch in (ARCH, "resnet10_twin"):
        code, out, err = tool(source, tmp_path / f"{arch}.pth", "--arch", arch)
        assert (code, err) == (0, "") and out.startswith(f"{arch}, ")
        # the answer is kept in the file
        assert read_model(tmp_path / f"{arch}.pth").arch == arch
    assert refused(tmp_path / f"{ARCH}.pth", tmp_path / "out.pth", "--arch", "resnet10_twin") == (
        f"{tmp_path / ARCH}.pth says that it is resnet10_narrow, but its tensors are those of"
        " resnet10_twin"
    )


@pytest.mark.parametrize("together", [False, True])
def test_two_networks_in_one_file(tmp_path, refused, tool, state, together):
    path = tmp_path / "weights.pth"
    other = build_classifier(ARCH, 10).body.state_dict()
    if together:
        content = {f"student.{n}": t for n, t in state.items()}
        content.update({f"teacher.{n}": t for n, t in other.items()})
        student, teacher = "student.", "teacher."
    else:
        content = {"student": state, "teacher": other}
        student, teacher = "student/", "teacher/"
    torch.save(content, path)
    assert refused(path, tmp_path / "out.pth") == (
        f"{path} holds 2 different networks resnet10_narrow, at '{student}', '{teacher}'; choose"
        f" with --prefix '{student}'"
    )
    assert refused(path, tmp_path / "out.pth", "--prefix", "pupil") == (
        f"{path} has no network at --prefix 'pupil', but at '{student}', '{teacher}'"
    )
    for place, expected in ((student, state), (teacher, other)):
        code, _, err = tool(path, tmp_path / "out.pth", "--prefix", place, "--overwrite")
        assert (code, err) == (0, "")
        read = read_model(tmp_path / "out.pth").state
        assert all(torch.equal(read[name], tensor) for name, tensor in expected.items())


def test_an_object_beside_two_networks_is_not_the_problem(tmp_path, refused, state):
    path = tmp_path / "weights.pth"
    other = build_classifier(ARCH, 10).body.state_dict()
    torch.save({"student": state, "teacher": other, "criterion": nn.CrossEntropyLoss()}, path)
    assert "choose with --prefix 'student/'" in refused(path, tmp_path / "out.pth")


def test_two_names_of_one_network_are_one(tmp_path, tool, state):
    both = {**{f"a.{n}": t for n, t in state.items()}, **{f"b.{n}": t for n, t in state.items()}}
    torch.save(both, tmp_path / "weights.pth")
    code, _, err = tool(tmp_path / "weights.pth", tmp_path / "out.pth")
    assert (code, err) == (0, "")


def pixels(mean, std):
    return ["--mean", *mean, "--std", *std]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--arch", "resnet18"], "holds a resnet10_narrow, not a resnet18; leave --arch out"),
        (["--arch", "resnet10-narrow"], "unknown architecture 'resnet10-narrow'; did you mean"),
        (["--prefix", "module."], "has no network at --prefix 'module.', but at ''"),
        (["--eps", "much"], "--eps needs a number such as 0.5 or 4/255, not 'much'"),
        (["--eps", "1/0", "--norm", "l2"], "--eps needs a number such as 0.5 or 4/255, not '1/0'"),
        (["--eps", "-1", "--norm", "l2"], "eps is -1.0, not a number from 0 up"),
        (["--eps", "nan", "--norm", "l2"], "eps is nan, not a number from 0 up"),
        (["--eps", "4", "--norm", "linf"], "for pixels up to 255 divide by 255"),
        (["--eps", "0.5"], "--eps 0.5 needs --norm, l2 or linf"),
        (["--norm", "l2"], "--norm l2 needs --eps, in [0, 1] pixel units such as 4/255"),
        (["--norm", "l1", "--eps", "0.5"], "unknown norm 'l1'; use l2 or linf"),
        (["--mean", "0.5", "0.5", "0.5"], "give --mean and --std together"),
        (["--mean", "0.5", "0.5"], "argument --mean: expected 3 arguments"),
        (["--mean", "x", "y", "z"], "argument --mean: invalid float value: 'x'"),
        (pixels((124, 116, 104), (58, 57, 57)), "divide those of images in [0, 255] by 255"),
        (pixels((0, 0, 0), (1, 0, 1)), "std above 0"),
        (pixels(("nan", 0, 0), (1, 1, 1)), "need three numbers each, RGB in [0, 1]"),
        (["--to", "onnx"], "unknown target 'onnx'; use detectron2, torchvision, timm"),
        (["--to", "timm"], "timm has no resnet10_narrow; use --to torchvision"),
    ],
)
def test_a_wrong_description(source, tmp_path, refused, arguments, message):
    assert message in refused(source, tmp_path / "out.pth", *arguments)


@pytest.fixture
def described(tmp_path, state):
    """A file that says all about itself."""
    card = ModelCard(ARCH, "l2", 0.5, MEAN, STD, 48, tuple("abcdefghij"))
    path = tmp_path / "described.pth"
    torch.save({"format": FORMAT, "meta": card.plain(), "model": state}, path)
    return path


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--arch", "resnet18"], "holds a resnet10_narrow, not a resnet18; leave --arch out"),
        (["--norm", "linf"], "has norm l2, not linf; leave --norm out"),
        (["--eps", "1"], "has eps 0.5, not 1.0; leave --eps out"),
        (
            pixels(IMAGENET_MEAN, IMAGENET_STD),
            "has mean 0.41 0.52 0.63 and std 0.21 0.25 0.3; leave --mean and --std out",
        ),
    ],
)
def test_a_description_that_contradicts_the_file(described, tmp_path, refused, arguments, message):
    assert refused(described, tmp_path / "out.pth", *arguments) == f"{described} {message}"


def test_a_description_that_agrees_with_the_file(described, tmp_path, tool):
    agreeing = ["--arch", ARCH, "--norm", "L2", "--eps", "0.5", *pixels(MEAN, STD)]
    code, out, err = tool(described, tmp_path / "out.pth", *agreeing)
    assert (code, err) == (0, "") and "note: " not in out


def test_a_card_that_is_of_another_network(described, tmp_path, refused):
    content = torch.load(described)
    content["meta"]["arch"] = "resnet18"
    torch.save(content, described)
    assert refused(described, tmp_path / "out.pth") == (
        f"{described} says that it is resnet18, but its tensors are those of resnet10_narrow"
    )


# --- damaged or unusual numbers -----------------------------------------------------------------


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["layer3.0.conv1.weight", "bn1.running_var", "fc.bias"])
def test_weights_that_are_not_finite(tmp_path, refused, state, name, bad):
    path = tmp_path / "weights.pth"
    state[name].view(-1)[:2] = bad
    torch.save(state, path)
    assert refused(path, tmp_path / "out.pth") == (
        f"{path} is damaged or diverged: 2 of {state[name].numel()} values of {name} are NaN or"
        " Inf; take an earlier checkpoint"
    )


def test_features_that_are_not_finite(tmp_path, refused, state):
    state["layer2.0.bn1.running_var"].fill_(-1)
    torch.save(state, tmp_path / "weights.pth")
    message = refused(tmp_path / "weights.pth", tmp_path / "out.pth")
    assert message.startswith("features of res3 are not finite on random images, so ")
    assert message.endswith("is damaged or diverged; nothing was written")


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float64"])
def test_other_precisions_are_converted_and_said(tmp_path, tool, state, kind):
    dtype = getattr(torch, kind)
    given = {n: t if COUNTER in n else t.to(dtype) for n, t in state.items()}
    torch.save(given, tmp_path / "weights.pth")
    code, out, err = tool(tmp_path / "weights.pth", tmp_path / "out.pth", "--to", "torchvision")
    assert (code, err) == (0, "")
    assert f"note: weights are {kind} in the file and were converted to float32" in out.splitlines()
    written = torch.load(tmp_path / "out.pth")
    assert written.keys() == state.keys()
    for name, tensor in given.items():
        expected = tensor if COUNTER in name else tensor.float()
        assert written[name].dtype == expected.dtype and torch.equal(written[name], expected)


def test_weights_of_integers(tmp_path, refused, state):
    path = tmp_path / "weights.pth"
    integers = {n: t if COUNTER in n else (16 * t).to(torch.int8) for n, t in state.items()}
    torch.save(integers, path)
    message = refused(path, tmp_path / "out.pth")
    assert message.startswith(f"{path} has conv1.weight in int8, which are no weights")


def test_weights_without_a_head_are_said_to_have_none(tmp_path, tool, state):
    path = tmp_path / "weights.pth"
    torch.save({n: t for n, t in state.items() if not n.startswith("fc.")}, path)
    code, out, err = tool(path, tmp_path / "out.pth", "--to", "torchvision")
    assert (code, err) == (0, "")
    assert out.startswith("resnet10_narrow, of unknown training, no classification head, source")


# --- the output ---------------------------------------------------------------------------------


def test_an_output_that_exists(source, tmp_path, refused, tool):
    target = tmp_path / "out.pth"
    target.write_bytes(b"precious")
    assert refused(source, target) == f"OUTPUT {target} exists; pass --overwrite to replace it"
    # a failure with --overwrite leaves it as well
    state = torch.load(source)
    state["fc.bias"][0] = float("nan")
    torch.save(state, tmp_path / "bad.pth")
    assert "NaN or Inf" in refused(tmp_path / "bad.pth", target, "--overwrite")
    assert target.read_bytes() == b"precious"
    code, out, err = tool(source, target, "--overwrite")
    assert (code, err) == (0, "") and f"wrote {target}" in out
    assert read_model(target).arch == ARCH


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
def test_the_input_is_never_overwritten(source, tmp_path, refused, overwrite):
    (tmp_path / "link.pth").symlink_to(source)
    (tmp_path / "folder").mkdir()
    for target in (source, tmp_path / "link.pth", tmp_path / "folder" / ".." / "good.pth"):
        message = refused(source, target, *overwrite)
        assert message == f"OUTPUT is INPUT, {source}; give another file to write"


@pytest.mark.parametrize(
    "name, to, message",
    [
        ("out.pkl", "detectron2", "OUTPUT must end in .pth, which detectron2 reads: "),
        ("out.safetensors", "detectron2", "OUTPUT must end in .pth, which detectron2 reads: "),
        ("out", "torchvision", "OUTPUT must end in .pth or .pt or .bin or .safetensors, which"),
        ("out.pkl", "timm", "OUTPUT must end in .pth or .pt or .bin or .safetensors, which timm"),
    ],
)
def test_an_output_of_another_suffix(source, tmp_path, refused, name, to, message):
    answer = refused(source, tmp_path / name, "--to", to)
    assert answer.startswith(message) and answer.endswith(str(tmp_path / name))


def test_a_folder_as_output(source, tmp_path, refused):
    (tmp_path / "out.pth").mkdir()
    assert refused(source, tmp_path / "out.pth") == (
        f"OUTPUT {tmp_path / 'out.pth'} is a folder; give a file"
    )


def test_a_file_where_a_folder_should_be(source, tmp_path, refused):
    target = source / "folder" / "out.pth"
    assert refused(source, target) == (
        f"cannot write {target}: {source} is a file; choose another folder"
    )


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no folder that even root cannot use")
def test_a_folder_that_refuses(source, refused):
    message = refused(source, "/proc/robust_det/out.pth")
    assert message.startswith("cannot write /proc/robust_det/out.pth: ")
    assert message.endswith("choose another folder")


def test_a_folder_without_permission(source, tmp_path, refused, monkeypatch):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    if os.access(locked, os.W_OK):
        # root may write anywhere; the question is what is made of the answer
        allowed = os.access
        monkeypatch.setattr(os, "access", lambda p, mode: Path(p) != locked and allowed(p, mode))
    target = locked / "deep" / "out.pth"
    assert refused(source, target) == (
        f"cannot write {target}: no permission in {locked}; choose another folder"
    )


def test_a_traceback_for_those_who_ask(source, tmp_path, tool):
    code, out, err = tool(source, source, "--debug")
    assert (code, out) == (2, "") and "Traceback" in err
    assert err.endswith(f"error: OUTPUT is INPUT, {source}; give another file to write\n")


# --- a real process -----------------------------------------------------------------------------


def test_the_command_line_in_a_process_of_its_own(tmp_path, state):
    def run(*arguments):
        command = [sys.executable, TOOL, *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    torch.save(nn.DataParallel(build_classifier(ARCH, 10).body), tmp_path / "whole.pth")
    done = run("whole.pth", "out.pth")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: whole.pth holds an object of class torch.nn.parallel.data_parallel.DataParallel,"
        " which is not rebuilt, since that would run code; save the network's state_dict()"
        " instead\n"
    )
    assert not (tmp_path / "out.pth").exists()

    half = {n: t if COUNTER in n else t.half() for n, t in state.items()}
    torch.save(half, tmp_path / "half.pth")
    done = run("half.pth", "out.pth")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1:4] == [
        "read as: state dict in torchvision's names",
        "note: weights are float16 in the file and were converted to float32",
        "note: the file does not say its normalisation; ImageNet's mean and std are assumed",
    ]
