"""UTF-8 as MariaDB has it: halves of surrogate pairs among it.

MariaDB 10.11 takes them into a text of utf8mb4, where MySQL 9.7 refuses them (measured
with ``UNHEX('EDA080')``). Python's own codec does not read them, and PyMySQL would
raise in the middle of an answer.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["CODEC"]

#: A name for ``str.encode`` and ``bytes.decode``.
CODEC = "evtrig_utf8"


def encode(text: str, errors: str = "") -> tuple[bytes, int]:
    return codecs.utf_8_encode(text, "surrogatepass")


def decode(data: ReadableBuffer, errors: str = "") -> tuple[str, int]:
    return codecs.utf_8_decode(data, "surrogatepass", True)


def search(name: str) -> codecs.CodecInfo | None:
    return codecs.CodecInfo(encode, decode, name=CODEC) if name == CODEC else None


codecs.register(search)
