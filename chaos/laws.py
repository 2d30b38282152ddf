"""What has to hold between what clients were told, what the provider saw, and what the books say."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from chaos.books import Round, Row
from chaos.crowd import Attempt
from chaos.upstream import Arrival
from chaos.world import INPUT, OUTPUT

_DEATHS = frozenset({"process died", "expired"})
Interval = tuple[int, int]
"""Unix milliseconds, both ends included."""


def broken(
    attempts: Sequence[Attempt], arrivals: Mapping[str, Arrival], books: Round, unsettled: Iterable[str]
) -> Iterator[str]:
    """Each law that a round broke, and by what. `unsettled`: the hold ids that the operator is told of."""
    yield from _ends(books)
    yield from _answers(attempts, arrivals, books)
    yield from _refusals(attempts, arrivals, books)
    yield from _nothing_free(attempts, books)
    yield from _charges(attempts, arrivals, books)
    yield from _holds(attempts, arrivals, books)
    yield from _told(books, set(unsettled))


def _ends(books: Round) -> Iterator[str]:
    """Each hold ended once; each charge is one entry and one record of the same amount."""
    charges = defaultdict(list)
    for entry in books.charges:
        charges[entry["hold_id"]].append(entry)
    records = {record["hold_id"]: record for record in books.usage}
    for hold in books.holds:
        if hold["state"] == "open":
            yield f"a hold is open: {hold}"
        entries, record = charges.pop(hold["id"], []), records.pop(hold["id"], None)
        if hold["state"] == "settled" and (len(entries) != 1 or record is None):
            yield f"a settled hold has {len(entries)} charges and the record {record}: {hold}"
        if len(entries) > 1 or [entry["amount"] for entry in entries] != (
            [record["charged"]] if record else []
        ):
            yield f"charges {entries} and the record {record} differ"
    if charges or records:
        yield f"without their hold: {charges} {records}"


def _answers(attempts: Sequence[Attempt], arrivals: Mapping[str, Arrival], books: Round) -> Iterator[str]:
    """Whoever got all of an answer was charged once, what it said and what the provider's report comes to."""
    records = _by_request(books.usage)
    charges = _by_request(books.charges)
    for attempt in attempts:
        if attempt.ended != "answered":
            continue
        found, entries = records[attempt.request_id], charges[attempt.request_id]
        if len(found) != 1 or len(entries) != 1:
            yield f"an answer has {len(found)} records and {len(entries)} charges: {attempt}"
            continue
        record, arrival = found[0], arrivals[attempt.name]
        used = arrival.input * INPUT + arrival.output * OUTPUT
        said = (attempt.used, attempt.remaining, attempt.customer.key_id, used, arrival.input, arrival.output)
        written = tuple(
            record[name] for name in ("charged", "remaining", "key_id", "price", "input", "output")
        )
        if said != written or entries[0]["amount"] != attempt.used:
            yield f"an answer said {said}, and its record says {written}, its charge {entries[0]}: {attempt}"


def _refusals(attempts: Sequence[Attempt], arrivals: Mapping[str, Arrival], books: Round) -> Iterator[str]:
    """Whoever was refused before the provider was asked was charged nothing. (Where the answer was there and
    its charge could not be written in time, the refusal says so, and the charge follows.)"""
    charged = _by_request(books.usage)
    for attempt in attempts:
        late = attempt.status == 503 and attempt.name in arrivals and arrivals[attempt.name].told
        if attempt.ended == "refused" and charged[attempt.request_id] and not late:
            yield f"a refusal has a charge: {attempt} {charged[attempt.request_id]}"
        if attempt.status in (402, 429) and attempt.name in arrivals:
            yield f"the provider was asked for who was refused: {attempt}"


def refused_late(attempts: Sequence[Attempt], books: Round) -> int:
    """How many got a 503 and a charge."""
    charged = _by_request(books.usage)
    return sum(attempt.ended == "refused" and bool(charged[attempt.request_id]) for attempt in attempts)


def _nothing_free(attempts: Sequence[Attempt], books: Round) -> Iterator[str]:
    """Whoever got any content was charged, or the process that served it is dead."""
    holds = _by_request(books.holds)
    charged = _by_request(books.usage)
    for attempt in attempts:
        if attempt.request_id is None or not attempt.content or charged[attempt.request_id]:
            continue
        if [hold["reason"] in _DEATHS for hold in holds[attempt.request_id]] != [True]:
            yield f"content was free: {attempt} {holds[attempt.request_id]}"


def _charges(attempts: Sequence[Attempt], arrivals: Mapping[str, Arrival], books: Round) -> Iterator[str]:
    """Each charge is of a request that the provider saw, and there is one for each at most."""
    by_name = {attempt.name: attempt for attempt in attempts}
    by_request = {attempt.request_id: attempt for attempt in attempts if attempt.request_id}
    taken = {hold["id"]: hold["taken_at"] for hold in books.holds}
    names: Counter[str] = Counter()
    unnamed = []
    for record in books.usage:
        name = (record["upstream_id"] or "").removeprefix("gen-")
        attempt, told = by_name.get(name), by_request.get(record["request_id"])
        if attempt is not None and told is not None and attempt is not told:
            yield f"a charge of two requests: {record} {attempt} {told}"
        attempt = attempt or told
        if attempt is None:
            unnamed.append(record)
            continue
        names[attempt.name] += 1
        if attempt.name not in arrivals:
            yield f"a charge of what the provider never saw: {record} {attempt}"
        elif attempt.customer.key_id != record["key_id"] or (
            attempt.request_id is not None and attempt.request_id != record["request_id"]
        ):
            yield f"a charge of somebody else's request: {record} {attempt}"
        else:
            arrival = arrivals[attempt.name]
            if not record["estimated"] and (arrival.input, arrival.output) != (
                record["input"],
                record["output"],
            ):
                yield f"a charge of other usage than reported: {record} {arrival}"
    yield from (f"{count} charges of one request: {name}" for name, count in names.items() if count > 1)
    points = [(record["key_id"], taken[record["hold_id"]], record) for record in unnamed]
    left = [attempt for attempt in attempts if attempt.name in arrivals and not names[attempt.name]]
    for record in _unmatched_points(points, left, arrivals):
        yield f"a charge of what the provider never saw: {record}"


def _holds(attempts: Sequence[Attempt], arrivals: Mapping[str, Arrival], books: Round) -> Iterator[str]:
    """Each request that the provider saw had a hold of its own, taken before."""
    holds = _by_request(books.holds)
    known = set()
    unknown = []
    for attempt in attempts:
        if attempt.name not in arrivals:
            continue
        if attempt.request_id is None:
            unknown.append(attempt)
            continue
        found = holds[attempt.request_id]
        known.add(attempt.request_id)
        if len(found) != 1 or found[0]["key_id"] != attempt.customer.key_id:
            yield f"the provider was asked with the holds {found}: {attempt}"
        elif found[0]["taken_at"] > _interval(attempt, arrivals)[1]:
            yield f"the provider was asked before the hold {found[0]}: {attempt}"
    spare: dict[str, list[int]] = defaultdict(list)
    for hold in books.holds:
        if hold["request_id"] not in known:
            spare[hold["key_id"]].append(hold["taken_at"])
    for attempt in sorted(unknown, key=lambda attempt: _interval(attempt, arrivals)[1]):
        first, last = _interval(attempt, arrivals)
        times = spare[attempt.customer.key_id]
        fitting = [time for time in times if first <= time <= last]
        if fitting:
            times.remove(min(fitting))
        else:
            yield f"the provider was asked without a hold: {attempt} {arrivals[attempt.name]}"


def _told(books: Round, unsettled: set[str]) -> Iterator[str]:
    """The operator is told of each hold whose process died, if nothing was charged for it."""
    charged = {record["hold_id"] for record in books.usage}
    died = {hold["id"] for hold in books.holds if hold["reason"] in _DEATHS} - charged
    if died != unsettled:
        yield f"`ledger unsettled` leaves out {died - unsettled} and names {unsettled - died}"


def _unmatched_points(
    points: list[tuple[str, int, Row]], attempts: Sequence[Attempt], arrivals: Mapping[str, Arrival]
) -> Iterator[Row]:
    """Those (key, time, …) that lie in no interval of their own of their key's arrivals."""
    intervals: dict[str, list[Interval]] = defaultdict(list)
    for attempt in attempts:
        intervals[attempt.customer.key_id].append(_interval(attempt, arrivals))
    for key_id, time, record in sorted(points, key=lambda point: point[1]):
        fitting = [one for one in intervals[key_id] if one[0] <= time <= one[1]]
        if fitting:
            intervals[key_id].remove(min(fitting, key=lambda one: one[1]))
        else:
            yield record


def _interval(attempt: Attempt, arrivals: Mapping[str, Arrival]) -> Interval:
    """In which the hold was taken: a machine has one clock, which everybody cuts to milliseconds."""
    return int(attempt.sent * 1000) - 1, int(arrivals[attempt.name].at * 1000) + 1


def _by_request(rows: Iterable[Row]) -> Mapping[str | None, list[Row]]:
    found: dict[str | None, list[Row]] = defaultdict(list)
    for row in rows:
        found[row["request_id"]].append(row)
    return found
