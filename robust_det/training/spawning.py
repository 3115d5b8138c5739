"""Starting the processes of a job from within, as ``torchrun`` does from without."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import torch.multiprocessing
from torch.multiprocessing import ProcessExitedException

from robust_det.core.cli import exit_code_of
from robust_det.core.errors import UserError
from robust_det.core.signals import INTERRUPTED, Terminated, ignore_from_now

__all__ = ["spawn"]


def spawn(
    work: Callable[..., None],
    args: tuple[Any, ...],
    processes: int,
    *,
    machines: int = 1,
    machine: int = 0,
    address: str = "auto",
) -> None:
    """Run ``work(*args)`` in several processes, and wait for them.

    Each finds the variables that ``torchrun`` would set. What is unpickled in them is this module
    and that of ``work``, so that they do not depend on which script or command was started, as
    those of Detectron2's launcher do: its functions import Detectron2 before it is prepared.

    Args:
        work: a function of a module.
        args: can be pickled.
        processes: on this machine, and on each of the others.
        machines: how many take part; each calls this function.
        machine: this one's number, from 0.
        address: where they meet, ``tcp://HOST:PORT`` of machine 0; ``auto`` is a free port of
            this machine.

    Raises:
        UserError: the address is of another form, or the number is of no machine.
    """
    if not 0 <= machine < machines:
        raise UserError(f"--machine-rank is {machine}; it is from 0 to {machines - 1}")
    host, port = ("127.0.0.1", _free_port()) if address == "auto" else _parsed(address)
    variables = {
        "MASTER_ADDR": host,
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(processes * machines),
        "LOCAL_WORLD_SIZE": str(processes),
    }
    first = processes * machine
    context = torch.multiprocessing.spawn(
        _process, (work, args, variables, first), nprocs=processes, join=False
    )
    assert context is not None  # of spawn without join
    try:
        while not context.join():
            pass
    except ProcessExitedException as error:
        # it has said why
        sys.exit(error.exit_code if error.exit_code >= 0 else 128 - error.exit_code)
    except (Terminated, KeyboardInterrupt) as error:
        # who sent it may have told this process alone
        code = error.code if isinstance(error, Terminated) else INTERRUPTED
        for process in context.processes:
            if process.is_alive():
                os.kill(process.pid, code - 128)
        ignore_from_now()  # the others are to save
        for process in context.processes:
            process.join()
        # that of one that had finished, or failed, before it was told
        sys.exit(max((process.exitcode or 0 for process in context.processes), default=0))


def _process(
    local_rank: int,
    work: Callable[..., None],
    args: tuple[Any, ...],
    variables: dict[str, str],
    first: int,
) -> None:
    os.environ.update(variables, RANK=str(first + local_rank), LOCAL_RANK=str(local_rank))
    # what torch would make of an interruption is exit code 0
    debug = any(getattr(each, "debug", False) for each in args)
    sys.exit(exit_code_of(lambda: work(*args), lambda: debug))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _parsed(address: str) -> tuple[str, int]:
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or port is None or parts.scheme != "tcp":
        raise UserError(f"--dist-url {address} is not of the form tcp://HOST:PORT")
    return host, port
