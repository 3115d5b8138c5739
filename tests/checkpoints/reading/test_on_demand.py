"""Values are read, and their checksums compared, when they are asked for."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch

from robust_det.checkpoints.model_file import read_model
from robust_det.checkpoints.reading import read_file
from robust_det.core.errors import UserError

from .files import checkpoint, damage, write


def test_a_damaged_optimiser_does_not_matter_to_the_network(path: Path) -> None:
    content = checkpoint()
    write(path, content)
    last = len(content["state_dict"])  # storages are numbered as they come
    damage(path, f"data/{last}")
    model = read_model(path)
    assert torch.equal(model.state["conv1.weight"], content["state_dict"]["conv1.weight"])
    momentum = read_file(path).value["optimizer"]["state"][0]["momentum_buffer"]
    assert momentum.shape == (1000,)
    with pytest.raises(Exception, match="checksum"):
        momentum.load()


def test_a_damaged_weight_is_named(path: Path) -> None:
    write(path, checkpoint())
    damage(path, "data/0")
    with pytest.raises(UserError, match=r"truncated or damaged at tensor conv1\.weight"):
        read_model(path)
    damage(path, "data/0")
    assert read_model(path).arch == "resnet10_narrow"


def test_a_damaged_description_of_the_tensors_is_found(path: Path) -> None:
    write(path, checkpoint())
    damage(path, "data.pkl")
    with pytest.raises(UserError, match="truncated or not a checkpoint"):
        read_file(path)


@pytest.mark.skipif(
    not hasattr(torch.serialization, "set_crc32_options"), reason="this torch always writes them"
)
def test_a_file_without_checksums(path: Path) -> None:
    content = checkpoint()
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        write(path, content)
    finally:
        torch.serialization.set_crc32_options(before)
    model = read_model(path)
    assert all(torch.equal(model.state[n], t) for n, t in content["state_dict"].items())


def test_a_file_of_the_other_byte_order_is_refused(path: Path) -> None:
    write(path, {"w": torch.ones(2)})
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    order = next(name for name in entries if name.endswith("byteorder"))
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, b"big" if name == order else data)
    with pytest.raises(UserError, match=r"written on a big-endian machine; save it again"):
        read_file(path)
