"""What becomes of a token when it is first used, and of what it depends on afterwards: real stores, real
books, on both databases. Two gateways are two authenticators with stores of their own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from campus import campus, public_key, sign
from database_copies import KINDS, PostgresDatabases, Templates
from plain_sql import rows

from quantized.administration import verbs as v
from quantized.administration.actor import command_line
from quantized.administration.administration import Administration
from quantized.administration.words import iso_time
from quantized.auth.admission import Admission
from quantized.auth.authenticate import Authenticator
from quantized.auth.public_keys import to_pem
from quantized.catalog.catalog import Catalog
from quantized.catalog.model import Model, Rates
from quantized.clock import SystemClock
from quantized.core.errors import LedgerUnavailable, Unauthenticated
from quantized.core.ports import Caller
from quantized.ledger.credits import grant
from quantized.ledger.first_credits import FirstCredits
from quantized.storage.engine import open_engine
from quantized.storage.keys import SqlKeyStore
from quantized.storage.tokens import PendingCredits, SqlTokenStore

NOW = SystemClock().now_ms()
CREDITS = 5_000_000


class Gateway:
    """One process's way from a header to a caller. `clock` may be set ahead."""

    def __init__(self, url: str, resources: ExitStack, cache_seconds: float = 0.0) -> None:
        self.ahead_ms = 0
        self.grants = 0
        self.away = False
        keys, tokens = SqlKeyStore(url, patience=20), SqlTokenStore(url, patience=20)
        resources.callback(keys.close)
        resources.callback(tokens.close)
        self._credits = FirstCredits(url, self)
        self.door = Authenticator(keys, self, cache_seconds, Admission(tokens, self._grant, self))

    def now_ms(self) -> int:
        return SystemClock().now_ms() + self.ahead_ms

    def monotonic(self) -> float:
        return SystemClock().monotonic()

    async def _grant(self, pending: PendingCredits) -> None:
        self.grants += 1
        if self.away:
            raise LedgerUnavailable(cause="away")
        await self._credits.grant(pending)

    async def caller(self, token: str) -> Caller:
        return await self.door.authenticate(f"Bearer {token}")

    async def refusal(self, token: str) -> str:
        with pytest.raises(Unauthenticated) as refused:
            await self.caller(token)
        assert refused.value.message == "Invalid API key"
        cause = str(refused.value.cause)
        signature = token.rpartition(".")[2]
        assert not signature or signature not in cause
        return cause


Tell = Callable[[v.Verb[Any]], Any]


def administrator(url: str) -> Tell:
    desk, root = Administration(url, SystemClock()), command_line("root", "here")
    return lambda verb: desk.do(root, verb)


def prepare(url: str) -> None:
    tell = administrator(url)
    for institution, seeds in (("uni", (1, 2)), ("school", (3,))):
        tell(v.CreateInstitution(alias=institution))
        for seed in seeds:
            pem = to_pem(public_key(seed).public_bytes_raw())
            tell(v.CreatePublicKey(institution=institution, key=pem, kid=f"{institution}-{seed}"))
    uni = partial(v.CreateLicenseType, institution="uni")
    tell(uni(alias="course", default_micro_credits=CREDITS))
    tell(uni(alias="free", unlimited=True, token_allowance_micro_credits=1_000))
    tell(uni(alias="empty"))
    tell(
        uni(
            alias="open",
            default_micro_credits=CREDITS,
            allowed_models=("openai/*",),
            token_allowance_micro_credits=2 * CREDITS,
            token_models=True,
        )
    )
    tell(v.CreateLicenseType(institution="school", alias="class", default_micro_credits=CREDITS))


@pytest.fixture(scope="module")
def campuses(
    tmp_path_factory: pytest.TempPathFactory, postgres: Callable[[], PostgresDatabases]
) -> Iterator[Templates]:
    made = Templates(tmp_path_factory.mktemp("campus"), postgres, prepare)
    yield made
    made.close()


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest, campuses: Templates, tmp_path: Path) -> Iterator[str]:
    with campuses.copy(request.param, tmp_path / "quantized.db") as url:
        yield url


@pytest.fixture
def tell(database_url: str) -> Tell:
    return administrator(database_url)


Gateways = Callable[..., Gateway]


@pytest.fixture
async def gateways(database_url: str) -> AsyncIterator[Gateways]:
    with ExitStack() as resources:
        yield lambda **options: Gateway(database_url, resources, **options)


@pytest.fixture
async def gateway(gateways: Gateways) -> Gateway:
    return gateways()


def licences(url: str) -> list[tuple[object, ...]]:
    """(unique id, unlimited, granted, entries) of each."""
    found = rows(url, "SELECT unique_id, unlimited, granted, entries FROM license ORDER BY unique_id")
    return [
        (unique_id, bool(unlimited), granted, entries) for unique_id, unlimited, granted, entries in found
    ]


def keys(url: str) -> int:
    return int(rows(url, "SELECT count(*) FROM api_key WHERE kind = 'token'")[0][0])


async def test_a_first_use_makes_a_licence_with_what_its_type_begins_with_and_a_key(
    database_url: str, tell: Tell, gateways: Gateways
) -> None:
    one, other = gateways(), gateways()
    expires = NOW // 1_000 + 3_600
    token = sign(campus(unique_id="bio", user_id="ann", salt="pepper", jti="t-1", exp=expires))
    caller = await one.caller(token)
    assert caller == await one.caller(token) == await other.caller(token)
    assert licences(database_url) == [("bio", False, CREDITS, 1)]
    assert caller.user_id == "ann"
    assert caller.institution_id == tell(v.ShowInstitution(institution="uni")).institution_id
    assert caller.license_type_id == tell(v.ShowLicenseType(license_type="uni/course")).license_type_id
    row = tell(v.ShowKey(key=caller.key_id))
    assert (row.user_id, row.license_id) == ("ann", caller.license_id)
    assert row.expires_at == iso_time(expires * 1_000)
    assert row.prefix.startswith("token-")
    kept = rows(database_url, "SELECT salt, jti, models, public_key_id FROM api_key WHERE kind = 'token'")
    assert kept[0][:3] == ("pepper", "t-1", None)
    assert kept[0][3] == tell(v.ShowPublicKey(public_key="uni-1")).public_key_id
    entries = rows(database_url, "SELECT kind, amount, actor FROM ledger_entry")
    assert [tuple(entry) for entry in entries] == [("grant", CREDITS, "signed token")]


async def test_ids_do_as_well_as_aliases(database_url: str, tell: Tell, gateway: Gateway) -> None:
    course = tell(v.ShowLicenseType(license_type="uni/course"))
    ids = {"institution_id": course.institution_id, "license_type_id": course.license_type_id}
    by_id = await gateway.caller(sign({**ids, "unique_id": "bio"}))
    by_alias = await gateway.caller(sign(campus(unique_id="bio")))
    assert by_id.license_id == by_alias.license_id
    assert by_id.key_id != by_alias.key_id
    assert licences(database_url) == [("bio", False, CREDITS, 1)]


async def test_a_licence_that_is_there_is_taken_as_it_is(
    database_url: str, tell: Tell, gateway: Gateway
) -> None:
    row = tell(v.CreateLicense(license_type="uni/course", unique_id="bio", micro_credits=7))
    caller = await gateway.caller(sign(campus(unique_id="bio")))
    assert caller.license_id == row.license_id
    assert licences(database_url) == [("bio", False, 7, 1)]


async def test_without_a_unique_id_each_token_is_a_licence_of_its_own(
    database_url: str, gateways: Gateways
) -> None:
    one, other = gateways(), gateways()
    tokens = [sign(campus(salt=salt)) for salt in ("a", "b")]
    found = [(await one.caller(token)).license_id for token in tokens]
    assert found == [(await other.caller(token)).license_id for token in tokens]
    assert len(set(found)) == 2
    assert licences(database_url) == [(None, False, CREDITS, 1)] * 2


async def test_one_id_of_two_types_is_two_licences(database_url: str, gateway: Gateway) -> None:
    course = await gateway.caller(sign(campus(unique_id="bio")))
    empty = await gateway.caller(sign(campus(unique_id="bio", license_type_id="empty")))
    assert course.license_id != empty.license_id
    assert sorted(licences(database_url), key=str) == [("bio", False, 0, 0), ("bio", False, CREDITS, 1)]


async def test_a_hundred_first_uses_of_one_token_on_two_gateways_are_one(
    database_url: str, gateways: Gateways
) -> None:
    both = gateways(), gateways()
    token = sign(campus(unique_id="bio"))
    callers = await asyncio.gather(*(both[number % 2].caller(token) for number in range(100)))
    assert len({caller.key_id for caller in callers}) == 1
    assert licences(database_url) == [("bio", False, CREDITS, 1)]
    assert keys(database_url) == 1


async def test_a_hundred_tokens_of_one_course_at_once_are_one_licence(
    database_url: str, gateways: Gateways
) -> None:
    both = gateways(), gateways()
    tokens = [sign(campus(unique_id="bio", user_id=f"student-{number}")) for number in range(100)]

    async def patient(number: int) -> Caller:
        """On a busy machine the last of them are told to come back."""
        while True:
            try:
                return await both[number % 2].caller(tokens[number])
            except LedgerUnavailable:
                await asyncio.sleep(0.1)

    async with asyncio.timeout(50):
        callers = await asyncio.gather(*map(patient, range(100)))
    assert len({caller.license_id for caller in callers}) == 1
    assert {caller.user_id for caller in callers} == {f"student-{number}" for number in range(100)}
    assert licences(database_url) == [("bio", False, CREDITS, 1)]
    assert keys(database_url) == 100


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_first_use_waits_for_no_administrator(database_url: str, gateways: Gateways) -> None:
    """A long act, a roster's for example; SQLite has one writer at a time, whatever it writes."""
    with open_engine(database_url).begin() as act:
        act.exec_driver_sql("UPDATE license_type SET name = 'Renamed'")
        await gateways().caller(sign(campus(unique_id="bio")))
    assert licences(database_url) == [("bio", False, CREDITS, 1)]


async def test_what_was_cut_off_between_licence_and_credits_is_brought_to_its_end(
    database_url: str, tell: Tell, gateways: Gateways
) -> None:
    """With what the licence was to begin with, whatever its type says by now and whatever it was given."""
    one, other = gateways(), gateways()
    one.away = True
    token = sign(campus(unique_id="bio"))
    with pytest.raises(LedgerUnavailable):
        await one.caller(token)
    assert licences(database_url) == [("bio", False, 0, 0)]
    assert keys(database_url) == 0
    by_hand = rows(database_url, "SELECT id FROM license")[0][0]
    grant(database_url, entry_id="by-hand", license_id=by_hand, amount=7, reason="r", actor="a", now_ms=NOW)
    tell(v.UpdateLicenseType(license_type="uni/course", default_micro_credits=1))
    later = await other.caller(sign(campus(unique_id="bio", salt="another")))
    one.away = False
    assert (await one.caller(token)).license_id == later.license_id == by_hand
    assert licences(database_url) == [("bio", False, CREDITS + 7, 2)]
    assert (one.grants, other.grants) == (1, 1)


async def test_an_unlimited_types_licence_is_unlimited_unless_credits_are_claimed(
    database_url: str, gateway: Gateway
) -> None:
    await gateway.caller(sign(campus(license_type_id="free", unique_id="a")))
    await gateway.caller(sign(campus(license_type_id="free", unique_id="b", allowance=1_000)))
    assert licences(database_url) == [("a", True, 0, 0), ("b", False, 1_000, 1)]
    assert gateway.grants == 1


async def test_an_allowance_is_for_the_licence_that_the_token_makes(
    database_url: str, gateway: Gateway
) -> None:
    for unique_id, allowance in (("a", 2 * CREDITS), ("b", 0), ("a", 1)):
        await gateway.caller(sign(campus(license_type_id="open", unique_id=unique_id, allowance=allowance)))
    await gateway.caller(sign(campus(license_type_id="open", unique_id="c")))
    assert licences(database_url) == [
        ("a", False, 2 * CREDITS, 1),
        ("b", False, 0, 0),
        ("c", False, CREDITS, 1),
    ]


async def test_what_a_type_does_not_let_a_token_claim_refuses_it(database_url: str, gateway: Gateway) -> None:
    assert "allow the claim 'allowance'" in await gateway.refusal(sign(campus(allowance=1)))
    assert "allow the claim 'models'" in await gateway.refusal(sign(campus(models=["openai/*"])))
    over = campus(license_type_id="open", allowance=2 * CREDITS + 1)
    assert f"is above its licence type's {2 * CREDITS}" in await gateway.refusal(sign(over))
    assert licences(database_url) == []


async def test_models_narrow_and_never_widen(gateway: Gateway) -> None:
    catalog = Catalog()
    names = ("openai/gpt", "openai/mini", "other/model")
    rates = Rates(1, 1, 1, 1, 1, 1, 1, 1, 1)
    catalog.replace("p", [Model(name, "p", name, name, "a", rates) for name in names])

    async def offered(**claims: object) -> list[str]:
        caller = await gateway.caller(sign(campus(license_type_id="open", **claims)))
        found = [offer.model.id for offer in catalog.offers(caller.terms)]
        assert found == [name for name in names if catalog.find("p", name, caller.terms) is not None]
        return found

    assert await offered() == ["openai/gpt", "openai/mini"]
    assert await offered(models=["*/mini", "other/*"]) == ["openai/mini"]
    assert await offered(models=["*"]) == ["openai/gpt", "openai/mini"]
    assert await offered(models=["other/*"]) == []


REFUSED = {
    "another key": (sign(campus(), seed=9), "signature is wrong"),
    "another institution's key": (sign(campus(), seed=3), "signature is wrong"),
    "another institution's kid": (
        sign(campus(), {"alg": "EdDSA", "kid": "school-3"}, seed=3),
        "names no public key of its institution",
    ),
    "another institution's type": (sign(campus(license_type_id="class")), "no licence type 'class'"),
    "a foreign institution's own type": (sign(campus(institution_id="school"), seed=3), "no licence type"),
    "no such institution": (sign(campus(institution_id="nowhere")), "no institution 'nowhere'"),
    "no such type": (sign(campus(license_type_id="c%")), "no licence type 'c%'"),
    "the beginning of an alias": (sign(campus(institution_id="un")), "no institution 'un'"),
    "another spelling": (sign(campus(institution_id="UNI")), "no institution 'UNI'"),
    "sql": (sign(campus(institution_id="uni' OR '1'='1")), "no institution"),
    "unsigned": (sign(campus()).rpartition(".")[0] + ".", "three parts"),
}


async def test_whoever_is_refused_leaves_nothing_behind(database_url: str, gateway: Gateway) -> None:
    for what, (token, says) in REFUSED.items():
        assert says in await gateway.refusal(token), what
    assert licences(database_url) == []
    assert keys(database_url) == 0


async def test_the_id_of_anothers_type_is_refused_too(tell: Tell, gateway: Gateway) -> None:
    other = tell(v.ShowLicenseType(license_type="school/class")).license_type_id
    assert "no licence type" in await gateway.refusal(sign(campus(license_type_id=other)))


async def test_keys_take_over_from_each_other(database_url: str, gateway: Gateway) -> None:
    first, second = (sign(campus(unique_id="bio"), seed=seed) for seed in (1, 2))
    named = sign(campus(unique_id="bio"), {"alg": "EdDSA", "typ": "JWT", "kid": "uni-2"}, seed=2)
    assert len({(await gateway.caller(token)).license_id for token in (first, second, named)}) == 1
    rows(database_url, "UPDATE public_key SET active = false WHERE kid = 'uni-1'")
    assert "is deactivated" in await gateway.refusal(first)
    assert "signature is wrong" in await gateway.refusal(sign(campus(unique_id="new"), seed=1))
    await gateway.caller(second)
    rows(database_url, "UPDATE public_key SET active = true WHERE kid = 'uni-1'")
    await gateway.caller(first)
    rows(database_url, f"UPDATE public_key SET expires_at = {NOW} WHERE kid = 'uni-2'")
    assert "has expired" in await gateway.refusal(second)
    assert "in use" in await gateway.refusal(sign(campus(), {"alg": "EdDSA", "kid": "uni-2"}, seed=2))


async def test_a_token_is_revoked_by_its_name_within_its_institution(
    database_url: str, tell: Tell, gateway: Gateway
) -> None:
    used, unused, other = (sign(campus(jti=jti, unique_id="bio", salt=jti)) for jti in ("t-1", "t-2", "t-3"))
    elsewhere = sign({"institution_id": "school", "license_type_id": "class", "jti": "t-1"}, seed=3)
    for token in (used, other, elsewhere):
        await gateway.caller(token)
    for jti in ("t-1", "t-2"):
        tell(v.RevokeToken(institution="uni", jti=jti))
    assert "is revoked" in await gateway.refusal(used)
    assert "jti 't-2' is revoked" in await gateway.refusal(unused)
    assert "is revoked" in await gateway.refusal(sign(campus(jti="t-1", salt="signed again")))
    await gateway.caller(other)
    await gateway.caller(elsewhere)


async def test_a_licence_or_key_that_is_deactivated_refuses_its_tokens(tell: Tell, gateway: Gateway) -> None:
    token, other = (sign(campus(unique_id="bio", salt=salt)) for salt in ("a", "b"))
    caller = await gateway.caller(token)
    tell(v.UpdateKey(key=caller.key_id, active=False))
    assert "deactivated" in await gateway.refusal(token)
    await gateway.caller(other)
    tell(v.UpdateLicense(license=caller.license_id, active=False))
    assert "licence" in await gateway.refusal(other)
    assert "deactivated" in await gateway.refusal(sign(campus(unique_id="bio", salt="c")))


async def test_an_expired_token_is_refused_at_that_instant_however_well_it_is_known(
    gateways: Gateways,
) -> None:
    gateway = gateways(cache_seconds=60.0)
    expires = gateway.now_ms() // 1_000 + 3_600
    token = sign(campus(exp=expires))
    await gateway.caller(token)
    gateway.ahead_ms = 3_540_000
    await gateway.caller(token)
    gateway.ahead_ms = 3_600_001
    assert "has expired" in await gateway.refusal(token)
    assert "it has expired" in await gateway.refusal(sign(campus(exp=expires, salt="unknown")))


async def test_tokens_that_begin_alike_share_nothing(gateways: Gateways) -> None:
    gateway = gateways(cache_seconds=60.0)
    long = "x" * 2_000
    one, two = (sign(campus(salt="s", own=long, unique_id=unique_id)) for unique_id in ("a", "b"))
    assert one[:2_000] == two[:2_000]
    assert (await gateway.caller(one)).license_id != (await gateway.caller(two)).license_id
    head = one.rpartition(".")[0]
    for forged in (f"{head}.{two.rpartition('.')[2]}", one[:-5] + "AAAAQ", one[:1_000]):
        assert await gateway.refusal(forged)
    await gateway.caller(one)
