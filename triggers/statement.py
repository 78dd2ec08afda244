"""Statements of a migration, taken apart into tokens: strings, names, comments.

Enough to split a file and to see every name with a schema, so that a statement can be
turned to scratch copies; whether it is right is for the server to say. Nothing here is
a parser: what is not understood for certain is refused (:func:`refusal`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ..errors import UsageError
from .document import shown
from .sql import Sql, ident

__all__ = ["Statement", "Token", "chains", "refusal", "split", "tokens", "turned"]

Kind = Literal["word", "name", "string", "executable", "mark"]

# Of MySQL 9.7 and MariaDB 10.11, without ANSI_QUOTES and NO_BACKSLASH_ESCAPES. White
# space is ASCII's: a no-break space belongs to a name.
GAP = r"""
      (?P<space> [ \t\n\v\f\r]+ )
    | (?P<comment> --(?=[\x00-\x20]|\Z)[^\n]* | \#[^\n]* | /\*(?!M?!).*?\*/ )
"""
REST = r"""
    | (?P<executable> /\*M?!.*?\*/ )
    | (?P<string> '(?:[^'\\]|''|\\.)*'(?!') | "(?:[^"\\]|""|\\.)*"(?!") )
    | (?P<name> `(?:[^`]|``)*`(?!`) )
    | (?P<unclosed> ['"`] | /\* )
    | (?P<word> [0-9A-Za-z_$\x80-\U0010ffff]+ )
    | (?P<mark> . )
"""
TOKEN = re.compile(GAP + REST, re.VERBOSE | re.DOTALL)
#: What is in an executable comment counts: a server's own text has them.
OPENED = re.compile(
    rf"(?P<bracket> /\*M?!\d* | \*/ ) | {GAP} {REST}", re.VERBOSE | re.DOTALL
)
NUMBER = re.compile(r"\d+")
#: What may come after the point of a number; `1.5shop.t` is not a number.
FRACTION = re.compile(r"\d+(?:[eE]\d+)?")

UNCLOSED = {
    "'": "a string that begins with ' and does not end",
    '"': 'a string that begins with " and does not end',
    "`": "a name that begins with ` and does not end",
    "/*": "a comment that begins with /* and does not end",
}

#: How the statements begin that change the shape of tables.
SHAPES = re.compile(
    r"ALTER( ONLINE| OFFLINE| IGNORE)* TABLE"
    r"|CREATE( OR REPLACE)?( ONLINE| OFFLINE| UNIQUE| FULLTEXT| SPATIAL| VECTOR)* INDEX"
    r"|DROP( ONLINE| OFFLINE)? INDEX"
    r"|CREATE( OR REPLACE)? TABLE|DROP TABLES?|RENAME TABLES?"
)

#: Tables of these are on the server alone, and dropping one drops nothing else.
ENGINES = frozenset({"innodb", "myisam", "aria", "memory", "heap", "archive"})


@dataclass(frozen=True)
class Token:
    """A word, a quoted name, a string, or a single character."""

    kind: Kind
    #: As it is written.
    text: str
    #: Where it begins.
    start: int
    #: Whether white space or a comment comes before it.
    is_apart: bool

    @property
    def name(self) -> str | None:
        """What it is called, if it is an identifier or could be one."""
        if self.kind == "name":
            return self.text[1:-1].replace("``", "`")
        return self.text if self.kind == "word" else None

    def is_word(self, *words: str) -> bool:
        return self.kind == "word" and self.text.upper() in words


@dataclass(frozen=True)
class Statement:
    """One statement of a file."""

    tokens: tuple[Token, ...]
    #: Counts from 1.
    line: int

    @property
    def verb(self) -> str:
        """How it begins: up to four words, in upper case."""
        words = []
        for token in self.tokens[:6]:
            if token.kind != "word":
                break
            words.append(token.text.upper())
        return " ".join(words)

    @property
    def shape(self) -> str | None:
        """``ALTER TABLE``, …; None if it is not one that changes tables' shape."""
        match = SHAPES.match(f"{self.verb} ")
        return match[0] if match and f"{self.verb} "[match.end()] == " " else None

    @property
    def names(self) -> frozenset[str]:
        """Everything in it that could be the name of a table."""
        return frozenset(filter(None, (token.name for token in self.tokens)))

    def has_words(self, *words: str) -> bool:
        """Whether these words are in it, one after the other and not quoted."""
        count = len(words)
        return any(
            all(t.is_word(w) for t, w in zip(self.tokens[i:], words, strict=False))
            for i in range(len(self.tokens) - count + 1)
        )

    @property
    def title(self) -> str:
        """The statement on one line, without what its strings hold."""
        return f"`{shown(written(self.tokens, without_strings=True))}`"

    def renames(self, old: str, new: str) -> bool:
        """Whether it calls a column so: ``RENAME COLUMN old TO new``, ``CHANGE``."""
        names = [(token.name or "").lower() for token in self.tokens]
        old, new = old.lower(), new.lower()
        return any(
            names[i] == old and new == names[i + 2 if names[i + 1] == "to" else i + 1]
            for i in range(len(names) - 2)
        )


def split(text: str, *, path: str) -> tuple[Statement, ...]:
    """The statements of a file, which end with ``;``.

    Raises UsageError, with the line, for what cannot be split so.
    """
    found: list[Statement] = []
    current: list[Token] = []
    for token in tokens(text, path=path):
        if token.kind == "mark" and token.text == ";":
            found += _statement(text, current)
            current = []
            continue
        if not current and token.is_word("DELIMITER"):
            raise UsageError(
                f"{path}:{_line(text, token)}: DELIMITER is a command of the mysql"
                " client",
                hint="Leave procedures and triggers out: only statements that change"
                " tables are tried.",
            )
        if len(current) == 2 and current[0].is_word("USE"):
            # To the mysql client its line is enough.
            found += _statement(text, current)
            current = []
        current.append(token)
    return (*found, *_statement(text, current))


def tokens(text: str, *, path: str, is_opened: bool = False) -> Iterator[Token]:
    """The tokens of a text, without comments.

    What is in executable comments counts if ``is_opened``. Raises UsageError for a
    quote that is not closed.
    """
    is_apart = False
    for match in (OPENED if is_opened else TOKEN).finditer(text):
        kind = match.lastgroup
        if kind in ("space", "comment", "bracket"):
            is_apart = True
        elif kind == "unclosed":
            line = text.count("\n", 0, match.start()) + 1
            raise UsageError(
                f"{path}:{line}: {UNCLOSED[match[0]]}",
                hint="Close it; nothing of the file was tried.",
            )
        else:
            for known in ("word", "name", "string", "executable", "mark"):
                if kind == known:
                    yield Token(known, match[0], match.start(), is_apart)
            is_apart = False


def _statement(text: str, found: Sequence[Token]) -> list[Statement]:
    return [Statement(tuple(found), _line(text, found[0]))] if found else []


def _line(text: str, token: Token) -> int:
    return text.count("\n", 0, token.start) + 1


def chains(found: Sequence[Token]) -> Iterator[tuple[int, ...]]:
    """The indexes of names with dots between them: schema and table, or more.

    A dot that belongs to neither a name nor a number is one by itself.
    """
    index = 0
    while index < len(found):
        token = found[index]
        if token.name is not None and not NUMBER.fullmatch(token.text):
            chain = [index]
            while (
                index + 2 < len(found)
                and found[index + 1].text == "."
                and found[index + 2].name is not None
            ):
                index += 2
                chain.append(index)
            if len(chain) > 1:
                yield tuple(chain)
        elif token.text == "." or (
            token.name is not None and found[index + 1 : index + 2]
            and found[index + 1].text == "."
        ):  # fmt: skip
            dot = index if token.text == "." else index + 1
            after = found[dot + 1] if dot + 1 < len(found) else None
            if after is not None and FRACTION.fullmatch(after.text):
                index = dot + 1
            else:
                yield (dot,)
                index = dot
        index += 1


def written(
    found: Sequence[Token],
    instead: Callable[[int], str | None] = lambda index: None,
    *,
    without_strings: bool = False,
) -> Sql:
    """The tokens as SQL; ``instead`` gives the text of some, by their index."""
    parts: list[str] = []
    for index, token in enumerate(found):
        text = instead(index)
        if text is None:
            text = token.text
            if without_strings and token.kind == "string":
                text = f"{text[0]}…{text[0]}"
        parts += [" "] if token.is_apart and parts else []
        parts.append(text)
    return Sql("".join(parts))


def refusal(
    statement: Statement, is_known: Callable[[str], bool], reserved: Collection[str]
) -> str | None:
    """Why a statement is not tried on scratch copies; None if it can do no harm.

    ``is_known`` says whether names of a schema are turned to scratch copies;
    ``reserved`` are names of evtrig's own there.
    """
    found = statement.tokens
    for chain in chains(found):
        schema = found[chain[0]].name
        if schema is None:
            return "it has a dot that belongs to no name"
        if not is_known(schema):
            return f"it names the schema {shown(schema)}, of which nothing is captured"
    for index, token in enumerate(found):
        if token.kind == "executable":
            return "it has an executable comment /*! … */"
        if token.text == "@" or token.text.startswith("$") or token.text == "\0":
            return f"it holds {shown(token.text)}"
        if token.is_word("SELECT"):
            return "it reads rows, with SELECT"
        if token.is_word("TABLESPACE") or token.text.upper().startswith("SECONDARY_"):
            return f"{token.text.upper()} is about more than a table"
        if token.is_word("DIRECTORY") and found[index - 1].is_word("DATA", "INDEX"):
            return "it says where files are, with DIRECTORY"
        if (token.name or "").lower() in reserved:
            return f"{shown(token.name or '')} is a name that evtrig uses itself"
        if problem := _option(found, index):
            return problem
    return None


def _option(found: Sequence[Token], index: int) -> str | None:
    """Why an option of a table is refused: it could reach beyond it."""
    if not found[index].is_word("ENGINE", "TYPE", "CONNECTION"):
        return None
    word = found[index].text.upper()
    rest = list(found[index + 1 : index + 3])
    is_set = bool(rest) and rest[0].text == "="
    value = rest[1:] if is_set else rest[:1]
    text = value[0].text.strip("`'\"").lower() if value else ""
    if word == "CONNECTION":
        is_string = bool(value) and value[0].kind == "string"
        return "it connects to another server" if is_set or is_string else None
    if text in ENGINES:
        return None
    # ENGINE without = is an option too, or a column of that name.
    if is_set or (word == "ENGINE" and value and _could_be_engine(value[0])):
        return f"it uses the engine {shown(text)}"
    return None


#: What comes after a column that is called `engine`.
AFTER_COLUMN = re.compile(
    r"(tiny|small|medium|big)?int(eger)?|decimal|numeric|float|double|real|bit|bool"
    r"|boolean|(var)?char|(var)?binary|(tiny|medium|long)?(text|blob)|enum|set|json"
    r"|date|datetime|time|timestamp|year|uuid|to|first|after|asc|desc",
    re.IGNORECASE,
)


def _could_be_engine(token: Token) -> bool:
    if token.kind == "mark":
        return False
    return token.kind != "word" or not AFTER_COLUMN.fullmatch(token.text)


def turned(
    found: Sequence[Token],
    table: Callable[[str, str], tuple[str, str] | None],
    *,
    without_functions: bool = False,
) -> Sql:
    """The tokens as SQL, with schema and table as ``table`` gives them.

    ``without_functions`` puts NULL in the place of every function with a schema, so
    that none is called.
    """
    instead: dict[int, str] = {}
    for chain in chains(found):
        schema, name = (found[index].name for index in chain[:2])
        if schema is None or name is None:
            continue
        end = chain[-1] + 1
        is_table = chain[0] > 0 and found[chain[0] - 1].is_word("INTO")
        if without_functions and len(chain) == 2 and found[end : end + 1]:
            if found[end].text == "(" and not is_table:
                # ELT(0, …) is NULL whatever follows.
                is_empty = found[end + 1 : end + 2] and found[end + 1].text == ")"
                instead |= {chain[0]: "ELT", chain[0] + 1: "", chain[1]: ""}
                instead[end] = "(0, ''" if is_empty else "(0, '', "
                continue
        other = table(schema, name)
        if other is not None:
            instead[chain[0]], instead[chain[1]] = map(ident, other)
    return written(found, instead.get)
