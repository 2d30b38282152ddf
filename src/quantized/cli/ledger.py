"""`quantized ledger`."""

import json
import sys
from collections.abc import Iterator
from typing import Any, cast, get_args

import click
from msgspec.structs import asdict

from quantized.cli.arguments import MOMENT, Moment
from quantized.cli.finding import find
from quantized.cli.output import Record, credits_text, iso_time, print_csv, printable
from quantized.cli.records import DatabaseCommand, DatabaseGroup, database_url
from quantized.cli.shell import Shell, json_option, pass_shell
from quantized.ledger.findings import Finding, Tally
from quantized.ledger.verify import Auditor
from quantized.storage.books import read_books
from quantized.storage.desk import INSTITUTION, LICENSE
from quantized.storage.statements import (
    LicenseLine,
    LicenseStatement,
    Period,
    Role,
    RoleStatement,
    UnsettledHold,
    reading_statements,
    unsettled_holds,
)

_ENTRY_FIELDS = (
    "line", "created_at", "seq", "amount_micro_credits", "balance_micro_credits", "request_id", "hold_id",
    "id", "reason", "actor",
)  # fmt: skip
_ROLE_FIELDS = (
    "line", "license_id", "unique_id", "entries", "amount_micro_credits", "balance_micro_credits",
)  # fmt: skip


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
    only = find(url, LICENSE, license_).id if license_ else None
    with read_books(url, only) as books, _Progress(books.entry_count()) as progress:
        auditor = Auditor(books, progress.advance)
        _tell(auditor.findings(), as_json=as_json)
    _sum_up(auditor.tally, as_json=as_json)
    if auditor.tally.findings:
        click.get_current_context().exit(1)


@ledger.command()
@click.argument("account")
@click.option(
    "--institution", metavar="INSTITUTION", help="Of a shared account, only this institution's part."
)
@click.option("--from", "since", type=MOMENT, help="From a date, a time, or a length of time ago (30d).")
@click.option(
    "--to", "until", type=MOMENT, help="Up to a date (all of it), before a time, or a length of time ago."
)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, for spreadsheets; amounts in micro-credits.")
@json_option
@pass_shell
def show(
    shell: Shell,
    account: str,
    institution: str | None,
    since: Moment | None,
    until: Moment | None,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Print an account's statement: the opening balance, what moved it, the closing balance.

    ACCOUNT is a licence, whose entries are the lines, or one of the accounts that licences share:
    institution, revenue and overrun, with a line for each licence and kind of entry. With --json each line is
    an object. Days are UTC's.
    """
    if as_csv and as_json:
        raise click.UsageError("--csv and --json exclude each other.")
    url = database_url(shell)
    now = shell.clock.now_ms()
    period = Period(
        since=since.back_to_begin(now) if since else None, until=until.back_to_end(now) if until else None
    )
    with reading_statements(url) as connection:
        statement: RoleStatement | LicenseStatement
        fields: tuple[str, ...]
        if account in get_args(Role):
            owner = find(url, INSTITUTION, institution).id if institution else None
            statement, fields = RoleStatement(connection, cast(Role, account), owner, period), _ROLE_FIELDS
        elif institution is not None:
            raise click.UsageError("--institution is for the accounts institution, revenue and overrun.")
        else:
            statement = LicenseStatement(connection, find(url, LICENSE, account).id, period)
            fields = _ENTRY_FIELDS
        records = _statement(statement, fields)
        if as_csv:
            print_csv(fields, records)
        elif as_json:
            for record in records:
                click.echo(json.dumps({name: value for name, value in record.items() if value is not None}))
        else:
            click.echo(_ROLE_HEADER if fields is _ROLE_FIELDS else _ENTRY_HEADER)
            for record in records:
                click.echo(_role_text(record) if fields is _ROLE_FIELDS else _entry_text(record))


def _statement(statement: RoleStatement | LicenseStatement, fields: tuple[str, ...]) -> Iterator[Record]:
    """The lines between the opening and the closing balance, each with the balance after it."""
    empty = dict.fromkeys(fields)
    balance = statement.opening()
    yield {**empty, "line": "opening", "balance_micro_credits": balance}
    for line in statement.lines():
        balance += line.amount
        record = asdict(line)
        record["line"] = record.pop("kind")
        record["amount_micro_credits"] = record.pop("amount")
        if isinstance(line, LicenseLine):
            record["created_at"] = iso_time(line.created_at)
        yield {**empty, **record, "balance_micro_credits": balance}
    yield {**empty, "line": "closing", "balance_micro_credits": balance}


def _entry_text(record: Record) -> str:
    """Widths are fixed, because a line leaves before the next is known."""
    when = str(record["created_at"] or "")[:19].replace("T", " ")
    named = record["request_id"] or record["id"] or ""
    said = f"{record['reason']} ({record['actor']})" if record["actor"] else ""
    words = printable("  ".join(filter(None, (str(named), said))))
    seq = "" if record["seq"] is None else record["seq"]
    return f"{when:<19} {seq:>8}  {record['line']:<10} {_amounts(record)}  {words}".rstrip()


_ENTRY_HEADER = f"{'time':<19} {'number':>8}  {'line':<10} {'amount':>20} {'balance':>20}  what for"
_ROLE_HEADER = f"{'line':<10} {'entries':>10} {'amount':>20} {'balance':>20}  licence"


def _role_text(record: Record) -> str:
    count = "" if record["entries"] is None else record["entries"]
    words = printable("  ".join(str(record[name]) for name in ("unique_id", "license_id") if record[name]))
    return f"{record['line']:<10} {count:>10} {_amounts(record)}  {words}".rstrip()


def _amounts(record: Record) -> str:
    amount, balance = record["amount_micro_credits"], record["balance_micro_credits"]
    moved = credits_text(amount) if isinstance(amount, int) else ""
    return f"{moved:>20} {credits_text(balance) if isinstance(balance, int) else '':>20}"


@ledger.command()
@click.option("--since", type=MOMENT, help="Only those released since: a date, a time, a length of time ago.")
@click.option("--license", "license_", metavar="LICENSE", help="Only this licence's.")
@json_option
@pass_shell
def unsettled(shell: Shell, since: Moment | None, license_: str | None, as_json: bool) -> None:
    """List requests that had been let upstream and whose end nobody accounted for.

    Their process died, or forgot them; what they held was released and nothing was charged, but the provider
    may have a bill for them. With --json each is a line, with all that is known.
    """
    url = database_url(shell)
    owner = find(url, LICENSE, license_).id if license_ else None
    begin = since.back_to_begin(shell.clock.now_ms()) if since else 0
    with reading_statements(url) as connection:
        for hold in unsettled_holds(connection, begin, owner):
            record: dict[str, object] = asdict(hold)
            record["held_micro_credits"] = record.pop("amount")
            record["taken_at"], record["ended_at"] = iso_time(hold.taken_at), iso_time(hold.ended_at)
            if as_json:
                click.echo(json.dumps(record))
            else:
                click.echo(_unsettled_text(hold))


def _unsettled_text(hold: UnsettledHold) -> str:
    taken = (iso_time(hold.taken_at) or "")[:19].replace("T", " ")
    where = f"{hold.host} (pid {hold.pid})" if hold.host else hold.process_id or "-"
    words = (
        taken, f"{hold.reason:<12}", f"{credits_text(hold.amount):>14}", hold.provider, hold.model,
        hold.request_id, f"license={hold.license_id}", f"key={hold.key_id}", f"process={where}",
    )  # fmt: skip
    return printable("  ".join(words))


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
