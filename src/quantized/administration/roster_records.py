"""What verbs about rosters answer with."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from quantized.administration.records import Record, Time

CLAIM_PATH = "/claim/"
"""Where the gateway has one-time links; their secret follows."""

What = Literal["added", "changed", "returned", "removed"]


class RosterRecord(Record, frozen=True, kw_only=True):
    """`mode` "licenses": each person has a licence of `license_type_id`; "allowances": all share
    `license_id`. `people` have access, `removed` had it."""

    roster_id: str
    institution_id: str
    alias: str
    mode: Literal["licenses", "allowances"]
    license_type_id: str | None
    license_id: str | None
    people: int
    removed: int
    created_at: Time
    updated_at: Time


class PersonRecord(Record, frozen=True, kw_only=True):
    """`micro_credits` is what the roster gave, null for what the licence's type says. `has_key`: one that
    works; `link_expires_at`: of a link that was not used yet."""

    person: str
    name: str
    email: str | None
    license_id: str
    micro_credits: int | None
    expires_at: Time | None
    active: bool
    has_key: bool
    link_expires_at: Time | None
    created_at: Time
    updated_at: Time


class FieldChange(Struct, frozen=True):
    before: str | int | None
    after: str | int | None


class PersonChange(Struct, frozen=True, kw_only=True):
    """`fields` are those that change, with what they are before and after; of somebody new all that are
    said."""

    what: What
    person: str
    name: str
    license_id: str | None
    fields: Mapping[str, FieldChange]


class Handed(Struct, frozen=True, kw_only=True):
    """What somebody was given: a `link` that shows its person a key once, or the key itself. Shown this once;
    null in a plan, and where the answer is repeated for an Idempotency-Key. `stopped_keys`: whether keys that
    the person had work no more."""

    person: str
    name: str
    email: str | None
    link: str | None = None
    link_expires_at: Time | None = None
    key_id: str | None = None
    api_key: str | None = None
    stopped_keys: bool = False


class RosterImportRecord(Record, frozen=True, kw_only=True):
    """What an import did, or (`dry_run`) would do. `roster` is null where it would be made. `ignored_columns`
    mean nothing here. `kept`: how many were there already and have something else than was said for all."""

    roster: RosterRecord | None
    dry_run: bool
    added: int
    changed: int
    returned: int
    removed: int
    unchanged: int
    changes: list[PersonChange]
    handed: list[Handed]
    ignored_columns: list[str]
    kept: int = 0

    def without_secret(self) -> "RosterImportRecord":
        return replace(self, handed=[replace(each, link=None, api_key=None) for each in self.handed])


class NewLinkRecord(Record, frozen=True, kw_only=True):
    """`link` is shown this once. `stopped_keys`: whether the keys that the person had work no more."""

    roster_id: str
    person: str
    link: str | None
    link_expires_at: Time
    stopped_keys: bool

    def without_secret(self) -> "NewLinkRecord":
        return replace(self, link=None)


class ClaimRecord(Record, frozen=True, kw_only=True):
    """What the audit log keeps of a link that was used."""

    person: str
    roster_id: str
    license_id: str
    key_id: str


class ClaimedKey(Struct, frozen=True):
    """What whoever used a link is shown. `api_key` is nowhere else."""

    api_key: str
    name: str
    base_url: str
    expires_at: Time | None
