"""Telling a trigger that somebody has edited from one that is out of date.

Both differ from what the spec asks for now. The token of a trigger that is installed
ends with a digest of the trigger's body, so that the body says by itself whether it is
as evtrig wrote it. A digest and no signature: it finds an edit, not a forgery. What
`generate` prints has none, or a new column would change lines that do not name it.
"""

from __future__ import annotations

import hashlib

from .sql import normalize

__all__ = ["is_broken", "sealed"]

#: Hexadecimal digits of the digest.
LENGTH = 8


def sealed(token: str, body: str) -> str:
    """The token for a trigger whose body, with ``token`` as it is, is ``body``."""
    return f"{token}_{_digest(body)}"


def is_broken(token: str, body: str) -> bool | None:
    """Whether a body is another than the one that its token was sealed for.

    None if there is no telling, since the token has no seal.
    """
    drawn, is_sealed, seal = token.partition("_")
    if not is_sealed:
        # evtrig writes none without a token.
        return None if token else True
    return seal != _digest(body.replace(token, drawn))


def _digest(body: str) -> str:
    # The mysql client drops comments, and clients may change white space.
    return hashlib.sha256(normalize(body).encode()).hexdigest()[:LENGTH]
