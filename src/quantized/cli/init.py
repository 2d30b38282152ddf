"""`quantized init`: from nothing to a key that works. Said again, it changes nothing and prints the same."""

import json
import shlex
from pathlib import Path

import click
from msgspec import Struct

from quantized.administration import verbs
from quantized.auth import api_key
from quantized.cli.acting import Saying, act, together
from quantized.cli.arguments import CREDITS
from quantized.cli.first_key import FirstKeyFile, first_key_file, first_key_path
from quantized.cli.output import credits_text
from quantized.cli.records import DatabaseCommand
from quantized.cli.shell import Shell, json_option, pass_shell, print_json
from quantized.settings import Settings
from quantized.storage.database import database
from quantized.storage.directory import Directory, Founding, FoundingPlan
from quantized.storage.directory_rows import Key, License
from quantized.storage.engine import open_engine
from quantized.storage.migrate import is_current, migrate

_DEMO_MODEL = "quantized/demo"


class First(Struct, frozen=True):
    """What is there to begin with. `secret` and `key` are None where the first licence is deactivated."""

    founding: Founding
    license: License
    secret: str | None
    key: Key | None


@click.command(cls=DatabaseCommand)
@click.option("--credits", "credits_", type=CREDITS, default="5", help="What the first licence begins with.")
@json_option
@pass_shell
def init(shell: Shell, credits_: int, as_json: bool) -> None:
    """Prepare the database, and print a key and a call to try it with.

    On first use this makes an institution, a licence type, a licence with credits and a key. That one key is
    kept in a file beside the database (in var/ for PostgreSQL), readable by its owner alone, so that this can
    be repeated: it then changes nothing, but for a key in the place of one that no longer works.
    """
    # The database of this machine, whichever gateway is administered otherwise.
    shell = shell.here
    settings = shell.settings(need_keys=True)
    if not is_current(settings.database_url):
        migrate(settings.database_url)
    path = first_key_path(database(settings.database_url).belongings)
    try:
        with first_key_file(path) as kept:
            first = _first(shell, settings.database_url, kept, credits_)
    except OSError as error:
        raise click.ClickException(f"cannot keep the first key in {path}: {error.strerror}") from error
    if as_json:
        print_json(_record(settings, path, first))
    else:
        click.echo(_greeting(settings, path, first))


def _first(shell: Shell, url: str, kept: FirstKeyFile, amount: int) -> First | None:
    """None where the database was set up by hand, and has no first licence of ours."""
    directory = Directory(open_engine(url))
    now = shell.clock.now_ms()
    plan = FoundingPlan(
        institution_alias="home",
        institution_name="Home",
        license_type_alias="standard",
        license_type_name="Standard",
        license_unique_id="first",
        license_name="First licence",
        default_credits=amount,
    )
    with together(shell, url) as say:
        if not say(verbs.ListInstitutions(limit=1)).data:
            _found(say, plan)
    founding = directory.found(plan, now)
    if founding is None:
        return None
    if founding.license.granted == 0 and not founding.license.unlimited:
        # By this id it counts once, also where an earlier run got no further than the licence.
        verb = verbs.GrantCredits(
            license=founding.license.id,
            micro_credits=founding.license_type.default_credits or amount,
            reason="first credits",
            id=f"grant-first-{founding.license.id}",
        )
        act(shell, verb)
    row = directory.license(founding.license.id)
    if not row.active:
        return First(founding, row, None, None)
    secret, key = _working_key(shell, directory, kept, row)
    return First(founding, row, secret, key)


def _found(say: Saying, plan: FoundingPlan) -> None:
    owner = say(verbs.CreateInstitution(alias=plan.institution_alias, name=plan.institution_name))
    type_ = say(
        verbs.CreateLicenseType(
            institution=owner.institution_id,
            alias=plan.license_type_alias,
            name=plan.license_type_name,
            default_micro_credits=plan.default_credits,
        )
    )
    say(
        verbs.CreateLicense(
            license_type=type_.license_type_id, unique_id=plan.license_unique_id, name=plan.license_name
        )
    )


def _working_key(shell: Shell, directory: Directory, kept: FirstKeyFile, row: License) -> tuple[str, Key]:
    """The kept key if it still opens this licence, otherwise a new one, kept in its place."""
    secret = kept.read()
    key = directory.key_by_digest(api_key.digest(secret)) if secret else None
    if secret and key and key.license_id == row.id and key.works(shell.clock.now_ms()):
        return secret, key
    with together(shell) as say:
        made = say(verbs.CreateKey(license=row.id, name="first key"))
        minted = made.api_key or ""
        # Kept before it counts: a key that works and that nobody has is worse than one that does not.
        kept.write(minted)
    return minted, directory.key(made.key_id)


def base_url(settings: Settings) -> str:
    """Where callers reach the gateway."""
    return f"{settings.site}/v1"


def _record(settings: Settings, path: Path, first: First | None) -> dict[str, object]:
    founding = first.founding if first else None
    return {
        "base_url": base_url(settings),
        "api_key": first.secret if first else None,
        "key_file": str(path) if first and first.secret else None,
        "institution_id": founding.institution.id if founding else None,
        "license_type_id": founding.license_type.id if founding else None,
        "license_id": founding.license.id if founding else None,
        "key_id": first.key.id if first and first.key else None,
        "available_micro_credits": first.license.remaining if first else None,
    }


def _greeting(settings: Settings, path: Path, first: First | None) -> str:
    lines = [f"Base URL  {base_url(settings)}"]
    if first is None:
        lines += ["", "The database was set up by hand; for a key: quantized key create LICENSE"]
    elif first.secret is None:
        lines += ["", f"The first licence is deactivated; quantized license activate {first.license.id}"]
    else:
        remaining = first.license.remaining
        shown = "unlimited" if remaining is None else credits_text(remaining)
        lines += [f"API key   {first.secret}  (kept in {path})", f"Credits   {shown}", "", "Try it:", ""]
        lines.append(_curl(settings, first.secret))
    return "\n".join(["", *lines, ""])


def _curl(settings: Settings, secret: str) -> str:
    model = _DEMO_MODEL if settings.demo else "MODEL"
    body = {"model": model, "messages": [{"role": "user", "content": "What is the capital of France?"}]}
    words = (
        "curl",
        f"{base_url(settings)}/chat/completions",
        "-H",
        f"Authorization: Bearer {secret}",
        "-H",
        "Content-Type: application/json",
        "-d",
        json.dumps(body),
    )
    return shlex.join(words)
