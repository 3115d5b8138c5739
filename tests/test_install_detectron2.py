"""The installer refuses what it should, without the network."""

import hashlib
import io
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from robust_det.commands.setup import install_detectron2
from robust_det.core.errors import UserError

TOOL = Path(__file__).parents[1] / "tools" / "install_detectron2.py"


@pytest.fixture
def tool() -> Any:
    return install_detectron2


def archive_of(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for member in members:
            data = b"text" if member.isfile() else b""
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def link(name: str, target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


def test_another_checksum_is_refused_in_one_line(tmp_path: Path, tool: Any) -> None:
    archive = archive_of(tmp_path / "d.tar.gz", tarfile.TarInfo("top/setup.py"))
    command = [sys.executable, str(TOOL), "--force", "--archive", str(archive)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert hashlib.sha256(archive.read_bytes()).hexdigest() in line and tool.SHA256 in line


def test_a_missing_archive_is_refused_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, str(TOOL), "--force", "--archive", str(tmp_path / "no.tar.gz")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "No such file" in done.stderr


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (tarfile.TarInfo("top/../../evil.py"), "leads out of it"),
        (tarfile.TarInfo("/evil.py"), "leads out of it"),
        (link("top/evil", "/etc"), "is a link or a device"),
    ],
    ids=["dots", "absolute", "link"],
)
def test_a_member_that_leaves_the_folder_is_refused(
    tmp_path: Path, tool: Any, member: Any, reason: str
) -> None:
    archive = archive_of(tmp_path / "d.tar.gz", tarfile.TarInfo("top/fine.py"), member)
    target = tmp_path / "a" / "b"
    with pytest.raises(UserError, match=reason):
        tool.extract(archive, target)
    assert [p.name for p in tmp_path.rglob("*.py")] == []


def test_an_honest_archive_is_unpacked(tmp_path: Path, tool: Any) -> None:
    archive = archive_of(tmp_path / "d.tar.gz", tarfile.TarInfo("top/fine.py"))
    folder = tool.extract(archive, tmp_path / "out")
    assert folder == tmp_path / "out" / "top"
    assert (folder / "fine.py").read_text() == "text"


def test_a_cut_archive_is_refused(tmp_path: Path, tool: Any) -> None:
    archive = archive_of(tmp_path / "d.tar.gz", tarfile.TarInfo("top/fine.py"))
    archive.write_bytes(archive.read_bytes()[:40])
    with pytest.raises(UserError, match="cannot unpack"):
        tool.extract(archive, tmp_path / "out")


def test_a_failing_command_ends_in_its_own_error(tool: Any) -> None:
    code = "import sys; print('much talk'); sys.exit('ERROR: no such thing')"
    with pytest.raises(UserError, match=r"^cannot try: ERROR: no such thing$"):
        tool.run([sys.executable, "-c", code], "try")


def test_an_installed_detectron2_is_kept() -> None:
    done = subprocess.run([sys.executable, str(TOOL)], capture_output=True, text=True)
    assert done.returncode == 0
    assert "already installed; nothing to do" in done.stdout
