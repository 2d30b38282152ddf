"""Whom we trust."""

import ssl
from functools import cache
from pathlib import Path

import certifi


@cache
def default_context() -> ssl.SSLContext:
    """Certificates and host names checked against the system's store, or certifi's where the system has none.

    Reads files for some tens of milliseconds, once.
    """
    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"] and not _has_certificates(
        ssl.get_default_verify_paths().capath
    ):
        context.load_verify_locations(certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context


def _has_certificates(directory: str | None) -> bool:
    """A directory of certificates is looked into when one is needed: the context does not count it."""
    return directory is not None and any(Path(directory).glob("*.[0-9]"))
