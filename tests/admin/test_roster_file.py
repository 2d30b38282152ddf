"""Files of people as spreadsheets write them: what is read of them, and told of the others."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from quantized.administration.roster_diff import Defaults, compare
from quantized.administration.roster_file import MOST_PEOPLE, RosterRow, RosterUnfit, read_roster
from quantized.storage.roster_rows import Person

NOW = 1_800_000_000_000
DAY = 86_400_000
NO_PERSON = "cannot name a person; write 1 to 128 letters, digits or signs of ASCII without spaces"
NO_DATE = "is no date; write 2026-01-31, 31.01.2026, 2026-01-31T18:00+01:00 or never"


def told(text: str) -> list[str]:
    with pytest.raises(RosterUnfit) as refused:
        read_roster(text)
    return [str(mistake) for mistake in refused.value.mistakes]


@pytest.mark.parametrize(
    "text",
    [
        "id,name,credits\na1,Ann,2.5\n",
        "\ufeffid;name;credits\r\na1;Ann;2,5\r\n",
        "sep=;\r\nid;name;credits\r\na1;Ann;2,5\r\n",
        "ID\tFull Name\tCredits\na1\tAnn\t2.5",
        '"ID number","Name","Budget"\n"a1","Ann","2.5"\n\n,,\n',
        "Student-ID|x\n".replace("|x", ",display name,CREDIT") + "a1,Ann,2.50",
        "user_id,First name,Last name,allowance\na1,Ann,,2.5",
    ],
)
def test_what_spreadsheets_write_is_read(text: str) -> None:
    (row,) = read_roster(text).rows
    assert (row.person, row.name, row.micro_credits) == ("a1", "Ann", 2_500_000)


def test_an_address_names_a_person_where_nothing_else_does_and_has_no_case() -> None:
    rows = read_roster("E-Mail,First name,Last name\nAnn@X.edu,Ann,Lee\n").rows
    assert rows == (RosterRow(2, "ann@x.edu", "Ann Lee", "ann@x.edu"),)
    (row,) = read_roster("id,email\nA1,Ann@X.edu").rows
    assert (row.person, row.email) == ("A1", "ann@x.edu")


def test_a_cell_in_quotes_holds_anything_and_lines_are_the_files() -> None:
    text = 'id,name\na1,"Lee, ""Ann"""\n\na2,"two\nlines"\na3,Bob\nb b,Bob\n'
    assert told(text) == [
        "line 4, name: 'two�lines' is no name; write 1 to 200 printable characters on one line",
        f"line 7, id: 'b b' {NO_PERSON}",
    ]
    assert read_roster('id,name\na1,"Lee, ""Ann"""').rows[0].name == 'Lee, "Ann"'


@pytest.mark.parametrize(
    ("cell", "at"),
    [
        ("2027-01-31", 1_801_440_000_000),
        ("31.01.2027", 1_801_440_000_000),
        ("2027-01-31T00:00Z", 1_801_353_600_000),
        ("2027-01-31 01:00+01:00", 1_801_353_600_000),
        ("Never", None),
    ],
)
def test_a_day_counts_whole(cell: str, at: int | None) -> None:
    assert read_roster(f"id,expires\na,{cell}").rows[0].expires_at == at


def test_an_empty_cell_says_nothing() -> None:
    (row,) = read_roster("id,name,credits,expires\na,,,").rows
    assert row == RosterRow(2, "a", None, None, None, UNSET)


def test_every_mistake_is_told_at_once_with_what_would_work() -> None:
    assert told("id;credits;valid until\na b;12x;31/12/2026\nc;1.500;31.02.2027\nd;0\nd2;-1;\n\nf;1\n") == [
        f"line 2, id: 'a b' {NO_PERSON}",
        "line 2, credits: '12x' is no amount of credits; write a number above 0, such as 5 or 2.5",
        f"line 2, expires: '31/12/2026' {NO_DATE}",
        "line 3, credits: '1.500' could be read in two ways; write 1500 or 1.5000",
        "line 3, expires: '31.02.2027' is no day of the calendar",
        "line 4: 'd;0' has 2 cells where the first line has 3; put a cell with a separator in it in quotes",
        "line 5, credits: '-1' is no amount of credits; write a number above 0, such as 5 or 2.5",
        "line 7: 'f;1' has 2 cells where the first line has 3; put a cell with a separator in it in quotes",
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "the file is empty"),
        ("name\nAnn", "has to be called 'id' or 'email'"),
        ("id,creditz\na,1", "did you mean 'credits'?"),
        ("id,User ID\na,b", "'User ID' means the same as 'id'"),
        ("id\na\nb\na", "line 4, id: 'a' is on line 2 already"),
        ("id\n", "names nobody"),
        ('id\n"a', "this is no CSV"),
        ('id,credits\na,"1,500"', "could be read in two ways; write 1500 or 1.5, without a comma"),
        ("id,credits\na,0", "out of range"),
        ("id\na\x00", "cannot name a person"),
        ("id\n1.23E+11\n", "line 2, id: '1.23E+11' is what a spreadsheet makes of a long number"),
        ("id;x\n1,23457E+15;a\n", "format the column as text"),
    ],
)
def test_what_is_no_roster_is_told(text: str, why: str) -> None:
    assert why in "\n".join(told(text))


def test_columns_that_mean_nothing_are_named_and_not_minded() -> None:
    assert read_roster("id,Group,Section\na,1,2").ignored == ("Group", "Section")


def test_there_is_an_end_to_people_and_to_what_is_told() -> None:
    many = "id\n" + "\n".join(map(str, range(MOST_PEOPLE + 1)))
    assert "at most" in told(many)[-1]
    with pytest.raises(RosterUnfit) as refused:
        read_roster("id\n" + "a b\n" * 300)
    assert refused.value.message.count("\n") == 51
    assert refused.value.message.endswith("and 250 more")


@given(st.text(st.sampled_from('id,;"\n\r\t aé@.0\x00\ufeff'), max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        file = read_roster(text)
    except RosterUnfit as refused:
        assert refused.mistakes
    else:
        assert file.rows


PEOPLE = st.dictionaries(
    st.text(st.sampled_from("abcXYZ019.-_@"), min_size=1, max_size=12).map(
        lambda person: person.lower() if "@" in person else person
    ),
    st.tuples(
        st.text(st.sampled_from("Aé ,;\"'\t\u202e😀="), min_size=1, max_size=10).map(str.strip).filter(
            lambda name: bool(name) and "\t" not in name
        ),
        st.integers(1, 10**9),
    ),
    min_size=1,
    max_size=6,
)  # fmt: skip


@given(PEOPLE, st.sampled_from(",;\t"), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_what_was_written_is_read(
    people: dict[str, tuple[str, int]], separator: str, end: str, bom: bool
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator=end)
    writer.writerow(("id", "name", "credits"))
    writer.writerows([(person, name, f"{n // 10**6}.{n % 10**6:06}") for person, (name, n) in people.items()])
    rows = read_roster("\ufeff" * bom + text.getvalue()).rows
    assert {row.person: (row.name, row.micro_credits) for row in rows} == people


ROWS = st.dictionaries(
    st.sampled_from("abcde"),
    st.tuples(
        st.sampled_from([None, "N", "M"]),
        st.sampled_from([None, 1, 2]),
        st.sampled_from([UNSET, None, NOW + DAY]),
    ),
)
File = dict[str, tuple[str | None, int | None, object]]


@given(st.lists(ROWS, max_size=6))
def test_the_same_file_twice_changes_nothing_and_nobody_is_forgotten(files: list[File]) -> None:
    known: dict[str, Person] = {}
    for file in files:
        rows = [RosterRow(2, person, name, None, n, at) for person, (name, n, at) in file.items()]  # type: ignore[arg-type]
        difference, mistakes = compare("r", known, rows, Defaults(), NOW)
        assert not mistakes
        assert len(difference.changes) + difference.unchanged == len(
            {*file, *(person.person for person in known.values() if person.active)}
        )
        seen = {*known}
        known |= {change.after.person: change.after for change in difference.changes}
        assert seen <= {*known}
        assert {person.person for person in known.values() if person.active} == {*file}
        again, _ = compare("r", known, rows, Defaults(), NOW + 1)
        assert (again.changes, again.unchanged) == ((), len(rows))


def test_an_end_in_the_past_is_no_way_to_end_somebodys_access() -> None:
    row = RosterRow(2, "a", expires_at=NOW - 1)
    difference, mistakes = compare("r", {}, [row], Defaults(), NOW)
    assert [str(mistake) for mistake in mistakes] == [
        "line 2, expires: the expiry of a is in the past; leave the person out to end the access"
    ]
    # What has passed since it was said is no mistake.
    known = {"a": difference.changes[0].after}
    difference, mistakes = compare("r", known, [row], Defaults(), NOW)
    assert (difference.unchanged, mistakes) == (1, [])
