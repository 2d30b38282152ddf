"""What the gateway needs from the rooms around it, as protocols and the plain data they exchange.

Amounts are integers in micro-credits, times are Unix milliseconds, ids are minted by whoever calls.
"""

from collections.abc import Awaitable, Mapping
from typing import Literal, Protocol

from msgspec import UNSET, Struct, UnsetType

from quantized.core.limits import NO_LIMITS, Limits, Standing
from quantized.core.turns import Found, KeptTurn, Needs, StoredTurn
from quantized.core.usage import Usage


class Clock(Protocol):
    def now_ms(self) -> int:
        """Unix time in milliseconds."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""


class Override(Struct, frozen=True):
    """Rates of one model, in micro-credits per million, that replace the catalogue's for a licence type.

    A rate that is None stays the catalogue's.
    """

    input: int | None = None
    cached_read: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    input_audio: int | None = None
    output: int | None = None
    reasoning: int | None = None
    output_audio: int | None = None
    output_image: int | None = None
    request: int | None = None
    web_search: int | None = None


class Terms(Struct, frozen=True):
    """What a licence type grants: a mark-up in basis points (10,000 = the catalogue's own rate), rates of its
    own by model name, and the models that may be called: shell-style patterns of their public names, None for
    all. `narrowed` are patterns of a credential's own: a model has to fit both. `providers` are patterns of
    the names of those that may be asked, None for all. `id` names this version of the terms, so that what is
    derived from them can be cached by it."""

    id: str
    markup_bp: int = 10_000
    overrides: Mapping[str, Override] = {}
    allowed: tuple[str, ...] | None = None
    narrowed: tuple[str, ...] | None = None
    providers: tuple[str, ...] | None = None


class Caller(Struct, frozen=True):
    """Who is calling, once the credential has been judged. `retention_days`: for how long this licence's
    responses are stored where they are; 0 is for ever, None is what the settings say. `user_allowance`: how
    much of the licence this user may use at most; None where no allowance applies."""

    institution_id: str
    license_type_id: str
    license_id: str
    key_id: str
    terms: Terms
    user_id: str | None = None
    stores_responses: bool = True
    retention_days: int | None = None
    limits: Limits = NO_LIMITS
    user_allowance: int | None = None


class Issuer(Struct, frozen=True):
    """What a signed token goes on depending on once it was verified: the public key that did it, and that the
    token itself is not `revoked`."""

    public_key_id: str
    active: bool
    expires_at: int | None
    revoked: bool


class KeyRecord(Struct, frozen=True):
    """An API key, or a signed token that has been verified, as stored. `digest` is SHA-256 of the whole of
    it; the credential itself is nowhere. `issuer` is a token's."""

    digest: bytes
    active: bool
    expires_at: int | None
    license_active: bool
    caller: Caller
    issuer: Issuer | None = None


class KeyStore(Protocol):
    def find(self, digest: bytes) -> Awaitable[KeyRecord | None]:
        """The key with this digest. Raises LedgerUnavailable when the database does not answer."""


class UserAllowance(Struct, frozen=True):
    """What one user may use of a licence at most, and has."""

    user_id: str
    allowance_micro_credits: int
    used_micro_credits: int
    available_micro_credits: int


class LicenseStatus(Struct, frozen=True):
    """A licence as its holder may read it. `used_micro_credits` + `available_micro_credits` is all that was
    ever granted: what requests under way hold is still available. None for an unlimited licence.
    `user_allowance` is left out where none applies to whoever asks."""

    institution_id: str
    license_type_id: str
    license_id: str
    unique_id: str | None
    used_micro_credits: int
    available_micro_credits: int | None
    user_allowance: UserAllowance | UnsetType = UNSET


class HoldOrder(Struct, frozen=True):
    """A wish to set credits aside for one request: `wanted`, or what there is if that is at least `minimum`.

    `expires_at`: after this time the hold belongs to nobody who still lives, and the sweeper releases it.
    `tokens` is what the request may take of a limit on tokens by the minute. `user_id` is whose allowance it
    counts for, with `user_cap` where that user has none of its own; None where no allowance applies.
    """

    id: str
    license_id: str
    wanted: int
    minimum: int
    taken_at: int
    expires_at: int
    request_id: str
    key_id: str
    provider: str
    model: str
    limits: Limits | None = None
    tokens: int = 0
    user_id: str | None = None
    user_cap: int | None = None


class Hold(Struct, frozen=True):
    """Credits set aside. `amount` lies between the order's minimum and wanted. `standing`: where something is
    limited by the minute."""

    id: str
    license_id: str
    amount: int
    standing: Standing | None = None


Outcome = Literal["completed", "cut", "client_left"]


class Charge(Struct, frozen=True):
    """What one request really cost, and everything a bill's reader wants to know about it.

    `price` is the full price at the licence's rates. `provider_cost` is what the provider says it charges us,
    in pico-dollars. `estimated`: the provider reported no usage, the counts are ours. `outcome`: the answer
    was completed, was cut by the provider, or the client left. `turn` becomes durable together with the
    charge, or neither does. `limits` and `user_cap` as in the order of its hold.
    """

    hold_id: str
    request_id: str
    license_id: str
    key_id: str
    user_id: str | None
    surface: str
    provider: str
    model: str
    upstream_id: str | None
    usage: Usage
    price: int
    estimated: bool
    provider_cost: int | None
    outcome: Outcome
    started_at: int
    first_byte_ms: int | None
    duration_ms: int
    turn: StoredTurn | None = None
    limits: Limits | None = None
    user_cap: int | None = None


class Receipt(Struct, frozen=True):
    """What a settlement did. `charged` + `overrun` is the price; `remaining` is None for an unlimited
    licence. Saying the same settlement again gives the same receipt."""

    charged: int
    overrun: int
    remaining: int | None


class Ledger(Protocol):
    """The life of a hold. Each verb is taken in order at the moment of the call, not when it is awaited, so
    that a caller that is cancelled while it waits has still said it. Each may be said twice.

    All raise LedgerUnavailable when the database does not take them.
    """

    def hold(self, order: HoldOrder) -> Awaitable[Hold]:
        """Raises InsufficientCredits when less than `order.minimum` is there, RateLimited where a limit lets
        the request in later."""

    def settle(self, charge: Charge) -> Awaitable[Receipt]:
        """Ends a hold with a charge. On a hold that was already released: charges what is there."""

    def release(self, hold_id: str, reason: str) -> Awaitable[None]:
        """Ends a hold without a charge."""


class ConversationStore(Protocol):
    """What was said before. A turn comes in with its charge (`Ledger.settle`) and can be read by everybody
    the instant that has returned. Response ids may begin with `resp_` in place of `resp-`.

    All raise LedgerUnavailable when the database does not answer.
    """

    def find(self, license_id: str, needs: Needs) -> Awaitable[Found]:
        """What this licence has stored of what is needed. Items and tool calls that are not there are left
        out. Raises ResponseNotFound where `needs.previous` or a turn before it is not there, and
        ConversationTooLong."""

    def get(self, license_id: str, response_id: str) -> Awaitable[KeptTurn]:
        """Raises ResponseNotFound."""

    def delete(self, license_id: str, response_id: str) -> Awaitable[None]:
        """Forgets one response; what continues it can no longer be continued. Raises ResponseNotFound."""
