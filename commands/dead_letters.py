"""`evtrig dead-letters`: the events that no sink takes.

Imports neither jinja2 nor yaml, and needs no spec.
"""

from __future__ import annotations

import contextlib
import functools
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from ..errors import EvtrigError, UsageError
from .log import say
from .options import (
    confirm,
    dsn_option,
    json_option,
    option,
    outbox_option,
    yes_option,
)

if TYPE_CHECKING:
    from ..database.dsn import Dsn
    from ..relay.dead_letters import DeadLetters
    from ..relay.letter import Letter, PutBack, Selection

__all__ = ["dead_letters"]

Command = TypeVar("Command", bound=Callable[..., Any])

#: What a command prints of a time span; seconds are the rest.
UNITS = ((86_400, "d"), (3600, "h"), (60, "min"))


@click.group()
def dead_letters() -> None:
    """Look at events that no sink takes, put them back, discard them.

    A relay puts an event aside that its sink refuses for good, or that is too large,
    as its options say, and with it what must not overtake it. It stays in the table
    dead_letters until somebody puts it back or discards it.
    """


def selecting(*, is_needed: bool) -> Callable[[Command], Command]:
    """IDs, --source and --all, as the one parameter ``selection``."""

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def with_selection(
            *arguments: Any,
            ids: tuple[str, ...],
            source: str | None,
            **others: Any,
        ) -> Any:
            from ..relay.letter import Selection

            given = [bool(ids), source is not None, others.pop("all")]
            if sum(given) > 1:
                raise UsageError(
                    "IDs, --source and --all exclude each other",
                    hint="Name some events, or all of one source, or all there are.",
                )
            if is_needed and not any(given):
                raise UsageError(
                    "nothing says which dead letters are meant",
                    hint="Name their ids, as evtrig dead-letters list shows them, or"
                    " give --source or --all.",
                )
            selection = Selection(ids, source)
            return command(*arguments, selection=selection, **others)

        for add in reversed(SELECTION):
            add(with_selection)
        return cast(Command, with_selection)

    return decorate


SELECTION = (
    click.argument("ids", nargs=-1, metavar="[ID]..."),
    option(
        "--source",
        metavar="SCHEMA.TABLE",
        help="All of this table, such as shop.orders.",
    ),
    option("--all", is_flag=True, help="All there are."),
)


@dead_letters.command("list")
@selecting(is_needed=False)
@dsn_option()
@outbox_option
@json_option
def list_(selection: Selection, dsn: Dsn, outbox: str, as_json: bool) -> None:
    """Show which there are and why, the oldest first.

    One line each, without what is in the events; then how many there are.
    """
    counts: dict[str, int] = {}

    def noted(letter: Letter) -> Letter:
        counts[letter.reason] = counts.get(letter.reason, 0) + 1
        return letter

    with opened(dsn, outbox) as letters, Output() as output:
        found = map(noted, letters.facts(selection))
        if as_json:
            output.write('{"dead_letters": ')
            output.array(map(listed, found))
            output.write(f', "counts": {json.dumps(counts)}}}\n')
            return
        for letter in found:
            output.write(f"{line(letter)}\n")
        output.write(f"{summary(counts) if counts else nothing(letters, selection)}\n")


@dead_letters.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@dsn_option()
@outbox_option
@json_option
def show(ids: tuple[str, ...], dsn: Dsn, outbox: str, as_json: bool) -> None:
    """Show events whole, with why they are here.

    That is, with what was in the rows.
    """
    from ..relay.letter import Selection

    selection = Selection(ids)
    with opened(dsn, outbox) as letters, Output() as output:
        found = letters.envelopes(selection)
        if as_json:
            output.array(exported(letter, body) for letter, body in found)
            return
        for letter, body in found:
            for name, value in described(letter):
                output.write(f"{name + ':':<14}{printable(value)}\n")
            output.write(f"{'envelope:':<14}{one_line(body)}\n\n")


@dead_letters.command()
@selecting(is_needed=False)
@dsn_option()
@outbox_option
def export(selection: Selection, dsn: Dsn, outbox: str) -> None:
    """Print the events as NDJSON, the oldest first.

    One envelope a line, as the relay sends it, with a member dead_letter that says why
    it is here. Changes nothing.
    """
    count = 0

    def so_far() -> str:
        return f"{counted(count)} exported, the rest not" if count else ""

    with opened(dsn, outbox, so_far) as letters:
        with Output() as output:
            for letter, body in letters.envelopes(selection):
                output.write(exported(letter, body) + "\n")
                count += 1
        say(f"{counted(count)} exported" if count else nothing(letters, selection))


@dead_letters.command()
@selecting(is_needed=True)
@dsn_option()
@outbox_option
@json_option
def retry(selection: Selection, dsn: Dsn, outbox: str, as_json: bool) -> None:
    """Put events back, so that a relay sends them again.

    They become events again, with the ids that they had. Always all of a row's, the
    oldest first, each row's in one transaction: a later change must not overtake an
    earlier one.
    """
    from ..relay.letter import PutBack

    done = PutBack()

    def so_far() -> str:
        return put_back(done) if done.events else ""

    with opened(dsn, outbox, so_far) as letters:
        letters.check_put_back()
        letters.put_back(selection, done)
        if as_json:
            click.echo(json.dumps(as_data(done)))
        elif done.events or done.taken:
            click.echo(put_back(done))
        else:
            click.echo(nothing(letters, selection))
    if selection.names and done.events > len(selection.names):
        say(
            "whole rows: the other events of the same rows were put back too, since a"
            " later one must not overtake an earlier one"
        )
    if done.overtaken:
        say(
            f"{counted(done.overtaken)} did not hold back later ones of the same row:"
            " consumers that drop what is not above the last sequence will drop them"
        )
    refuse(done, outbox)


def refuse(done: PutBack, outbox: str) -> None:
    """Raise EvtrigError if something could not be put back for good."""
    problems, hints = [], []
    if done.taken:
        problems.append(f"the id of {some(done.taken)} is taken by another event")
        hints.append(
            "After a fail-over the database issued it again; these rows stay as they"
            " were. Run it again when that event is published, or export them and"
            " discard them."
        )
    if done.again:
        problems.append(f"{counted(done.again)} came back: the sink does not take them")
        hints.append("evtrig dead-letters list says why; mend that first.")
    if problems:
        raise EvtrigError("; ".join(problems), hint=" ".join(hints))


@dead_letters.command()
@selecting(is_needed=True)
@dsn_option()
@outbox_option
@json_option
@yes_option
def discard(
    selection: Selection, dsn: Dsn, outbox: str, as_json: bool, yes: bool
) -> None:
    """Delete events for good, after asking.

    They were committed, and no consumer will hear of them: evtrig dead-letters export
    saves them first.
    """
    count = 0

    def so_far() -> str:
        return f"{counted(count)} discarded, the rest not" if count else ""

    with opened(dsn, outbox, so_far) as letters:
        letters.check_discard()
        pairs = letters.pairs(selection)
        if pairs and not yes:
            confirm(
                f"Discard {counted(len(pairs))} of {letters} for good? No consumer will"
                " hear of them; evtrig dead-letters export saves them first."
            )
        keys = letters.keys_of(pairs) if selection.names else []
        for number in letters.discard(pairs):
            count += number
        left = letters.count_of(keys)
        if as_json:
            click.echo(json.dumps({"discarded": count, "left_of_the_rows": left}))
        elif pairs:
            click.echo(f"{counted(count)} discarded")
        else:
            click.echo(nothing(letters, selection))
    if left:
        say(
            f"{counted(left)} of the same rows stay dead letters; evtrig dead-letters"
            " retry puts them back"
        )


@contextlib.contextmanager
def opened(
    dsn: Dsn, outbox: str, so_far: Callable[[], str] = lambda: ""
) -> Iterator[DeadLetters]:
    """The dead letters; whatever ends the work half way says how far it came."""
    from ..relay.dead_letters import DeadLetters

    try:
        with DeadLetters.connect(dsn, outbox) as letters:
            yield letters
    except KeyboardInterrupt:
        what = "; ".join(filter(None, ("interrupted", so_far())))
        raise EvtrigError(what, hint="Run it again for the rest.") from None
    except EvtrigError as error:
        what = "; ".join(filter(None, (error.message, so_far())))
        hint = error.hint or "Run it again: what was done stays done."
        raise EvtrigError(what, hint=hint) from None


class Output:
    """Standard output for many lines, whatever its locale: JSON is UTF-8."""

    def __enter__(self) -> Output:
        self._stream = sys.stdout.buffer
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.flush()

    def write(self, text: str) -> None:
        self._stream.write(text.encode("utf-8", "surrogatepass"))

    def array(self, items: Iterable[str], indent: str = "") -> None:
        """A JSON array of texts that are JSON, one a line."""
        separator = f"[\n{indent}  "
        for item in items:
            self.write(separator + item)
            separator = f",\n{indent}  "
        self.write("[]\n" if separator[0] == "[" else f"\n{indent}]\n")


def facts(letter: Letter) -> dict[str, Any]:
    """Why it is a dead letter."""
    return {
        "reason": letter.reason,
        "attempts": letter.attempts,
        "holds_key": letter.holds_key,
        "first_error": letter.first_error,
        "last_error": letter.last_error,
        "failed_at": letter.failed_at,
        "parked_at": letter.parked_at,
    }


def listed(letter: Letter) -> str:
    head = {
        "id": letter.name,
        "type": letter.type,
        "source": letter.source,
        "operation": letter.operation,
        "time": letter.captured_at,
    }
    return json.dumps({**head, **facts(letter), "age": letter.age}, ensure_ascii=False)


def exported(letter: Letter, body: str) -> str:
    """The envelope as it is, every number and blank of it, with one more member."""
    member = json.dumps(facts(letter), ensure_ascii=False)
    return f'{one_line(body)[:-1]}, "dead_letter": {member}}}'


def one_line(body: str) -> str:
    """A line break in JSON can only stand between tokens."""
    return body.replace("\r", " ").replace("\n", " ")


def line(letter: Letter) -> str:
    """For people: what, why and since when."""
    attempts = f"{letter.attempts} attempt{'s' * (letter.attempts != 1)}"
    cells = (
        f"{letter.name:<22}",
        f"{letter.source:<20}",
        f"{letter.operation:<6}",
        f"{letter.reason:<9}",
        f"{attempts:>11}",
        f"{span(letter.age):>6}",
        letter.last_error or "-",
    )
    return printable("  ".join(cells))


def described(letter: Letter) -> Iterator[tuple[str, str]]:
    yield "id", letter.name
    yield "reason", letter.reason
    yield "attempts", str(letter.attempts)
    yield "first error", letter.first_error or "-"
    yield "last error", letter.last_error or "-"
    yield "captured at", letter.captured_at
    yield "failed at", letter.failed_at or "-"
    yield "parked at", f"{letter.parked_at} ({span(letter.age)} ago)"
    later = "wait behind it" if letter.holds_key else "do not wait for it"
    yield "later events", f"of its row {later}"


def nothing(letters: DeadLetters, selection: Selection) -> str:
    if selection.source is None:
        return f"no dead letters in {letters}"
    others = letters.sources()
    there = f"; there are some of {some(others)}" if others else ""
    return f"no dead letters of {selection.source} in {letters}{there}"


def put_back(done: PutBack) -> str:
    rows = f"{done.keys} row{'s' * (done.keys != 1)}"
    return f"{counted(done.events)} of {rows} put back, to be sent in their order"


def as_data(done: PutBack) -> dict[str, Any]:
    return {
        "put_back": done.events,
        "keys": done.keys,
        "overtaken": done.overtaken,
        "came_back": done.again,
        "id_taken": done.taken,
    }


def summary(counts: Mapping[str, int]) -> str:
    """``5 dead letters: 3 refused, 2 behind``."""
    total = sum(counts.values())
    parts = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
    return f"{total} dead letter{'s' * (total != 1)}: {parts}"


def counted(count: int) -> str:
    return f"{count} event{'s' * (count != 1)}"


def some(names: Sequence[str], most: int = 10) -> str:
    more = " and more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def span(seconds: int) -> str:
    """``42 s``, ``5 min``, ``3 h``, ``12 d``."""
    seconds = max(0, seconds)
    for size, unit in UNITS:
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def printable(text: str) -> str:
    """Names may hold what moves the cursor of a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)
