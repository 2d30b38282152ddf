r"""The bytes that the books' hashes are made of, so that an auditor can make them again in any language.

Bytes are made here and nowhere else, never by a database. An entry's are a JSON array of its columns in the
order of HASHED_COLUMNS, a request record's of its columns in the order of RECORD_COLUMNS: UTF-8, no white
space, `null` for NULL, `true` and `false`, integers in plain decimal digits, a hash as 64 lower-case
hexadecimal digits. In strings only `"`, `\` and U+0000 to U+001F are escaped: `\"`, `\\`, `\b`, `\t`, `\n`,
`\f`, `\r`, and `\u00xx` with lower-case digits for the rest.

    record_hash = SHA-256(record bytes)
    hash        = SHA-256(hash of the licence's entry before, 32 zero bytes for its first || entry bytes)
"""

from hashlib import sha256

import msgspec

from quantized.storage.records import ENTRY_COLUMNS, USAGE_COLUMNS, Row

GENESIS = bytes(32)
"""What stands in the place of a hash before a licence's first entry."""

HASHED_COLUMNS = ENTRY_COLUMNS[:-1]
RECORD_COLUMNS = USAGE_COLUMNS

_encode = msgspec.json.Encoder().encode


def record_bytes(record: Row) -> bytes:
    """`record` in the order of RECORD_COLUMNS. Raises ValueError for text that UTF-8 does not know."""
    return _encode(record)


def record_hash(record: Row) -> bytes:
    return sha256(_encode(record)).digest()


def entry_bytes(columns: Row, hash_of_record: bytes | None) -> bytes:
    """`columns` are all of HASHED_COLUMNS but the last, the hash of the request's record."""
    return _encode((*columns, None if hash_of_record is None else hash_of_record.hex()))


def entry_hash(before: bytes, columns: Row, hash_of_record: bytes | None) -> bytes:
    """`before` is the hash of the same licence's entry before this one, GENESIS for its first."""
    return sha256(before + entry_bytes(columns, hash_of_record)).digest()
