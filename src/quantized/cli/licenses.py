"""`quantized license`."""

from collections.abc import Callable
from typing import Literal

import click
from msgspec.structs import asdict

from quantized.administration import verbs
from quantized.administration.records import CreditsRecord
from quantized.cli.acting import act, every
from quantized.cli.allowances import allowance
from quantized.cli.arguments import CREDITS, NAME, UNIQUE_ID, USER_ALLOWANCE
from quantized.cli.output import Record, show, show_all
from quantized.cli.records import DatabaseGroup, database_url
from quantized.cli.shell import Shell, json_option, pass_shell
from quantized.storage.charges import find_charge


@click.group(cls=DatabaseGroup)
def license() -> None:  # noqa: A001  the command's own name
    """Licences: who may spend how much."""


license.add_command(allowance)


@license.command()
@click.argument("type_", metavar="TYPE")
@click.option("--unique-id", type=UNIQUE_ID, help="Your own id of what it stands for, a course for example.")
@click.option("--name", type=NAME, help="What people call it; the unique id unless given.")
@click.option(
    "--credits", "credits_", type=CREDITS, help="What it begins with, instead of what its type says."
)
@click.option("--unlimited", is_flag=True, help="No balance, only a count of what it used.")
@click.option(
    "--user-allowance",
    type=USER_ALLOWANCE,
    metavar="CREDITS",
    help="What each user may use of it at most, instead of what its type says.",
)
@json_option
@pass_shell
def create(
    shell: Shell,
    type_: str,
    unique_id: str | None,
    name: str | None,
    credits_: int | None,
    unlimited: bool,
    user_allowance: int | Literal["none"] | None,
    as_json: bool,
) -> None:
    """Make a licence of a type; TYPE may be INSTITUTION/ALIAS."""
    if unlimited and credits_ is not None:
        raise click.UsageError("--unlimited and --credits exclude each other.")
    verb = verbs.CreateLicense(
        license_type=type_,
        unique_id=unique_id,
        name=name,
        micro_credits=credits_,
        unlimited=unlimited,
        user_allowance_micro_credits=None if user_allowance == "none" else user_allowance,
    )
    show(asdict(act(shell, verb)), as_json=as_json)


@license.command("list")
@click.option("--institution", help="Only this institution's.")
@click.option("--type", "type_", metavar="TYPE", help="Only of this type.")
@json_option
@pass_shell
def list_(shell: Shell, institution: str | None, type_: str | None, as_json: bool) -> None:
    """All licences and what they have left."""
    rows = every(shell, verbs.ListLicenses(institution=institution, license_type=type_))
    columns = (
        "unique_id",
        "name",
        "active",
        "unlimited",
        "used_micro_credits",
        "available_micro_credits",
        "license_id",
    )
    empty = "There is no licence; make one with: quantized license create TYPE"
    show_all([asdict(row) for row in rows], columns, as_json=as_json, empty=empty)


@license.command("show")
@click.argument("license_", metavar="LICENSE")
@json_option
@pass_shell
def show_(shell: Shell, license_: str, as_json: bool) -> None:
    """One licence."""
    show(asdict(act(shell, verbs.ShowLicense(license=license_))), as_json=as_json)


@license.command()
@click.argument("license_", metavar="LICENSE")
@click.option("--name", type=NAME, required=True, help="Its new name.")
@json_option
@pass_shell
def update(shell: Shell, license_: str, name: str, as_json: bool) -> None:
    """Rename a licence. What its users may use of it is `license allowance default`."""
    show(asdict(act(shell, verbs.UpdateLicense(license=license_, name=name))), as_json=as_json)


@license.command()
@click.argument("license_", metavar="LICENSE")
@json_option
@pass_shell
def entries(shell: Shell, license_: str, as_json: bool) -> None:
    """A licence's ledger, entry by entry, the oldest first."""
    rows = every(shell, verbs.ListEntries(license=license_))
    records: list[Record] = [asdict(row) for row in rows]
    if not as_json:
        records = [{**record, "amount_micro_credits": record["micro_credits"]} for record in records]
    columns = (
        "seq", "created_at", "kind", "debit", "credit", "amount_micro_credits",
        "balance_after_micro_credits", "reason", "actor",
    )  # fmt: skip
    show_all(records, columns, as_json=as_json, empty="Nothing was booked.")


def _amount_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.argument("credits_", metavar="[CREDITS]", type=CREDITS, required=False),
        click.option("--micro", type=click.IntRange(1, 10**15), help="How many, in micro-credits instead."),
        click.option(
            "--id", "entry_id", type=UNIQUE_ID, help="Your own id of this entry: said again, it counts once."
        ),
        click.option("--actor", type=NAME, help="Who does it, for the ledger; your account at this machine."),
    ):
        command = option(command)
    return command


@license.command()
@click.argument("license_", metavar="LICENSE")
@_amount_options
@click.option("--take", is_flag=True, help="Take them away instead, which is a correction; see adjust.")
@click.option("--reason", type=NAME, default="granted", help="For the ledger.")
@json_option
@pass_shell
def grant(  # noqa: PLR0913, PLR0917  one for each option
    shell: Shell,
    license_: str,
    credits_: int | None,
    micro: int | None,
    take: bool,
    entry_id: str | None,
    reason: str,
    actor: str | None,
    as_json: bool,
) -> None:
    """Give a licence credits."""
    amount = _one_amount(credits_, micro)
    verb = (
        verbs.AdjustCredits(license=license_, micro_credits=-amount, reason=reason, id=entry_id)
        if take
        else verbs.GrantCredits(license=license_, micro_credits=amount, reason=reason, id=entry_id)
    )
    _book(shell, verb, actor, as_json=as_json)


@license.command()
@click.argument("license_", metavar="LICENSE")
@_amount_options
@click.option("--take", is_flag=True, help="Downwards; never what is used or held.")
@click.option("--reason", type=NAME, required=True, help="For the ledger.")
@json_option
@pass_shell
def adjust(  # noqa: PLR0913, PLR0917  one for each option
    shell: Shell,
    license_: str,
    credits_: int | None,
    micro: int | None,
    take: bool,
    entry_id: str | None,
    reason: str,
    actor: str | None,
    as_json: bool,
) -> None:
    """Correct a licence's balance, up or down."""
    amount = _one_amount(credits_, micro)
    verb = verbs.AdjustCredits(
        license=license_, micro_credits=-amount if take else amount, reason=reason, id=entry_id
    )
    _book(shell, verb, actor, as_json=as_json)


@license.command()
@click.argument("request")
@click.option("--license", "license_", metavar="LICENSE", help="Whose charge it was; needed with --url.")
@_amount_options
@click.option("--reason", type=NAME, required=True, help="For the ledger.")
@json_option
@pass_shell
def refund(  # noqa: PLR0913, PLR0917  one for each option
    shell: Shell,
    request: str,
    license_: str | None,
    credits_: int | None,
    micro: int | None,
    entry_id: str | None,
    reason: str,
    actor: str | None,
    as_json: bool,
) -> None:
    """Give back what a request was charged, whole or the CREDITS that are named.

    REQUEST is the request's id (x-request-id) or its hold's. What was consumed beyond the balance was not
    paid and is not given back.
    """
    amount = None if credits_ is None and micro is None else _one_amount(credits_, micro)
    if license_ is None:
        charge = find_charge(database_url(shell), request)
        if charge is None:
            raise click.ClickException(f"nothing was charged for {request!r}")
        license_, request = charge.license_id, charge.hold_id
    verb = verbs.RefundCredits(
        license=license_, request=request, micro_credits=amount, reason=reason, id=entry_id
    )
    _book(shell, verb, actor, as_json=as_json)


def _one_amount(credits_: int | None, micro: int | None) -> int:
    if (credits_ is None) == (micro is None):
        raise click.UsageError("Say how much: either CREDITS or --micro.")
    return (credits_ or 0) + (micro or 0)


def _book(shell: Shell, verb: verbs.Verb[CreditsRecord], actor: str | None, *, as_json: bool) -> None:
    booked = act(shell, verb, signs=actor)
    record = {**asdict(booked.license), "entry_id": booked.entry_id}
    if booked.refunded_micro_credits is not None:
        record["refunded_micro_credits"] = booked.refunded_micro_credits
    show(record, as_json=as_json)


@license.command()
@click.argument("license_", metavar="LICENSE")
@json_option
@pass_shell
def deactivate(shell: Shell, license_: str, as_json: bool) -> None:
    """Refuse all calls of a licence; its balance stays."""
    show(asdict(act(shell, verbs.UpdateLicense(license=license_, active=False))), as_json=as_json)


@license.command()
@click.argument("license_", metavar="LICENSE")
@json_option
@pass_shell
def activate(shell: Shell, license_: str, as_json: bool) -> None:
    """Accept the calls of a licence again."""
    show(asdict(act(shell, verbs.UpdateLicense(license=license_, active=True))), as_json=as_json)
