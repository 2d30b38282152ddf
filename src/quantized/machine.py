"""This process and its machine, as other processes can tell them apart."""

import os
import secrets
import socket
from contextlib import suppress
from pathlib import Path

from quantized.ledger.leases import Identity

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE = Path("/proc/self/ns/pid")


def identity() -> Identity:
    return Identity(secrets.token_hex(6), socket.gethostname(), _machine(), os.getpid())


def runs(pid: int) -> bool:
    """Whether there is a process with this id on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _machine() -> str | None:
    """What process ids mean something on: one start of a system, and one of its containers. Two containers
    may have the same host name, and both a process 1."""
    with suppress(OSError):
        return f"{_BOOT.read_text().strip()}/{_NAMESPACE.readlink()}"
    return None
