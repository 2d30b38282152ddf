"""A signed token for the gateway under load, as an institution would make one with the command line."""

from pathlib import Path

from bench.gateway import Command


def signed_token(folder: Path) -> str:
    """Of the licence that the gateway in `folder` began with; made once."""
    kept = folder / "token"
    if not kept.exists():
        command = Command(folder)
        pair = command.json("jwt", "keygen", "--out", "signing.pem")
        command.json("institution", "key", "add", "home", pair["public_key"], "--kid", "bench")
        told = command.json(
            *("jwt", "sign", "--key", "signing.pem", "--kid", "bench", "--no-expiry"),
            *("--institution", "home", "--license-type", "standard", "--unique-id", "first"),
            *("--user-id", "somebody@uni.example"),
        )
        kept.write_text(told["token"])
    return kept.read_text()
