"""`quantized audit-log`."""

from itertools import islice

import click
from msgspec import json
from msgspec.structs import asdict

from quantized.administration import verbs
from quantized.administration.administration import Administration
from quantized.administration.records import AuditRecord
from quantized.cli.acting import one_by_one
from quantized.cli.arguments import MOMENT, NAME, UNIQUE_ID, Moment
from quantized.cli.output import Record, iso_time, show_all
from quantized.cli.records import DatabaseGroup, database_url
from quantized.cli.shell import Shell, json_option, pass_shell


@click.group(cls=DatabaseGroup)
def audit_log() -> None:
    """Who did what, when and from where. Nothing in it is ever changed or removed."""


@audit_log.command("list")
@click.option("--institution", help="Only what was done to this institution's.")
@click.option("--actor", type=UNIQUE_ID, help="Only what this admin key (its id) or user@host did.")
@click.option("--action", type=UNIQUE_ID, help="Only such acts, createKey for example.")
@click.option("--target", type=NAME, help="Only what was done to the thing with this id.")
@click.option("--since", type=MOMENT, help="From a date, a time, or a length of time ago (7d).")
@click.option(
    "--until", type=MOMENT, help="Up to a date (all of it), before a time, or a length of time ago."
)
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="How many.")
@click.option("--all", "all_", is_flag=True, help="All of them.")
@json_option
@pass_shell
def list_(  # noqa: PLR0913, PLR0917  one for each option
    shell: Shell,
    institution: str | None,
    actor: str | None,
    action: str | None,
    target: str | None,
    since: Moment | None,
    until: Moment | None,
    limit: int,
    all_: bool,
    as_json: bool,
) -> None:
    """The newest acts, the newest first; with --json, what each did it to, before and after."""
    now = shell.clock.now_ms()
    verb = verbs.ListAudit(
        institution=institution,
        actor=actor,
        action=action,
        target=target,
        since=iso_time(since.back_to_begin(now)) if since else None,
        until=iso_time(until.back_to_end(now)) if until else None,
    )
    rows = one_by_one(shell, verb)
    shown = list(rows if all_ else islice(rows, limit))
    columns = ("seq", "at", "actor_name", "origin", "action", "target_id", "reason")
    records = [_record(row) for row in shown]
    show_all(records, columns, as_json=as_json, empty="Nothing was done.")
    if next(rows, None) is not None:
        click.echo(f"There is more than these {limit}: --limit shows so many, --all shows all.", err=True)


@audit_log.command()
@pass_shell
def verify(shell: Shell) -> None:
    """Whether the log is as it was written; exit status 1 where it is not."""
    found = list(Administration(database_url(shell), shell.clock).audit_breaks())
    for what in found:
        click.echo(what)
    if found:
        raise click.ClickException("the audit log was changed")
    click.echo("The audit log is as it was written.")


def _record(row: AuditRecord) -> Record:
    return {**asdict(row), "before": json.decode(row.before), "after": json.decode(row.after)}
