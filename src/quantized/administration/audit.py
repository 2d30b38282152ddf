"""The audit log's chain: each entry's hash covers the one before, so that what was altered, removed or put in
between shows.

    hash = SHA-256(hash of the entry before, 32 zero bytes for the first || entry bytes)

Entry bytes are a JSON array of the entry's columns but the hash, in the table's order: UTF-8, no white space.
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any

import msgspec
from msgspec.structs import astuple, replace

from quantized.administration.acting import Done
from quantized.administration.actor import Actor, Claimant
from quantized.administration.records import Record
from quantized.storage.desk_rows import AuditRow

_GENESIS = bytes(32)


def entry(actor: Actor | Claimant, action: str, done: Done[Any], now: int, last: AuditRow | None) -> AuditRow:
    """The log's next entry after `last`."""
    row = AuditRow(
        seq=1 if last is None else last.seq + 1,
        at=now,
        actor_id=actor.id,
        actor_name=actor.name,
        role=actor.role,
        origin=actor.origin,
        request_id=actor.request_id,
        institution_id=done.institution_id,
        action=action,
        target=done.target,
        target_id=done.target_id,
        reason=done.reason,
        before=_json(done.before),
        after=_json(done.after),
        hash=b"",
    )
    return replace(row, hash=_hash(row, last))


def breaks(entries: Iterable[AuditRow]) -> Iterator[str]:
    """What is wrong with the log, read from its first entry on; nothing where it is whole."""
    last: AuditRow | None = None
    for row in entries:
        expected = 1 if last is None else last.seq + 1
        if row.seq != expected:
            yield f"entry {expected} is missing: {row.seq} follows"
        elif row.hash != _hash(row, last):
            yield f"entry {row.seq} is not as it was written, or not after the one that it followed"
        last = row


def _hash(row: AuditRow, last: AuditRow | None) -> bytes:
    before = _GENESIS if last is None else last.hash
    return sha256(before + msgspec.json.encode(astuple(row)[:-1])).digest()


def _json(record: Record | None) -> str | None:
    return None if record is None else msgspec.json.encode(record).decode()
