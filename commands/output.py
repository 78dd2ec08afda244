"""The folder that `generate -o` writes: what differs in it, and all or nothing."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import EvtrigError
from ..triggers.folder import INDEX, is_made, listed

__all__ = ["Difference", "differences", "write"]

#: Of folders that are there while files are prepared.
PREFIX = ".evtrig-"

ELSEWHERE = "Move it away, or write elsewhere with -o."


@dataclass(frozen=True)
class Difference:
    """A file that is not as the spec says."""

    #: Within the folder, with ``/``.
    path: str
    kind: Literal["missing", "differs", "left over", "not evtrig's"]


def differences(folder: Path, files: Mapping[str, str]) -> tuple[Difference, ...]:
    """What `write` would change, in the order in which it does.

    ``files`` are the texts by path. Left over is what an index of evtrig lists, evtrig
    has made and the spec has no more; other files that lie there do not matter. Raises
    EvtrigError if something cannot be read.
    """
    others = [path for path in files if path != INDEX]
    index = _content(folder, INDEX) or b""
    paths = listed(index.decode(errors="replace")) if _is_made(index) else ()
    gone = [
        Difference(path, "left over")
        for path in paths
        if path not in files and _is_made(_content(folder, path) or b"")
    ]
    # The index goes last: whatever ends this, what is there to remove is listed.
    return (
        *_changed(folder, files, others),
        *gone,
        *_changed(folder, files, (INDEX,)),
    )


def write(
    folder: Path, files: Mapping[str, str], *, force: bool = False
) -> tuple[Difference, ...]:
    """Make the folder as ``files`` say; returns what was changed.

    A file that is as it should be is not touched. Nothing is changed if anything is in
    the way or cannot be written: EvtrigError. ``force`` replaces files that evtrig has
    not made.
    """
    changes = differences(folder, files)
    foreign = [c.path for c in changes if c.kind == "not evtrig's"]
    if foreign and not force:
        others = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise EvtrigError(
            f"{folder / foreign[0]}{others}: in the way, and not made by evtrig",
            hint="Move it away or write elsewhere with -o; --force overwrites files.",
        )
    with ExitStack() as made, ExitStack() as drafts:
        try:
            prepared = _prepare(folder, files, changes, made, drafts)
        except OSError as error:
            raise EvtrigError(
                f"cannot write into {_named(folder, error)}: {error.strerror};"
                " nothing was changed",
                hint="See to its permissions and to room on the disk, or write"
                " elsewhere with -o.",
            ) from None
        made.pop_all()
        _replace(folder, changes, prepared)
    for change in changes:
        if change.kind == "left over":
            _remove_if_empty((folder / change.path).parent)
    return changes


def _changed(
    folder: Path, files: Mapping[str, str], paths: Iterable[str]
) -> Iterator[Difference]:
    for path in paths:
        there = _content(folder, path)
        if there is None:
            # A link is somebody else's, wherever it leads.
            is_link = (folder / path).is_symlink()
            yield Difference(path, "not evtrig's" if is_link else "missing")
        elif there != files[path].encode():
            yield Difference(path, "differs" if _is_made(there) else "not evtrig's")


def _content(folder: Path, path: str) -> bytes | None:
    """None if there is no such file, or only a link."""
    target = folder / path
    try:
        for parent in dict.fromkeys((folder, target.parent)):
            if os.path.lexists(parent) and not parent.is_dir():
                raise EvtrigError(f"{parent} is not a folder", hint=ELSEWHERE)
        # The folder itself may be a link. One in it would lead out of it.
        if target.parent != folder and target.parent.is_symlink():
            raise EvtrigError(f"{target.parent} is a symbolic link", hint=ELSEWHERE)
        if target.is_symlink() or not target.exists():
            return None
        if not target.is_file():
            raise EvtrigError(f"{target} is not a file", hint=ELSEWHERE)
        return target.read_bytes()
    except OSError as error:
        raise EvtrigError(
            f"cannot read {target}: {error.strerror}",
            hint="See to its permissions, or write elsewhere with -o.",
        ) from None


def _is_made(content: bytes) -> bool:
    return is_made(content.decode(errors="replace"))


def _prepare(
    folder: Path,
    files: Mapping[str, str],
    changes: Sequence[Difference],
    made: ExitStack,
    drafts: ExitStack,
) -> list[Path | None]:
    """The new file for each change, None for one that goes.

    Whatever takes room or permissions is done here. Each lies beside the file that it
    is to replace: on the same file system, in a folder that may be written to.
    """
    places: dict[Path, Path] = {}
    prepared: list[Path | None] = []
    for number, change in enumerate(changes):
        parent = (folder / change.path).parent
        if parent not in places:
            _make(parent, made)
            place = tempfile.TemporaryDirectory(prefix=PREFIX, dir=parent)
            places[parent] = Path(drafts.enter_context(place))
        # Not called like the file, whose name may be as long as a name can be.
        draft = places[parent] / str(number)
        if change.kind != "left over":
            draft.write_bytes(files[change.path].encode())
        prepared.append(None if change.kind == "left over" else draft)
    return prepared


def _replace(
    folder: Path, changes: Sequence[Difference], prepared: Sequence[Path | None]
) -> None:
    for number, (change, draft) in enumerate(zip(changes, prepared, strict=True)):
        target = folder / change.path
        try:
            if draft is None:
                target.unlink(missing_ok=True)
            else:
                draft.replace(target)
        except OSError as error:
            raise EvtrigError(
                f"cannot change {target}: {error.strerror};"
                f" {number} of {len(changes)} files were changed",
                hint="Mend that and run it again.",
            ) from None


def _make(folder: Path, made: ExitStack) -> None:
    """With what is above it; ``made`` takes back what was not there before."""
    if folder.is_dir():
        return
    _make(folder.parent, made)
    folder.mkdir()
    made.callback(_remove_if_empty, folder)


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def _named(folder: Path, error: OSError) -> Path:
    """What could not be written; of a draft the folder it lies in."""
    path = Path(error.filename) if isinstance(error.filename, str) else folder
    drafts = [parent for parent in path.parents if parent.name.startswith(PREFIX)]
    if path.name.startswith(PREFIX):
        return path.parent
    return drafts[-1].parent if drafts else path
