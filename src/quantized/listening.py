"""The sockets that a gateway listens on, whoever serves them."""

import socket

BACKLOG = 4096


class CannotListen(Exception):
    """The address cannot be listened on; the message says why, for an operator."""


def listen(host: str, port: int) -> socket.socket:
    """Bound and listening; nobody else can do so at this address. Raises CannotListen."""
    try:
        return socket.create_server((host, port), family=_family(host), backlog=BACKLOG)
    except OSError as error:
        raise CannotListen(f"cannot listen on {host}, port {port}: {error.strerror or error}") from error


def reserve(host: str, port: int) -> socket.socket:
    """A socket that keeps the address for those who `join` it, and gets no connection itself: the system
    spreads connections evenly over those that listen. (On one socket of several processes, whoever wakes
    first takes most of a burst: of 64 connections 52 were seen.) Raises CannotListen."""
    # Of sockets that share an address the system would allow any number, also those of another gateway.
    listen(host, port).close()
    return join(host, port)


def join(host: str, port: int) -> socket.socket:
    """Bound to an address that is shared, and not listening yet. Raises CannotListen."""
    sharing = socket.socket(_family(host), socket.SOCK_STREAM)
    try:
        sharing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sharing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if sharing.family == socket.AF_INET6:
            sharing.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sharing.bind((host, port))
    except OSError as error:
        sharing.close()
        raise CannotListen(f"cannot listen on {host}, port {port}: {error.strerror or error}") from error
    return sharing


def port_of(bound: socket.socket) -> int:
    port: int = bound.getsockname()[1]
    return port


def url_of(bound: socket.socket) -> str:
    host = bound.getsockname()[0]
    return f"http://{f'[{host}]' if ':' in host else host}:{port_of(bound)}"


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
