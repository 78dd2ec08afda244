"""The zip that a Lambda runs: evtrig's relay, PyMySQL, and what the user adds.

The same files give the same bytes, whoever packs them, where and when: Lambda, SAM and
Terraform take an archive for changed if its hash is another.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Mapping
from importlib import metadata, resources
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from ..errors import EvtrigError

if TYPE_CHECKING:
    # Elsewhere in Python 3.10.
    from importlib.resources.abc import Traversable

__all__ = ["CA", "ROUTES", "contents", "pack"]

#: Names in the archive, which is unpacked at /var/task.
CA = "ca.pem"
ROUTES = "evtrig-relay.json"

#: What the relay needs of evtrig, by layout: see tests/unit/test_layout.py.
PACKAGE = "evtrig"
PARTS = ("__init__.py", "errors.py", "relay", "database")
#: Of these what a Lambda never loads: it answers no HTTP, and its role has been made.
ELSEWHERE = (
    "evtrig/relay/monitor.py",
    "evtrig/relay/permission.py",
    "evtrig/relay/prometheus.py",
)
#: Needs no compiled code. cryptography, its extra, is for a connection without TLS.
DRIVER = "PyMySQL"
#: In Lambda's runtime for Python already.
SDK = "boto3"

#: The earliest time that a zip can say, and a file that everybody may read: Lambda runs
#: as another user ("Working with .zip file archives for Python Lambda functions").
TIME = (1980, 1, 1, 0, 0, 0)
MODE = 0o100644
UNIX = 3
#: Files of an installation that say where and how it was made.
INSTALLED = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")
#: The name at the beginning of a requirement (PEP 508).
NAME = re.compile(r"[A-Za-z0-9._-]+")


def contents(*, with_sdk: bool = False) -> dict[str, bytes]:
    """What is always in it, by path; ``with_sdk`` also boto3 as it is installed here.

    Raises EvtrigError for a package whose files are not known.
    """
    files = dict(_source())
    for name in (DRIVER, *(_with_requirements(SDK) if with_sdk else ())):
        files |= _installed(name)
    return files


def pack(files: Mapping[str, bytes]) -> bytes:
    """The zip. Not compressed: two versions of zlib compress to different bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in sorted(files.items()):
            info = zipfile.ZipInfo(path, TIME)
            info.create_system = UNIX
            info.external_attr = MODE << 16
            archive.writestr(info, content)
    return buffer.getvalue()


def _source() -> Iterator[tuple[str, bytes]]:
    root = resources.files(PACKAGE)
    for part in PARTS:
        yield from _modules(root / part, f"{PACKAGE}/{part}")


def _modules(item: Traversable, path: str) -> Iterator[tuple[str, bytes]]:
    if item.is_dir():
        for child in item.iterdir():
            yield from _modules(child, f"{path}/{child.name}")
    elif path.endswith(".py") and path not in ELSEWHERE:
        yield path, item.read_bytes()


def _installed(name: str) -> dict[str, bytes]:
    """The files of a distribution, with its licence and without compiled code."""
    distribution = metadata.distribution(name)
    found = {}
    for file in distribution.files or ():
        path = PurePosixPath(file)
        if ".." in path.parts or path.suffix == ".pyc" or path.name in INSTALLED:
            # Scripts are outside of the packages; caches are of one Python.
            continue
        if path.suffix in (".so", ".pyd"):
            raise EvtrigError(
                f"{name} is compiled for this machine ({path}), and not for Lambda's",
                hint="Install it from a wheel in pure Python, or leave it to Lambda's"
                " runtime, which has boto3: without --with-boto3.",
            )
        found[str(path)] = file.read_binary()
    if not any(path.endswith(".py") for path in found):
        raise EvtrigError(
            f"which files {name} consists of is not known here",
            hint="Install evtrig with pip into a virtual environment of its own.",
        )
    return found


def _with_requirements(name: str) -> set[str]:
    """The distribution and whatever it needs here, but for its extras."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        distribution = metadata.distribution(waiting.pop())
        if distribution.name in found:
            continue
        found.add(distribution.name)
        for requirement in distribution.requires or ():
            needed = NAME.match(requirement)
            if needed and "extra ==" not in requirement:
                waiting.append(needed[0])
    return found
