"""What becomes a line of NDJSON, and what of a file is cut off again."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evtrig.errors import SinkError, UsageError
from evtrig.relay.event import Event
from evtrig.relay.sinks.ndjson import FileSink, StdoutSink, lines
from evtrig.relay.sinks.sink import ACKNOWLEDGED, LEASE_RAN_OUT, Outcome

WHOLE = b'{"id": "1-0000000000000001", "sequence": 1}\n'

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def always() -> bool:
    return True


def never() -> bool:
    return False


def event(body: str, id_: int = 1) -> Event:
    return Event(id_, id_, "shop.orders:{}", body)


@given(
    envelopes=st.lists(values, max_size=5), indent=st.sampled_from([None, 1]), cr=...
)
def test_an_event_is_a_line_and_a_line_an_event(
    envelopes: list[object], indent: int | None, cr: bool
) -> None:
    """Also where MariaDB kept the line breaks of a JSON column."""
    bodies = [json.dumps(value, indent=indent) for value in envelopes]
    if cr:
        bodies = [body.replace("\n", "\r\n") for body in bodies]
    written = lines([event(body) for body in bodies])
    assert written.count(b"\n") == len(envelopes)
    assert b"\r" not in written
    assert [json.loads(line) for line in written.splitlines()] == envelopes


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_a_text_is_passed_on_as_it_is(text: str) -> None:
    body = json.dumps({"name": text}, ensure_ascii=False)
    assert lines([event(body)]) == body.encode() + b"\n"


def test_separators_that_only_python_takes_for_line_breaks_stay() -> None:
    """U+2028, U+0085: splitlines() of str would break there, NDJSON does not."""
    body = '{"name": "a\u2028b\u0085c"}'
    assert lines([event(body)]).decode() == body + "\n"


@pytest.mark.parametrize("length", range(1, len(WHOLE)))
def test_a_torn_last_line_is_cut_off_wherever_it_is_torn(
    tmp_path: Path, length: int
) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(WHOLE * 2 + WHOLE[:length].rstrip(b"\n"))
    sink = FileSink(str(path))
    sink.publish([event('{"id": "2"}', 2)], always)
    sink.close()
    assert path.read_bytes() == WHOLE * 2 + b'{"id": "2"}\n'


def test_a_torn_line_longer_than_one_look_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(WHOLE + b'{"id": "2", "after": "' + b"x" * 3_000_000)
    sink = FileSink(str(path))
    sink.publish([event('{"id": "2"}')], always)
    sink.close()
    assert path.read_bytes() == WHOLE + b'{"id": "2"}\n'


@pytest.mark.parametrize("content", [b"", WHOLE, WHOLE * 3])
def test_a_file_that_ends_with_a_line_is_left_alone(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(content)
    sink = FileSink(str(path))
    sink.publish([event('{"id": "2"}')], always)
    sink.close()
    assert path.read_bytes() == content + b'{"id": "2"}\n'


@pytest.mark.parametrize(
    "content",
    [b"remember the milk", b"[1, 2]", b'{"ID": 1}', b"\x00\x01\x02", b'\n{"other": 1'],
)
def test_a_file_of_somebody_else_is_refused_and_unchanged(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(SinkError, match=r"notes\.txt") as refused:
        FileSink(str(path))
    assert refused.value.hint
    assert path.read_bytes() == content


def test_a_file_is_asked_about_only_once_it_is_locked(tmp_path: Path) -> None:
    """The lock is what may have taken long."""
    path = tmp_path / "events.ndjson"
    sink, other = FileSink(str(path)), FileSink(str(path))
    seen = []

    def may_send() -> bool:
        (result,) = other.publish([event('{"id": "3"}', 3)], always)
        seen.append((result.outcome, path.read_bytes()))
        return True

    assert list(sink.publish([event('{"id": "2"}', 2)], may_send)) == [ACKNOWLEDGED]
    assert seen == [(Outcome.UNKNOWN, b"")]
    assert path.read_bytes() == b'{"id": "2"}\n'
    sink.close()
    other.close()


def test_a_file_that_may_not_be_written_to_is_not_locked_either(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    sink, other = FileSink(str(path)), FileSink(str(path))
    assert list(sink.publish([event("{}")], never)) == [LEASE_RAN_OUT]
    assert list(other.publish([event("{}")], always)) == [ACKNOWLEDGED]
    sink.close()
    other.close()


def test_a_pipe_gets_nothing_when_it_may_not(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    for sink in (FileSink(str(path)), StdoutSink(os.open(path, os.O_WRONLY))):
        assert list(sink.publish([event("{}"), event("[]")], never)) == (
            [LEASE_RAN_OUT] * 2
        )
        with pytest.raises(BlockingIOError):
            os.read(reader, 1)
        assert list(sink.publish([event("{}")], always)) == [ACKNOWLEDGED]
        assert os.read(reader, 100) == b"{}\n"
        os.close(sink._descriptor)
    os.close(reader)


def test_a_file_is_made_where_there_is_none(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    FileSink(str(path)).close()
    assert path.read_bytes() == b""


def test_a_descriptor_is_not_left_open_by_a_refusal(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"remember the milk")
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(SinkError):
        FileSink(str(path))
    assert set(os.listdir("/proc/self/fd")) == before


def test_the_name_of_a_file_is_needed() -> None:
    with pytest.raises(UsageError):
        FileSink("")


@pytest.mark.parametrize("path", ["no/such/folder/events.ndjson", "."])
def test_a_file_that_cannot_be_opened_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SinkError, match="cannot append to") as refused:
        FileSink(path)
    assert path in refused.value.message
    assert refused.value.hint


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_folder_that_may_be_written_to_but_not_read_is_no_traceback() -> None:
    nobody = 65534
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, nobody, nobody)
        os.chmod(folder, 0o300)
        os.seteuid(nobody)
        try:
            with contextlib.suppress(SinkError):
                FileSink(f"{folder}/events.ndjson").close()
        finally:
            os.seteuid(0)
