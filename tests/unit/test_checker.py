"""The checker must be able to fail: a fault of each kind is found, and no other."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtrig.demo.checker import Envelope, check, fold, key_text
from evtrig.demo.journal import Change, Journal, Row, Transaction, read_journal

ORDERS = "shop.orders"


def insert(number: int, status: str) -> Change:
    return Change(ORDERS, "insert", {"id": number}, None, row(number, status))


def update(number: int, before: str, after: str) -> Change:
    return Change(
        ORDERS, "update", {"id": number}, row(number, before), row(number, after)
    )


def delete(number: int, status: str) -> Change:
    return Change(ORDERS, "delete", {"id": number}, row(number, status), None)


def row(number: int, status: str) -> Row:
    return {"id": number, "status": status}


def event(sequence: int, change: Change) -> Envelope:
    return {
        "id": f"{sequence}-00000000000000ff",
        "sequence": sequence,
        "type": f"orders.{change.operation}",
        "source": change.source,
        "operation": change.operation,
        "time": "2026-11-23T05:20:49.161586Z",
        "key": change.key,
        "before": change.before,
        "after": change.after,
        "transaction": None,
        "context": None,
    }


def committed(*changes: Change) -> Transaction:
    return Transaction(0, changes, "committed")


LIFE = (
    insert(7, "new"),
    update(7, "new", "paid"),
    update(7, "paid", "new"),
    update(7, "new", "paid"),
    delete(7, "paid"),
)
EVENTS = tuple(event(sequence, change) for sequence, change in enumerate(LIFE, 11))


def test_what_was_committed_and_arrived_is_clean() -> None:
    report = check([committed(*LIFE)], EVENTS, start={})

    assert report.is_clean
    assert report.summary() == (
        "5 changes committed, 0 rolled back, 5 events published, 0 duplicates,"
        " 0 lost, 0 phantom, 0 out of order, 0 with wrong content"
    )


def test_a_rolled_back_change_is_not_expected() -> None:
    rolled_back = Transaction(1, (insert(8, "new"),), "rolled back")

    report = check([committed(*LIFE), rolled_back], EVENTS)

    assert report.is_clean
    assert report.rolled_back == 1


def test_a_rolled_back_change_that_arrives_is_a_phantom() -> None:
    rolled_back = Transaction(0, (insert(8, "new"),), "rolled back")
    arrival = event(1, insert(8, "new"))

    report = check([rolled_back], [arrival])

    assert report.phantom == (arrival,)
    assert not report.is_clean


def test_a_change_that_is_told_twice_is_a_phantom() -> None:
    again = event(99, LIFE[-1])

    assert again in check([committed(*LIFE)], [*EVENTS, again]).phantom


@pytest.mark.parametrize("missing", range(len(LIFE)))
def test_a_committed_change_that_never_arrives_is_lost(missing: int) -> None:
    arrivals = [*EVENTS[:missing], *EVENTS[missing + 1 :]]

    report = check([committed(*LIFE)], arrivals, start={})

    assert len(report.lost) == 1
    assert not report.phantom
    assert not report.is_clean


def test_a_lost_change_is_one_gap_and_what_follows_is_in_order() -> None:
    report = check([committed(*LIFE)], [EVENTS[0], *EVENTS[2:]])

    assert report.order == ((EVENTS[0], EVENTS[2]),)
    assert report.content == ((EVENTS[0], EVENTS[2]),)


def test_events_of_one_key_that_arrive_in_the_wrong_order_are_found() -> None:
    report = check([committed(*LIFE)], [EVENTS[1], EVENTS[0], *EVENTS[2:]])

    assert (EVENTS[1], EVENTS[0]) in report.order
    assert not report.lost
    assert not report.phantom


def test_sequences_that_contradict_the_commits_are_out_of_order() -> None:
    first = Transaction(1, (insert(7, "new"),), "committed")
    second = Transaction(2, (update(7, "new", "paid"),), "committed")
    arrivals = [event(1, second.changes[0]), event(2, first.changes[0])]

    assert check([second, first], arrivals).order


def test_sequences_that_fall_are_out_of_order() -> None:
    arrivals = [event(2, LIFE[0]), event(1, LIFE[1])]

    assert check([committed(*LIFE[:2])], arrivals).order == ((*arrivals,),)


def test_different_keys_may_arrive_in_any_order() -> None:
    changes = (insert(7, "new"), insert(8, "new"))
    arrivals = [event(2, changes[1]), event(1, changes[0])]

    assert check([committed(*changes)], arrivals).is_clean


def test_the_same_key_of_another_table_is_another_key() -> None:
    mine, other = insert(7, "new"), replace(insert(7, "new"), source="shop.items")
    arrivals = [event(2, mine), event(1, other)]

    assert check([committed(other, mine)], arrivals).is_clean


def test_events_that_arrive_again_are_duplicates_and_no_fault() -> None:
    report = check([committed(*LIFE)], [*EVENTS[:3], *EVENTS[1:], *EVENTS])

    assert report.is_clean
    assert (report.published, report.duplicates) == (5, 7)


def test_an_event_that_comes_again_with_other_contents_is_found() -> None:
    other = EVENTS[0] | {"time": "2026-11-23T05:20:50.000000Z"}

    report = check([committed(*LIFE)], [*EVENTS, other])

    assert report.content == ((EVENTS[0], other),)


def test_a_before_that_is_not_the_after_of_the_event_before_is_found() -> None:
    changes = (insert(7, "new"), update(7, "other", "paid"))
    arrivals = [event(1, changes[0]), event(2, changes[1])]

    assert check([committed(*changes)], arrivals).content == ((*arrivals,),)


def test_an_insert_of_a_row_that_is_there_is_found() -> None:
    changes = (insert(7, "new"), insert(7, "paid"))
    arrivals = [event(1, changes[0]), event(2, changes[1])]

    assert check([committed(*changes)], arrivals).content == ((*arrivals,),)


def test_the_first_before_is_compared_with_the_rows_at_the_start() -> None:
    change = update(7, "new", "paid")
    arrivals = [event(1, change)]
    at_start = {ORDERS: {key_text({"id": 7}): row(7, "new")}}

    assert check([committed(change)], arrivals, start=at_start).is_clean
    assert check([committed(change)], arrivals, start={}).content


@pytest.mark.parametrize("value", [1.0, True, "1", None])
def test_a_value_of_another_type_is_another_value(value: object) -> None:
    change = Change(ORDERS, "insert", {"id": 7}, None, {"id": 7, "amount": 1})
    arrival = event(1, change) | {"after": {"id": 7, "amount": value}}

    report = check([committed(change)], [arrival])

    assert (len(report.lost), len(report.phantom)) == (1, 1)


def test_the_order_of_members_means_nothing() -> None:
    change = Change(ORDERS, "insert", {"a": 1, "b": 2}, None, {"a": 1, "b": 2})
    arrival = event(1, replace(change, key={"b": 2, "a": 1}, after={"b": 2, "a": 1}))

    assert check([committed(change)], [arrival]).is_clean


def test_an_unknown_outcome_has_to_be_settled_first() -> None:
    with pytest.raises(ValueError, match="settle"):
        check([Transaction(0, LIFE, "unknown")], EVENTS)


def test_the_fold_is_what_a_consumer_ends_up_with() -> None:
    arrivals = [*EVENTS[:3], *EVENTS[:2], event(20, insert(8, "new"))]

    assert fold(arrivals) == {
        ORDERS: {
            key_text({"id": 7}): row(7, "new"),
            key_text({"id": 8}): row(8, "new"),
        }
    }
    assert fold(EVENTS) == {ORDERS: {key_text({"id": 7}): None}}


# Histories that a database could have, and what a correct relay makes of them.


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Transaction], list[Envelope]]:
    rows: dict[int, str | None] = {}
    transactions: list[Transaction] = []
    events: list[Envelope] = []
    sequences, statuses = count(1), count(1)
    outcomes = draw(st.lists(st.booleans(), min_size=1, max_size=12))
    for at, is_committed in enumerate([*outcomes, True]):
        now = dict(rows)
        changes = []
        for number in draw(st.lists(st.integers(1, 3), min_size=1, max_size=3)):
            before = now.get(number)
            # A few contents come again and again, as they do in a real table.
            after = f"status {next(statuses) % 3}"
            if before is None:
                changes.append(insert(number, after))
            elif before == after or draw(st.booleans()):
                changes.append(delete(number, before))
                after = None
            else:
                changes.append(update(number, before, after))
            now[number] = after
        ids = [next(sequences) for _ in changes]
        if is_committed:
            rows = now
            events += map(event, ids, changes)
        outcome = "committed" if is_committed else "rolled back"
        transactions.append(Transaction(at, tuple(changes), outcome))
    return transactions, events


@st.composite
def repeated(draw: st.DrawFn, events: list[Envelope]) -> list[Envelope]:
    """The events with parts of what came already in between, as after crashes."""
    arrivals = []
    for end in range(1, len(events) + 1):
        arrivals.append(events[end - 1])
        if draw(st.integers(0, 4)) == 0:
            begin = draw(st.integers(0, end - 1))
            arrivals += events[begin:end]
    return arrivals


@given(st.data(), histories())
def test_every_history_that_is_told_at_least_once_is_clean(
    data: st.DataObject, history: tuple[list[Transaction], list[Envelope]]
) -> None:
    transactions, events = history
    arrivals = data.draw(repeated(events))

    report = check(transactions, arrivals, start={})

    assert report.is_clean, report
    assert report.published + report.duplicates == len(arrivals)
    last = {key_text(item["key"]): item["after"] for item in events}
    assert fold(arrivals) == {ORDERS: last}


@given(st.data(), histories())
def test_an_event_too_few_is_never_missed(
    data: st.DataObject, history: tuple[list[Transaction], list[Envelope]]
) -> None:
    transactions, events = history
    gone = data.draw(st.sampled_from(events))
    arrivals = [item for item in data.draw(repeated(events)) if item != gone]

    assert check(transactions, arrivals).lost


@given(st.data(), histories())
def test_an_event_too_many_is_never_missed(
    data: st.DataObject, history: tuple[list[Transaction], list[Envelope]]
) -> None:
    transactions, events = history
    rolled_back = [
        change
        for transaction in transactions
        if transaction.outcome == "rolled back"
        for change in transaction.changes
    ]
    told = [change for item in transactions for change in item.changes]
    change = data.draw(st.sampled_from(rolled_back or told))
    place = data.draw(st.integers(0, len(events)))
    arrivals = [*events[:place], event(1000, change), *events[place:]]

    assert check(transactions, arrivals).phantom


@given(st.data(), histories())
def test_two_events_of_a_key_the_wrong_way_round_are_never_missed(
    data: st.DataObject, history: tuple[list[Transaction], list[Envelope]]
) -> None:
    transactions, events = history
    number = data.draw(st.sampled_from([item["key"]["id"] for item in events]))
    places = [at for at, item in enumerate(events) if item["key"]["id"] == number]
    # A last event makes two of every key.
    if len(places) == 1:
        text = events[places[0]]["after"]["status"]
        transactions = [
            *transactions,
            Transaction(99, (delete(number, text),), "committed"),
        ]
        events = [*events, event(999, delete(number, text))]
        places.append(len(events) - 1)
    one, two = data.draw(
        st.lists(st.sampled_from(places), min_size=2, max_size=2, unique=True)
    )
    arrivals = list(events)
    arrivals[one], arrivals[two] = arrivals[two], arrivals[one]

    assert check(transactions, arrivals).order


# The journal


def test_a_journal_gives_back_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal(path) as journal:
        first = journal.intent(LIFE[:2])
        second = journal.intent(LIFE[2:3])
        journal.rolled_back(second)
        journal.committed(first)
        journal.unknown(journal.intent(LIFE[3:4]))
        journal.intent(LIFE[4:])

    transactions = read_journal([path])

    assert [(item.changes, item.outcome) for item in transactions] == [
        (LIFE[:2], "committed"),
        (LIFE[2:3], "rolled back"),
        (LIFE[3:4], "unknown"),
        (LIFE[4:], "unknown"),
    ]


def test_every_entry_is_in_the_file_before_the_call_returns(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal(path) as journal:
        journal.committed(journal.intent(LIFE))

        assert read_journal([path])[0].outcome == "committed"


def test_journals_of_several_writers_are_put_in_order_by_time(tmp_path: Path) -> None:
    with Journal(tmp_path / "a") as a, Journal(tmp_path / "b") as b:
        for journal, change in zip((a, b, b, a, b), LIFE, strict=True):
            journal.committed(journal.intent([change]))

    transactions = read_journal([tmp_path / "a", tmp_path / "b"])

    assert [item.changes[0] for item in transactions] == list(LIFE)


def test_threads_may_share_a_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal"

    def write(writer: int) -> None:
        for number in range(25):
            transaction = journal.intent([insert(100 * writer + number, "é" * writer)])
            journal.committed(transaction)

    with Journal(path) as journal:
        threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    transactions = read_journal([path])
    numbers = {item.changes[0].key["id"] for item in transactions}
    assert len(transactions) == len(numbers) == 100
    assert {item.outcome for item in transactions} == {"committed"}


def test_the_torn_line_of_a_killed_writer_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal(path) as journal:
        journal.committed(journal.intent(LIFE[:1]))
        journal.intent(LIFE[1:2])
    whole = path.read_bytes()
    path.write_bytes(whole + json.dumps({"transaction": 2, "out": 1}).encode()[:-4])

    assert [item.outcome for item in read_journal([path])] == ["committed", "unknown"]


def test_a_journal_does_not_go_on_in_the_file_of_another(tmp_path: Path) -> None:
    Journal(tmp_path / "journal").close()

    with pytest.raises(FileExistsError):
        Journal(tmp_path / "journal")
