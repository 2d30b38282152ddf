"""`quantized usage`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import click

from quantized.administration import verbs
from quantized.administration.records import RequestRecord, UsageRecord
from quantized.cli.acting import act, one_by_one
from quantized.cli.arguments import MOMENT, NAME, Moment
from quantized.cli.output import Record, iso_time, print_csv, show_all
from quantized.cli.records import DatabaseCommand
from quantized.cli.shell import Shell, json_option, pass_shell
from quantized.core.usage import GROUPINGS, Grouping

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
@click.option("--institution", help="Only this institution's.")
@click.option("--license", "license_", metavar="LICENSE", help="Only this licence's.")
@click.option("--key", "key_", metavar="KEY", help="Only this key's.")
@click.option("--model", help="Only this model's.")
@click.option("--user", type=NAME, help="Only this user's: the user_id of the token or key.")
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
    institution: str | None,
    license_: str | None,
    key_: str | None,
    model: str | None,
    user: str | None,
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
    now = shell.clock.now_ms()
    wanted: dict[str, Any] = {
        "institution": institution,
        "license": license_,
        "key": key_,
        "model": model,
        "user_id": user,
        "since": iso_time(since.back_to_begin(now)) if since else None,
        "until": iso_time(until.back_to_end(now)) if until else None,
    }
    fields: Sequence[str]
    columns: Sequence[str]
    records: Iterator[Record]
    if by == "request":
        fields, columns = _ENTRY_FIELDS, _ENTRY_COLUMNS
        records = map(_entry_record, one_by_one(shell, verbs.ListRequests(**wanted)))
    else:
        fields = columns = (*_GROUP_FIELDS[by], *_SUMS)
        totals = act(shell, verbs.ReadUsage(by=by, **wanted)).data
        records = (_total_record(total, by) for total in totals)
    if as_csv:
        print_csv(fields, records)
    else:
        show_all(list(records), columns, as_json=as_json, empty="Nothing was used.")


def _total_record(total: UsageRecord, by: Grouping) -> Record:
    names = dict(zip(_GROUP_FIELDS[by], (total.group, total.label), strict=False))
    return {**names, **{name: getattr(total, name) for name in _SUMS}}


def _entry_record(entry: RequestRecord) -> Record:
    return {field: getattr(entry, field) for field in _ENTRY_FIELDS}
