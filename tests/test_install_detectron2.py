"""The installer refuses what it should, without the network."""

import argparse
import hashlib
import io
import subprocess
import sys
import tarfile
import zipfile
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


def package(folder: Path, *configs: str) -> Path:
    """Write what looks like Detectron2, with these configs in its model zoo."""
    files = {"__init__.py": "__version__ = '0.5'\n", "model_zoo/__init__.py": ""}
    for name, text in {**files, **{f"model_zoo/configs/{name}": "" for name in configs}}.items():
        path = folder / "detectron2" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "detectron2"


def test_the_wheel_has_the_configs_of_the_model_zoo(tmp_path: Path, tool: Any) -> None:
    # in YAML and in Python, which lie in folders that are no packages
    configs = ("Base.yaml", "new/lsj.py", "common/data/coco.py", "COCO/mask.yaml")
    package(tmp_path / "source", *configs, "README.md")
    (tmp_path / "source/setup.py").write_text(
        "from setuptools import find_packages, setup\n"
        "setup(name='other', version='0.5', packages=find_packages(),"
        " install_requires=['black==21.4b2', 'yacs'], ext_modules=[object()])\n"
    )
    wheel = tool.build(tmp_path / "source", tmp_path / "wheels")
    with zipfile.ZipFile(wheel) as file:
        names = {n for n in file.namelist() if n.startswith("detectron2/")}
        (meta,) = (file.read(n).decode() for n in file.namelist() if n.endswith("METADATA"))
    expected = {f"detectron2/model_zoo/configs/{name}" for name in configs}
    assert names == expected | {"detectron2/__init__.py", "detectron2/model_zoo/__init__.py"}
    assert "Requires-Dist: yacs" in meta and "black" not in meta


@pytest.mark.parametrize(
    ("version", "files", "whole"),
    [
        ("0.5", ["a.yaml"], False),  # as this script once made it
        ("0.5", ["a.yaml", "b/c.py"], True),
        ("0.5", ["a.yaml", "../../_C.cpython-311.so"], True),  # somebody compiled it
        ("0.6", ["a.yaml"], True),
        ("0.5", [], True),  # nothing that replacing it would mend
    ],
)
def test_an_incomplete_one_of_ours_is_replaced(
    version: str,
    files: Any,
    whole: bool,
    tmp_path: Path,
    tool: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = tool.Found(version, package(tmp_path, *files))
    monkeypatch.setattr(tool, "installed", lambda: found)
    # the archive is the next thing that is asked for, before anything is changed
    archive = archive_of(tmp_path / "d.tar.gz", tarfile.TarInfo("top/fine.py"))
    args = argparse.Namespace(archive=archive, force=False)
    if whole:
        assert tool.main(args) == 0
        assert "already installed; nothing to do" in capsys.readouterr().out
    else:
        with pytest.raises(UserError, match="and nothing was installed"):
            tool.main(args)
        assert "lacks its model zoo's configs in Python" in capsys.readouterr().out


def test_an_installed_detectron2_is_found(tool: Any) -> None:
    found = tool.installed()
    assert found is not None and (found.folder / "model_zoo").is_dir()
    assert found.version[:2] == "0."
