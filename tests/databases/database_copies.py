"""Databases for tests, SQLite's and PostgreSQL's, each a copy of a template that is migrated once."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from uuid import uuid4

import psycopg
from postgres_server import shared_url
from psycopg.sql import SQL, Identifier

from quantized.storage.migrate import migrate

KINDS = ("sqlite", "postgresql")

ADMIN = "QUANTIZED_TEST_POSTGRES_URL"
"""Names the environment variable that points the tests at another server. Its user may make databases."""


class PostgresDatabases:
    """Makes and removes databases on one server."""

    def __init__(self, admin_url: str) -> None:
        self._admin_url = admin_url
        self._prefix = f"quantized_test_{uuid4().hex[:12]}"
        self._numbers = count(1)
        self._admin: psycopg.Connection | None = None

    def url_of(self, database: str) -> str:
        start, _, options = self._admin_url.partition("?")
        return f"{start.rpartition('/')[0]}/{database}{'?' if options else ''}{options}"

    def create(self, template: str | None = None) -> str:
        """An empty database, or a copy of the template (that nobody is connected to): its name."""
        name = f"{self._prefix}_{next(self._numbers)}"
        # Copying files takes a quarter of the time that writing them to the log does.
        self._do(
            SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                Identifier(name), Identifier(template or "template0")
            )
        )
        return name

    def drop(self, name: str) -> None:
        """Also while somebody is connected."""
        self._do(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)))

    @contextmanager
    def temporary(self, template: str | None = None) -> Iterator[str]:
        """The URL of a database that is gone afterwards."""
        name = self.create(template)
        try:
            yield self.url_of(name)
        finally:
            self.drop(name)

    def close(self) -> None:
        if self._admin is not None:
            self._admin.close()

    def _do(self, statement: psycopg.sql.Composed) -> None:
        if self._admin is not None:
            try:
                self._admin.execute(statement)
                return
            except psycopg.OperationalError:
                if not self._admin.closed:
                    raise
        # There was none, or the server has been restarted.
        self._admin = psycopg.connect(self._admin_url, autocommit=True)
        self._admin.execute(statement)


@contextmanager
def run_databases(admin_url: str | None, shared: Path) -> Iterator[PostgresDatabases]:
    """Databases on the server at the URL; else on one that all workers of a test run share, each giving the
    same folder."""
    databases = PostgresDatabases(admin_url or shared_url(shared))
    with closing(databases):
        yield databases


Prepare = Callable[[str], None]


def nothing(url: str) -> None:
    """Adds nothing to a template that was migrated."""


class Templates:
    """A migrated database of each kind, to be copied for each test: migrating takes half a second."""

    def __init__(self, folder: Path, postgres: Callable[[], PostgresDatabases], prepare: Prepare = nothing):
        """`prepare` is given a migrated database's URL, and adds what all tests begin with."""
        self._folder = folder
        self._postgres = postgres
        self._prepare = prepare
        self._sqlite_template: Path | None = None
        self._postgres_template: str | None = None

    def sqlite(self, path: Path) -> str:
        """The URL of a copy at `path`."""
        if self._sqlite_template is None:
            template = self._folder / "template.db"
            self._make(f"sqlite:///{template}")
            self._sqlite_template = template
        shutil.copy(self._sqlite_template, path)
        return f"sqlite:///{path}"

    @contextmanager
    def postgres(self) -> Iterator[str]:
        """The URL of a copy that is gone afterwards."""
        databases = self._postgres()
        if self._postgres_template is None:
            name = databases.create()
            self._make(databases.url_of(name))
            self._postgres_template = name
        with databases.temporary(self._postgres_template) as url:
            yield url

    @contextmanager
    def copy(self, kind: str, path: Path) -> Iterator[str]:
        """Of the kind "sqlite" at `path`, or "postgresql"."""
        if kind == "sqlite":
            yield self.sqlite(path)
        else:
            with self.postgres() as url:
                yield url

    def close(self) -> None:
        if self._postgres_template is not None:
            self._postgres().drop(self._postgres_template)

    def _make(self, url: str) -> None:
        migrate(url)
        self._prepare(url)
