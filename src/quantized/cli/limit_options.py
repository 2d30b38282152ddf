"""The options of `quantized license-type` that say what its licences may take at a time, and of whom."""

from collections.abc import Callable
from typing import Any, Literal

import click
from msgspec.structs import replace

from quantized.administration.words import TypeLimits
from quantized.cli.arguments import LIMIT, PROVIDER_PATTERN, USER_ALLOWANCE
from quantized.cli.views import ALL_MODELS

ALL = ALL_MODELS
"""The pattern of every name."""

Said = int | Literal["none"] | None

_LIMITS = {
    "requests_per_minute": "Requests that each of its licences may send in a minute",
    "tokens_per_minute": "Tokens, read and written, that each of its licences may use in a minute",
    "parallel_requests": "Requests of each of its licences that may be under way at a time",
    "output_tokens_per_request": "Tokens that the answer to one request may have",
}


def limit_options(command: Callable[..., None]) -> Callable[..., None]:
    """They arrive as keywords of the command; `changes` makes of them what a verb says."""
    for name, help_ in reversed(_LIMITS.items()):
        option = f"--{name.replace('_', '-')}"
        command = click.option(option, type=LIMIT, metavar="N", help=f"{help_}; 'none' is no limit.")(command)
    command = click.option(
        "--user-allowance",
        type=USER_ALLOWANCE,
        metavar="CREDITS",
        help="What each user may use of one of its licences at most; 'none' is no allowance.",
    )(command)
    return click.option(
        "--providers",
        type=PROVIDER_PATTERN,
        multiple=True,
        metavar="PATTERN",
        help="The providers that may be asked; '*' is all. May be repeated; replaces the old.",
    )(command)


def changes(
    old: TypeLimits, *, providers: tuple[str, ...], user_allowance: Said, **limits: Said
) -> dict[str, Any]:
    """What is said of a licence type, as fields of its verbs; limits that are not said stay as they are."""
    said: dict[str, Any] = {}
    if providers:
        said["allowed_providers"] = None if ALL in providers else providers
    if user_allowance is not None:
        said["user_allowance_micro_credits"] = _amount(user_allowance)
    new = {name: _amount(limit) for name, limit in limits.items() if limit is not None}
    if new:
        said["limits"] = replace(old, **new)
    return said


def _amount(said: Said) -> int | None:
    return None if said == "none" else said
