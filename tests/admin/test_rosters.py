"""Rosters on both databases: access comes and goes with a file, history stays, links show a key once."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from admin_world import ROOT, Gateway, use
from roster_acts import CREDIT, DAY, THREE, claimed, counts, first, later, licence, links, people, said, works

from quantized.administration import roster_verbs as rv
from quantized.administration import verbs as v
from quantized.administration.faults import Ambiguous, Conflict, NotThere
from quantized.administration.roster_file import RosterUnfit
from quantized.ledger.verify import Auditor
from quantized.storage.books import read_books


def verify(url: str) -> list[Any]:
    """What is wrong with the books."""
    with read_books(url) as books:
        return list(Auditor(books, lambda _: None).findings())


def everything(gateway: Gateway) -> Any:
    """What an import that does nothing leaves as it is."""
    listed = [v.ListLicenses(limit=200), v.ListKeys(limit=200), rv.ListRosters(limit=200)]
    return [gateway.desk.do(ROOT, listing).data for listing in listed], gateway.log()


def test_a_licence_for_each_comes_and_goes_and_comes_back(gateway: Gateway) -> None:
    done = first(gateway, hand_out="keys")
    assert counts(done) == (3, 0, 0, 0, 0)
    keys = {each.person: each.api_key or "" for each in done.handed}
    assert all(works(gateway, key) for key in keys.values())
    assert licence(gateway, "bio:ann").granted_micro_credits == 2 * CREDIT
    assert licence(gateway, "bio:bob").granted_micro_credits == CREDIT  # as the type says
    (key,) = gateway.desk.do(ROOT, v.ListKeys(license="bio:bob")).data
    assert (key.user_id, key.name) == ("bob", "Bob")
    use(gateway.database_url, licence(gateway, "bio:bob").license_id, key.key_id, 400_000, user_id="bob")

    without_bob = THREE.replace("bob,Bob,\n", "")
    assert counts(said(gateway, without_bob)) == (0, 0, 0, 1, 2)
    assert not works(gateway, keys["bob"])
    assert works(gateway, keys["ann"])
    gone = licence(gateway, "bio:bob")
    assert (gone.active, gone.available_micro_credits) == (False, 600_000)
    assert not people(gateway)["bob"].active

    back = said(gateway, THREE, hand_out="keys")
    assert (counts(back), back.handed) == ((0, 0, 1, 0, 2), [])
    assert works(gateway, keys["bob"])
    assert licence(gateway, "bio:bob").available_micro_credits == 600_000
    assert verify(gateway.database_url) == []


def test_an_allowance_for_each_within_one_licence(gateway: Gateway) -> None:
    done = said(gateway, "id,allowance\nann,0.1\nbob,\n", license="ours-course", hand_out="keys")
    keys = {each.person: each.api_key or "" for each in done.handed}
    caps = {row.user_id: row for row in gateway.desk.do(ROOT, v.ListAllowances(license="ours-course")).data}
    assert (caps["ann"].own_micro_credits, "bob" in caps) == (100_000, False)
    assert {person.license_id for person in people(gateway).values()} == {gateway.world.ours.license}

    done = said(gateway, "id,allowance\nbob,0.3\n")
    assert counts(done) == (0, 1, 0, 1, 0)
    assert (works(gateway, keys["ann"]), works(gateway, keys["bob"])) == (False, True)
    assert works(gateway, gateway.world.ours.api_key)  # who is on no roster is none of its business
    assert licence(gateway, "ours-course").active
    # Keys that were stopped may have been stopped for a reason: whoever is back gets another.
    back = said(gateway, "id\nann\nbob\n", hand_out="keys")
    assert ([each.person for each in back.handed], counts(back)) == (["ann"], (0, 0, 1, 0, 1))
    caps = {row.user_id: row for row in gateway.desk.do(ROOT, v.ListAllowances(license="ours-course")).data}
    assert (caps["ann"].own_micro_credits, caps["bob"].own_micro_credits) == (100_000, 300_000)


def test_the_same_import_twice_changes_nothing(gateway: Gateway) -> None:
    first(gateway, hand_out="links")
    before, log = everything(gateway)
    again = first(gateway, hand_out="links")
    assert (counts(again), again.changes, again.handed) == ((0, 0, 0, 0, 3), [], [])
    after, longer = everything(gateway)
    assert after[:2] == before[:2]
    assert [entry.action for entry in longer[len(log) :]] == ["importRoster"]


def test_a_plan_is_what_the_import_does_and_does_nothing(gateway: Gateway) -> None:
    words = {"roster": "bio", "csv": THREE, "license_type": "ours/standard", "hand_out": "links"}
    before = everything(gateway)
    plan = gateway.desk.do(ROOT, rv.PlanRoster(**words))  # type: ignore[arg-type]
    assert everything(gateway) == before
    done = gateway.desk.do(ROOT, rv.ImportRoster(**words))  # type: ignore[arg-type]
    assert counts(plan) == counts(done)
    assert [(each.what, each.person, each.fields) for each in plan.changes] == [
        (each.what, each.person, each.fields) for each in done.changes
    ]
    assert [each.person for each in plan.handed] == [each.person for each in done.handed]
    assert all(each.link is None for each in plan.handed)
    assert (plan.dry_run, plan.roster) == (True, None)
    changed = words | {"csv": "id,credits\nann,1\nbob,3\n"}
    plan = gateway.desk.do(ROOT, rv.PlanRoster(**changed))  # type: ignore[arg-type]
    assert plan.roster is not None
    assert (plan.roster.people, plan.roster.removed) == (2, 1)  # as it would be
    assert counts(plan) == (0, 2, 0, 1, 0)
    assert gateway.desk.do(ROOT, rv.ShowRoster(roster="bio")).people == 3


def test_credits_and_names_and_ends_change_and_nothing_else(gateway: Gateway) -> None:
    first(gateway, hand_out="keys")
    gateway.desk.do(ROOT, v.GrantCredits(license="bio:ann", micro_credits=7, reason="by hand"))
    gateway.desk.do(ROOT, v.UpdateLicense(license="bio:cat", active=False))
    text = "id,name,credits,expires\nann,Anna,3,\nbob,,0.5,2099-01-31\ncat,Cate,,\n"
    done = said(gateway, text)
    assert counts(done) == (0, 3, 0, 0, 0)
    assert {
        each.person: {name: (c.before, c.after) for name, c in each.fields.items()} for each in done.changes
    } == {
        "ann": {"name": ("Ann", "Anna"), "micro_credits": (2 * CREDIT, 3 * CREDIT)},
        "bob": {"micro_credits": (CREDIT, CREDIT // 2), "expires_at": (None, "2099-02-01T00:00:00.000Z")},
        "cat": {"name": ("Cat", "Cate")},
    }  # fmt: skip
    ann, bob, cat = (licence(gateway, f"bio:{name}") for name in ("ann", "bob", "cat"))
    assert (ann.name, ann.granted_micro_credits) == ("Anna", 3 * CREDIT + 7)
    assert bob.granted_micro_credits == CREDIT // 2
    assert not cat.active  # stopped by hand, and by hand it comes back
    (key,) = gateway.desk.do(ROOT, v.ListKeys(license="bio:bob")).data
    assert key.expires_at == "2099-02-01T00:00:00.000Z"
    entries = gateway.desk.do(ROOT, v.ListEntries(license="bio:bob")).data
    assert [(entry.kind, entry.reason) for entry in entries] == [
        ("grant", "roster bio"),
        ("adjustment", "roster bio"),
    ]
    assert verify(gateway.database_url) == []


def test_what_cannot_be_is_told_whole_and_nothing_is_half_done(gateway: Gateway) -> None:
    first(gateway, hand_out="keys")
    (key,) = gateway.desk.do(ROOT, v.ListKeys(license="bio:bob")).data
    use(gateway.database_url, licence(gateway, "bio:bob").license_id, key.key_id, 400_000)
    gateway.desk.do(ROOT, v.CreateLicense(license_type="ours/standard", unique_id="bio:dan", micro_credits=1))
    before = everything(gateway)
    with pytest.raises(RosterUnfit) as refused:
        said(gateway, "id,credits,expires\nann,9,\nbob,0.3,\ncat,,2020-01-01\ndan,1,\neve,1,\n")
    assert [str(mistake) for mistake in refused.value.mistakes] == [
        "line 4, expires: the expiry of cat is in the past; leave the person out to end the access",
        "line 5, id: 'dan' would have the licence bio:dan, which is there and not the roster's; take another "
        "name for the roster",
        "line 3, credits: 'bob' cannot go down to 0.3: the least that covers what was used is 0.4",
    ]
    assert everything(gateway) == before
    assert counts(said(gateway, "id,credits\nann,9\nbob,0.4\ncat,\n")) == (0, 2, 0, 0, 1)


def test_a_file_that_removes_most_is_a_wrong_file_unless_it_is_said(gateway: Gateway) -> None:
    many = "id\n" + "\n".join(f"p{n}" for n in range(12))
    said(gateway, many, license="ours-course")
    with pytest.raises(Conflict, match="remove 11 of 12 people"):
        said(gateway, "id\np0\n")
    assert counts(said(gateway, "id\np0\n", removes_most=True)) == (0, 0, 0, 11, 1)


def test_a_roster_is_closed_and_opened_again(gateway: Gateway) -> None:
    key = first(gateway, hand_out="keys").handed[0].api_key or ""
    closed = gateway.desk.do(ROOT, rv.CloseRoster(roster="bio"))
    assert (counts(closed), works(gateway, key)) == ((0, 0, 0, 3, 0), False)
    assert closed.roster is not None
    assert (closed.roster.people, closed.roster.removed) == (0, 3)
    assert counts(said(gateway, THREE)) == (0, 0, 3, 0, 0)
    assert works(gateway, key)


def test_a_roster_stays_what_it_is(gateway: Gateway) -> None:
    with pytest.raises(NotThere):
        said(gateway, THREE)
    first(gateway)
    with pytest.raises(Conflict, match="one of licences of the type"):
        said(gateway, THREE, license="ours-course")
    theirs = gateway.say(
        "POST",
        "/rosters",
        gateway.world.ours.secrets["institution_admin"],
        {"roster": "bio", "csv": THREE, "license_type": "theirs/standard"},
    )
    assert theirs.status_code == 404
    gateway.desk.do(ROOT, v.CreateLicenseType(institution="ours", alias="poor"))
    with pytest.raises(RosterUnfit, match="has no credits in the file, and the licence type says none"):
        said(gateway, "id\nann", roster="poor", license_type="ours/poor")


def test_three_hundred_people_take_a_moment(gateway: Gateway) -> None:
    text = "id,name,credits\n" + "".join(f"s{n:03},Student {n},5\n" for n in range(300))
    began = time.perf_counter()
    done = said(gateway, text, license_type="ours/standard", hand_out="links")
    spent = time.perf_counter() - began
    assert (counts(done), len(done.handed)) == ((300, 0, 0, 0, 0), 300)
    began = time.perf_counter()
    assert counts(said(gateway, text)) == (0, 0, 0, 0, 300)
    again = time.perf_counter() - began
    began = time.perf_counter()
    assert counts(gateway.desk.do(ROOT, rv.CloseRoster(roster="bio"))) == (0, 0, 0, 300, 0)
    closing = time.perf_counter() - began
    print(f"300 people: {spent:.2f} s, again {again:.2f} s, removed {closing:.2f} s")
    assert max(spent, again, closing) < 60
    assert verify(gateway.database_url) == []


# Links


def test_a_link_shows_a_key_once_and_only_at_the_button(gateway: Gateway) -> None:
    path = links(gateway)["ann"]
    assert re.fullmatch(r"/claim/[\w-]{43}", path)
    for method in ("GET", "HEAD", "GET"):
        page = gateway.client.request(method, path)
        assert page.status_code == 200
        assert "sk-quantized" not in page.text
    assert gateway.desk.do(ROOT, v.ListKeys(license="bio:ann")).data == []
    answer = gateway.client.post(path)
    key = claimed(answer)
    assert works(gateway, key)
    (row,) = gateway.desk.do(ROOT, v.ListKeys(license="bio:ann")).data
    assert (row.user_id, row.name) == ("ann", "Ann")
    again = gateway.client.post(path)
    assert (again.status_code, "sk-quantized" in again.text) == (410, False)
    for page in (answer, again, gateway.client.get(path)):
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert "default-src 'none'" in page.headers["content-security-policy"]
        (line,) = gateway.told(page.headers["x-request-id"])
        assert line.surface == "/claim/"
        assert path.removeprefix("/claim/") not in str(gateway.lines)
    entry = gateway.log()[-1]
    assert (entry.action, entry.role, entry.target_id) == ("claimKey", "claimant", row.key_id)
    assert key not in str(entry)
    assert list(gateway.desk.audit_breaks()) == []


def test_of_many_who_press_the_button_at_once_one_gets_a_key(gateway: Gateway) -> None:
    path = links(gateway)["bob"]
    with ThreadPoolExecutor(12) as many:
        answers = list(
            many.map(lambda _: httpx.post(gateway.base + path, timeout=50, verify=False), range(24))
        )
    assert sorted(answer.status_code for answer in answers) == [200] + [410] * 23
    assert len(gateway.desk.do(ROOT, v.ListKeys(license="bio:bob")).data) == 1


def test_links_end(gateway: Gateway) -> None:
    made = links(gateway)
    assert said(gateway, THREE, hand_out="links").handed == []
    renewed = said(gateway, THREE, hand_out="links", renews_links=True)
    assert [each.person for each in renewed.handed] == ["ann", "bob", "cat"]
    assert gateway.client.post(made["cat"]).status_code == 410
    made = {each.person: each.link or "" for each in renewed.handed}
    new = gateway.desk.do(ROOT, rv.CreateLink(roster="bio", person="ann"))
    assert "withdrawn" in gateway.client.post(made["ann"]).text
    key = claimed(gateway.client.post(new.link or ""))
    # Somebody who lost their key: the old one stops, whether or not the new link is ever used.
    another = gateway.desk.do(ROOT, rv.CreateLink(roster="bio", person="ann", stop_keys=True))
    assert not works(gateway, key)
    assert works(gateway, claimed(gateway.client.post(another.link or "")))
    said(gateway, THREE.replace("bob,Bob,\n", ""))
    assert gateway.client.post(made["bob"]).status_code == 410
    with pytest.raises(Conflict):
        gateway.desk.do(ROOT, rv.CreateLink(roster="bio", person="bob"))
    with pytest.raises(NotThere):
        gateway.desk.do(ROOT, rv.CreateLink(roster="bio", person="nobody"))


def test_a_link_works_for_its_days(gateway: Gateway) -> None:
    path = links(gateway, link_days=2)["cat"]
    desk = later(gateway, 3 * DAY)
    with pytest.raises(Conflict, match="expired"):
        desk.claim(path.removeprefix("/claim/"), "127.0.0.1", None)
    served = desk.do(ROOT, rv.ImportRoster(roster="bio", csv=THREE, hand_out="links"))
    assert [each.person for each in served.handed] == ["ann", "bob", "cat"]
    assert gateway.client.post(path).status_code == 410
    claimed(gateway.client.post(served.handed[2].link or ""))


@pytest.mark.parametrize("path", ["x" * 43, "short", "a/b", "x" * 43 + "/", "%00" * 43, "é" * 43, ""])
def test_what_is_no_link_says_so(gateway: Gateway, path: str) -> None:
    assert gateway.client.get(f"/claim/{path}").status_code == 200
    assert gateway.client.post(f"/claim/{path}").status_code == 404
    assert gateway.client.put(f"/claim/{path}").status_code == 405


def test_secrets_are_in_no_table(gateway: Gateway) -> None:
    made = first(gateway, hand_out="links")
    secret = claimed(gateway.client.post(made.handed[0].link or ""))
    words = {"roster": "chem", "csv": THREE, "license_type": "ours/standard", "hand_out": "keys"}
    answer = gateway.operate("POST", "/rosters", words, headers={"idempotency-key": "one"})
    given = [each["api_key"] for each in answer["handed"]]
    repeated = gateway.operate("POST", "/rosters", words, headers={"idempotency-key": "one"})
    assert [each["api_key"] for each in repeated["handed"]] == [None] * 3
    kept = str(gateway.log())
    for each in (secret, *given, *[each.link or "" for each in made.handed]):
        assert each.removeprefix("/claim/") not in kept


def test_only_a_whole_name_means_a_roster_that_is_changed(gateway: Gateway) -> None:
    first(gateway)
    for wrong in ("roster", "bi", "bio-"):
        with pytest.raises(NotThere):
            said(gateway, THREE, roster=wrong)
    # The beginning of every roster's id is no roster's name until one is called so.
    assert counts(first(gateway, roster="roster")) == (3, 0, 0, 0, 0)
    with pytest.raises(Ambiguous):
        said(gateway, THREE, roster="bio", license_type="theirs/standard")
        said(gateway, THREE)
    mine = gateway.say(
        "POST", "/rosters", gateway.world.ours.secrets["institution_admin"], {"roster": "bio", "csv": THREE}
    )
    assert mine.json()["unchanged"] == 3
