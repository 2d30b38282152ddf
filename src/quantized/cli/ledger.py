"""`quantized ledger`."""

import json
import sys
from collections.abc import Iterator
from typing import Any

import click
from msgspec.structs import asdict

from quantized.cli.output import credits_text
from quantized.cli.records import DatabaseCommand, DatabaseGroup, database_url
from quantized.cli.shell import Shell, json_option, pass_shell
from quantized.ledger.verify import Auditor, Finding, Tally
from quantized.storage.books import read_books
from quantized.storage.directory import Directory
from quantized.storage.engine import open_engine


@click.group(cls=DatabaseGroup)
def ledger() -> None:
    """The books: what was given, charged and held, and whether it is whole."""


class VerifyCommand(DatabaseCommand):
    """Whatever keeps it from reading is another thing than finding something."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            error.show()
            ctx.exit(2)


@ledger.command(cls=VerifyCommand)
@click.option("--license", "license_", metavar="LICENSE", help="Only this licence's books.")
@json_option
@pass_shell
def verify(shell: Shell, license_: str | None, as_json: bool) -> None:
    """Recompute the books and say what is wrong and where.

    Balances, chains of hashes, holds, and charges against request records, in one moment of the database,
    while a gateway may work on it. With --json each finding is a line, and the last line is the summary.

    Exit status: 0 nothing is wrong, 1 something is, 2 the books could not be read.
    """
    url = database_url(shell)
    only = Directory(open_engine(url)).license(license_).id if license_ else None
    with read_books(url, only) as books, _Progress(books.entry_count()) as progress:
        auditor = Auditor(books, progress.advance)
        _tell(auditor.findings(), as_json=as_json)
    _sum_up(auditor.tally, as_json=as_json)
    if auditor.tally.findings:
        click.get_current_context().exit(1)


class _Progress:
    """How far one has come, for a person who waits; nothing where nobody looks."""

    def __init__(self, total: int) -> None:
        self._bar = click.progressbar(
            length=total,
            label="verifying",
            file=sys.stderr,
            hidden=not sys.stderr.isatty(),
            update_min_steps=5_000,
        )

    def __enter__(self) -> "_Progress":
        self._bar.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.render_finish()

    def advance(self, entries: int) -> None:
        self._bar.update(entries)


def _tell(findings: Iterator[Finding], *, as_json: bool) -> None:
    for finding in findings:
        said = {name: value for name, value in asdict(finding).items() if value is not None}
        if as_json:
            click.echo(json.dumps(said, ensure_ascii=False))
            continue
        check, message = said.pop("check"), said.pop("message")
        details = "  ".join(f"{name.removesuffix('_id')}={value}" for name, value in said.items())
        click.echo(f"{check}: {message}  [{details}]")


def _sum_up(tally: Tally, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"summary": asdict(tally)}))
        return
    click.echo(
        f"{tally.licenses} licences, {tally.entries} entries, {tally.records} request records: "
        + (f"{tally.findings} findings" if tally.findings else "nothing is wrong")
    )
    for account, balance in tally.accounts.items():
        click.echo(f"  {account:<12}{credits_text(balance):>24}")
