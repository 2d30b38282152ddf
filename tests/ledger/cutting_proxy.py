"""Between a gateway and its database: passes everything on, until it cuts the line at a byte."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

Direction = Literal["asked", "answered"]


class CuttingProxy:
    """Counts the bytes of one direction from `arm` on, and lets so many through."""

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._direction: Direction | None = None
        self._left = 0
        self._record: list[tuple[Direction, bytes]] | None = None
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def arm(self, direction: Direction, after: int) -> None:
        with self._lock:
            self._direction, self._left = direction, after

    @property
    def armed(self) -> bool:
        return self._direction is not None

    @contextmanager
    def recording(self) -> Iterator[list[tuple[Direction, bytes]]]:
        """What passes, piece by piece."""
        self._record = []
        yield self._record
        self._record = None

    def close(self) -> None:
        # Closing alone would leave a thread in `accept`, on a number that the next socket may get.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                for source, sink, direction in ((client, server, "asked"), (server, client, "answered")):
                    threading.Thread(target=self._pass, args=(source, sink, direction), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, direction: Direction) -> None:
        with suppress(OSError):
            while piece := source.recv(65_536):
                if self._record is not None:
                    self._record.append((direction, piece))
                allowed, cut = self._allowed(direction, len(piece))
                sink.sendall(piece[:allowed])
                if cut:
                    break
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()

    def _allowed(self, direction: Direction, size: int) -> tuple[int, bool]:
        with self._lock:
            if direction != self._direction:
                return size, False
            allowed = min(size, self._left)
            self._left -= allowed
            cut = self._left == 0
            if cut:
                self._direction = None
            return allowed, cut
