from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from robust_det.core.errors import FileError
from robust_det.data.transfer.manifest import Entry, Manifest, read_manifest, write_manifest


def entry(path: str, label: str, number: int) -> Entry:
    return Entry(path, label, f"{number:064x}")


@pytest.fixture
def manifest() -> Manifest:
    return Manifest(
        "folder",
        ("b, c", "a\u2028"),
        (entry("train/ä \n.png", "b, c", 1), entry("\udcff.png", "a\u2028", 2)),
        (),
        (entry('test/".png', "a\u2028", 3),),
        (entry("train/x.png", "b, c", 3),),
        ("one thing", "another"),
    )


def test_it_comes_back_as_it_was_written(manifest: Manifest, tmp_path: Path) -> None:
    path = tmp_path / "new/list.csv"
    write_manifest(manifest, path)
    assert read_manifest(path) == manifest
    first, second, third, *rest = path.read_bytes().split(b"\n")
    assert first == b"# robust-det transfer manifest 1"
    assert manifest.digest.encode() in second and third == b"split,path,label,sha256"
    assert rest[-2].startswith(b"left out,train/x.png,")


def test_the_digest_is_of_what_training_reads(manifest: Manifest) -> None:
    assert len(manifest.digest) == 64
    swapped = replace(manifest, train=manifest.train[::-1])
    assert replace(manifest, notes=()).digest == manifest.digest == swapped.digest
    others = (
        replace(manifest, name="dtd"),
        replace(manifest, classes=manifest.classes[::-1]),
        replace(manifest, val=manifest.train, train=()),
        replace(manifest, test=(replace(manifest.test[0], label="b, c"),)),
        replace(manifest, test=(replace(manifest.test[0], sha256="f" * 64),)),
        replace(manifest, left_out=()),
    )
    assert len({manifest.digest, *(other.digest for other in others)}) == 1 + len(others)


def test_what_was_changed_is_refused(manifest: Manifest, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    write_manifest(manifest, path)
    text = path.read_bytes()

    def said(content: bytes) -> str:
        path.write_bytes(content)
        with pytest.raises(FileError) as raised:
            read_manifest(path)
        return str(raised.value).removeprefix(f"{path} ")

    assert said(text.replace(b"test,", b"train,")).startswith("was changed: its digest")
    assert said(text.replace(b"manifest 1", b"manifest 2")).startswith("is a manifest of version 2")
    assert said(b"path,label\n").startswith("is no manifest of a transfer set")
    assert said(b"").startswith("is no manifest of a transfer set")
    assert said(text[: len(text) // 2]).startswith("is damaged")
    assert said(text.replace(b"train/x.png", b"/etc/x.png")).startswith("has the path /etc/x.png")
    assert said(text.replace(b'test/"".png', b"train.png")).startswith("was changed")
