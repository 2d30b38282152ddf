"""Which database a URL means. Imports no driver, so that nobody pays for the one that is not used."""


class DatabaseUnusable(Exception):
    """The database cannot be opened as configured; the message says why, for an operator."""


def is_postgres(url: str) -> bool:
    """Whether it is a PostgreSQL URL; everything else is SQLite's to judge."""
    return url.partition("://")[0] in ("postgresql", "postgres")
