"""One of several processes that serve: what `supervisor` starts as `python -m quantized.worker`."""

import os
import pickle
import signal
import socket
import sys
import threading
from contextlib import suppress
from functools import partial

from quantized import logs, server
from quantized.listening import CannotListen, join
from quantized.settings import Settings


def main() -> None:
    """The argument is a descriptor: the line to the supervisor."""
    line = socket.socket(fileno=int(sys.argv[1]))
    settings: Settings
    number: int
    with line.makefile("rb") as told:
        try:
            # From the process that started this one, and from nobody else.
            settings, number = pickle.load(told)  # noqa: S301
        except EOFError:
            raise SystemExit("the supervisor is gone") from None
    logs.configure(settings.log_level, number)
    threading.Thread(target=_outlive, args=(line,), name="supervisor", daemon=True).start()
    try:
        address = join(settings.host, settings.port)
    except CannotListen as error:
        raise SystemExit(str(error)) from error
    server.run(settings, address, partial(_tell_started, line), number)


def _tell_started(line: socket.socket) -> None:
    # Where nobody is left to hear it, this process is being stopped in order.
    with suppress(OSError):
        line.sendall(b"+")


def _outlive(line: socket.socket) -> None:
    """Nobody would stop this process any more once the supervisor is gone, so it stops itself."""
    with suppress(OSError):
        line.recv(1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
