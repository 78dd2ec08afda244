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

from evtrig.demo.checker import Arrival, Envelope, check, fold, key_text
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

    assert report.content == ((None, other),)
    assert not report.is_clean


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


def test_a_transaction_of_which_a_part_arrived_is_incomplete() -> None:
    whole = Transaction(1, (insert(1, "new"), insert(2, "new")), "committed")
    part = Transaction(2, (insert(3, "new"), insert(4, "new")), "committed")
    none = Transaction(3, (insert(5, "new"), insert(6, "new")), "committed")
    arrivals = [
        event(number, change)
        for number, change in enumerate([*whole.changes, part.changes[1]], 1)
    ]

    report = check([whole, part, none], arrivals)

    assert report.incomplete == (part,)
    assert report.lost == (part.changes[0], *none.changes)
    assert "1 incomplete transactions" in report.summary()


@pytest.mark.parametrize(
    ("fault", "is_explained"),
    [
        ((9.0, 9.5), True),  # near the first arrival
        ((12.4, 17.0), True),  # the second is in it
        ((0.0, 30.0), True),
        ((21.0, 22.0), True),
        ((12.5, 17.5), False),  # between the two, and near neither
        ((0.0, 7.5), False),
        ((22.5, 30.0), False),
    ],
)
def test_a_duplicate_needs_a_fault_near_one_of_its_arrivals(
    fault: tuple[float, float], is_explained: bool
) -> None:
    arrivals = [Arrival(EVENTS[0], 10.0), again := Arrival(EVENTS[0], 20.0)]
    # Apart from it, and given out of order.
    faults = [(90.0, 91.0), fault, (40.0, 50.0)]

    report = check([committed(*LIFE[:1])], arrivals, faults=faults, near=2.4)

    assert report.duplicates == 1
    assert report.unexplained == (() if is_explained else (again,))
    assert report.is_clean == is_explained


def test_faults_that_overlap_are_one() -> None:
    arrivals = [Arrival(EVENTS[0], at) for at in (1.0, 45.0, 50.0)]
    # The long one hides a short one, as a frozen relay does a lost connection.
    faults = [(10.0, 60.0), (20.0, 21.0)]

    assert check([committed(*LIFE[:1])], arrivals, faults=faults).is_clean


def test_without_faults_no_duplicate_is_explained() -> None:
    arrivals = [EVENTS[0], EVENTS[0]]

    assert check([committed(*LIFE[:1])], arrivals).is_clean
    assert check([committed(*LIFE[:1])], arrivals, faults=[]).unexplained


def test_an_event_whose_acknowledgement_was_lost_comes_again_once() -> None:
    lost = Arrival(EVENTS[0], 10.0, is_answered=False)
    arrivals = [lost, Arrival(EVENTS[0], 11.0)]

    assert check([committed(*LIFE[:1])], arrivals, faults=[]).is_clean

    arrivals.append(more := Arrival(EVENTS[0], 12.0))
    assert check([committed(*LIFE[:1])], arrivals, faults=[]).unexplained == (more,)


def test_an_old_event_after_a_newer_one_is_found_on_a_fifo_queue() -> None:
    arrivals = [*EVENTS[:3], EVENTS[1]]

    assert check([committed(*LIFE[:3])], arrivals).is_clean
    report = check([committed(*LIFE[:3])], arrivals, is_fifo=True)
    assert report.overtaken == (EVENTS[1],)
    assert not report.is_clean


def test_a_fifo_queue_may_take_an_old_event_that_it_delivers_to_nobody() -> None:
    again = Arrival(EVENTS[1], is_delivered=False)

    assert check([committed(*LIFE[:3])], [*EVENTS[:3], again], is_fifo=True).is_clean


def test_the_newest_event_of_a_key_may_come_twice_in_a_row() -> None:
    arrivals = [*EVENTS[:3], EVENTS[2]]

    assert check([committed(*LIFE[:3])], arrivals, is_fifo=True).is_clean


def test_what_is_left_in_the_outbox_is_a_fault() -> None:
    assert check([committed(*LIFE)], EVENTS, left=0).is_clean
    assert not check([committed(*LIFE)], EVENTS, left=1).is_clean


SEVEN, EIGHT, NINE = (key_text({"id": number}) for number in (7, 8, 9))


def test_a_consumer_that_has_the_rows_of_the_tables_is_clean() -> None:
    start = {ORDERS: {SEVEN: row(7, "new"), NINE: row(9, "new")}}
    end = {ORDERS: {EIGHT: row(8, "new"), NINE: row(9, "new")}}
    changes = (delete(7, "new"), insert(8, "new"))
    arrivals = [event(1, changes[0]), event(2, changes[1])]

    assert check([committed(*changes)], arrivals, start=start, end=end).is_clean


@pytest.mark.parametrize(
    "rows",
    [
        {SEVEN: row(7, "paid")},
        {SEVEN: {"id": 7, "status": None}},
        {},
        {SEVEN: row(7, "new"), EIGHT: row(8, "new")},
    ],
)
def test_a_consumer_with_other_rows_than_the_tables_is_found(
    rows: dict[str, Row],
) -> None:
    arrivals = [event(1, insert(7, "new"))]

    report = check([committed(*LIFE[:1])], arrivals, start={}, end={ORDERS: rows})

    assert len(report.different) == 1
    assert not report.is_clean


def test_a_consumer_gets_what_is_delivered_only() -> None:
    """What a queue takes and gives to nobody is no help to a consumer."""
    arrivals = [Arrival(event(1, insert(7, "new")), is_delivered=False)]
    end = {ORDERS: {SEVEN: row(7, "new")}}

    report = check([committed(*LIFE[:1])], arrivals, start={}, end=end)

    assert report.different == ((ORDERS, SEVEN),)


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
