"""The lock of a folder, or of a file, that one process alone may write.

POSIX record locks. Those of ``flock``, which libraries take, are held by processes that are forked
meanwhile as well: a loader's workers live on for seconds after a run was killed. Network file
systems know these locks between hosts.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from robust_det.core.errors import UserError

__all__ = ["NAME", "FolderLock", "at_work_in", "in_turn", "sole_writer"]

logger = logging.getLogger(__name__)

NAME = ".lock"
_HELD = (errno.EACCES, errno.EAGAIN)
# of file systems without locks
_NONE = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
_GRACE = 10.0  # seconds in which a process that is dead may be seen as the holder
_TRIAL = 1 << 16  # bytes, of which a disk that is full has no room
# by their real paths: such locks do not keep a process from itself
_ours: set[str] = set()


class FolderLock:
    """Held until the end of the process, or :meth:`release`.

    Args:
        folder: is made if it is not there.
        file: in it, of which alone it is the lock; all of the folder if empty.

    Raises:
        UserError: another process holds it, or nothing can be written there; says who, where and
            since when.
    """

    def __init__(self, folder: str | Path, file: str = "") -> None:
        self.folder = Path(folder)
        self._place = f"on {self.folder / file}" if file else f"in {self.folder}"
        self._made = _make(self.folder)
        name = f".{file}{NAME}" if file else NAME
        self._path = os.path.join(os.path.realpath(self.folder), name)
        self._file = -1
        self._kept = False
        self._before: dict[str, Any] = {}
        try:
            self._acquire()
            self._before = self._read()
            self._write(self._before.get("launcher"))
        except BaseException:
            self.release()
            raise

    @property
    def relaunched(self) -> bool:
        """Whether what began here was started by what started this process: a launcher that
        starts its processes anew after one has failed."""
        return self._before.get("launcher") == _launcher()

    def keep(self) -> None:
        """Let the file stay: a run begins here, which torchrun may start anew."""
        if "TORCHELASTIC_RESTART_COUNT" in os.environ:
            self._kept = True
            self._write(_launcher())

    def drop(self) -> None:
        """Let the file go: the run has ended, and nothing is to be started anew."""
        self._kept, self._before = False, {}

    def release(self) -> None:
        """Let others in. What was made for the lock goes, unless something was written there."""
        if self._path in _ours and self._file >= 0:
            _ours.discard(self._path)
            if not self._kept and not self._before.get("launcher"):
                with contextlib.suppress(OSError):
                    os.unlink(self._path)
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        for folder in self._made:
            with contextlib.suppress(OSError):
                folder.rmdir()

    def _acquire(self) -> None:
        deadline, said = time.monotonic() + _GRACE, False
        if self._path in _ours:
            raise UserError(f"this process is at work {self._place} already")
        while True:
            try:
                self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if self._file >= 0 and error.errno in _NONE:
                    logger.warning(
                        f"the file system of {self.folder} has no locks: nothing keeps a second"
                        " run from writing there"
                    )
                    break
                if self._file < 0 or error.errno not in _HELD:
                    raise self._unwritable(error) from error
                owner = self._read()
                self._close()
                if _is_alive(owner) or time.monotonic() > deadline:
                    raise UserError(_who(self._place, owner), _advice()) from None
                if not said:
                    logger.info(f"{self.folder}: waiting for the end of a run that was killed")
                said = True
                time.sleep(0.2)
                continue
            # of a file that was removed meanwhile, a lock keeps nobody out
            with contextlib.suppress(OSError):
                if os.path.samestat(os.fstat(self._file), os.stat(self._path)):
                    break
            self._close()
        _ours.add(self._path)

    def _close(self) -> None:
        os.close(self._file)
        self._file = -1

    def _read(self) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError):
            content = json.loads(os.pread(self._file, 1 << 16, 0).decode().strip() or "{}")
            return content if isinstance(content, dict) else {}
        return {}

    def _write(self, launcher: Any) -> None:
        content: dict[str, Any] = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": time.strftime("%Y-%m-%d %H:%M:%S"),
        }
        if launcher:
            content["launcher"] = launcher
        text = json.dumps(content).encode()
        try:
            # a trial of the disk as well: what is full shall be known before an hour of work
            os.pwrite(self._file, text.ljust(_TRIAL), 0)
            os.ftruncate(self._file, len(text))
            os.fsync(self._file)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> UserError:
        return UserError(
            f"cannot write in {self.folder}: {error.strerror or error}; free space or choose"
            " another folder"
        )


@contextlib.contextmanager
def sole_writer(folder: str | Path, file: str = "") -> Iterator[FolderLock]:
    """Hold the lock of a folder, or of a file in it, for a while.

    Raises:
        UserError: see :class:`FolderLock`.
    """
    lock = FolderLock(folder, file)
    try:
        yield lock
    finally:
        lock.release()


def at_work_in(folder: str | Path) -> str:
    """Return who seems to be at work in a folder, in words, without asking for its lock; empty if
    it is nobody, or one who is dead."""
    try:
        content = json.loads((Path(folder) / NAME).read_text().strip() or "{}")
    except (OSError, ValueError):
        return ""
    owner = content if isinstance(content, dict) else {}
    return _who("there", owner) if _is_alive(owner) else ""


def _make(folder: Path) -> list[Path]:
    """Make a folder; return what was made, the innermost first."""
    missing = []
    path = folder
    while not os.path.lexists(path) and path != path.parent:
        missing.append(path)
        path = path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "it is no folder" if isinstance(error, FileExistsError) else error.strerror
        raise UserError(f"cannot make folder {folder}: {reason}; choose another folder") from error
    return missing


def _launcher() -> list[Any]:
    """Return what tells the process that started this one from all others."""
    parent = os.getppid()
    started = ""
    with contextlib.suppress(OSError, IndexError):
        # field 22, after a name that may hold anything: its start, in ticks since the system's
        text = Path(f"/proc/{parent}/stat").read_text()
        started = text.rpartition(")")[2].split()[19]
    return [socket.gethostname(), parent, started]


def _is_alive(owner: dict[str, Any]) -> bool:
    """Whether the owner may be at work: of another host nobody knows."""
    pid = owner.get("pid")
    if owner.get("host") != socket.gethostname() or not isinstance(pid, int) or pid < 1:
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    with contextlib.suppress(OSError, IndexError):
        # killed, but nobody has asked how it ended
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True


def _who(place: str, owner: dict[str, Any]) -> str:
    if not {"pid", "host", "since"} <= set(owner):
        return f"another process is at work {place}"
    return f"process {owner['pid']} on {owner['host']} is at work {place}, since {owner['since']}"


def _advice() -> str:
    # tasks of a step that know nothing of each other
    tasks = os.environ.get("SLURM_STEP_NUM_TASKS") or os.environ.get("OMPI_COMM_WORLD_SIZE") or "1"
    if "WORLD_SIZE" not in os.environ and tasks.isdecimal() and int(tasks) > 1:
        return (
            f"this is one of {tasks} tasks that were started alike: let torchrun start the"
            " processes of a run, in one task a machine (--ntasks-per-node=1)"
        )
    return "wait for its end, stop it, or choose another output"


@contextlib.contextmanager
def in_turn(target: Path, doing: str) -> Iterator[None]:
    """Hold the lock of a cached file, waiting for who holds it. The system frees it when its holder
    dies.

    Args:
        target: the file; its folder is made.
        doing: what another process does who holds it, such as ``fetching resnet50_l2_eps3``.

    Raises:
        OSError: nothing can be written there.
    """
    from filelock import FileLock, Timeout

    target.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(target.with_suffix(".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        logger.info(f"waiting for another process, which is {doing}")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
