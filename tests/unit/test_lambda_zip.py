"""The archive of a Lambda: the same bytes everywhere, and all that the relay needs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import resource
import stat
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from fakes.certificates import Authority

from evtrig.cli import main
from evtrig.errors import EvtrigError
from evtrig.function import archive
from evtrig.function.archive import contents, pack
from evtrig.relay.route import Routes

ROOT = Path(__file__).resolve().parents[2]
SITE = Path(sysconfig.get_path("purelib"))
#: What Lambda's runtime for Python brings.
SDK = ("boto3", "botocore", "s3transfer", "jmespath", "urllib3", "dateutil", "six.py")

#: Imports every module of the archive, as Lambda would: with no other packages around.
IMPORT_ALL = """
import importlib, json, pkgutil, sys
sys.path[:0] = sys.argv[1:]
import evtrig.database, evtrig.relay
evtrig.relay.lambda_handler
for package in (evtrig.database, evtrig.relay):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
files = {name: getattr(m, "__file__", None) for name, m in sys.modules.items()}
print(json.dumps(files))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `evtrig lambda build` makes without any option."""
    path = tmp_path_factory.mktemp("built") / "evtrig-lambda.zip"
    run = build("-o", str(path))
    assert run.exit_code == 0, run.output
    return path


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what Lambda's runtime has, and nothing else."""
    folder = tmp_path_factory.mktemp("runtime")
    for name in SDK:
        (folder / name).symlink_to(SITE / name)
    return folder


def test_the_archive_holds_the_relay_and_the_driver_and_nothing_else(
    built: Path,
) -> None:
    names = zipfile.ZipFile(built).namelist()
    version = metadata.version("pymysql")
    assert {
        "/".join(name.split("/")[:2]) for name in names if "pymysql" not in name
    } == {
        "evtrig/__init__.py",
        "evtrig/errors.py",
        "evtrig/database",
        "evtrig/relay",
    }
    assert {name.split("/")[0] for name in names if "pymysql" in name} == {
        "pymysql",
        f"pymysql-{version}.dist-info",
    }
    in_the_tree = {
        f"evtrig/{path.relative_to(ROOT)}"
        for part in ("relay", "database")
        for path in (ROOT / part).rglob("*.py")
    }
    assert in_the_tree - set(names) <= set(archive.ELSEWHERE)
    assert set(archive.ELSEWHERE) & set(names) == set()
    assert [n for n in names if n.endswith((".pyc", ".so", ".j2"))] == []
    assert any("LICENSE" in name for name in names)


def test_it_imports_with_what_lambda_has_and_without_jinja2_yaml_and_cryptography(
    built: Path, runtime: Path
) -> None:
    loaded = imported(built, runtime)
    assert loaded["evtrig.relay"] == str(built / "evtrig/relay/__init__.py")
    assert loaded["pymysql"] == str(built / "pymysql/__init__.py")
    assert loaded["evtrig.relay.sinks.sqs"]
    assert str(loaded["boto3"]).startswith(str(runtime))
    tops = {name.partition(".")[0] for name in loaded}
    assert tops & {"jinja2", "yaml", "cryptography", "click"} == set()


def test_it_imports_alone_if_boto3_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "with.zip"
    assert build("-o", str(path), "--with-boto3").exit_code == 0
    loaded = imported(path)
    foreign = [
        file for file in loaded.values() if file and str(SITE) in str(Path(file).parent)
    ]
    assert foreign == []
    assert str(loaded["botocore"]).startswith(str(path))
    # "Lambda quotas": 50 MB zipped where it is uploaded directly, 250 MB unzipped.
    assert path.stat().st_size < 50_000_000


def test_the_same_input_gives_the_same_bytes_on_another_day_in_another_place(
    built: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "evtrig"
    for name, content in contents().items():
        package, _, rest = name.partition("/")
        if package == "evtrig":
            file = copy / rest
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            file.chmod(0o600)
            os.utime(file, (0, 0))
    (copy / "function").mkdir()
    for path in (ROOT / "function").glob("*.py"):
        (copy / "function" / path.name).write_bytes(path.read_bytes())
    (copy / "relay/__pycache__").mkdir()
    (copy / "relay/__pycache__/lease.cpython-311.pyc").write_bytes(b"\0")
    script = (
        "import os, sys; os.umask(0o077); sys.path.insert(0, sys.argv[1]);"
        " import evtrig; assert evtrig.__file__.startswith(sys.argv[1]);"
        " from evtrig.function.archive import contents, pack;"
        " sys.stdout.buffer.write(pack(contents()))"
    )
    # Without the site, which would find the installed one first.
    again = subprocess.run(
        [sys.executable, "-I", "-c", script, str(tmp_path)],
        cwd=tmp_path,
        env={"TZ": "Pacific/Auckland", "LANG": "C", "PYTHONHASHSEED": "7"},
        capture_output=True,
        check=True,
    ).stdout
    assert again == built.read_bytes()


def test_everybody_may_read_what_is_in_it_and_nothing_says_when_it_was_made(
    built: Path,
) -> None:
    infos = zipfile.ZipFile(built).infolist()
    assert {info.date_time for info in infos} == {(1980, 1, 1, 0, 0, 0)}
    assert {info.external_attr >> 16 for info in infos} == {stat.S_IFREG | 0o644}
    names = [info.filename for info in infos]
    assert names == sorted(names)


def test_the_order_of_the_files_does_not_matter() -> None:
    files = {"b.py": b"2", "a.py": b"1"}
    assert pack(files) == pack(dict(reversed(files.items())))


def test_routes_are_put_in_as_the_relay_reads_them(tmp_path: Path) -> None:
    routes = tmp_path / "routes.yml"
    routes.write_text(
        "version: 1\ndestinations: {audit: 'kinesis:audit'}\nroutes: [{to: audit}]\n"
    )
    path = tmp_path / "a.zip"
    assert build("-o", str(path), "--routes", str(routes)).exit_code == 0
    text = zipfile.ZipFile(path).read(archive.ROUTES).decode()
    routes = Routes.from_json(text, path=archive.ROUTES)
    assert routes.of("shop.orders", "x").to == ("audit",)


def test_the_ca_is_put_in_as_it_is(tmp_path: Path) -> None:
    pem = Authority(tmp_path, "company").ca
    path = tmp_path / "a.zip"
    assert build("-o", str(path), "--tls-ca", str(pem)).exit_code == 0
    assert zipfile.ZipFile(path).read(archive.CA) == pem.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--tls-ca", "not-there.pem"), "the CA file not-there.pem cannot be read"),
        (("--tls-ca", "empty.pem"), "the CA file empty.pem holds no PEM certificate"),
        (("--routes", "not-there.yml"), "not-there.yml"),
        (("-o", "not-there/a.zip"), "cannot write not-there/a.zip"),
    ],
)
def test_what_cannot_be_built_is_one_message_with_a_hint(
    arguments: tuple[str, ...],
    problem: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.pem").touch()
    run = build(*arguments)
    assert run.exit_code in (1, 2)
    first, second = run.stderr.splitlines()
    assert problem in first
    assert second.startswith("  → ")
    assert list(Path().glob("*.zip")) == []


def test_what_was_built_is_said_with_its_hash(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    run = build("-o", str(path))
    assert run.stdout == ""
    assert hashlib.sha256(path.read_bytes()).hexdigest() in run.stderr


def test_a_package_that_is_compiled_for_this_machine_is_refused(
    distribution: Callable[..., None],
) -> None:
    distribution("pymysql/__init__.py", "pymysql/_fast.cpython-311-x86_64-linux-gnu.so")
    with pytest.raises(EvtrigError, match="compiled for this machine"):
        contents()


def test_a_package_without_a_list_of_its_files_is_refused(
    distribution: Callable[..., None],
) -> None:
    distribution()
    with pytest.raises(EvtrigError, match="not known here"):
        contents()


def test_what_is_no_archive_is_not_replaced(tmp_path: Path) -> None:
    spec, archive = tmp_path / "evtrig.yml", tmp_path / "evtrig-lambda.zip"
    spec.write_text("version: 1\n")
    run = build("-o", str(spec))
    assert run.exit_code == 1
    first, second = run.stderr.splitlines()
    assert f"{spec} is there and is no archive" in first
    assert second.startswith("  → ")
    assert spec.read_text() == "version: 1\n"
    # An older archive is, and so is the file that mktemp has made.
    archive.touch()
    for _ in range(2):
        assert build("-o", str(archive)).exit_code == 0
    assert archive.read_bytes().startswith(b"PK")


def test_an_archive_stays_as_it_was_if_the_new_one_finds_no_room(
    tmp_path: Path,
) -> None:
    archive = tmp_path / "evtrig-lambda.zip"
    assert build("-o", str(archive)).exit_code == 0
    before = archive.read_bytes()
    with largest_file(len(before) // 2):
        run = build("-o", str(archive))
    assert run.exit_code == 1
    assert run.stderr.startswith(f"evtrig: cannot write {archive}: File too large")
    assert archive.read_bytes() == before
    assert list(tmp_path.iterdir()) == [archive]


def test_an_archive_is_written_through_a_link_and_to_what_is_no_file(
    tmp_path: Path,
) -> None:
    archive, link = tmp_path / "a.zip", tmp_path / "link.zip"
    link.symlink_to(archive)
    assert build("-o", str(link)).exit_code == 0
    assert link.is_symlink()
    assert archive.read_bytes().startswith(b"PK")
    assert build("-o", os.devnull).exit_code == 0
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file of this process gets larger; Python ignores the signal about it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def distribution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """``distribution(*files)``: PyMySQL installed anew, with these files."""

    def install(*files: str) -> None:
        info = tmp_path / "pymysql-9.9.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Name: PyMySQL\nVersion: 9.9\n")
        for file in files:
            (tmp_path / file).parent.mkdir(exist_ok=True)
            (tmp_path / file).touch()
        if files:
            (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))
        monkeypatch.syspath_prepend(str(tmp_path))

    return install


def build(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["lambda", "build", *arguments], env={})


def imported(*path: Path) -> dict[str, str | None]:
    """All modules, with their files, after everything in the archive was imported."""
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", IMPORT_ALL, *map(str, path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    loaded: dict[str, str | None] = json.loads(run.stdout)
    return loaded
