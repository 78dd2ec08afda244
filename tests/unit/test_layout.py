"""The rules of the tree that keep the packaging and the Lambda working."""

from __future__ import annotations

import ast
import configparser
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

NOT_THE_PACKAGE = ("build", "dist", "docs", "examples", "benchmarks", "tests")

#: A Lambda starts faster without them.
SLOW = {"jinja2", "yaml"}

# Written in two parts, so that this file does not find itself.
FOREIGN_PATHS = ("/wo" + "rk/", "/ro" + "ot/")


def test_the_root_package_imports_nothing() -> None:
    """pytest imports it a second time, under the name of the checkout."""
    assert list(imports("evtrig")) == []


def test_the_root_has_no_other_modules() -> None:
    """Each would ship in the wheel, and could shadow the standard library's."""
    names = {path.stem for path in ROOT.glob("*.py")}
    assert names <= {"__init__", "__main__", "cli", "errors"}


def test_every_package_is_in_setup_cfg_and_the_reverse() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = config["options"]["packages"].split()
    found = {name for name, path in modules().items() if path.name == "__init__.py"}
    assert sorted(listed) == sorted(found)


def test_every_folder_with_modules_is_a_package() -> None:
    folders = {path.parent for path in modules().values()}
    assert [f for f in sorted(folders) if not (f / "__init__.py").exists()] == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("triggers", "relay"),
        ("relay", "triggers"),
        ("database", "triggers"),
        ("database", "relay"),
        ("database", "demo"),
        ("errors", "database"),
    ],
)
def test_the_parts_do_not_depend_on_each_other(one: str, other: str) -> None:
    wrong = [
        f"{name} imports {used}"
        for name in within(one)
        for used in imports(name)
        if used in within(other)
    ]
    assert wrong == []


def test_the_relay_uses_only_the_database_and_the_errors() -> None:
    allowed = [*within("relay"), *within("database"), *within("errors"), "evtrig"]
    wrong = [
        f"{name} imports {used}"
        for name in within("relay")
        for used in imports(name)
        if used.partition(".")[0] == "evtrig" and used not in allowed
    ]
    assert wrong == []


def test_what_an_application_calls_is_the_standard_library_and_the_errors() -> None:
    """It is loaded into somebody else's process, beside somebody else's driver."""
    allowed = {*within("application"), *within("errors"), *sys.stdlib_module_names}
    wrong = [
        f"{name} imports {used}"
        for name in within("application")
        for used in imports(name)
        if not {used, used.partition(".")[0]} & allowed
    ]
    assert wrong == []


@pytest.mark.parametrize("part", ["relay", "database", "errors"])
def test_what_a_lambda_loads_needs_neither_jinja2_nor_yaml(part: str) -> None:
    wrong = [
        f"{name} imports {used}"
        for name in reachable(within(part))
        for used in imports(name)
        if used.partition(".")[0] in SLOW
    ]
    assert wrong == []


def test_testcontainers_and_docker_are_imported_only_when_used() -> None:
    wrong = [
        f"{name} imports {used}"
        for name in modules()
        for used in imports(name)
        if used.partition(".")[0] in {"testcontainers", "docker"}
    ]
    assert wrong == []


def test_imports_inside_the_package_are_relative() -> None:
    wrong = [
        f"{name}:{node.lineno}"
        for name in modules()
        for node in ast.walk(tree(name))
        for module in absolute_modules(node)
        if module.partition(".")[0] == "evtrig"
    ]
    assert wrong == []


def test_no_file_names_a_folder_of_one_machine() -> None:
    run = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if run.returncode:
        pytest.skip("not a git checkout")
    wrong = []
    for name in filter(None, run.stdout.decode().split("\0")):
        path = ROOT / name
        if not path.is_file() or path.is_symlink():
            continue
        text = path.read_bytes().decode(errors="replace")
        wrong += [f"{name}: {folder}" for folder in FOREIGN_PATHS if folder in text]
    assert wrong == []


@cache
def modules() -> dict[str, Path]:
    """Every module of the package with its file."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[0] in NOT_THE_PACKAGE or any(part.startswith(".") for part in parts):
            continue
        name = ".".join(("evtrig", *parts)).removesuffix(".__init__")
        found[name] = path
    return found


def within(part: str) -> tuple[str, ...]:
    """The modules of one part of the package, itself included."""
    name = f"evtrig.{part}"
    found = tuple(m for m in modules() if m == name or m.startswith(f"{name}."))
    assert found, f"there is no {name}"
    return found


def reachable(names: tuple[str, ...]) -> set[str]:
    """These modules, and all of the package that importing them loads."""
    seen: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in modules() and name not in seen:
            seen.add(name)
            # Importing a.b.c loads a and a.b first.
            waiting += [name.rpartition(".")[0], *imports(name)]
    return seen


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(modules()[name].read_text())


@cache
def imports(name: str) -> tuple[str, ...]:
    """What a module imports, in functions too; not what only a type checker does."""
    return tuple(_imports(tree(name), name))


def _imports(node: ast.AST, name: str) -> Iterator[str]:
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
        for child in node.orelse:
            yield from _imports(child, name)
        return
    yield from absolute_modules(node)
    if isinstance(node, ast.ImportFrom) and node.level:
        package = name.split(".")
        if modules()[name].name != "__init__.py":
            package.pop()
        package = package[: len(package) - (node.level - 1)]
        base = ".".join([*package, *filter(None, [node.module])])
        for alias in node.names:
            # ``from . import sinks`` names a module, ``from .dsn import Dsn`` not.
            full = f"{base}.{alias.name}"
            yield full if full in modules() else base
    for child in ast.iter_child_nodes(node):
        yield from _imports(child, name)


def absolute_modules(node: ast.AST) -> tuple[str, ...]:
    if isinstance(node, ast.Import):
        return tuple(alias.name for alias in node.names)
    if isinstance(node, ast.ImportFrom) and not node.level and node.module:
        return (node.module,)
    return ()
