"""`quantized jwt`."""

import asyncio
import os
import sys
from pathlib import Path

import click
from msgspec import UNSET
from msgspec.structs import asdict

from quantized.administration import verbs
from quantized.auth.admission import judge_claims, no_institution, signer
from quantized.auth.api_key import digest
from quantized.auth.authenticate import judge_record
from quantized.auth.jwt import MOST_CHARACTERS, SignedToken, read_token
from quantized.auth.public_keys import UnfitKey, read_public_key
from quantized.auth.signing import mint_private_key, public_half, read_private_key, sign_token
from quantized.cli.acting import act, every
from quantized.cli.arguments import CREDITS, MODEL_PATTERN, MOMENT, NAME, Moment
from quantized.cli.output import Record, iso_time, show, show_all
from quantized.cli.records import DatabaseGroup, database_url
from quantized.cli.shell import Shell, json_option, pass_shell, print_json
from quantized.core.errors import Unauthenticated
from quantized.storage.keys import SqlKeyStore
from quantized.storage.tokens import SqlTokenStore


@click.group(cls=DatabaseGroup)
def jwt() -> None:
    """Signed tokens: an institution signs, and needs no key from here."""


@jwt.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("quantized-jwt.pem"),
    show_default=True,
    help="Where the private key is to be kept.",
)
@json_option
def keygen(out: Path, as_json: bool) -> None:
    """Make a pair of keys: the private one into a file for its owner alone, the public one to register."""
    pem = mint_private_key()
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(pem)
    except FileExistsError as error:
        raise click.ClickException(f"{out} is there already; say --out for another file") from error
    except OSError as error:
        raise click.ClickException(f"cannot write {out}: {error.strerror}") from error
    public = public_half(read_private_key(pem))
    record: Record = {
        "private_key_file": str(out),
        "public_key": public,
        "public_key_pem": read_public_key(public).pem,
    }
    if as_json:
        print_json(record)
        return
    click.echo(f"Private key  {out}  (keep it where you sign, and nowhere else)")
    click.echo(f"Public key   {public}")
    click.echo("\nRegister the public key, then sign a token to try it with:\n")
    click.echo(f"quantized institution key add INSTITUTION {public}")
    click.echo(f"quantized jwt sign --key {out} --institution INSTITUTION --license-type TYPE")


@jwt.command()
@click.option(
    "--key",
    "key_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    required=True,
    help="The file with the private key.",
)
@click.option("--kid", type=NAME, help="By what the public key is registered.")
@click.option("--institution", type=NAME, required=True, help="Its id or alias.")
@click.option("--license-type", type=NAME, required=True, help="Its id or alias.")
@click.option("--unique-id", type=NAME, help="What the licence stands for, a course for example.")
@click.option("--user-id", type=NAME, help="Whom the calls are recorded for.")
@click.option(
    "--expires",
    type=MOMENT,
    default="1h",
    show_default=True,
    help="When it stops: a date, a time, or a length of time from now.",
)
@click.option("--no-expiry", is_flag=True, help="It never stops.")
@click.option("--jti", type=NAME, help="The token's own id, by which it can be revoked.")
@click.option("--salt", type=NAME, help="Anything; makes a token unlike another.")
@click.option("--allowance", type=CREDITS, help="Credits of the licence, where this token makes it.")
@click.option(
    "--model", "models", type=MODEL_PATTERN, multiple=True, help="A model, or a pattern. May be repeated."
)
@json_option
@pass_shell
def sign(  # noqa: PLR0913, PLR0917  one for each option
    shell: Shell,
    key_file: Path,
    kid: str | None,
    institution: str,
    license_type: str,
    unique_id: str | None,
    user_id: str | None,
    expires: Moment,
    no_expiry: bool,
    jti: str | None,
    salt: str | None,
    allowance: int | None,
    models: tuple[str, ...],
    as_json: bool,
) -> None:
    """Sign a token and print it, as an institution's own software would. Needs no database."""
    now = shell.clock.now_ms()
    said = {
        "institution_id": institution,
        "license_type_id": license_type,
        "unique_id": unique_id,
        "user_id": user_id,
        "iat": now // 1_000,
        "exp": None if no_expiry else expires.ahead(now) // 1_000,
        "jti": jti,
        "salt": salt,
        "allowance": allowance,
        "models": models or None,
    }
    claims = {name: value for name, value in said.items() if value is not None}
    try:
        key = read_private_key(key_file.read_text(encoding="utf-8", errors="replace"))
    except UnfitKey as unfit:
        raise click.BadParameter(str(unfit), param_hint="--key") from unfit
    except OSError as error:
        raise click.ClickException(f"cannot read {key_file}: {error.strerror}") from error
    token = sign_token(claims, key, kid)
    if as_json:
        print_json({"token": token, "claims": claims})
    else:
        click.echo(token)


@jwt.command()
@click.argument("text", metavar="TOKEN")
@json_option
@pass_shell
@click.pass_context
def inspect(ctx: click.Context, shell: Shell, text: str, as_json: bool) -> None:
    """What a token says, and whether the gateway takes it or why not; status 1 where it does not.

    TOKEN may be - for standard input, which keeps it out of the shell's history. Nothing is made or changed.
    """
    token = sys.stdin.read(MOST_CHARACTERS + 2) if text == "-" else text
    record = asyncio.run(_inspect(database_url(shell), token.strip(), shell.clock.now_ms()))
    show(record, as_json=as_json)
    if not record["accepted"]:
        ctx.exit(1)


@jwt.command()
@click.argument("institution")
@click.argument("jti", type=NAME)
@click.option("--reason", type=NAME, default="revoked", help="For those who look later.")
@json_option
@pass_shell
def revoke(shell: Shell, institution: str, jti: str, reason: str, as_json: bool) -> None:
    """Refuse every token of an institution with this jti, for good; the gateway follows within seconds.

    A token without a jti ends with its key (quantized key list, quantized key deactivate) or its licence.
    """
    verb = verbs.RevokeToken(institution=institution, jti=jti, reason=reason)
    show(asdict(act(shell, verb)), as_json=as_json)


@jwt.command()
@click.argument("institution", required=False)
@json_option
@pass_shell
def revoked(shell: Shell, institution: str | None, as_json: bool) -> None:
    """What was revoked."""
    rows = every(shell, verbs.ListRevokedTokens(institution=institution, limit=200))
    columns = ("jti", "reason", "revoked_at", "institution_id")
    show_all([asdict(row) for row in rows], columns, as_json=as_json, empty="No token was revoked.")


async def _inspect(url: str, token: str, now: int) -> Record:
    try:
        read = read_token(token)
    except Unauthenticated as refused:
        return {"accepted": False, "reason": refused.cause}
    keys, tokens = SqlKeyStore(url), SqlTokenStore(url)
    record: dict[str, object] = {"kid": read.kid, **_claimed(read)}
    try:
        record |= {"accepted": True, **await _judged(keys, tokens, token, read, now)}
    except Unauthenticated as refused:
        record |= {"accepted": False, "reason": refused.cause}
    finally:
        keys.close()
        tokens.close()
    return record


async def _judged(
    keys: SqlKeyStore, tokens: SqlTokenStore, text: str, token: SignedToken, now: int
) -> Record:
    """As the gateway would. Raises Unauthenticated."""
    known = await keys.find(digest(text))
    if known is not None:
        caller = judge_record(known, now)
        return {"used_before": True, "key_id": caller.key_id, "license_id": caller.license_id}
    claims = token.claims
    jti = None if claims.jti is UNSET else claims.jti
    issuer = await tokens.issuer(claims.institution_id, claims.license_type_id, jti, now)
    if issuer is None:
        raise no_institution(claims)
    public_key = await signer(token, issuer)
    judge_claims(claims, issuer, now)
    return {"used_before": False, "public_key_id": public_key.id}


def _claimed(token: SignedToken) -> Record:
    """Times as text, amounts with their unit."""
    claimed = {name: value for name, value in asdict(token.claims).items() if value is not UNSET}
    record: dict[str, object] = {}
    for name, value in claimed.items():
        match name, value:
            case "exp" | "nbf" | "iat", _:
                record[f"{name}_at"] = iso_time(int(value * 1_000))
            case "allowance", _:
                record["allowance_micro_credits"] = value
            case _, tuple():
                record[name] = list(value)
            case _:
                record[name] = value
    return record
