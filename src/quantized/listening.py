"""The socket that a gateway listens on, whoever serves it."""

import socket

_BACKLOG = 4096


class CannotListen(Exception):
    """The address cannot be listened on; the message says why, for an operator."""


def listen(host: str, port: int) -> socket.socket:
    """Bound and listening. Raises CannotListen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise CannotListen(f"cannot listen on {host}, port {port}: {error.strerror or error}") from error


def url_of(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
