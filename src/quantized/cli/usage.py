"""`quantized usage`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import click
from msgspec.structs import asdict

from quantized.cli.arguments import MOMENT, Moment
from quantized.cli.output import Record, iso_time, print_csv, show_all
from quantized.cli.records import DatabaseCommand, database_url
from quantized.cli.shell import Shell, json_option, pass_shell
from quantized.storage.directory import Directory
from quantized.storage.engine import open_engine
from quantized.storage.reports import (
    GROUPINGS,
    Grouping,
    UsageEntry,
    UsageFilter,
    UsageTotal,
    usage_entries,
    usage_totals,
)

_SUMS = ("requests", "input", "output", "charged_micro_credits", "overrun_micro_credits", "estimated")
_GROUP_FIELDS: Mapping[Grouping, tuple[str, ...]] = {
    "day": ("day",),
    "model": ("model",),
    "key": ("key_id", "key"),
    "license": ("license_id", "license"),
    "user": ("user_id",),
}
_ENTRY_FIELDS = (
    "created_at",
    "request_id",
    "license_id",
    "key_id",
    "user_id",
    "provider",
    "model",
    "surface",
    "outcome",
    "input",
    "cached_read",
    "output",
    "reasoning",
    "charged_micro_credits",
    "overrun_micro_credits",
    "estimated",
    "first_byte_ms",
    "duration_ms",
)
_ENTRY_COLUMNS = (
    "created_at",
    "request_id",
    "model",
    "provider",
    "outcome",
    "input",
    "output",
    "charged_micro_credits",
    "overrun_micro_credits",
)


@click.command(cls=DatabaseCommand)
@click.option("--license", "license_", metavar="LICENSE", help="Only this licence's.")
@click.option("--key", "key_", metavar="KEY", help="Only this key's.")
@click.option("--model", help="Only this model's.")
@click.option("--since", type=MOMENT, help="From a date, a time, or a length of time ago (7d).")
@click.option(
    "--until", type=MOMENT, help="Up to a date (all of it), before a time, or a length of time ago."
)
@click.option(
    "--by",
    type=click.Choice([*GROUPINGS, "request"]),
    default="day",
    show_default=True,
    help="What to add up by; request adds nothing up. Days are UTC's.",
)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, for spreadsheets; amounts in micro-credits.")
@json_option
@pass_shell
def usage(  # noqa: PLR0913, PLR0917  one for each option
    shell: Shell,
    license_: str | None,
    key_: str | None,
    model: str | None,
    since: Moment | None,
    until: Moment | None,
    by: Grouping | Literal["request"],
    as_csv: bool,
    as_json: bool,
) -> None:
    """What was used and charged. Input and output are tokens; estimated counts requests whose provider
    reported none, so that they were counted here."""
    if as_csv and as_json:
        raise click.UsageError("--csv and --json exclude each other.")
    engine = open_engine(database_url(shell))
    directory = Directory(engine)
    now = shell.clock.now_ms()
    wanted = UsageFilter(
        license_id=directory.license(license_).id if license_ else None,
        key_id=directory.key(key_).id if key_ else None,
        model=model,
        since=since.back_to_begin(now) if since else None,
        until=until.back_to_end(now) if until else None,
    )
    fields: Sequence[str]
    columns: Sequence[str]
    records: Iterator[Record]
    if by == "request":
        fields, columns = _ENTRY_FIELDS, _ENTRY_COLUMNS
        records = map(_entry_record, usage_entries(engine, wanted))
    else:
        fields = columns = (*_GROUP_FIELDS[by], *_SUMS)
        records = (_total_record(total, by) for total in usage_totals(engine, by, wanted))
    if as_csv:
        print_csv(fields, records)
    else:
        show_all(list(records), columns, as_json=as_json, empty="Nothing was used.")


def _total_record(total: UsageTotal, by: Grouping) -> Record:
    group = (iso_time(total.group) or "")[:10] if isinstance(total.group, int) else total.group
    return {
        **dict(zip(_GROUP_FIELDS[by], (group, total.label), strict=False)),
        "requests": total.requests,
        "input": total.input,
        "output": total.output,
        "charged_micro_credits": total.charged,
        "overrun_micro_credits": total.overrun,
        "estimated": total.estimated,
    }


def _entry_record(entry: UsageEntry) -> Record:
    record = asdict(entry)
    record["created_at"] = iso_time(entry.created_at)
    record["charged_micro_credits"] = record.pop("charged")
    record["overrun_micro_credits"] = record.pop("overrun")
    return {field: record[field] for field in _ENTRY_FIELDS}
