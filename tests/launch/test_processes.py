"""Several processes at once: real ones, that do little."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from robust_det.launch.processes import Job, Pool, share_of


def job(folder: Any, name: Any, code: Any) -> Any:
    return Job([sys.executable, "-c", code], folder / name / "output.txt")


def run(jobs: Any, slots: Any) -> Any:
    """Return the exit codes, and the most that ran at once."""
    codes, pool, most = {}, Pool(slots), [0]

    def look() -> None:
        most[0] = max(most[0], len(pool.running))

    pool.run(jobs, look, lambda done, code: codes.update({done.output.parent.name: code}))
    return codes, most[0]


def test_a_failure_does_not_stop_the_others(tmp_path: Path) -> None:
    jobs = [
        job(tmp_path, "good", "print('fine')"),
        job(tmp_path, "bad", "import sys; sys.exit('error: no such thing\\nmore')"),
        job(tmp_path, "silent", "import os; os._exit(3)"),
    ]
    codes, most = run(jobs, 2)
    assert codes == {"good": 0, "bad": 1, "silent": 3} and most <= 2
    assert (tmp_path / "good/output.txt").read_text() == "fine\n"
    assert jobs[1].last_error() == "no such thing"
    assert jobs[2].last_error() == "it said nothing"


def test_each_process_gets_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert share_of(0, 3) == {"OMP_NUM_THREADS": "2"}
    assert share_of(0, 20) == {"OMP_NUM_THREADS": "1"}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    assert [share_of(slot, 2)["CUDA_VISIBLE_DEVICES"] for slot in (0, 1)] == ["4,6", "5"]
    assert [share_of(slot, 4)["CUDA_VISIBLE_DEVICES"] for slot in (0, 3)] == ["4", "4"]
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert share_of(0, 2) == {}


def test_an_interruption_asks_the_running_ones_to_stop(tmp_path: Path) -> None:
    code = (
        "import pathlib, signal, sys, time\n"
        "def stop(*_):\n    print('stopped'); sys.exit(143)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        f"pathlib.Path({str(tmp_path)!r}, 'ready').touch()\n"
        "time.sleep(60)\n"
    )

    def look() -> None:
        if (tmp_path / "ready").exists():
            raise KeyboardInterrupt

    jobs = [job(tmp_path, "one", code), job(tmp_path, "two", "print('never')")]
    with pytest.raises(KeyboardInterrupt):
        Pool(1).run(jobs, look, lambda *_: None)
    assert (tmp_path / "one/output.txt").read_text() == "stopped\n"
    assert not (tmp_path / "two").exists()


def test_no_process_outlives_a_killed_parent(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    child = (
        "import os, pathlib, time\n"
        f"pathlib.Path({str(pid_file)!r}).write_text(str(os.getpid())); time.sleep(60)\n"
    )
    parent = (
        "import sys; from pathlib import Path; from robust_det.launch.processes import Job, Pool\n"
        f"job = Job([sys.executable, '-c', {child!r}], Path({str(tmp_path / 'output.txt')!r}))\n"
        "Pool(1).run([job], lambda: None, lambda *_: None)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", parent])
    try:
        pid = _wait_for(lambda: pid_file.exists() and pid_file.read_text())
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    _wait_for(lambda: not _alive(int(pid)))


def _wait_for(found: Any) -> Any:
    deadline = time.monotonic() + 60
    while not (value := found()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return value


def _alive(pid: Any) -> Any:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
