"""What the demo shows, and what it would show if the promise were broken."""

from __future__ import annotations

import io
import json
import os
import signal
from collections import Counter

import pytest

from evtrig.demo.arrivals import Arrivals
from evtrig.demo.checker import Envelope, check
from evtrig.demo.demo import counts, rebuilt
from evtrig.demo.interrupt import interruptible
from evtrig.demo.load import Load
from evtrig.demo.screen import WIDTH, Screen, event_line, wrapped
from evtrig.demo.shop import TABLES, Shop
from evtrig.triggers.spec import parse

ORDER = {"id": 7, "customer": 1, "status": "paid", "total": "29.90", "version": 2}


def test_an_update_is_shown_as_what_changed() -> None:
    line = event_line(envelope(before=ORDER, after={**ORDER, "status": "shipped"}))
    assert line.split(maxsplit=3)[:3] == ["→", "12", "orders.update"]
    assert line.endswith("status paid → shipped")


def test_an_insert_and_a_delete_are_shown_as_the_row() -> None:
    row = "customer 1, status paid, total 29.90, version 2"
    assert event_line(envelope(after=ORDER)).endswith(row)
    assert event_line(envelope(before=ORDER)).endswith(row)


def test_a_long_event_is_cut_to_the_width() -> None:
    line = event_line(envelope(after={**ORDER, "status": "x" * 100}))
    assert len(line) == WIDTH
    assert line.endswith("…")


def test_the_full_envelope_is_the_same_json_with_line_breaks() -> None:
    event = envelope(before=ORDER, after={**ORDER, "status": "shipped"})
    text = wrapped(event)
    assert json.loads(text) == event
    assert max(map(len, text.splitlines())) <= WIDTH


def test_the_spec_captures_every_table_of_the_shop() -> None:
    for shop in (Shop(), Shop("_1f")):
        spec = parse(shop.spec, path="evtrig.yml")
        assert [table.name for table in spec.tables] == list(TABLES)
        assert {table.schema for table in spec.tables} == {shop.schema}
        assert spec.outbox == shop.outbox


def test_on_a_server_that_stays_nothing_has_a_name_that_others_may_use() -> None:
    shop = Shop("_1f")
    assert (
        parse(shop.spec, path="evtrig.yml").definer
        != parse(Shop().spec, path="evtrig.yml").definer
    )
    with pytest.raises(AssertionError):
        Shop().drop(None)


def test_what_is_wrong_is_in_the_counts() -> None:
    report = check([], [envelope(after=ORDER)])
    assert "1 published, 0 lost, 1 phantom, 0 out of order" in counts(report)


def test_a_row_that_was_deleted_is_not_rebuilt() -> None:
    arrivals = Arrivals()
    arrivals.events = [envelope(after=ORDER), envelope(before=ORDER, sequence=13)]
    assert rebuilt(arrivals) == {}


def test_a_terminal_without_arrows_is_no_reason_to_fail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    monkeypatch.setattr("sys.stdout", terminal)
    Screen().text("→ ä")
    assert terminal.buffer.getvalue() == "   ? ä\n".encode("latin-1")


def envelope(
    *,
    before: dict[str, object] | None = None,
    after: dict[str, object] | None = None,
    sequence: int = 12,
) -> Envelope:
    operation = "update" if before and after else "insert" if after else "delete"
    return {
        "id": f"{sequence}-00000000000000aa",
        "sequence": sequence,
        "type": f"orders.{operation}",
        "source": "shop.orders",
        "operation": operation,
        "time": "2026-11-23T05:20:49.161586Z",
        "key": {"id": 7},
        "before": before,
        "after": after,
        "transaction": None,
        "context": None,
    }


class Dies:
    """Python drops what is raised while it is finalized."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)


class Endless(Load):
    def _write(self, number: int) -> Counter[str]:
        self.stop.wait(20)
        return Counter()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_counts_whatever_python_is_busy_with() -> None:
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    load = Endless([None], 1)
    try:
        with interruptible():
            Dies()
            with pytest.raises(KeyboardInterrupt):
                load.run()
        assert load.stop.is_set()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
