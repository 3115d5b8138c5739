"""What commands are told to write: nothing that is there goes unasked, by one process at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from robust_det.core.errors import UserError
from robust_det.core.outputs import new_file, require_new


def test_what_is_there_is_replaced_if_that_is_asked_for(tmp_path: Path) -> None:
    path, beside = tmp_path / "a.pth", tmp_path / "a.json"
    for there in (path, beside):
        there.write_text("precious")
        with (
            pytest.raises(UserError, match=f"{there.name} exists; --overwrite replaces it"),
            new_file(path, beside=[beside]),
        ):
            raise AssertionError
        with new_file(path, True, beside=[beside]):
            assert there.read_text() == "precious"
        there.unlink()
    beside.symlink_to(tmp_path / "nowhere")  # which would be written through
    with pytest.raises(UserError, match="exists"):
        require_new([beside])
    with pytest.raises(UserError, match="is a folder; give a file to write"):
        require_new([tmp_path], overwrite=True)


def test_what_is_read_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    path.touch()
    (tmp_path / "link.pth").symlink_to(path)
    with pytest.raises(UserError, match=r"link\.pth is read, and would be replaced"):
        require_new([tmp_path / "link.pth"], overwrite=True, inputs=[path])


def test_a_file_has_one_writer(tmp_path: Path) -> None:
    path = tmp_path / "made/a.pth"
    (tmp_path / "link.pth").symlink_to(path)
    with new_file(path):
        with (
            pytest.raises(UserError, match=r"this process is at work on .*a\.pth already"),
            new_file(tmp_path / "link.pth", overwrite=True),
        ):
            raise AssertionError
        with new_file(tmp_path / "made/b.pth"):  # beside it
            pass
    assert not path.parent.exists()
