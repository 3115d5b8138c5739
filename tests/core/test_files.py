from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO

import pytest

from robust_det.core.errors import UserError
from robust_det.core.files import remove_leftovers, write_atomically
from tests.support import run_python


def test_writes_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.bin"
    for content in (b"first", b"second"):

        def write(file: IO[bytes], content: bytes = content) -> None:
            file.write(content)

        write_atomically(path, write)
        assert path.read_bytes() == content
    assert os.listdir(path.parent) == ["file.bin"]
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_a_failing_writer_leaves_everything_as_it_was(tmp_path: Path, error: Exception) -> None:
    path = tmp_path / "file"
    path.write_text("before")

    def fail(file: IO[bytes]) -> None:
        file.write(b"half")
        raise error

    with pytest.raises(type(error)):
        write_atomically(path, fail)
    assert path.read_text() == "before" and os.listdir(tmp_path) == ["file"]


def test_a_full_disk_is_a_user_error(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("before")
    code = f"""
import resource, torch
from robust_det.checkpoints.io import save_checkpoint
from robust_det.core.errors import UserError
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
try:
    save_checkpoint({str(path)!r}, {{"w": torch.rand(100000)}})
except UserError as error:
    print(error)
"""
    done = run_python(code)
    assert done.out.startswith(f"cannot write {path}: File too large; the previous file is kept")
    assert (done.code, done.err) == (0, "")
    assert path.read_text() == "before" and os.listdir(tmp_path) == ["file"]


def test_a_path_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        write_atomically(tmp_path / "file" / "below", lambda file: file.write(b""))


def test_leftovers_of_a_killed_writer_are_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in (".a[1].pth.xy.tmp", ".b.pth.xy.tmp", "a[1].pth", ".a1.pth.xy.tmp"):
        (tmp_path / name).write_text("")
    remove_leftovers(tmp_path / "a[1].pth")
    assert sorted(os.listdir(tmp_path)) == [".a1.pth.xy.tmp", ".b.pth.xy.tmp", "a[1].pth"]


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_and_what_it_points_to_is_written(tmp_path: Path, there: bool) -> None:
    real, link, outer = (tmp_path / name for name in ("disk/file", "links/link", "outer"))
    link.parent.mkdir()
    link.symlink_to("../disk/file")
    outer.symlink_to(link)
    if there:
        real.parent.mkdir()
        real.write_text("before")
    write_atomically(outer, lambda file: file.write(b"after"))
    assert real.read_text() == "after" and not real.is_symlink()
    assert link.readlink() == Path("../disk/file") and outer.readlink() == link
    # the temporary file lay beside the real one, and so do those of a killed writer
    assert os.listdir(link.parent) == ["link"] and os.listdir(real.parent) == ["file"]
    (real.parent / ".file.xy.tmp").write_text("")
    remove_leftovers(outer)
    assert os.listdir(real.parent) == ["file"]


def test_a_pipe_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(UserError, match=f"^cannot write {pipe}: it is a device or a pipe; give a"):
        write_atomically(pipe, lambda file: file.write(b""))
    assert pipe.is_fifo() and os.listdir(tmp_path) == ["pipe"]
