"""Every format, written by the library whose it is: what is read back computes the same logits."""

from __future__ import annotations

import argparse
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from torchvision import models as tv
from torchvision.models.feature_extraction import create_feature_extractor
from torchvision.models.resnet import BasicBlock
from torchvision.transforms.functional import normalize

from robust_det.backbones.builders import build_backbone
from robust_det.checkpoints.backbone_file import read_card
from robust_det.checkpoints.model_file import read_model
from robust_det.checkpoints.names import COUNTER, spelling
from robust_det.checkpoints.pretrained import FORMAT
from robust_det.conversion.convert import TOLERANCE, convert
from robust_det.detection.checkpointer import RobustCheckpointer
from robust_det.detection.config import load_config
from robust_det.errors import UserError
from robust_det.models import (
    ARCHITECTURES,
    Classifier,
    ModelCard,
    build_classifier,
    get_architecture,
)
from robust_det.models.narrow import NarrowResNet
from robust_det.models.registry import Architecture, ResNetLayout, register

ROBUSTNESS = Path(__file__).parents[1] / "fixtures" / "robustness"
EXPECTED = torch.load(ROBUSTNESS / "expected.pt", weights_only=True)
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
ASSUMED = "the file does not say its normalisation; ImageNet's mean and std are assumed"
LIMIT = 1e-5


@pytest.fixture
def path(tmp_path):
    """Where to put a file of any size: pytest would keep it for three runs."""
    yield tmp_path / "source"
    for left in tmp_path.rglob("*"):
        if left.is_file():
            left.unlink()


@pytest.fixture
def unsettle(randomise):
    """Return a function after which a network has no tensor that its logits do not show."""

    @torch.no_grad()
    def change(network, seed=0):
        noise = torch.Generator().manual_seed(seed)
        for name, value in randomise(network, seed).named_parameters():
            # ConvNeXt's, which start so small that its blocks do next to nothing
            if name.endswith(("layer_scale", "gamma")):
                nn.init.uniform_(value, 0.1, 0.5, generator=noise)
            elif value.dim() == 1:
                value.add_(torch.empty_like(value).uniform_(-0.1, 0.1, generator=noise))
        norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
        momenta = [m.momentum for m in norms]
        # statistics near the true ones: with any others, deep networks say the same to all images
        for norm in norms:
            norm.momentum = 1.0
        network.train()(torch.randn(4, 3, 64, 64, generator=noise))
        for i, (norm, momentum) in enumerate(zip(norms, momenta, strict=True)):
            norm.momentum = momentum
            mean, var = norm.running_mean, norm.running_var
            mean.add_(var.sqrt() * torch.empty_like(mean).uniform_(-0.2, 0.2, generator=noise))
            var.mul_(torch.empty_like(var).uniform_(0.7, 1.4, generator=noise))
            norm.num_batches_tracked.fill_(100 + i)
        return network.eval()

    return change


def torchvision_network(arch, classes=10, seed=0):
    torch.manual_seed(seed)
    return get_architecture(arch).build(classes)


def pictures(size=64):
    return torch.rand(3, 3, size, size, generator=torch.Generator().manual_seed(7))


@torch.no_grad()
def own_logits(network, mean=IMAGENET[0], std=IMAGENET[1]):
    """What a network of another library says to normalised images."""
    logits = network.eval()(normalize(pictures(), mean, std))
    # dead or saturated networks would agree whatever was read
    assert logits.isfinite().all() and (logits[0] - logits[1]).abs().max() > 1e-3
    return logits


@torch.no_grad()
def difference(model, logits, images=None):
    got = model.classifier()(pictures() if images is None else images)
    return float((got - logits).abs().max() / logits.abs().max())


def same_tensors(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert ours[name].dtype == tensor.dtype, name
        assert torch.equal(ours[name], tensor), name


# --- plain state dicts --------------------------------------------------------------------------


def save_zip(state, path):
    torch.save(state, path)


def save_legacy(state, path):
    torch.save(state, path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize(
    "arch, suffix, save",
    [
        ("resnet18", ".pth", save_zip),
        ("resnet10_narrow", ".pth", save_legacy),
        ("mobilenet_v2", ".pt", save_zip),
        ("mnasnet1_0", ".bin", save_zip),
        ("shufflenet_v2_x1_0", ".pth", save_legacy),
        ("shufflenet_v2_x1_0", ".safetensors", save_file),
    ],
)
def test_a_state_dict_of_torchvision(path, unsettle, arch, suffix, save):
    network = unsettle(torchvision_network(arch, 7))
    path = path.with_suffix(suffix)
    save(network.state_dict(), path)
    model = read_model(path)
    assert (model.arch, model.num_classes) == (arch, 7)
    assert model.format == "state dict in torchvision's names"
    assert model.notes == (ASSUMED,)
    assert (model.norm, model.eps, model.classes, model.image_size) == ("", None, (), 224)
    assert (model.mean, model.std) == IMAGENET
    assert difference(model, own_logits(network)) <= LIMIT
    same_tensors(dict(model.state), network.state_dict())


TIMM = {
    "resnet18": "resnet18",
    "mobilenetv2_100": "mobilenet_v2",
    "mnasnet_100": "mnasnet1_0",
    "convnext_tiny": "convnext_tiny",
    "densenet161": "densenet161",
    "vgg16_bn": "vgg16_bn",
}


@pytest.mark.parametrize(
    "name, suffix",
    [
        ("resnet18", ".safetensors"),
        ("mobilenetv2_100", ".bin"),
        ("mobilenetv2_100", ".safetensors"),
        ("mnasnet_100", ".safetensors"),
        ("convnext_tiny", ".bin"),
        ("densenet161", ".pth"),
        ("vgg16_bn", ".safetensors"),
    ],
)
def test_a_state_dict_of_timm(path, unsettle, name, suffix):
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    network = unsettle(timm.create_model(name, num_classes=12))
    state, path = network.state_dict(), path.with_suffix(suffix)
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    model = read_model(path)
    arch = TIMM[name]
    assert (model.arch, model.num_classes) == (arch, 12)
    # for some, timm has taken over torchvision's names
    library = (
        "torchvision" if spelling(arch, "torchvision").names.keys() >= state.keys() else "timm"
    )
    assert model.format == f"state dict in {library}'s names"
    assert model.notes == (ASSUMED,)
    assert difference(model, own_logits(network)) <= LIMIT
    same_tensors(spelling(arch, "timm").write(model.state), state)


def parallel(network):
    return nn.DataParallel(network).state_dict()


def compiled(network):
    return torch.compile(network).state_dict()


def parallel_and_compiled(network):
    return nn.DataParallel(torch.compile(network)).state_dict()


def part_of_a_trainer(network):
    return nn.ModuleDict({"backbone": nn.ModuleDict({"net": network})}).state_dict()


@pytest.mark.parametrize(
    "wrap, prefix",
    [
        (parallel, "module."),
        (compiled, "_orig_mod."),
        (parallel_and_compiled, "module._orig_mod."),
        (part_of_a_trainer, "backbone.net."),
    ],
)
@pytest.mark.parametrize("container", [None, "model", "state_dict"])
def test_prefixes_and_containers_need_not_be_named(path, unsettle, wrap, prefix, container):
    network = unsettle(torchvision_network("resnet10_narrow"))
    state = wrap(network)
    assert all(name.startswith(prefix) for name in state)
    torch.save(state if container is None else {container: state, "epoch": 3}, path)
    model = read_model(path)
    assert (model.arch, model.num_classes) == ("resnet10_narrow", 10)
    kind = f"checkpoint ({container})" if container else "state dict"
    assert model.format == f"{kind} in torchvision's names"
    assert difference(model, own_logits(network)) <= LIMIT


@pytest.mark.parametrize("classes", [1, 2, 21841])
def test_the_head_tells_the_number_of_classes(path, unsettle, classes):
    network = unsettle(torchvision_network("resnet10_narrow", classes))
    torch.save(network.state_dict(), path)
    model = read_model(path)
    assert model.num_classes == classes
    assert difference(model, own_logits(network)) <= LIMIT


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.pop("fc.bias"),
        lambda state: state.update({"fc.weight": torch.rand(10, 77)}),
    ],
)
def test_another_head_is_left_out_and_said(path, unsettle, change):
    state = unsettle(torchvision_network("resnet10_narrow")).state_dict()
    change(state)
    torch.save(state, path)
    model = read_model(path)
    assert model.num_classes == 0 and not any(name.startswith("fc.") for name in model.state)
    assert model.notes[0] == (
        "the head (fc.weight, ...) is not one of resnet10_narrow and was left out"
    )
    with pytest.raises(UserError, match="no classification head"):
        model.classifier()


def test_files_without_counters_of_batch_norm(path, unsettle):
    """Those of torchvision from 2017; a network of today still takes them."""
    network = unsettle(torchvision_network("resnet10_narrow"))
    state = {n: t for n, t in network.state_dict().items() if COUNTER not in n}
    torch.save(state, path)
    model = read_model(path)
    assert difference(model, own_logits(network)) <= LIMIT
    same_tensors(dict(model.state), state)
    back = path.with_suffix(".pth")
    convert(path, back, to="torchvision")
    fresh = torchvision_network("resnet10_narrow", seed=1)
    fresh.load_state_dict(torch.load(back, weights_only=True))
    assert difference(model, own_logits(fresh)) <= LIMIT


def test_the_old_names_of_densenet(path, unsettle):
    """torchvision's file of 2017 has ``norm.1`` for ``norm1``, and no counters."""
    network = unsettle(torchvision_network("densenet161"))
    state = {
        ".".join(
            f"{part[:-1]}.{part[-1]}" if part in ("norm1", "norm2", "conv1", "conv2") else part
            for part in name.split(".")
        ): tensor
        for name, tensor in network.state_dict().items()
        if COUNTER not in name
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in state
    save_legacy(state, path)
    model = read_model(path)
    assert (model.arch, model.num_classes) == ("densenet161", 10)
    same_tensors(
        dict(model.state), {n: t for n, t in network.state_dict().items() if COUNTER not in n}
    )


def test_tensors_beside_the_network_are_no_matter(path, unsettle):
    network = unsettle(torchvision_network("resnet10_narrow"))
    others = {
        "projector.0.weight": torch.rand(64, 128),
        "projector.1.running_mean": torch.rand(64),
        "queue": torch.rand(16, 4),
    }
    torch.save({**network.state_dict(), **others}, path)
    model = read_model(path)
    assert difference(model, own_logits(network)) <= LIMIT
    same_tensors(dict(model.state), network.state_dict())


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("save", [save_zip, save_legacy, save_file])
def test_other_precisions_are_converted_and_said(path, unsettle, kind, save):
    dtype = getattr(torch, kind)
    state = unsettle(torchvision_network("resnet10_narrow")).to(dtype).state_dict()
    save(state, path)
    model = read_model(path)
    assert model.notes == (
        f"weights are {kind} in the file and were converted to float32",
        ASSUMED,
    )
    same_tensors(dict(model.state), {n: t if COUNTER in n else t.float() for n, t in state.items()})


# --- the robustness library ---------------------------------------------------------------------


@pytest.fixture
def robustness_network():
    """The architecture of the fixtures, registered for one test."""
    layout = ResNetLayout((1, 1, 1, 1), False, 8, 8, 8)
    register(
        Architecture(
            "resnet10_width8",
            lambda n: NarrowResNet(BasicBlock, [1, 1, 1, 1], width=8, num_classes=n),
            head="fc",
            stem="maxpool",
            stages=layout.stages,
            layout=layout,
        )
    )
    yield "resnet10_width8"
    del ARCHITECTURES["resnet10_width8"]


@pytest.mark.parametrize("name", EXPECTED)
def test_a_checkpoint_of_the_robustness_library(name, robustness_network):
    expected = EXPECTED[name]
    images, logits = expected["images"], expected["logits"]
    model = read_model(ROBUSTNESS / name)
    assert (model.arch, model.num_classes) == (robustness_network, 10)
    assert (model.format, model.notes) == ("robustness checkpoint", ())
    assert model.mean == pytest.approx(expected["mean"], abs=1e-7)
    assert model.std == pytest.approx(expected["std"], abs=1e-7)
    assert difference(model, logits, images) <= LIMIT
    # so that the normalisation is seen to matter
    for mean, std in (IMAGENET, ((0.0,) * 3, (1.0,) * 3)):
        with torch.no_grad():
            got = Classifier(model.body(), mean, std).eval()(images)
        assert (got - logits).abs().max() / logits.abs().max() > 100 * LIMIT


def test_what_the_robustness_library_cannot_load_itself_is_read(robustness_network):
    errors = {name: entry["loader_error"] for name, entry in EXPECTED.items()}
    assert errors["dill_python37.pt"].startswith("TypeError: code expected")
    model = read_model(ROBUSTNESS / "dill_python37.pt")
    expected = EXPECTED["dill_python37.pt"]
    assert difference(model, expected["logits"], expected["images"]) <= LIMIT


@pytest.mark.parametrize("name", EXPECTED)
def test_a_checkpoint_of_the_robustness_library_becomes_a_backbone(name, robustness_network, path):
    path = path.with_suffix(".pth")
    done = convert(ROBUSTNESS / name, path, norm="l2", eps=0.5)
    assert done.num_classes == 10
    assert done.differences.keys() == {"random", "real"}
    for by_stage in done.differences.values():
        assert list(by_stage) == ["res2", "res3", "res4", "res5"]
        assert max(by_stage.values()) <= TOLERANCE
    card = read_card(path)
    assert card == done.card
    assert (card.arch, card.norm, card.eps, card.input_format) == (
        robustness_network,
        "l2",
        0.5,
        "RGB",
    )
    expected = EXPECTED[name]
    assert card.pixel_mean == pytest.approx([255 * v for v in expected["mean"]], abs=1e-4)
    assert card.pixel_std == pytest.approx([255 * v for v in expected["std"]], abs=1e-4)
    # and back from there, nothing is lost
    again = read_model(path)
    assert difference(again, expected["logits"], expected["images"]) <= LIMIT


class Normalised(nn.Module):
    """As RobustBench has it."""

    def __init__(self, mean, std):
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def forward(self, images):
        return (images - self.mean) / self.std


@pytest.mark.parametrize(
    "normalisation, place",
    [
        ("normalize.", "model."),
        ("module.normalize.", "module.model."),
        ("module.0.", "module.1."),
        ("normalize.", "model.module."),
        ("", "model."),
    ],
)
def test_a_normalisation_beside_the_network_is_found(path, unsettle, normalisation, place):
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
    network = unsettle(torchvision_network("resnet10_narrow"))
    first = Normalised(mean, std)
    with torch.no_grad():
        logits = nn.Sequential(first, network)(pictures())
    state = {f"{normalisation}{n}": t for n, t in first.state_dict().items()}
    state.update({f"{place}{n}": t for n, t in network.state_dict().items()})
    # of other than images
    state.update({"loss.mean": torch.zeros(5), "loss.std": torch.ones(5)})
    torch.save({"state_dict": state}, path)
    model = read_model(path)
    assert (model.mean, model.std, model.notes) == (mean, std, ())
    assert difference(model, logits) <= LIMIT


# --- checkpoints of training scripts ------------------------------------------------------------


def trained(network):
    """Return an optimiser that has state, as in any checkpoint that training can resume from."""
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9)
    network.train()(pictures()).square().sum().backward()
    optimizer.step()
    network.eval()
    return optimizer


def test_stylized_imagenet(path, unsettle):
    """The shape of the example of torch for ImageNet, which Geirhos et al. 2019 trained with."""
    network = unsettle(torchvision_network("resnet18", 16))
    optimizer = trained(network)
    content = {
        "epoch": 60,
        "arch": "resnet18",
        "state_dict": nn.DataParallel(network).state_dict(),
        "best_prec1": torch.tensor(60.18),
        "optimizer": optimizer.state_dict(),
    }
    path = path.with_suffix(".pth.tar")
    save_legacy(content, path)
    model = read_model(path)
    assert (model.arch, model.num_classes) == ("resnet18", 16)
    assert model.format == "checkpoint (state_dict) in torchvision's names"
    assert difference(model, own_logits(network)) <= LIMIT


class MoCo(nn.Module):
    """The tensors of MoCo's official model, in their order."""

    def __init__(self, encoders, mlp, dim=128):
        super().__init__()
        self.encoder_q, self.encoder_k = encoders
        if mlp:
            for encoder in encoders:
                width = encoder.fc.weight.shape[1]
                encoder.fc = nn.Sequential(nn.Linear(width, width), nn.ReLU(), encoder.fc)
        self.register_buffer("queue", nn.functional.normalize(torch.randn(dim, 64), dim=0))
        self.register_buffer("queue_ptr", torch.zeros(1, dtype=torch.long))


def save_moco(path, unsettle, mlp):
    encoders = [
        unsettle(torchvision_network("resnet10_narrow", 128, seed), seed) for seed in (1, 2)
    ]
    moco = MoCo(encoders, mlp)
    content = {
        "epoch": 200,
        "arch": "resnet10_narrow",
        "state_dict": nn.DataParallel(moco).state_dict(),
        "optimizer": trained(moco.encoder_q).state_dict(),
    }
    torch.save(content, path)
    return moco


def test_moco_of_the_first_version(path, unsettle):
    """Its head has the right shape, but projects: 128 numbers that are no classes."""
    moco = save_moco(path, unsettle, mlp=False)
    model = read_model(path)
    assert (model.arch, model.format, model.num_classes) == (
        "resnet10_narrow",
        "MoCo checkpoint",
        0,
    )
    assert "the head is MoCo's projection, not a classifier, and was left out" in model.notes
    # the other one is there for those who ask for it
    second = read_model(path, prefix="state_dict/module.encoder_k.")
    for read, encoder, other in (
        (model, moco.encoder_q, moco.encoder_k),
        (second, moco.encoder_k, moco.encoder_q),
    ):
        assert all(torch.equal(encoder.state_dict()[n], t) for n, t in read.state.items())
        assert not torch.equal(other.state_dict()["conv1.weight"], read.state["conv1.weight"])


def test_moco_of_the_second_version_has_no_classifier(path, unsettle):
    moco = save_moco(path, unsettle, mlp=True)
    model = read_model(path)
    assert (model.arch, model.num_classes, model.format) == (
        "resnet10_narrow",
        0,
        "MoCo checkpoint",
    )
    assert not any(name.startswith("fc.") for name in model.state)
    left_out = "the head (module.encoder_q.fc.0.weight, ...) is not one of resnet10_narrow and was"
    assert model.notes == (f"{left_out} left out", ASSUMED)
    with pytest.raises(UserError) as caught:
        model.classifier()
    assert str(caught.value) == (
        "these weights of resnet10_narrow have no classification head (MoCo checkpoint); they can"
        " be a backbone, but not a classifier"
    )
    target = path.with_suffix(".pth")
    done = convert(path, target)
    assert done.num_classes == 0
    assert max(max(stages.values()) for stages in done.differences.values()) <= TOLERANCE
    # back in torchvision's names it is what it was, which is all but the head
    convert(target, path.with_name("back.pth"), to="torchvision")
    fresh = torchvision_network("resnet10_narrow", seed=3)
    state = torch.load(path.with_name("back.pth"), weights_only=True)
    missing = fresh.load_state_dict(state, strict=False)
    assert (missing.missing_keys, missing.unexpected_keys) == (["fc.weight", "fc.bias"], [])
    body = {n: t for n, t in moco.encoder_q.state_dict().items() if not n.startswith("fc.")}
    same_tensors(state, body)


def test_timm_keeps_averaged_weights_beside_the_others(tmp_path, unsettle):
    utils = pytest.importorskip("timm.utils")
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    network = unsettle(timm.create_model("mobilenetv2_100", num_classes=10))
    averaged = utils.ModelEmaV3(network)
    unsettle(averaged.module, seed=1)
    args = argparse.Namespace(model="mobilenetv2_100")  # an object, which timm saves as it is
    saver = utils.CheckpointSaver(
        network,
        torch.optim.SGD(network.parameters(), lr=0.1),
        args=args,
        model_ema=averaged,
        checkpoint_dir=str(tmp_path),
        recovery_dir=str(tmp_path),
    )
    saver.save_checkpoint(0, metric=50.0)
    model = read_model(tmp_path / "last.pth.tar")
    assert (model.arch, model.format) == ("mobilenet_v2", "state dict in timm's names")
    assert difference(model, own_logits(averaged.module)) <= LIMIT
    assert difference(model, own_logits(network)) > 0.01
    raw = read_model(tmp_path / "last.pth.tar", prefix="state_dict/")
    assert difference(raw, own_logits(network)) <= LIMIT


def test_torchvision_keeps_averaged_weights_beside_the_others(path, unsettle):
    """As the reference scripts of torchvision do."""
    network = unsettle(torchvision_network("resnet10_narrow"))
    averaged = torch.optim.swa_utils.AveragedModel(network)
    unsettle(averaged.module, seed=1)
    torch.save(
        {
            "model": network.state_dict(),
            "optimizer": trained(torchvision_network("resnet10_narrow")).state_dict(),
            "epoch": 1,
            "args": argparse.Namespace(model="resnet10_narrow"),
            "model_ema": averaged.state_dict(),
        },
        path,
    )
    model = read_model(path)
    assert model.format == "checkpoint (model_ema) in torchvision's names"
    assert difference(model, own_logits(averaged.module)) <= LIMIT
    assert difference(model, own_logits(network)) > 0.01


def test_averaged_weights_in_the_same_dictionary(path, unsettle):
    """As Lightning saves a module with a copy of its network."""
    network, averaged = (
        unsettle(torchvision_network("resnet10_narrow"), seed=seed) for seed in (0, 1)
    )
    both = nn.ModuleDict({"model": network, "ema_model": averaged})
    torch.save({"state_dict": both.state_dict(), "global_step": 9}, path)
    assert difference(read_model(path), own_logits(averaged)) <= LIMIT
    raw = read_model(path, prefix="state_dict/model.")
    assert difference(raw, own_logits(network)) <= LIMIT


# --- the project's own files --------------------------------------------------------------------


@pytest.mark.parametrize("with_ema", [False, True])
def test_a_checkpoint_of_pretraining(path, unsettle, with_ema):
    mean, std = (0.41, 0.52, 0.63), (0.21, 0.25, 0.3)
    network, averaged = (
        unsettle(build_classifier("resnet10_narrow", 4, mean, std), seed) for seed in (0, 1)
    )
    card = ModelCard("resnet10_narrow", "linf", 4 / 255, mean, std, 48, ("a", "b", "c", "d"))
    content = {"format": FORMAT, "meta": card.plain(), "model": network.body.state_dict()}
    if with_ema:
        content["ema"] = averaged.body.state_dict()
    torch.save(content, path)
    model = read_model(path)
    assert (model.format, model.notes) == ("checkpoint of tools/pretrain.py", ())
    assert (model.arch, model.norm, model.eps) == ("resnet10_narrow", "linf", 4 / 255)
    assert (model.mean, model.std, model.image_size) == (mean, std, 48)
    assert model.classes == ("a", "b", "c", "d")
    used, other = (averaged, network) if with_ema else (network, averaged)
    with torch.no_grad():
        assert difference(model, used(pictures())) <= LIMIT
        assert difference(model, other(pictures())) > 0.01


def test_a_converted_backbone_is_still_the_classifier(classifier_file, backbone_file):
    source, model = read_model(classifier_file), read_model(backbone_file)
    assert (model.format, model.notes) == ("converted backbone", ())
    assert (model.arch, model.norm, model.eps) == ("resnet10_narrow", "l2", 0.5)
    assert (model.classes, model.image_size) == (source.classes, 48)
    assert model.mean == pytest.approx(source.mean, abs=1e-9)
    same_tensors(dict(model.state), dict(source.state))
    with torch.no_grad():
        assert difference(model, source.classifier()(pictures())) <= LIMIT


def test_a_safetensors_file_carries_its_card(path, classifier_file):
    target = path.with_suffix(".safetensors")
    done = convert(classifier_file, target, to="torchvision")
    model = read_model(target)
    assert (model.format, model.notes) == ("converted state dict", ())
    assert (model.arch, model.norm, model.eps) == ("resnet10_narrow", "l2", 0.5)
    assert (model.classes, model.image_size) == (("a", "b", "c", "d"), 48)
    assert model.mean == pytest.approx((0.41, 0.52, 0.63), abs=1e-9)
    assert model.std == pytest.approx((0.21, 0.25, 0.3), abs=1e-9)
    same_tensors(dict(model.state), dict(read_model(classifier_file).state))
    again = convert(target, path.with_suffix(".pth"))
    assert again.card.pixel_mean == pytest.approx(done.card.pixel_mean, abs=1e-9)
    save_file(load_file(target), target, {**safe_open(target, "pt").metadata(), "eps": "half"})
    with pytest.raises(UserError, match="has a damaged description; convert again"):
        read_model(target)


def test_a_detector_carries_its_card(tmp_path, write_config, backbone_file):
    from detectron2.modeling import build_model

    cfg, card = load_config(str(write_config()))
    detector = build_model(cfg)
    checkpointer = RobustCheckpointer(detector, str(tmp_path), card=card)
    checkpointer.resume_or_load(str(backbone_file), resume=False)
    with torch.no_grad():  # as if it had been fine-tuned
        for parameter in detector.backbone.bottom_up.parameters():
            parameter.mul_(1.01)
    checkpointer.save("model_final", iteration=5)
    model = read_model(tmp_path / "model_final.pth")
    assert (model.format, model.num_classes, model.classes) == ("detector", 0, ())
    assert (model.arch, model.norm, model.eps, model.image_size) == (
        "resnet10_narrow",
        "l2",
        0.5,
        48,
    )
    assert model.mean == pytest.approx((0.41, 0.52, 0.63), abs=1e-9)
    same_features(detector.backbone.bottom_up, model)
    done = convert(tmp_path / "model_final.pth", tmp_path / "again.pth")
    assert done.card.source_format == "detector" and done.card.eps == 0.5


@torch.no_grad()
def same_features(bottom_up, model):
    """Compare the features of a Detectron2 network with those of torchvision's."""
    nodes = {stage.node: stage.name for stage in get_architecture(model.arch).stages}
    images = normalize(pictures(), *IMAGENET)
    expected = bottom_up.eval()(images)
    got = create_feature_extractor(model.body(), nodes)(images)
    assert got.keys() <= expected.keys() and len(got) == 4
    for stage, features in got.items():
        worst = (features - expected[stage]).abs().max() / expected[stage].abs().max()
        assert worst <= LIMIT, stage


# --- Detectron2's own files ---------------------------------------------------------------------


def write_as_detectron2_does(state, path):
    """What tools/convert-torchvision-to-d2.py of Detectron2 does, which its package lacks."""
    model = {}
    for name, tensor in state.items():
        if "layer" not in name:
            name = "stem." + name
        for t in (1, 2, 3, 4):
            name = name.replace(f"layer{t}", f"res{t + 1}")
        for t in (1, 2, 3):
            name = name.replace(f"bn{t}", f"conv{t}.norm")
        name = name.replace("downsample.0", "shortcut").replace("downsample.1", "shortcut.norm")
        model[name] = tensor.detach().numpy()
    assert all(isinstance(value, np.ndarray) for value in model.values())
    with open(path, "wb") as file:
        pickle.dump(
            {"model": model, "__author__": "torchvision", "matching_heuristics": True}, file
        )


@pytest.mark.parametrize("arch", ["resnet18", "resnet10_narrow"])
def test_a_pickle_of_detectron2(path, unsettle, arch):
    network = unsettle(torchvision_network(arch))
    path = path.with_suffix(".pkl")
    write_as_detectron2_does(network.state_dict(), path)
    model = read_model(path)
    assert (model.arch, model.num_classes) == (arch, 10)
    assert (model.format, model.notes) == ("Detectron2 weights", (ASSUMED,))
    assert difference(model, own_logits(network)) <= LIMIT
    target = path.with_suffix(".pth")
    convert(path, target, to="torchvision")
    state = torch.load(target, weights_only=True)
    assert list(state) == list(network.state_dict())
    same_tensors(state, network.state_dict())
    torchvision_network(arch, seed=1).load_state_dict(state)


def test_a_detector_of_stock_detectron2(tmp_path, unsettle):
    from detectron2.checkpoint import DetectionCheckpointer
    from detectron2.config import get_cfg
    from detectron2.layers import FrozenBatchNorm2d
    from detectron2.modeling import build_model
    from detectron2.solver import build_lr_scheduler, build_optimizer

    cfg = get_cfg()
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.META_ARCHITECTURE = "RetinaNet"
    cfg.MODEL.BACKBONE.NAME = "build_retinanet_resnet_fpn_backbone"
    cfg.MODEL.RESNETS.DEPTH = 18
    cfg.MODEL.RESNETS.RES2_OUT_CHANNELS = 64
    cfg.MODEL.RESNETS.OUT_FEATURES = ["res2", "res3", "res4", "res5"]
    cfg.MODEL.RESNETS.NORM = "BN"
    cfg.MODEL.FPN.IN_FEATURES = ["res3", "res4", "res5"]
    cfg.MODEL.FPN.OUT_CHANNELS = 16
    cfg.MODEL.RETINANET.IN_FEATURES = ["p3", "p4", "p5", "p6", "p7"]
    cfg.MODEL.RETINANET.NUM_CONVS = 1
    detector = build_model(cfg)
    # FREEZE_AT is 2: the first norms have no counters, the others do
    frozen = [m for m in detector.modules() if isinstance(m, FrozenBatchNorm2d)]
    assert len(frozen) == 5
    for norm in frozen:
        norm.weight.uniform_(0.5, 1.5)
        norm.running_mean.uniform_(-0.5, 0.5)
    unsettle(detector.backbone.bottom_up)
    optimizer = build_optimizer(cfg, detector)
    checkpointer = DetectionCheckpointer(
        detector,
        str(tmp_path),
        optimizer=optimizer,
        scheduler=build_lr_scheduler(cfg, optimizer),
    )
    checkpointer.save("model_final", iteration=7)
    model = read_model(tmp_path / "model_final.pth")
    assert (model.arch, model.num_classes) == ("resnet18", 0)
    assert model.format == "Detectron2 weights"
    assert model.notes[0] == ASSUMED
    # what no tensor shows: others of Detectron2's networks stride elsewhere and take BGR images
    assert "3x3" in model.notes[1] and "RGB" in model.notes[1]
    with pytest.raises(UserError, match="have no classification head"):
        model.classifier()
    same_features(detector.backbone.bottom_up, model)


# --- and back again -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arch", ["resnet18", "resnet50", "mobilenet_v2", "mnasnet1_0", "shufflenet_v2_x1_0"]
)
def test_to_detectron2_and_back_is_exact(path, unsettle, arch):
    build = getattr(tv, arch)
    network = unsettle(build(num_classes=10))
    there, back = path.with_name("there.pth"), path.with_name("back.pth")
    torch.save(network.state_dict(), path)
    convert(path, there)
    done = convert(there, back, to="torchvision")
    assert (done.format, done.num_classes) == ("converted backbone", 10)
    state, expected = torch.load(back, weights_only=True), network.state_dict()
    assert list(state) == list(expected)
    same_tensors(state, expected)
    # torchvision's own networks take it, and MNASNet looks at the version beside the tensors
    fresh = build(num_classes=10)
    fresh.load_state_dict(state)
    assert torch.equal(own_logits(fresh), own_logits(network))


def test_the_way_back_ends_in_safetensors_as_well(path, unsettle):
    network = unsettle(tv.resnet18(num_classes=10))
    there, back = path.with_name("there.pth"), path.with_name("back.safetensors")
    save_file(network.state_dict(), path)
    convert(path, there)
    convert(there, back, to="torchvision")
    same_tensors(load_file(back), network.state_dict())
    assert difference(read_model(back), own_logits(network)) <= LIMIT


@pytest.mark.parametrize(
    "arch, name, suffix",
    [
        ("resnet18", "resnet18", ".safetensors"),
        ("mobilenet_v2", "mobilenetv2_100", ".pth"),
        ("mnasnet1_0", "mnasnet_100", ".bin"),
        ("convnext_tiny", "convnext_tiny", ".safetensors"),
    ],
)
def test_to_timm_by_way_of_detectron2(path, unsettle, arch, name, suffix):
    timm = pytest.importorskip("timm")
    network = unsettle(getattr(tv, arch)(num_classes=10))
    there, target = path.with_name("there.pth"), path.with_name(f"timm{suffix}")
    torch.save(network.state_dict(), path)
    convert(path, there)
    convert(there, target, to="timm")
    state = load_file(target) if suffix == ".safetensors" else torch.load(target, weights_only=True)
    fresh = timm.create_model(name, num_classes=10)
    fresh.load_state_dict(state)
    expected = own_logits(network)
    assert (own_logits(fresh) - expected).abs().max() / expected.abs().max() <= LIMIT
    same_tensors(dict(read_model(target).state), network.state_dict())


def test_a_file_of_detectron2_loads_into_its_own_network(path, unsettle):
    """Stock Detectron2's checkpointer fills its network from our file alone."""
    from detectron2.checkpoint import DetectionCheckpointer

    network = unsettle(tv.resnet18(num_classes=10))
    torch.save(network.state_dict(), path)
    target = path.with_suffix(".pth")
    convert(path, target)
    backbone = build_backbone("resnet18", norm="FrozenBN")
    DetectionCheckpointer(backbone).load(str(target))
    same_features(backbone, read_model(path))
