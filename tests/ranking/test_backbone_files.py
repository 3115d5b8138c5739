from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from robust_det.conversion.convert import convert
from robust_det.core.errors import UserError
from robust_det.core.files import sha256_file
from robust_det.zoo.backbone_files import find_backbones


def names(*patterns: object) -> list[str]:
    return [file.name for file in find_backbones([*map(str, patterns)])[0]]


def test_files_and_globs_of_files(backbones: Path) -> None:
    assert names(backbones / "eps*.pth") == ["eps0_a", "eps0_b", "eps1", "eps3"]
    assert names(backbones / "eps[13].pth", backbones / "eps0_a.pth") == ["eps1", "eps3", "eps0_a"]
    [file] = find_backbones([str(backbones / "eps3.pth")])[0]
    assert (file.card.arch, file.card.norm, file.card.eps) == ("resnet10_narrow", "l2", 3.0)
    assert file.sha256 == sha256_file(file.path)


def test_names_and_globs_of_names(
    backbones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROBUST_DET_BACKBONES", str(tmp_path))
    monkeypatch.chdir(backbones)  # whose files have suffixes, and are none of these names
    for name in ("eps0_a", "eps1", "eps3"):
        convert(backbones / f"{name}.pth", tmp_path / f"mine_{name}.pth")
    assert names("mine_eps*") == ["mine_eps0_a", "mine_eps1", "mine_eps3"]
    assert names("robust://mine_eps[13]", "mine_eps1") == ["mine_eps1", "mine_eps3"]
    assert names("robust://mine_eps3") == ["mine_eps3"]


def test_a_copy_counts_once_and_is_said(backbones: Path, tmp_path: Path) -> None:
    copy = shutil.copy(backbones / "eps1.pth", tmp_path / "copy.pth")
    first = backbones / "eps1.pth"
    files, notes = find_backbones([str(first), str(copy), str(backbones / "eps*.pth")])
    assert [file.name for file in files] == ["eps1", "eps0_a", "eps0_b", "eps3"]
    assert notes == [f"{copy} has the weights of {first}, and counts once."]


def test_a_classifier_and_its_conversion_are_one(backbones: Path, tmp_path: Path) -> None:
    converted = tmp_path / "converted.pth"
    convert(backbones / "eps0_b.pth", converted)
    [alone] = find_backbones([str(converted)])[0]
    assert alone.origin == sha256_file(backbones / "eps0_b.pth") != alone.sha256
    files, notes = find_backbones([str(backbones / "eps*.pth"), str(converted)])
    assert files[1].origin == files[1].sha256 == alone.origin
    assert [file.name for file in files] == ["eps0_a", "eps0_b", "eps1", "eps3"]
    assert notes == [f"{converted} has the weights of {backbones / 'eps0_b.pth'}, and counts once."]


def test_files_that_are_called_alike_are_told_apart(
    backbones: Path, tmp_path: Path, write_backbone: Callable[..., Path]
) -> None:
    other = write_backbone(tmp_path / "eps1.pth", 2.0, 5)
    found = names(backbones / "eps1.pth", other, backbones / "eps3.pth")
    assert found[2] == "eps3" and len({*found}) == 3
    assert found[1] == f"{tmp_path.name}/eps1 ({sha256_file(other)[:8]})"


def test_a_name_with_brackets_in_it_is_the_file(
    tmp_path: Path, write_backbone: Callable[..., Path]
) -> None:
    path = write_backbone(tmp_path / "seed[1].pth")
    write_backbone(tmp_path / "seed1.pth", 1.0)
    assert names(path) == ["seed[1]"]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("{}/none*.pth", r"no file and no backbone's name matches '.*none\*\.pth'; robust-det zoo"),
        ("robust://none*", r"no file and no backbone's name matches 'robust://none\*'"),
        ("{}", r"is a folder; give the files in it, as '.*/\*\.pth'"),
        ("{}/eps2.pth", r"no backbone at .*eps2\.pth; did you mean"),
        ("{}/text.pth", r"^.*text\.pth "),
    ],
)
def test_what_means_nothing_is_refused(pattern: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "eps1.pth").write_bytes(b"")
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(UserError, match=message):
        find_backbones([pattern.format(tmp_path)])
