"""A server that answers as the Hugging Face hub does, and processes that ask it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support import python

ROOT = Path(__file__).parents[2]
# a model of 1.2 MB, by the name that every test here uses
TINY = "tiny_l2_eps0.5"
TINY_FILE = "tiny_l2_eps0.5.ckpt"
TINY_MODEL = (TINY, "resnet10_narrow", "l2", 0.5, 25.0, TINY_FILE)
HUB_PATH = "/madrylab/robust-imagenet-models/resolve/main/"
ADD_TINY = (
    "from robust_det.zoo import published\n"
    f"published.PUBLISHED[{TINY!r}] = published.PublishedModel(*{TINY_MODEL!r})\n"
)


@dataclass
class Hub:
    """What the server holds and how it misbehaves; ``log`` is what it was asked.

    Attributes:
        files: content by name.
        sha256, size: stated in place of the true ones.
        cuts: for each download to come, the bytes after which the connection breaks.
        status: answered to downloads once ``cuts`` is used up, if not 0.
        refusals: statuses answered to the requests to come for a file's hash and place.
        ranges: whether a Range header is honoured.
        etag: whether a file's hash is stated at all.
        log: method, path and Range header of each request.
        gate: downloads wait until it is set.
    """

    endpoint: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    sha256: str = ""
    size: int = 0
    cuts: list[int] = field(default_factory=list)
    status: int = 0
    refusals: list[int] = field(default_factory=list)
    ranges: bool = True
    etag: bool = True
    log: list[tuple[str, str, str]] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    asked: threading.Event = field(default_factory=threading.Event)

    def bodies(self) -> list[str]:
        """The Range header of each request for a file's content."""
        return [r for method, path, r in self.log if method == "GET" and path.startswith("/cdn/")]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub, wanted = self.hub, self.headers.get("Range", "")
        hub.log.append((self.command, self.path, wanted))
        name = self.path.rpartition("/")[2]
        if name not in hub.files:
            # as the hub says it
            self._answer(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": "0" * 40})
        elif self.path.startswith(HUB_PATH) and hub.refusals:
            self._answer(hub.refusals.pop(0), {"Retry-After": "0"})
        elif self.path.startswith(HUB_PATH):
            body = hub.files[name]
            told = {
                "Location": f"{hub.endpoint.replace('127.0.0.1', 'localhost')}/cdn/{name}",
                "X-Repo-Commit": "0" * 40,
                "X-Linked-Size": str(hub.size or len(body)),
            }
            if hub.etag:
                digest = hub.sha256 or hashlib.sha256(body).hexdigest()
                told["X-Linked-ETag"] = f'"{digest}"'
            self._answer(302, told)
        elif self.command == "HEAD":
            self._answer(200, {"Content-Length": str(len(hub.files[name]))})
        else:
            self._body(hub.files[name], wanted)

    def _answer(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": "0", **headers}.items():
            self.send_header(key, value)
        self.end_headers()

    def _body(self, body: bytes, wanted: str) -> None:
        hub = self.hub
        hub.asked.set()
        assert hub.gate.wait(60)
        cut = hub.cuts.pop(0) if hub.cuts else None
        if cut is None and hub.status:
            return self._answer(hub.status, {})
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        if start and start >= len(body):
            return self._answer(416, {"Content-Range": f"bytes */{len(body)}"})
        if hub.ranges and start:
            part = f"bytes {start}-{len(body) - 1}/{len(body)}"
            self._answer(206, {"Content-Range": part, "Content-Length": str(len(body) - start)})
            body = body[start:]
        else:
            self._answer(200, {"Content-Length": str(len(body))})
        self.wfile.write(body[:cut])
        self.close_connection = cut is not None


@pytest.fixture
def hub(tiny_bytes: bytes) -> Iterator[Hub]:
    state = Hub(files={TINY_FILE: tiny_bytes})
    state.gate.set()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": state}))
    state.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield state
    state.gate.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="session")
def tiny_bytes(tmp_path_factory: pytest.TempPathFactory, write_classifier: Any) -> bytes:
    """The original file of the model TINY: a checkpoint of tools/pretrain.py."""
    path = tmp_path_factory.mktemp("original") / TINY_FILE
    write_classifier(path)
    return path.read_bytes()


@dataclass
class Place:
    """A working directory with a cache, and what runs in it."""

    folder: Path
    environment: dict[str, str]

    @property
    def downloads(self) -> Path:
        return self.folder / "cache/downloads"

    @property
    def converted(self) -> Path:
        return self.folder / f"cache/backbones/{TINY}.pth"

    def left(self) -> list[str]:
        """Every file in our cache, but for locks."""
        files = [p for p in (self.folder / "cache").rglob("*") if p.is_file()]
        return sorted(p.name for p in files if p.suffix != ".lock")

    def start(self, code: str, *argv: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            python("-c", ADD_TINY + code, *argv),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, code: str, *argv: str) -> subprocess.CompletedProcess[str]:
        process = self.start(code, *argv)
        out, err = process.communicate(timeout=300)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def tool(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run robust-det zoo, to which the model TINY is known."""
        return self.run(TOOL, *argv)


TOOL = f"import runpy; runpy.run_path({str(ROOT / 'tools/zoo.py')!r}, run_name='__main__')\n"


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process: the model TINY, folders in tmp_path, and no network."""
    from robust_det.zoo import published

    model = published.PublishedModel(*TINY_MODEL)
    monkeypatch.setitem(published.PUBLISHED, TINY, model)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("ROBUST_DET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ROBUST_DET_BACKBONES", str(tmp_path / "own"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def placed(offline: None, tmp_path: Path, tiny_bytes: bytes) -> Path:
    """The original of TINY, placed by hand."""
    path = tmp_path / "cache/downloads" / TINY_FILE
    path.parent.mkdir(parents=True)
    path.write_bytes(tiny_bytes)
    return path


@pytest.fixture
def place(tmp_path: Path) -> Callable[..., Place]:
    """Return a function that makes a place whose hub is the given server, or none at all."""

    def make(hub: Hub | None = None, **environment: str) -> Place:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "ROBUST_DET_"))}
        # port 9 is closed
        kept["HF_ENDPOINT"] = hub.endpoint if hub else "http://127.0.0.1:9"
        kept["HF_HOME"] = str(tmp_path / "hf")
        kept["ROBUST_DET_CACHE"] = str(tmp_path / "cache")
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            kept.pop(name, None)
            kept.pop(name.upper(), None)
        kept["PYTHONPATH"] = os.pathsep.join([str(ROOT), kept.get("PYTHONPATH", "")])
        return Place(tmp_path, {**kept, "OMP_NUM_THREADS": "1", **environment})

    return make
