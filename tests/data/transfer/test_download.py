from __future__ import annotations

import functools
import hashlib
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from torchvision.datasets import DTD

from robust_det.core.errors import UserError
from robust_det.data.transfer.download import download
from robust_det.data.transfer.sets.reading import read_set

Tree = Callable[[str], Path]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve the folder over HTTP on this machine; the address."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    handler = functools.partial(_Quiet, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_torchvision_brings_the_official_archive(
    tree: Tree, tmp_path: Path, served: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "dtd-r1.0.1.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        file.add(tree("dtd") / "dtd", "dtd")
    monkeypatch.setattr(DTD, "_URL", f"{served}/{archive.name}")
    with pytest.raises(UserError, match=r"downloading DTD failed.*robots\.ox\.ac\.uk") as raised:
        download("dtd", tmp_path / "new")  # its MD5 is another one
    assert "put it into" in str(raised.value) and "labels/" not in str(raised.value.problem)
    md5 = hashlib.md5(archive.read_bytes(), usedforsecurity=False).hexdigest()
    monkeypatch.setattr(DTD, "_MD5", md5)
    download("dtd", tmp_path / "new")
    assert len(read_set("dtd", tmp_path / "new").classes) == 3


@pytest.mark.parametrize("name", ["cars", "birdsnap", "sun397", "folder"])
def test_what_nobody_can_download(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be downloaded"):
        download(name, tmp_path / "new")
    assert not (tmp_path / "new").exists()
