"""What an import leaves alone on both databases: keys that ended, what people have, what is set by hand,
other rosters and signed tokens. And links that can give no access."""

import asyncio
import hashlib
import json
import time
from typing import Any

import pytest
from admin_world import CLOCK, ROOT, Gateway
from roster_acts import CREDIT, DAY, claimed, counts, first, later, licence, links, people, said, works

from quantized.administration import roster_verbs as rv
from quantized.administration import verbs as v
from quantized.administration.faults import Conflict, Unfit
from quantized.administration.roster_file import RosterUnfit
from quantized.administration.words import iso_time
from quantized.storage.tokens import FirstUse, SqlTokenStore

MAY, JULY = "2099-05-31T00:00:00.000Z", "2099-07-31T00:00:00.000Z"


def ends(gateway: Gateway) -> dict[str, tuple[bool, str | None]]:
    """The keys of the roster `bio` by their names: whether they are not stopped, and when they end."""
    keys = [row for row in gateway.desk.do(ROOT, v.ListKeys(limit=200)).data if row.user_id in {"ann", "bob"}]
    return {row.name: (row.active, row.expires_at) for row in keys}


def create(gateway: Gateway, name: str, user: str, expires_at: str | None) -> Any:
    return gateway.desk.do(
        ROOT, v.CreateKey(license=f"bio:{user}", name=name, user_id=user, expires_at=expires_at)
    )


def test_another_end_is_that_of_the_keys_that_ended_with_the_person(gateway: Gateway) -> None:
    given = first(gateway, hand_out="keys", expires_at=MAY).handed
    ann, bob = given[0], given[1]
    create(gateway, "shorter", "ann", "2099-02-01T00:00:00Z")
    create(gateway, "longer", "ann", None)
    stopped = create(gateway, "stopped", "ann", MAY)
    gateway.desk.do(ROOT, v.UpdateKey(key=stopped.key_id, active=False))
    for key, name, grace in ((ann, "replaced", 1), (bob, "in grace", 3_600)):
        gateway.desk.do(ROOT, v.UpdateKey(key=key.key_id or "", name=name))
        new = gateway.desk.do(ROOT, v.RotateKey(key=key.key_id or "", grace_seconds=grace))
        gateway.desk.do(ROOT, v.UpdateKey(key=new.key_id, name=f"after {name}"))
    before = ends(gateway)
    until = time.monotonic() + 25
    while works(gateway, ann.api_key or ""):
        assert time.monotonic() < until

    assert counts(said(gateway, f"id,expires\nann,{JULY[:19]}Z\nbob,{JULY[:19]}Z\ncat,\n")) == (0, 2, 0, 0, 1)
    assert not works(gateway, ann.api_key or "")
    new_end = (True, JULY)
    assert ends(gateway) == {**before, "after replaced": new_end, "after in grace": new_end}
    # And no key in grace outlasts its person.
    soon = iso_time(CLOCK.now_ms() + 60_000)
    said(gateway, f"id,expires\nann,{JULY[:19]}Z\nbob,{soon[:19]}Z\ncat,\n")
    now = ends(gateway)
    assert now["in grace"] == now["after in grace"] == (True, f"{soon[:19]}.000Z")


def test_a_key_without_an_end_gets_its_persons_and_loses_it_again(gateway: Gateway) -> None:
    first(gateway)
    create(gateway, "guest", "ann", None)
    create(gateway, "shorter", "ann", "2099-02-01T00:00:00Z")
    said(gateway, "id,expires\nann,2099-05-30\nbob,\ncat,\n")
    assert ends(gateway) == {"guest": (True, MAY), "shorter": (True, "2099-02-01T00:00:00.000Z")}
    said(gateway, "id,expires\nann,never\nbob,\ncat,\n")
    assert ends(gateway) == {"guest": (True, None), "shorter": (True, "2099-02-01T00:00:00.000Z")}


def test_what_is_said_for_all_counts_for_who_is_new(gateway: Gateway) -> None:
    said(gateway, "id,credits\nann,20\nbob,\n", license_type="ours/standard", micro_credits=5 * CREDIT)
    done = said(gateway, "id,credits\nann,\nbob,\ncat,\n", micro_credits=3 * CREDIT, expires_at=MAY)
    assert (counts(done), done.kept) == ((1, 0, 0, 0, 2), 2)
    given = {name: row.micro_credits for name, row in people(gateway).items()}
    assert given == {"ann": 20 * CREDIT, "bob": 5 * CREDIT, "cat": 3 * CREDIT}
    assert licence(gateway, "bio:ann").granted_micro_credits == 20 * CREDIT
    assert [people(gateway)[name].expires_at for name in ("ann", "bob", "cat")] == [None, None, MAY]
    # Who has what is said for all keeps nothing else, and neither does who has a cell of their own.
    again = said(gateway, "id,credits\nann,20\nbob,\ncat,\n", micro_credits=5 * CREDIT)
    assert (counts(again), again.kept) == ((0, 0, 0, 0, 3), 1)


def test_who_comes_back_after_the_end_has_the_end_that_is_said_for_all(gateway: Gateway) -> None:
    text = "id,expires\nann,2099-05-30\nbob,\n"
    said(gateway, text, license_type="ours/standard", micro_credits=2 * CREDIT, expires_at=MAY)
    gateway.desk.do(ROOT, rv.CloseRoster(roster="bio"))
    words: dict[str, Any] = {"roster": "bio", "csv": "id\nann\nbob\n", "micro_credits": CREDIT}
    # Whose end has not passed keeps it, as all keep their credits.
    gateway.desk.do(ROOT, rv.ImportRoster(**words, expires_at=JULY))
    assert [people(gateway)[name].expires_at for name in ("ann", "bob")] == [MAY, MAY]
    gateway.desk.do(ROOT, rv.CloseRoster(roster="bio"))
    next_century = later(gateway, 80 * 365 * DAY)
    done = next_century.do(ROOT, rv.ImportRoster(**words, expires_at="2150-01-01T00:00:00Z"))
    assert counts(done) == (0, 0, 2, 0, 0)
    assert {people(gateway)[name].expires_at for name in ("ann", "bob")} == {"2150-01-01T00:00:00.000Z"}
    assert {row.micro_credits for row in people(gateway).values()} == {2 * CREDIT}


def test_two_rosters_of_one_licence_do_not_have_the_same_person(gateway: Gateway) -> None:
    key = said(gateway, "id,credits\nxan,0.1\nyve,0.1\n", license="ours-course", hand_out="keys").handed[0]
    with pytest.raises(RosterUnfit) as refused:
        said(gateway, "id,credits\nzoe,0.3\nxan,0.3\n", roster="chem", license="ours-course")
    assert [str(mistake) for mistake in refused.value.mistakes] == [
        "line 3, id: 'xan' is on the roster bio of the same licence; leave the person out here or there"
    ]
    said(gateway, "id,credits\nzoe,0.3\n", roster="chem", license="ours-course")
    gateway.desk.do(ROOT, rv.CloseRoster(roster="chem"))
    assert works(gateway, key.api_key or "")
    # Whoever was removed there may come here, and then not come back there.
    said(gateway, "id\nyve\n")
    said(gateway, "id,credits\nzoe,\nxan,0.3\n", roster="chem")
    with pytest.raises(RosterUnfit, match="'xan' is on the roster chem of the same licence"):
        said(gateway, "id\nyve\nxan\n")
    # Elsewhere nobody minds.
    said(gateway, "id,credits\nyve,1\n", roster="physics", license_type="ours/standard")


def token(gateway: Gateway, user: str, license_type: str, unique_id: str) -> str:
    """What stands for a signed token that was used: its id."""
    key_id = f"key-of-{user}"
    use = FirstUse(
        digest=hashlib.sha256(user.encode()).digest(),
        public_key_id=gateway.world.ours.public_key,
        license_type_id=license_type,
        key_id=key_id,
        unique_id=unique_id,
        user_id=user,
        salt=None,
        jti=f"token of {user}",
        expires_at=None,
        models=None,
        credits=None,
        unlimited=False,
        now=CLOCK.now_ms(),
    )
    store = SqlTokenStore(gateway.database_url)
    try:
        assert asyncio.run(store.admit(use)) is None
    finally:
        store.close()
    return key_id


def active(gateway: Gateway, key_id: str) -> bool:
    return gateway.desk.do(ROOT, v.ShowKey(key=key_id)).active


def test_signed_tokens_are_not_the_rosters_business(gateway: Gateway) -> None:
    ours = gateway.world.ours
    given = said(gateway, "id\nann\nbob\n", license="ours-course", hand_out="keys").handed
    signed = token(gateway, "ann", ours.license_type, "ours-course")
    gateway.desk.do(ROOT, rv.CreateLink(roster="bio", person="ann", stop_keys=True))
    assert not works(gateway, given[0].api_key or "")
    assert active(gateway, signed)
    said(gateway, "id\nbob\n")
    assert active(gateway, signed)
    # Also of somebody who has a licence.
    first(gateway, roster="chem", hand_out="keys")
    signed = token(gateway, "bob", ours.license_type, "chem:bob")
    gateway.desk.do(ROOT, rv.CreateLink(roster="chem", person="bob", stop_keys=True))
    assert active(gateway, signed)
    assert not any(
        row.active
        for row in gateway.desk.do(ROOT, v.ListKeys(license="chem:bob")).data
        if row.key_id != signed
    )


def test_an_import_without_a_number_leaves_an_allowance_that_was_set_by_hand(gateway: Gateway) -> None:
    gateway.desk.do(ROOT, v.SetAllowance(license="ours-course", user_id="ann", micro_credits=1_000))
    said(gateway, "id\nann\nbob\n", license="ours-course")
    caps = {row.user_id: row for row in gateway.desk.do(ROOT, v.ListAllowances(license="ours-course")).data}
    assert caps["ann"].own_micro_credits == 1_000
    assert "bob" not in caps
    said(gateway, "id,credits\nann,0.5\nbob,\n")
    caps = {row.user_id: row for row in gateway.desk.do(ROOT, v.ListAllowances(license="ours-course")).data}
    assert caps["ann"].own_micro_credits == CREDIT // 2


# Links that can give no access


def test_a_link_is_not_used_up_where_its_key_could_not_work(gateway: Gateway) -> None:
    made = links(gateway)
    soon = iso_time(CLOCK.now_ms() + 60_000)
    said(gateway, f"id,expires\nann,{soon[:19]}Z\nbob,\ncat,\n")
    secret = made["ann"].removeprefix("/claim/")
    with pytest.raises(Conflict, match=r"Your access ended on 20\d\d-\d\d-\d\d\.") as refused:
        later(gateway, 120_000).claim(secret, "127.0.0.1", None)
    assert refused.value.code == "ended"
    said(gateway, "id,expires\nann,never\nbob,\ncat,\n")
    claimed(gateway.client.post(made["ann"]))

    gateway.desk.do(ROOT, v.UpdateLicense(license="bio:bob", active=False))
    refusal = gateway.client.post(made["bob"])
    assert refusal.status_code == 409
    assert "Your access is stopped" in refusal.text
    assert "not used up" in refusal.text
    assert gateway.desk.do(ROOT, v.ListKeys(license="bio:bob")).data == []
    gateway.desk.do(ROOT, v.UpdateLicense(license="bio:bob", active=True))
    assert works(gateway, claimed(gateway.client.post(made["bob"])))


def test_nobody_whose_end_has_passed_is_given_a_link(gateway: Gateway) -> None:
    first(gateway, expires_at=MAY, hand_out="keys")
    then = later(gateway, 80 * 365 * DAY)
    before = gateway.log()
    with pytest.raises(Conflict, match=r"The access of ann ended on 2099-05-31") as refused:
        then.do(ROOT, rv.CreateLink(roster="bio", person="ann", stop_keys=True))
    assert refused.value.code == "ended"
    assert gateway.log() == before


def test_the_page_says_until_when_a_key_works(gateway: Gateway) -> None:
    path = links(gateway, expires_at=JULY)["ann"]
    assert "<p>It works until 2099-07-31 00:00 UTC.</p>" in gateway.client.post(path).text


def test_a_link_is_made_for_an_address_in_whatever_case(gateway: Gateway) -> None:
    said(gateway, "email\nAnn@Uni.example\n", license_type="ours/standard")
    made = gateway.desk.do(ROOT, rv.CreateLink(roster="bio", person="ANN@uni.example"))
    assert made.person == "ann@uni.example"


# Keys that were lost before anybody had them


def test_keys_are_renewed_and_the_old_ones_stop(gateway: Gateway) -> None:
    old = {each.person: each.api_key or "" for each in first(gateway, hand_out="keys").handed}
    other = create(gateway, "by hand", "bob", None)
    guest = gateway.desk.do(ROOT, v.CreateKey(license="bio:bob", name="somebody else's", user_id="guest"))
    signed = token(gateway, "bob", gateway.world.ours.license_type, "bio:bob")
    without_cat = "id\nann\nbob\n"
    said(gateway, without_cat)
    with pytest.raises(Unfit, match="renews_keys"):
        said(gateway, without_cat, renews_keys=True)
    words: dict[str, Any] = {"roster": "bio", "csv": without_cat, "hand_out": "keys", "renews_keys": True}
    plan = gateway.desk.do(ROOT, rv.PlanRoster(**words))
    assert [(each.person, each.stopped_keys) for each in plan.handed] == [("ann", True), ("bob", True)]
    assert works(gateway, old["ann"])
    done = gateway.desk.do(ROOT, rv.ImportRoster(**words))
    assert counts(done) == (0, 0, 0, 0, 2)
    new = {each.person: each.api_key or "" for each in done.handed}
    assert [works(gateway, key) for key in (*new.values(), *old.values(), other.api_key or "")] == [
        True, True, False, False, False, False,
    ]  # fmt: skip
    assert works(gateway, guest.api_key or "")
    assert active(gateway, signed)
    entry = gateway.log()[-1]
    kept = json.loads(bytes(entry.after or b""))
    assert [(each["person"], each["stopped_keys"]) for each in kept["handed"]] == [
        ("ann", True),
        ("bob", True),
    ]
    assert not any(key in str(entry) for key in new.values())
    # Links in their place, and nobody has two ways to a key.
    made = said(gateway, without_cat, hand_out="links", renews_keys=True).handed
    assert not any(works(gateway, key) for key in new.values())
    assert works(gateway, claimed(gateway.client.post(made[0].link or "")))
    assert [
        each.person for each in said(gateway, without_cat, hand_out="keys", renews_links=True).handed
    ] == ["bob"]
