"""The directory under two administrators at once, a standing clock and a busy database."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec.structs import replace
from plain_sql import plainly

from quantized.core.limits import Limits
from quantized.core.ports import Override
from quantized.storage.database import DatabaseUnusable, database
from quantized.storage.directory import Directory, FoundingPlan, NewKey
from quantized.storage.directory_faults import AlreadyExists, Ambiguous, NotFound
from quantized.storage.engine import open_engine
from quantized.storage.reports import UsageFilter, usage_entries, usage_totals

PLAN = FoundingPlan("home", "Home", "standard", "Standard", "first", "First licence", 7)


@pytest.fixture
def directory(database_url: str) -> Directory:
    return Directory(open_engine(database_url))


def test_whoever_founds_at_once_founds_the_same(directory: Directory) -> None:
    with ThreadPoolExecutor(8) as administrators:
        founded = list(administrators.map(lambda _: directory.found(PLAN, 1), range(8)))
    assert len(set(map(repr, founded))) == 1
    assert len(directory.licenses()) == len(directory.license_types()) == len(directory.institutions()) == 1


def test_nothing_is_founded_beside_what_others_made(directory: Directory) -> None:
    directory.create_institution("home", "Home", 1)
    assert directory.found(PLAN, 2) is None
    directory.create_license_type("home", "standard", "Standard", 3)
    assert directory.found(PLAN, 4) is None
    assert directory.licenses() == []


def test_a_change_of_terms_is_never_missed_and_never_lost(directory: Directory) -> None:
    directory.create_institution("uni", "Uni", 1)
    before = directory.create_license_type("uni", "course", "Course", 5)
    changed = directory.update_license_type("course", 5, lambda row: replace(row, markup_bp=20_000))
    again = directory.update_license_type(
        "course", 3, lambda row: replace(row, overrides={"m": Override(input=1)})
    )
    assert before.updated_at < changed.updated_at < again.updated_at
    assert (again.markup_bp, again.overrides) == (20_000, {"m": Override(input=1)})
    with ThreadPoolExecutor(8) as administrators:
        list(
            administrators.map(
                lambda _: directory.update_license_type(
                    "course", 9, lambda row: replace(row, markup_bp=row.markup_bp + 1)
                ),
                range(20),
            )
        )
    assert directory.license_type("course").markup_bp == 20_020


def test_a_failing_change_changes_nothing(directory: Directory) -> None:
    directory.create_institution("uni", "Uni", 1)
    before = directory.create_license_type("uni", "course", "Course", 5)

    def fail(_: object) -> object:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        directory.update_license_type("course", 6, fail)  # type: ignore[arg-type]
    assert directory.license_type("course") == before


def test_an_id_goes_before_an_alias_and_an_alias_before_a_beginning(directory: Directory) -> None:
    first = directory.create_institution("one", "One", 1)
    named_like_it = directory.create_institution(first.id[:8], "Two", 1)
    assert directory.institution(first.id) == first
    assert directory.institution(first.id[:8]) == named_like_it
    assert directory.institution(first.id[:9]) == first
    with pytest.raises(NotFound):
        directory.institution(first.id[:3])
    with pytest.raises(NotFound):
        directory.institution(first.id.upper() if first.id.upper() != first.id else "ONE")


def test_a_beginning_that_two_have(directory: Directory) -> None:
    founding = directory.found(PLAN, 1)
    assert founding is not None
    keys = [
        directory.create_key(founding.license.id, NewKey(bytes([number]) * 32, f"sk-{number}", "k"), 1)
        for number in range(9)
    ]
    with pytest.raises(Ambiguous) as caught:
        directory.key("key-")
    assert 2 <= sum(key.id in str(caught.value) for key in keys) < 9
    assert directory.key("sk-3") == keys[3]


def test_a_database_that_somebody_else_writes(database_url: str) -> None:
    directory = Directory(open_engine(database_url, busy_seconds=0.05))
    with plainly(database_url) as other:
        for statement in database(database_url).begin_writing:
            other(statement)
        with pytest.raises(DatabaseUnusable, match=r"locked|lock timeout"):
            directory.create_institution("uni", "Uni", 1)
        other("ROLLBACK")
    directory.create_institution("uni", "Uni", 1)


def test_a_database_without_its_tables(database_url: str) -> None:
    with plainly(database_url) as other:
        other("DROP TABLE response_call")
        other("DROP TABLE response_reasoning")
        other("DROP TABLE response")
        other("DROP TABLE usage_record")
    engine = open_engine(database_url)
    with pytest.raises(DatabaseUnusable):
        usage_totals(engine, "day", UsageFilter())
    with pytest.raises(DatabaseUnusable):
        list(usage_entries(engine, UsageFilter()))


def test_an_institutions_public_keys_are_its_own_and_told_apart_by_kid(directory: Directory) -> None:
    for alias in ("uni", "school"):
        directory.create_institution(alias, alias, 1)
    first = directory.add_public_key("uni", "PEM 1", 5, kid="a", expires_at=9)
    unnamed = [directory.add_public_key("uni", f"PEM {now}", now) for now in (6, 7)]
    elsewhere = directory.add_public_key("school", "PEM 3", 8, kid="a")
    with pytest.raises(AlreadyExists, match="public key 'a'"):
        directory.add_public_key("uni", "PEM 4", 9, kid="a")
    assert directory.public_keys("uni") == [first, *unnamed]
    assert (first.active, first.kid, first.pem, first.expires_at) == (True, "a", "PEM 1", 9)
    assert directory.public_keys("school") == [elsewhere]


def test_a_public_key_is_an_institutions_once_and_not_too_many_are_in_use(directory: Directory) -> None:
    directory.create_institution("uni", "Uni", 1)
    directory.add_public_key("uni", "PEM 1", 5, expires_at=9)
    with pytest.raises(AlreadyExists, match="has this public key already: pub-"):
        directory.add_public_key("uni", "PEM 1", 6)
    for number in range(2, 9):
        directory.add_public_key("uni", f"PEM {number}", 7)
    with pytest.raises(AlreadyExists, match="8 public keys in use"):
        directory.add_public_key("uni", "PEM 9", 8)
    directory.add_public_key("uni", "PEM 9", 9)  # the first one has expired


def test_what_a_token_may_claim_is_kept_and_changed(directory: Directory) -> None:
    directory.create_institution("uni", "Uni", 1)
    made = directory.create_license_type("uni", "course", "Course", 2)
    assert (made.token_allowance, made.token_models) == (None, False)
    changed = directory.update_license_type(
        "course", 3, lambda row: replace(row, token_allowance=5, token_models=True)
    )
    assert directory.license_type("course") == changed
    assert (changed.token_allowance, changed.token_models) == (5, True)


def test_a_licence_types_limits_are_kept_and_changed(directory: Directory) -> None:
    directory.create_institution("uni", "Uni", 1)
    assert directory.create_license_type("uni", "free", "Free", 2).limits == Limits()
    limits = Limits(60, 1_000_000, 4, 8_192)
    made = directory.create_license_type("uni", "course", "Course", 3, limits=limits)
    assert directory.license_type("course") == made
    assert made.limits == limits
    fewer = Limits(requests_per_minute=6)
    changed = directory.update_license_type("course", 4, lambda row: replace(row, limits=fewer))
    assert directory.license_type("course").limits == changed.limits == fewer
