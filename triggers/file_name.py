"""Names of files and folders for schemas and tables, whatever these are called.

Made so that a checkout works everywhere. Two names never meet, also on a file system
that ignores case or composes characters (macOS, Windows); no name is one that Windows
reserves; none needs quotes in a shell; none is longer than Linux allows.
"""

from __future__ import annotations

import base64
import re
import unicodedata

__all__ = ["file_name", "name_of"]

#: In bytes: 255 are allowed (ext4, APFS, NTFS in characters), less those of ``.sql``.
LENGTH = 251

# Followed by neither two hexadecimal digits, nor by a lower-case letter.
PACKED = "%_"

# learn.microsoft.com, "Naming Files, Paths, and Namespaces"; those with a $ are escaped
# anyway.
RESERVED = re.compile("con|prn|aux|nul|(?:com|lpt)[0-9¹²³]")

PIECE = re.compile(r"\+(?P<lower>.)|(?P<bytes>(?:%[0-9a-f]{2})+)", re.DOTALL)


def file_name(name: str) -> str:
    """What a file or folder is called for this name; ``.sql`` is not part of it.

    Names of small letters, digits, ``_`` and ``-`` stay as they are. A capital letter
    has a ``+`` before it, so ``Orders`` is ``+orders``; ``%`` and two digits are a byte
    of UTF-8, as in URLs. What would be too long so is packed as a whole. ``name`` is
    one that a server stores: at most 64 characters, none beyond U+FFFF.
    """
    for only_ascii in (False, True):
        found = "".join(_escaped(c, only_ascii) for c in name)
        if found.startswith("-") or RESERVED.fullmatch(found):
            found = _bytes(found[0]) + found[1:]
        is_stable = unicodedata.is_normalized("NFC", found)
        if is_stable and len(found.encode()) <= LENGTH:
            return found
    packed = base64.b32encode(name.encode("utf-16-be")).decode()
    return PACKED + packed.rstrip("=").lower()


def name_of(found: str) -> str | None:
    """The name that a file is for; None if no name gives a file that is called so."""
    try:
        name = _name_of(found)
    except ValueError:
        return None
    return name if name and file_name(name) == found else None


def _name_of(found: str) -> str:
    if found.startswith(PACKED):
        packed = found.removeprefix(PACKED).upper()
        packed += "=" * (-len(packed) % 8)
        return base64.b32decode(packed).decode("utf-16-be")
    return PIECE.sub(_unescaped, found)


def _unescaped(piece: re.Match[str]) -> str:
    if piece["lower"]:
        return piece["lower"].upper()
    return bytes.fromhex(piece["bytes"].replace("%", "")).decode()


def _escaped(character: str, only_ascii: bool) -> str:
    if _is_plain(character, only_ascii):
        return character
    lower = character.lower()
    if (
        len(lower) == 1
        and lower.upper() == character != lower
        and _is_plain(lower, only_ascii)
    ):
        return f"+{lower}"
    return _bytes(character)


def _is_plain(character: str, only_ascii: bool) -> bool:
    """Whether it may stand in a name as it is."""
    if character.isascii():
        return character.islower() or character.isdigit() or character in "_-"
    # What is not printable includes blanks, marks of direction, and what other versions
    # of Unicode know better. Of letters that differ only by case one kind is plain.
    return (
        not only_ascii
        and character.isprintable()
        and character.lower() == character.casefold() == character
        and character.upper().lower() == character
    )


def _bytes(character: str) -> str:
    return "".join(f"%{byte:02x}" for byte in character.encode())
