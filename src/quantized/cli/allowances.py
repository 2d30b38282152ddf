"""`quantized license allowance`."""

from typing import Literal

import click
from msgspec.structs import asdict

from quantized.administration import verbs
from quantized.cli.acting import act, every
from quantized.cli.arguments import NAME, SHARE, USER_ALLOWANCE
from quantized.cli.output import show, show_all
from quantized.cli.records import DatabaseGroup
from quantized.cli.shell import Shell, json_option, pass_shell


@click.group(cls=DatabaseGroup)
def allowance() -> None:
    """What each user may use of a licence, so that nobody empties it alone."""


@allowance.command("set")
@click.argument("license_", metavar="LICENSE")
@click.argument("user_id", metavar="USER", type=NAME)
@click.argument("credits_", metavar="CREDITS", type=SHARE)
@json_option
@pass_shell
def set_(shell: Shell, license_: str, user_id: str, credits_: int, as_json: bool) -> None:
    """Let a user use so many CREDITS of a licence; 0 stops that user.

    USER is the user_id of the token or key. It counts for requests that begin a few seconds later. What was
    used before an allowance applied does not count.
    """
    verb = verbs.SetAllowance(license=license_, user_id=user_id, micro_credits=credits_)
    show(asdict(act(shell, verb)), as_json=as_json)


@allowance.command()
@click.argument("license_", metavar="LICENSE")
@click.argument("credits_", metavar="CREDITS", type=USER_ALLOWANCE)
@json_option
@pass_shell
def default(shell: Shell, license_: str, credits_: int | Literal["none"], as_json: bool) -> None:
    """Let each user who has no allowance of its own use so many CREDITS of a licence.

    'none' is what the licence's type says.
    """
    amount = None if credits_ == "none" else credits_
    verb = verbs.UpdateLicense(license=license_, user_allowance_micro_credits=amount)
    show(asdict(act(shell, verb)), as_json=as_json)


@allowance.command("list")
@click.argument("license_", metavar="LICENSE")
@json_option
@pass_shell
def list_(shell: Shell, license_: str, as_json: bool) -> None:
    """The users who have or had an allowance, and what they used of it."""
    records = [asdict(row) for row in every(shell, verbs.ListAllowances(license=license_, limit=200))]
    columns = (
        "user_id",
        "own_micro_credits",
        "allowance_micro_credits",
        "used_micro_credits",
        "available_micro_credits",
    )
    empty = "No user has an allowance yet; set one with: quantized license allowance set LICENSE USER CREDITS"
    show_all(records, columns, as_json=as_json, empty=empty)


@allowance.command()
@click.argument("license_", metavar="LICENSE")
@click.argument("user_id", metavar="USER", type=NAME)
@json_option
@pass_shell
def remove(shell: Shell, license_: str, user_id: str, as_json: bool) -> None:
    """Take a user's own allowance away: what the licence or its type says applies again."""
    verb = verbs.SetAllowance(license=license_, user_id=user_id, micro_credits=None)
    show(asdict(act(shell, verb)), as_json=as_json)
