"""Processes of Python that have imported torch before they start: it takes seconds of many a test.

A server with the imports done forks a process for each :func:`python` command. What is started is a
relay, which imports nothing: it hands its arguments, variables, folder and standard streams to the
server, passes SIGINT, SIGTERM and SIGUSR1 on, and ends as the forked process does, by exit code or
signal. Killed, it takes that one with it.

Such a process differs from any other in what the modules below read of variables when they are
imported, which is the number of threads: it is one. Neither Detectron2 nor the project are among
them. And it ends without taking its modules apart, which would copy them all first.
"""

from __future__ import annotations

import atexit
import functools
import gc
import json
import os
import runpy
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import types
from contextlib import suppress
from typing import Any

__all__ = ["python"]

_IMPORTS = ("torch", "torchvision", "cv2", "scipy.stats", "matplotlib.figure")
_LENGTH = 8  # bytes that say how long a request is
_STREAMS = 3


def python(*arguments: object) -> list[str]:
    """Return the command that runs Python with arguments, which begin with -c, -m or a script.

    Where coverage is measured it is Python's own: that follows processes from their start. So it
    is where no process can be forked.
    """
    words = [str(each) for each in arguments]
    if any(name.startswith("COV") for name in os.environ):
        return [sys.executable, *words]
    if not (server := _server()):
        return [sys.executable, *words]
    # without the packages of the environment it starts in hundredths of a second
    return [sys.executable, "-IS", __file__, server, *words]


@functools.cache
def _server() -> str:
    """Start the server; return where it listens, or nothing. It ends with this process."""
    folder = tempfile.mkdtemp(prefix="prepared-")
    path = f"{folder}/socket"
    server = subprocess.Popen(
        [sys.executable, "-P", __file__, "--serve", path],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for whoever started the relay
    )

    def end() -> None:
        server.communicate()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    assert server.stdout is not None
    return path if server.stdout.readline() == b"ready\n" else ""


def _serve(path: str) -> dict[str, Any] | None:
    """Serve until the tests end; in a forked process, return what it is to do."""
    for name in _IMPORTS:
        __import__(name)
    gc.freeze()  # what nobody collects need not be copied either
    if len(os.listdir("/proc/self/task")) > 1:
        # imports of older versions start threads; a fork would wait for what they hold for ever
        return None
    return _Server(path).serve()


class _Server:
    def __init__(self, path: str) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen()
        self._selector = selectors.DefaultSelector()
        self._selector.register(0, selectors.EVENT_READ)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._relays: dict[socket.socket, int] = {}  # to the process of each
        self._ends: dict[int, socket.socket] = {}  # from what tells the end of that process

    def serve(self) -> dict[str, Any] | None:
        """Return None once nobody is left to serve; in a forked process, what it is to do."""
        print("ready", flush=True)
        while True:
            for key, _ in self._selector.select():
                if key.fileobj == 0:
                    return None
                if key.fileobj is self._listener:
                    if request := self._fork():
                        return request
                elif isinstance(key.fileobj, socket.socket):
                    self._pass_on(key.fileobj)
                else:
                    self._tell_end(key.fd)

    def _fork(self) -> dict[str, Any] | None:
        """Start what a relay asks for, and return its request there; nothing in the server."""
        relay, _ = self._listener.accept()
        with suppress(EOFError):
            request, streams = _receive(relay)
            child = os.fork()
            if not child:
                for each in (self._selector, self._listener, relay, *self._relays):
                    each.close()  # type: ignore[attr-defined]
                for end in self._ends:
                    os.close(end)
                for number, stream in enumerate(streams):
                    os.dup2(stream, number)
                    os.close(stream)
                return request
            for stream in streams:
                os.close(stream)
            end = os.pidfd_open(child)
            self._relays[relay], self._ends[end] = child, relay
            self._selector.register(relay, selectors.EVENT_READ)
            self._selector.register(end, selectors.EVENT_READ)
        return None

    def _pass_on(self, relay: socket.socket) -> None:
        """Send a signal that a relay got to its process; kill that where the relay was killed."""
        told = relay.recv(1)
        os.kill(self._relays[relay], told[0] if told else signal.SIGKILL)
        if not told:
            self._selector.unregister(relay)

    def _tell_end(self, end: int) -> None:
        relay = self._ends.pop(end)
        _, status = os.waitpid(self._relays.pop(relay), 0)
        with suppress(OSError):
            relay.sendall(json.dumps(os.waitstatus_to_exitcode(status)).encode())
        self._selector.unregister(end)
        with suppress(KeyError):
            self._selector.unregister(relay)
        os.close(end)
        relay.close()


def _receive(relay: socket.socket) -> tuple[dict[str, Any], list[int]]:
    head, streams, _, _ = socket.recv_fds(relay, _LENGTH, _STREAMS)
    size, body = int.from_bytes(head, "little"), b""
    while len(body) < size:
        part = relay.recv(size - len(body))
        if not part:
            raise EOFError
        body += part
    return json.loads(body), streams


def _become(request: dict[str, Any]) -> None:
    """Do in this process what Python does with these arguments, variables and this folder."""
    os.environ.clear()
    os.environ.update(request["variables"])
    os.chdir(request["folder"])
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    first, *rest = request["arguments"]
    here = {"-c": "", "-m": os.getcwd()}.get(first, os.path.dirname(os.path.abspath(first)))
    sys.path[:] = [here, *paths, *sys.path]
    if first == "-c":
        sys.argv = ["-c", *rest[1:]]
        sys.modules["__main__"] = main = types.ModuleType("__main__")
        exec(compile(rest[0], "<string>", "exec"), main.__dict__)
    elif first == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = [first, *rest]
        runpy.run_path(first, run_name="__main__")


def _status(request: dict[str, Any]) -> int:
    """Do it; return the status that Python would end with. An interruption is left to Python."""
    try:
        _become(request)
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        print(error.code, file=sys.stderr)
        return 1
    except Exception:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        return 1
    return 0


def _end(status: int) -> None:
    """End as Python does, up to where it would free what the process holds."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    with suppress(OSError, ValueError):
        sys.stderr.flush()
    os._exit(status & 0xFF)


def _relay(path: str, arguments: list[str]) -> int:
    """Have the server do it, and return the exit code; or die of what that died of."""
    server = socket.socket(socket.AF_UNIX)
    server.connect(path)
    request = {"arguments": arguments, "variables": dict(os.environ), "folder": os.getcwd()}
    body = json.dumps(request).encode()
    socket.send_fds(server, [len(body).to_bytes(_LENGTH, "little")], range(_STREAMS))
    server.sendall(body)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, lambda number, _: server.send(bytes([number])))
    code = int(server.recv(100) or 1)
    if code < 0:
        with suppress(OSError):  # SIGKILL has no handler
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


if __name__ == "__main__":
    if sys.argv[1] != "--serve":
        os._exit(_relay(sys.argv[1], sys.argv[2:]))
    request = _serve(sys.argv[2])
    if request is not None:
        _end(_status(request))
