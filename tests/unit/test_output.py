"""A folder is made as the spec says, as a whole, and nobody else's file is lost."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evtrig.commands.output import Difference, differences, write
from evtrig.errors import EvtrigError
from evtrig.triggers.folder import INDEX, MARK

EVTRIG = Path(sys.executable).with_name("evtrig")
NOBODY = 65534


def files(*tables: str, body: str = "CREATE") -> dict[str, str]:
    paths = ["outbox.sql", *(f"shop/{table}.sql" for table in tables)]
    texts = {path: f"-- {MARK}\n{body} {path}\n" for path in paths}
    return {**texts, INDEX: "\n".join([f"# {MARK}", *paths, ""])}


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


def refused(folder: Path, wanted: dict[str, str], *, force: bool = False) -> str:
    """What is said; the folder stays as it is."""
    before = sorted(folder.parent.rglob("*")), contents(folder.parent)
    with pytest.raises(EvtrigError) as caught:
        write(folder, wanted, force=force)
    assert caught.value.hint
    assert (sorted(folder.parent.rglob("*")), contents(folder.parent)) == before
    return caught.value.message


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "db"


# What is written, and what is left alone


def test_a_folder_is_made_with_those_above_it(folder: Path) -> None:
    below = folder / "triggers" / "mysql"
    changes = write(below, files("orders"))
    assert contents(below) == files("orders")
    assert [change.path for change in changes][-1] == INDEX
    assert {change.kind for change in changes} == {"missing"}


def test_a_file_that_is_as_it_should_be_is_not_touched(folder: Path) -> None:
    write(folder, files("orders", "items"))
    for path in contents(folder):
        os.utime(folder / path, (1, 1))
    changed = {**files("orders", "items"), "shop/items.sql": f"-- {MARK}\nother\n"}
    assert write(folder, changed) == (Difference("shop/items.sql", "differs"),)
    assert write(folder, changed) == ()
    times = {path: (folder / path).stat().st_mtime for path in changed}
    assert [path for path, time in times.items() if time != 1] == ["shop/items.sql"]
    assert contents(folder) == changed


def test_a_file_may_be_read_by_whom_others_may(folder: Path) -> None:
    before = os.umask(0o022)
    try:
        write(folder, files("orders"))
    finally:
        os.umask(before)
    assert (folder / INDEX).stat().st_mode & 0o777 == 0o644
    assert (folder / "shop").stat().st_mode & 0o777 == 0o755


def test_the_file_of_a_table_that_the_spec_has_no_more_goes(folder: Path) -> None:
    write(folder, files("orders", "items"))
    changes = write(folder, files("orders"))
    assert Difference("shop/items.sql", "left over") in changes
    assert contents(folder) == files("orders")


def test_a_folder_with_nothing_left_in_it_goes_too(folder: Path) -> None:
    write(folder, files("orders"))
    write(folder, files())
    assert sorted(folder.iterdir()) == [folder / INDEX, folder / "outbox.sql"]


def test_only_what_evtrig_has_made_is_removed(folder: Path) -> None:
    write(folder, files("orders", "items", "people"))
    (folder / "shop/items.sql").write_text("-- mine now\n")
    (folder / "shop/notes.md").write_text(f"-- {MARK}\n")
    (folder / "shop/copy.sql").write_text(f"-- {MARK}\n")
    (folder / "shop/people.sql").unlink()
    write(folder, files("orders"))
    assert set(contents(folder)) - set(files("orders")) == {
        *("shop/items.sql", "shop/notes.md", "shop/copy.sql")
    }


def test_an_index_that_is_not_evtrigs_says_nothing(folder: Path) -> None:
    write(folder, files("orders", "items"))
    (folder / INDEX).write_text("outbox.sql\nshop/items.sql\n")
    write(folder, files("orders"), force=True)
    assert "shop/items.sql" in contents(folder)


# In the way


def test_somebody_elses_file_is_named_and_stays_unless_forced(folder: Path) -> None:
    (folder / "shop").mkdir(parents=True)
    (folder / "shop/orders.sql").write_text("CREATE TABLE orders (id INT);\n")
    message = refused(folder, files("items", "orders"))
    assert str(folder / "shop/orders.sql") in message
    write(folder, files("items", "orders"), force=True)
    assert contents(folder) == files("items", "orders")


@pytest.mark.parametrize("target", ["elsewhere.sql", "nowhere.sql"])
def test_a_link_is_not_followed(folder: Path, target: str) -> None:
    elsewhere = folder.parent / "elsewhere.sql"
    elsewhere.write_text(f"-- {MARK}\nprecious\n")
    (folder / "shop").mkdir(parents=True)
    (folder / "shop/orders.sql").symlink_to(folder.parent / target)
    assert "shop/orders.sql" in refused(folder, files("orders"))
    write(folder, files("orders"), force=True)
    assert contents(folder) == files("orders")
    assert not (folder / "shop/orders.sql").is_symlink()
    assert "precious" in elsewhere.read_text()


def test_a_link_that_is_left_over_is_not_removed(folder: Path) -> None:
    write(folder, files("orders", "items"))
    (folder / "shop/items.sql").rename(folder.parent / "items.sql")
    (folder / "shop/items.sql").symlink_to(folder.parent / "items.sql")
    write(folder, files("orders"))
    assert (folder / "shop/items.sql").is_symlink()


def test_the_folder_itself_may_be_a_link(folder: Path) -> None:
    (folder.parent / "real").mkdir()
    folder.symlink_to(folder.parent / "real")
    write(folder, files("orders"))
    assert contents(folder.parent / "real") == files("orders")


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_in_it_that_is_a_link_is_refused(folder: Path, force: bool) -> None:
    (folder.parent / "real").mkdir()
    folder.mkdir()
    (folder / "shop").symlink_to(folder.parent / "real")
    message = refused(folder, files("orders"), force=force)
    assert f"{folder / 'shop'} is a symbolic link" == message


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("place", ["", "shop"])
def test_a_file_in_place_of_a_folder_is_refused(
    folder: Path, place: str, force: bool
) -> None:
    path = folder / place
    path.parent.mkdir(exist_ok=True)
    path.write_text("a file")
    assert refused(folder, files("orders"), force=force) == f"{path} is not a folder"


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("path", [INDEX, "shop/orders.sql"])
def test_a_folder_in_place_of_a_file_is_refused(
    folder: Path, path: str, force: bool
) -> None:
    (folder / path).mkdir(parents=True)
    message = refused(folder, files("orders"), force=force)
    assert message == f"{folder / path} is not a file"


def test_a_link_to_nowhere_is_no_folder(folder: Path) -> None:
    folder.symlink_to(folder.parent / "nowhere")
    with pytest.raises(EvtrigError, match="is not a folder"):
        write(folder, files("orders"))


def test_a_file_is_no_place_for_a_folder(folder: Path) -> None:
    folder.write_text("a file")
    with pytest.raises(EvtrigError, match=r"cannot write into .*nothing was changed"):
        write(folder / "triggers", files("orders"))


@contextmanager
def somebody_else() -> Iterator[None]:
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Where everybody gets to, if only to read; pytest's own folders are private."""
    with tempfile.TemporaryDirectory() as path:
        os.chmod(path, 0o755)
        yield Path(path) / "db"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_where_one_file_cannot_be_written_none_is(open_folder: Path) -> None:
    write(open_folder, files("orders"))
    os.chown(open_folder, NOBODY, NOBODY)
    # The schema's folder stays root's.
    with somebody_else():
        message = refused(open_folder, files("orders", body="ALTER"))
    assert f"cannot write into {open_folder / 'shop'}: Permission denied" in message
    assert contents(open_folder) == files("orders")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_where_no_folder_can_be_made_it_is_named(open_folder: Path) -> None:
    with somebody_else():
        message = refused(open_folder, files("orders"))
    assert f"cannot write into {open_folder}: Permission denied" in message


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_file_that_may_not_be_read_is_named(open_folder: Path) -> None:
    write(open_folder, files("orders"))
    os.chmod(open_folder / "outbox.sql", 0o600)
    with (
        somebody_else(),
        pytest.raises(EvtrigError, match=r"cannot read .*outbox\.sql"),
    ):
        differences(open_folder, files("orders"))


def test_where_there_is_no_room_for_one_file_none_is_written(tmp_path: Path) -> None:
    spec = tmp_path / "evtrig.yml"
    spec.write_text(
        "version: 1\nschema: shop\ntables:\n  orders: {key: [id], columns: {id: int}}\n"
    )

    def generate(limit: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [EVTRIG, "generate", "-s", spec, "-o", "new/db"],
            cwd=tmp_path,
            # It would leave half of a module's byte code behind.
            env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
            # Python ignores the signal, so that the write itself fails.
            preexec_fn=lambda: resource.setrlimit(
                resource.RLIMIT_FSIZE, (limit, limit)
            ),
            capture_output=True,
            text=True,
        )

    # The outbox takes less than that, the triggers of the table more.
    ended = generate(5000)
    assert ended.returncode == 1
    assert "new/db: File too large; nothing was changed" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert list(tmp_path.iterdir()) == [spec]
    assert generate(100_000).returncode == 0
    sizes = {path.name: path.stat().st_size for path in tmp_path.rglob("*.sql")}
    assert sizes["outbox.sql"] < 5000 < sizes["orders.sql"]


# What differs


def test_what_differs_is_named_and_nothing_is_written(folder: Path) -> None:
    write(folder, files("orders", "items", "old"))
    (folder / "shop/items.sql").unlink()
    (folder / "shop/orders.sql").write_text(f"-- {MARK}\nedited\n")
    (folder / "outbox.sql").write_text("somebody else's\n")
    before = contents(folder)
    assert differences(folder, files("orders", "items")) == (
        Difference("outbox.sql", "not evtrig's"),
        Difference("shop/orders.sql", "differs"),
        Difference("shop/items.sql", "missing"),
        Difference("shop/old.sql", "left over"),
        Difference(INDEX, "differs"),
    )
    assert contents(folder) == before


def test_where_there_is_no_folder_every_file_is_missing(folder: Path) -> None:
    found = differences(folder, files("orders"))
    assert {difference.kind for difference in found} == {"missing"}
    assert len(found) == len(files("orders"))
    assert not folder.exists()


def test_other_line_ends_are_a_difference(folder: Path) -> None:
    write(folder, files("orders"))
    path = folder / "shop/orders.sql"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert write(folder, files("orders")) == (Difference("shop/orders.sql", "differs"),)
    assert contents(folder) == files("orders")
