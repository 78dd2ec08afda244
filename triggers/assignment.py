"""Roles given to accounts, as SQL for whoever administers the database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..database.server import Server
from ..errors import UsageError, nearest
from .account import USER_LENGTH, Account
from .need import Need, distinct
from .render import render
from .role import DEFAULT_ROLES, ROLES, Wanted, needs_of
from .sql import Sql, account

__all__ = ["Assignment", "as_data", "assign", "read_accounts", "script"]


@dataclass(frozen=True)
class Assignment:
    """One role, the account that has it, and everything that it needs."""

    role: str
    account: Account
    needs: tuple[Need, ...]


@dataclass(frozen=True)
class Paragraph:
    """Grants that have the same reasons."""

    #: A line for each privilege: its name, and what for.
    reasons: tuple[Sql, ...]
    grants: tuple[Sql, ...]


def read_accounts(texts: Sequence[str], server: Server) -> dict[str, Account]:
    """By role, what ``ROLE=NAME@HOST`` says. Raises UsageError."""
    found = {}
    for text in texts:
        role, separator, name = text.partition("=")
        if not separator:
            raise UsageError(
                f"`{text}` gives no role an account",
                hint="Write ROLE=NAME@HOST, such as relay=evtrig_relay@10.0.%.",
            )
        check_role(role)
        if role == "definer":
            raise UsageError(
                "the account of the definer is what the spec says",
                hint="Write it there: `definer: name@host`.",
            )
        account = Account.parse(name)
        if len(account.user) > USER_LENGTH[server.family]:
            raise UsageError(
                f"the user of `{text}` is longer than {USER_LENGTH[server.family]}"
                " characters",
                hint="Choose a shorter name.",
            )
        found[role] = account
    return found


def check_role(role: str) -> None:
    """Raise UsageError if there is no such role."""
    if role not in ROLES:
        near = nearest(role, ROLES)
        raise UsageError(
            f"there is no role `{role}`",
            hint=f"Did you mean {near}?" if near else f"There are {', '.join(ROLES)}.",
        )


def assign(
    roles: Sequence[str], wanted: Wanted, accounts: Mapping[str, Account]
) -> tuple[Assignment, ...]:
    """These roles, or all but the last, in the order of ROLES.

    Raises UsageError for one that there is not.
    """
    for role in roles:
        check_role(role)
    if "definer" in roles and wanted.definer is None:
        raise UsageError(
            "with `definer: current_user` there is no account for the definer",
            hint="What it needs is with the installer: evtrig grants installer.",
        )
    chosen = [role for role in ROLES if role in (roles or DEFAULT_ROLES)]
    found = []
    for role in chosen:
        who = accounts.get(role, Account(f"evtrig_{role}", "%"))
        if role == "definer":
            if wanted.definer is None:
                continue
            who = wanted.definer
        found.append(Assignment(role, who, needs_of(role, wanted)))
    return tuple(found)


def script(assignments: Sequence[Assignment], wanted: Wanted) -> Sql:
    """SQL for the ``mysql`` client, to be run by an administrator."""
    after = [a for a in assignments if a.role != "installer"]
    has_both = bool(after) and len(after) < len(assignments)
    return render(
        "grants.sql.j2",
        wanted.server,
        roles=[
            {
                "name": Sql(assigned.role),
                "purpose": Sql(ROLES[assigned.role]),
                "account": account(assigned.account.user, assigned.account.host),
                "paragraphs": paragraphs(assigned),
                "waits": has_both and assigned is after[0],
            }
            for assigned in assignments
        ],
        outbox=Sql(wanted.outbox),
        owns=wanted.definer is None,
        has_both=has_both,
        is_after=bool(after),
    )


def paragraphs(assigned: Assignment) -> list[Paragraph]:
    by_object: dict[str, list[Need]] = {}
    for need in assigned.needs:
        by_object.setdefault(need.on, []).append(need)
    grouped: dict[tuple[str, ...], list[Sql]] = {}
    for needs in by_object.values():
        reasons = tuple(explained(needs))
        grouped.setdefault(reasons, []).append(granted(needs, assigned.account))
    return [
        Paragraph(tuple(map(Sql, reasons)), tuple(grants))
        for reasons, grants in grouped.items()
    ]


def explained(needs: Sequence[Need]) -> Iterable[str]:
    whys: dict[str, list[str]] = {}
    for need in needs:
        known = whys.setdefault(need.short, [])
        if need.why not in known:
            known.append(need.why)
    if len(whys) > 1 and len({tuple(reasons) for reasons in whys.values()}) == 1:
        # Said of each privilege it would not say more.
        yield from next(iter(whys.values()))
        return
    width = max(map(len, whys))
    for name, reasons in whys.items():
        for n, why in enumerate(reasons):
            yield f"{'' if n else name:{width}}  {why}"


def granted(needs: Sequence[Need], to: Account) -> Sql:
    """One GRANT for all that is on one object."""
    names = list(dict.fromkeys(need.name for need in needs))
    option = "GRANT OPTION" in names
    listed = ", ".join(name for name in names if name != "GRANT OPTION")
    grant = f"GRANT {listed or 'USAGE'} ON {needs[0].on}"
    grant += f" TO {account(to.user, to.host)}"
    return Sql(grant + " WITH GRANT OPTION" * option)


def as_data(assignments: Sequence[Assignment]) -> list[dict[str, Any]]:
    """The same for ``--json``: each privilege with a statement of its own."""
    return [
        {
            "role": assigned.role,
            "account": str(assigned.account),
            "grants": [
                {
                    "privilege": need.name,
                    "on": need.on,
                    "why": need.why,
                    "sql": need.grant(assigned.account),
                }
                for need in distinct(assigned.needs)
            ],
        }
        for assigned in assignments
    ]
