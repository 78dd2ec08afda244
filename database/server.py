"""Which server this is: the SQL differs between MySQL and MariaDB."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from ..errors import EvtrigError

__all__ = ["Family", "Server"]

Family = Literal["mysql", "mariadb"]

NAMES = {"mysql": "MySQL", "mariadb": "MariaDB"}
#: JSON_TABLE came with MySQL 8.0.4 and MariaDB 10.6; MySQL 8.0.17 has CAST AS DOUBLE.
OLDEST = {"mysql": (8, 0, 17), "mariadb": (10, 6, 0)}


@dataclass(frozen=True)
class Server:
    """A server's product family and version."""

    family: Family
    version: tuple[int, ...] = ()

    @classmethod
    def parse(cls, version: str) -> Server:
        """Read what ``SELECT VERSION()`` gives, such as ``10.11.19-MariaDB-log``.

        Raises EvtrigError for a server that is too old.
        """
        family: Family = "mariadb" if "mariadb" in version.lower() else "mysql"
        numbers = re.findall(r"\d+", version.partition("-")[0])
        server = cls(family, tuple(int(number) for number in numbers[:3]))
        if server.version < OLDEST[family]:
            raise EvtrigError(
                f"{server} is too old for evtrig",
                hint="evtrig runs on MySQL 8.0.17 or later (Aurora MySQL 3)"
                " and on MariaDB 10.6 or later.",
            )
        return server

    @property
    def is_mariadb(self) -> bool:
        return self.family == "mariadb"

    @property
    def name(self) -> str:
        """``MySQL`` or ``MariaDB``."""
        return NAMES[self.family]

    def __str__(self) -> str:
        version = ".".join(str(number) for number in self.version)
        return f"{self.name} {version}".rstrip()
