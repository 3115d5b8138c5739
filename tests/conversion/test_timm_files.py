"""Files of timm's networks: there and back, and what they are not."""

from pathlib import Path
from typing import Any

import pytest
import torch

from robust_det import load_backbone, load_classifier
from robust_det.checkpoints.io import load_checkpoint
from robust_det.checkpoints.model_file import read_model
from robust_det.conversion.convert import convert
from robust_det.core.errors import UserError
from tests.support.timm_networks import features_of_timm, unsettled

timm = pytest.importorskip("timm")

NAME, ARCH = "resnetblur18", "timm:resnetblur18"


@pytest.fixture(scope="module")
def network() -> Any:
    torch.manual_seed(0)
    return unsettled(timm.create_model(NAME, num_classes=7))


@pytest.fixture
def file(tmp_path: Path, network: Any) -> Path:
    torch.save({"state_dict": network.state_dict()}, tmp_path / "in.pth")
    return tmp_path / "in.pth"


def test_there_and_back(file: Path, network: Any) -> None:
    there, back = file.with_name("there.pth"), file.with_name("back.safetensors")
    done = convert(file, there, arch=ARCH, norm="l2", eps=3)
    assert done.format == "state dict in timm's names"
    for differences in done.differences.values():
        assert 0 <= max(differences.values()) < 1e-4
    assert load_checkpoint(there)["robust_det"]["arch"] == ARCH
    # it says what it is from now on
    assert convert(there, back, to="timm").card.arch == ARCH
    fresh = timm.create_model(NAME, num_classes=7, checkpoint_path=str(back))
    state = network.state_dict()
    for name, tensor in fresh.state_dict().items():
        assert torch.equal(tensor, state[name])
    images = torch.rand(2, 3, 75, 101)
    classifier, backbone = load_classifier(there), load_backbone(there)
    with torch.no_grad():
        x = classifier.normalize(images)
        assert torch.allclose(classifier(images), network(x), atol=1e-5)
        expected = features_of_timm(NAME, state)(x)
        for stage, features in backbone(x).items():
            assert (features - expected[stage]).abs().max() < 1e-4 * expected[stage].abs().max()
    with pytest.raises(UserError, match="no names of torchvision are known for timm:resnetblur18;"):
        convert(there, file.with_name("out.pth"), to="torchvision")


def test_what_a_file_is_not(file: Path, network: Any) -> None:
    out = file.with_name("out.pth")
    # resnet18 has the same tensors: the file leaves it open, and --arch says it
    assert read_model(file).arch == "resnet18"
    said = {"arch": NAME, "state_dict": network.state_dict()}
    torch.save(said, file.with_name("said.pth"))
    with pytest.raises(UserError, match=r"or what it says with --arch timm:resnetblur18$"):
        read_model(file.with_name("said.pth"))
    with pytest.raises(UserError, match="holds a resnet18, not a timm:test_resnet; leave --arch o"):
        convert(file, out, arch="timm:test_resnet")
    other = timm.create_model("test_resnet", num_classes=7).state_dict()
    torch.save(other, file)
    with pytest.raises(UserError, match="tensors that are not those of a timm:resnetblur18: conv1"):
        convert(file, out, arch=ARCH)
    with pytest.raises(UserError, match="say --arch timm:NAME if it is timm's, or register this"):
        convert(file, out)
    torch.save({**network.state_dict(), "fc.bias": torch.full((7,), torch.nan)}, file)
    with pytest.raises(UserError, match=r"is damaged or diverged: 7 of 7 values of fc.bias are N"):
        convert(file, out, arch=ARCH)
    assert not out.exists()


def test_a_network_of_attention_is_read_as_a_classifier(tmp_path: Path) -> None:
    network = unsettled(timm.create_model("test_vit", num_classes=7))
    file = tmp_path / "in.pth"
    torch.save(network.state_dict(), file)
    with pytest.raises(
        UserError, match=r"is a network of attention \(.*or say --arch timm:NAME to"
    ):
        load_classifier(file)
    classifier = load_classifier(file, arch="timm:test_vit")
    assert classifier.card.image_size == 160
    images = torch.rand(2, 3, 160, 160)
    with torch.no_grad():
        expected = network(classifier.normalize(images))
        assert torch.equal(classifier(images), expected)
    with pytest.raises(UserError, match="timm:test_vit is no backbone: it takes images of 160 px"):
        convert(file, tmp_path / "out.pth", arch="timm:test_vit")


def test_a_file_that_says_what_timm_does_not_have(file: Path) -> None:
    there = file.with_name("there.pth")
    convert(file, there, arch=ARCH)
    content = load_checkpoint(there)
    content["robust_det"]["arch"] = "timm:unheard_of"
    torch.save(content, there)
    with pytest.raises(
        UserError, match="says that it is a timm:unheard_of: timm has no network 'u"
    ):
        read_model(there)
