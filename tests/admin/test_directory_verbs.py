"""What is meant by a reference, and two administrators at once, on a clock that stands."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from admin_world import ROOT
from campus import public_key
from plain_sql import plainly

from quantized.administration import verbs as v
from quantized.administration.administration import Administration
from quantized.administration.faults import Ambiguous, Conflict, NotThere
from quantized.administration.words import Rates, TypeLimits, iso_time
from quantized.auth.public_keys import to_pem
from quantized.core.errors import LedgerUnavailable

Tell = Callable[[v.Verb[Any]], Any]
NOW = 1_700_000_000_000


class Standing:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = NOW

    def now_ms(self) -> int:
        return self.now

    def monotonic(self) -> float:
        return self.now / 1_000


@pytest.fixture
def clock() -> Standing:
    return Standing()


@pytest.fixture
def tell(database_url: str, clock: Standing) -> Tell:
    desk = Administration(database_url, clock)
    return lambda verb: desk.do(ROOT, verb)


def test_a_change_of_terms_is_never_missed_and_never_lost(tell: Tell, clock: Standing) -> None:
    tell(v.CreateInstitution(alias="uni"))
    before = tell(v.CreateLicenseType(institution="uni", alias="course"))
    changed = tell(v.UpdateLicenseType(license_type="course", markup_bp=20_000))
    clock.now -= 2
    again = tell(v.UpdateLicenseType(license_type="course", overrides={"m": Rates(input=1)}))
    assert before.updated_at < changed.updated_at < again.updated_at
    assert (again.markup_bp, again.overrides) == (20_000, {"m": Rates(input=1)})

    changes: list[dict[str, Any]] = [
        {"name": "Course"},
        {"markup_bp": 15_000},
        {"overrides": {}},
        {"limits": TypeLimits(requests_per_minute=6)},
        {"token_models": True},
        {"token_allowance_micro_credits": 5},
        {"retention_days": 7},
        {"allowed_models": ("a/*",)},
    ]
    with ThreadPoolExecutor(len(changes)) as administrators:
        said = [v.UpdateLicenseType(license_type="course", **change) for change in changes]
        answers = list(administrators.map(tell, said))
    assert len({answer.updated_at for answer in answers}) == len(changes)
    now = tell(v.ShowLicenseType(license_type="course"))
    assert now.updated_at == max(answer.updated_at for answer in answers)
    for change in changes:
        ((name, value),) = change.items()
        assert getattr(now, name) == value


def test_an_id_goes_before_an_alias_and_an_alias_before_a_beginning(tell: Tell) -> None:
    first = tell(v.CreateInstitution(alias="one"))
    its = first.institution_id
    named_like_it = tell(v.CreateInstitution(alias=its[:8]))
    for reference, meant in ((its, first), (its[:8], named_like_it), (its[:9], first)):
        assert tell(v.ShowInstitution(institution=reference)) == meant
    for nobodys in (its[:3], "ONE", its.upper() if its.upper() != its else "One"):
        with pytest.raises(NotThere):
            tell(v.ShowInstitution(institution=nobodys))


def test_a_beginning_that_many_have_is_refused_with_some_of_them(tell: Tell) -> None:
    tell(v.CreateInstitution(alias="uni"))
    tell(v.CreateLicenseType(institution="uni", alias="course"))
    owner = tell(v.CreateLicense(license_type="course")).license_id
    keys = [tell(v.CreateKey(license=owner)) for _ in range(9)]
    with pytest.raises(Ambiguous) as caught:
        tell(v.ShowKey(key="key-"))
    assert 2 <= sum(key.key_id in caught.value.message for key in keys) < 9
    assert tell(v.ShowKey(key=keys[3].prefix)).key_id == keys[3].key_id


def pem(seed: int) -> str:
    return to_pem(public_key(seed).public_bytes_raw())


def test_an_institutions_public_keys_are_its_own_and_told_apart_by_kid(tell: Tell, clock: Standing) -> None:
    for alias in ("uni", "school"):
        tell(v.CreateInstitution(alias=alias))
    add, own = v.CreatePublicKey, []
    for seed, kid in ((1, "a"), (2, None), (3, None)):
        own.append(tell(add(institution="uni", key=pem(seed), kid=kid)))
        clock.now += 1
    elsewhere = tell(add(institution="school", key=pem(1), kid="a"))
    with pytest.raises(Conflict, match="public key 'a'"):
        tell(add(institution="uni", key=pem(4), kid="a"))
    with pytest.raises(Conflict, match="has this public key already: pub-"):
        tell(add(institution="uni", key=pem(1)))
    assert tell(v.ListPublicKeys(institution="uni")).data == own
    assert tell(v.ListPublicKeys(institution="school")).data == [elsewhere]


def test_no_more_public_keys_are_in_use_than_are_tried(tell: Tell, clock: Standing) -> None:
    tell(v.CreateInstitution(alias="uni"))
    ends = iso_time(NOW + 5_000)
    first = tell(v.CreatePublicKey(institution="uni", key=pem(1), expires_at=ends))
    keys = [tell(v.CreatePublicKey(institution="uni", key=pem(seed))) for seed in range(2, 9)]
    with pytest.raises(Conflict, match="8 public keys in use"):
        tell(v.CreatePublicKey(institution="uni", key=pem(9)))
    clock.now += 5_000  # the first one has expired
    tell(v.CreatePublicKey(institution="uni", key=pem(9)))
    # What was put away comes back only where there is room.
    for lasting in (None, iso_time(clock.now + 5_000)):
        with pytest.raises(Conflict, match="8 public keys in use"):
            tell(v.UpdatePublicKey(public_key=first.public_key_id, expires_at=lasting))
    tell(v.UpdatePublicKey(public_key=keys[0].public_key_id, active=False))
    tell(v.UpdatePublicKey(public_key=first.public_key_id, expires_at=None))
    with pytest.raises(Conflict, match="8 public keys in use"):
        tell(v.UpdatePublicKey(public_key=keys[0].public_key_id, active=True))


def test_a_licence_types_limits_are_kept_and_changed(tell: Tell) -> None:
    tell(v.CreateInstitution(alias="uni"))
    assert tell(v.CreateLicenseType(institution="uni", alias="free")).limits == TypeLimits()
    limits = TypeLimits(60, 1_000_000, 4, 8_192)
    made = tell(v.CreateLicenseType(institution="uni", alias="course", limits=limits))
    assert made.limits == tell(v.ShowLicenseType(license_type="course")).limits == limits
    fewer = TypeLimits(requests_per_minute=6)
    tell(v.UpdateLicenseType(license_type="course", limits=fewer))
    assert tell(v.ShowLicenseType(license_type="course")).limits == fewer


def test_a_database_without_its_tables_is_told_as_that(tell: Tell, database_url: str) -> None:
    with plainly(database_url) as other:
        for table in ("response_call", "response_reasoning", "response", "usage_record"):
            other(f"DROP TABLE {table}")
    for verb in (v.ReadUsage(), v.ListRequests()):
        with pytest.raises(LedgerUnavailable):
            tell(verb)
