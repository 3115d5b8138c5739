"""Features that were kept: read if whole and of the same key, told of and made anew if not."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from robust_det.classification.image_sets import CorruptImageError
from robust_det.core import files
from robust_det.core.errors import FileError
from robust_det.core.locks import sole_writer
from robust_det.data.transfer.manifest import Entry
from robust_det.transfer.features.cache import (
    FeatureKey,
    _checksum,
    _read,
    cached_features,
    images_digest,
)
from robust_det.transfer.features.extraction import Features

KEY = FeatureKey("a" * 64, "b" * 64, {"resize": 36, "size": 32, "mean": [0.5, 0.5, 0.5]})


class Extraction:
    """Counts how often features are computed."""

    def __init__(self, corrupt: tuple[str, ...] = ()) -> None:
        noise = torch.Generator().manual_seed(0)
        values = torch.randn(6, 4, generator=noise)
        self.features = Features(values, torch.arange(6) % 3, torch.arange(6) * 2, corrupt)
        self.runs = 0

    def __call__(self) -> Features:
        self.runs += 1
        return self.features


@pytest.fixture
def extraction() -> Extraction:
    return Extraction()


@pytest.fixture
def kept(extraction: Extraction, tmp_path: Path) -> Path:
    """The file of features that were computed once."""
    cached_features(KEY, extraction, tmp_path)
    (path,) = tmp_path.glob("*.safetensors")
    assert path == tmp_path / f"{KEY.digest}.safetensors"
    return path


def files_in(folder: Path) -> list[Path]:
    """Return the files of a folder, but for locks."""
    return [path for path in sorted(folder.iterdir()) if path.suffix != ".lock"]


def same(a: Features, b: Features) -> bool:
    tensors = [f.name for f in dataclasses.fields(Features) if f.name != "corrupt"]
    equal = all(torch.equal(getattr(a, name), getattr(b, name)) for name in tensors)
    return equal and a.corrupt == b.corrupt


def made_anew(path: Path, extraction: Extraction, caplog: pytest.LogCaptureFixture) -> str:
    """Assert that a file is told of, and replaced; return what was said."""
    caplog.clear()
    runs = extraction.runs
    with caplog.at_level(logging.WARNING):
        assert same(cached_features(KEY, extraction, path.parent), extraction.features)
    assert extraction.runs == runs + 1
    (record,) = caplog.records
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert same(cached_features(KEY, extraction, path.parent), extraction.features)
    assert extraction.runs == runs + 1 and not caplog.records
    assert files_in(path.parent) == [path]
    return record.message


def test_features_are_computed_once_and_it_is_said_where_they_are(
    extraction: Extraction, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        found = [cached_features(KEY, extraction, tmp_path) for _ in range(3)]
    assert extraction.runs == 1 and all(same(one, extraction.features) for one in found)
    path = tmp_path / f"{KEY.digest}.safetensors"
    said = [record.message for record in caplog.records]
    assert said[0] == f"features of 6 images extracted, cached in {path}"
    assert said[1:] == [f"features of 6 images from the cache {path}"] * 2
    # others can read it
    assert torch.equal(load_file(path)["values"], extraction.features.values)


def test_the_folder_is_in_the_cache_folder(
    extraction: Extraction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROBUST_DET_CACHE", str(tmp_path))
    cached_features(KEY, extraction)
    assert (tmp_path / "features" / f"{KEY.digest}.safetensors").is_file()


@pytest.mark.parametrize(
    "change",
    [
        {"weights_sha256": "c" * 64},
        {"images": "c" * 64},
        {"transform": {**KEY.transform, "size": 31}},  # type: ignore[dict-item]
        {"transform": "as usual"},
        {"precision": "bf16"},
        {"extractor": 99},
    ],
)
def test_each_part_of_the_key_makes_another_file(
    extraction: Extraction, kept: Path, change: dict[str, Any]
) -> None:
    cached_features(dataclasses.replace(KEY, **change), extraction, kept.parent)
    assert extraction.runs == 2 and len(files_in(kept.parent)) == 2


def test_the_digest_is_that_of_the_canonical_json() -> None:
    transform = {"mean": (0.5, 0.5, 0.5), "size": 32, "resize": 36}  # another order, a tuple
    assert dataclasses.replace(KEY, transform=transform).digest == KEY.digest
    parts = json.loads(KEY.json)
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    assert hashlib.sha256(text.encode()).hexdigest() == KEY.digest
    assert parts["weights_sha256"] == "a" * 64 and parts["transform"]["resize"] == 36


def test_a_cache_of_other_weights_is_told_by_its_hash(
    extraction: Extraction, kept: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = dataclasses.replace(KEY, weights_sha256="c" * 64)
    cached_features(other, Extraction(), kept.parent)
    (kept.parent / f"{other.digest}.safetensors").replace(kept)
    said = made_anew(kept, extraction, caplog)
    assert "it holds features of other weights (cccccccccccc..., not aaaaaaaaaaaa...);" in said
    assert str(kept) in said


def test_a_cache_of_other_sizes_is_told(
    extraction: Extraction, kept: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = dataclasses.replace(KEY, transform={"resize": 40})
    cached_features(other, Extraction(), kept.parent)
    (kept.parent / f"{other.digest}.safetensors").replace(kept)
    assert "other sizes or normalisation" in made_anew(kept, extraction, caplog)


@pytest.mark.parametrize("share", [0.0, 0.005, 0.3, 0.9, 0.999])
def test_a_file_that_was_cut_off_is_made_anew(
    share: float, extraction: Extraction, kept: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = kept.read_bytes()
    kept.write_bytes(content[: int(share * len(content))])
    assert "it is damaged or cut off" in made_anew(kept, extraction, caplog)


@pytest.mark.parametrize(
    "content", [b"garbage" * 99, b"\x80\x04K\x01.", b"\xff" * 500, b"\0" * 500]
)
def test_garbage_is_made_anew(
    content: bytes, extraction: Extraction, kept: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept.write_bytes(content)
    assert "it is damaged or cut off" in made_anew(kept, extraction, caplog)


def test_no_flipped_bit_goes_unseen(kept: Path) -> None:
    whole = kept.read_bytes()
    for place in range(0, len(whole), 3):
        content = bytearray(whole)
        content[place] ^= 1 << place % 8
        kept.write_bytes(content)
        with pytest.raises(FileError):
            _read(kept, KEY)


@pytest.mark.parametrize(
    "change",
    [
        {"values": torch.full((6, 4), torch.nan)},
        {"values": torch.zeros(6, 4, dtype=torch.float64)},
        {"values": torch.zeros(5, 4)},
        {"values": torch.zeros(24)},
        {"targets": torch.arange(6).int()},
        {"targets": torch.arange(6) - 1},
        {"indices": torch.arange(6).flip(0)},
        {"more": torch.zeros(1)},
    ],
)
def test_what_features_cannot_be_is_made_anew(
    change: dict[str, torch.Tensor],
    extraction: Extraction,
    kept: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    tensors = {**load_file(kept), **change}
    # whoever wrote it did so with care
    metadata = {"key": KEY.json, "corrupt": "[]", "sha256": _checksum(tensors, "[]")}
    save_file(tensors, kept, metadata)
    assert "it is damaged or cut off" in made_anew(kept, extraction, caplog)


def test_a_folder_in_its_place_is_no_end(
    extraction: Extraction, kept: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept.unlink()
    kept.mkdir()
    with caplog.at_level(logging.WARNING):
        assert same(cached_features(KEY, extraction, kept.parent), extraction.features)
    said = [record.message for record in caplog.records]
    assert len(said) == 2 and "is a folder, not a file" in said[0] and "not cached" in said[1]


class FullDisk:
    """A file that takes so many bytes."""

    def __init__(self, file: Any, room: int) -> None:
        self.file, self.room = file, room

    def write(self, data: bytes) -> int:
        if len(data) > self.room:
            self.file.write(data[: self.room])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return int(self.file.write(data))


def test_a_full_disk_is_a_warning_and_leaves_nothing(
    extraction: Extraction,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    guarded: Callable[[Any], Any] = files._Guarded
    monkeypatch.setattr(files, "_Guarded", lambda file: guarded(FullDisk(file, 100)))
    with caplog.at_level(logging.WARNING):
        assert same(cached_features(KEY, extraction, tmp_path / "new"), extraction.features)
    (record,) = caplog.records
    assert "features of 6 images are not cached: cannot write" in record.message
    assert "No space left on device" in record.message
    assert not files_in(tmp_path / "new")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_a_warning(
    extraction: Extraction, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tmp_path.chmod(0o500)
    with caplog.at_level(logging.WARNING):
        assert same(cached_features(KEY, extraction, tmp_path), extraction.features)
    tmp_path.chmod(0o700)
    assert "Permission denied" in caplog.records[0].message


def test_a_file_instead_of_the_folder_is_a_warning(
    extraction: Extraction, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = tmp_path / "taken"
    place.write_text("mine")
    with caplog.at_level(logging.WARNING):
        assert same(cached_features(KEY, extraction, place), extraction.features)
    assert "not cached: cannot make folder" in caplog.records[-1].message
    assert place.read_text() == "mine"


def test_while_another_one_writes_the_same_nothing_is_written(
    extraction: Extraction, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    name = f"{KEY.digest}.safetensors"
    theirs = tmp_path / f".{name}.abc.tmp"
    theirs.write_bytes(b"half")
    with sole_writer(tmp_path, name), caplog.at_level(logging.WARNING):
        assert same(cached_features(KEY, extraction, tmp_path), extraction.features)
    assert files_in(tmp_path) == [theirs]
    assert "not cached: this process is at work on" in caplog.records[0].message


def test_what_a_killed_writer_left_goes(
    extraction: Extraction, kept: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept.unlink()
    (kept.parent / f".{kept.name}.abc.tmp").write_bytes(b"half")
    cached_features(KEY, extraction, kept.parent)
    assert files_in(kept.parent) == [kept]


def test_corrupt_images_are_not_accepted_because_another_run_skipped_them(tmp_path: Path) -> None:
    extraction = Extraction(("/data/x\udcff.jpg (it is empty)",))
    found = [cached_features(KEY, extraction, tmp_path, on_corrupt="skip") for _ in range(2)]
    assert extraction.runs == 1 and all(same(one, extraction.features) for one in found)
    with pytest.raises(CorruptImageError, match="cannot decode /data/x"):
        cached_features(KEY, extraction, tmp_path)


def test_images_are_their_contents_labels_and_order() -> None:
    entries = [Entry(f"{i}.jpg", label, str(i) * 64) for i, label in enumerate("aab")]
    digest = images_digest(entries, ["a", "b"])
    moved = [dataclasses.replace(entry, path=f"x/{entry.path}") for entry in entries]
    assert images_digest(moved, ("a", "b")) == digest and len(digest) == 64
    others = [
        images_digest(entries[::-1], ["a", "b"]),
        images_digest(entries[:2], ["a", "b"]),
        images_digest(entries, ["b", "a"]),
        images_digest([*entries[:2], dataclasses.replace(entries[2], label="a")], ["a", "b"]),
        images_digest([*entries[:2], dataclasses.replace(entries[2], sha256="9" * 64)], ["a", "b"]),
    ]
    assert len({digest, *others}) == 6


def test_who_asks_for_what_another_one_extracts_waits_and_takes_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    extraction, begun, asked = Extraction(), threading.Event(), threading.Event()

    def slow() -> Features:
        begun.set()
        assert asked.wait(30)
        return extraction()

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cached_features, KEY, slow, tmp_path)
        assert begun.wait(30)
        second = pool.submit(cached_features, KEY, extraction, tmp_path)
        while "waiting for another process, which is extracting" not in caplog.text:
            time.sleep(0.01)
        asked.set()
        assert same(first.result(30), second.result(30))
    assert extraction.runs == 1
