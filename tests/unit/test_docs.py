"""What the documentation says of the spec is all of it, and can be read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from evtrig.commands.routes import parse_routes
from evtrig.database import dsn, option_file, tls
from evtrig.triggers import domain_event, redaction, spec, table_spec
from evtrig.triggers.check import SEVERITIES
from evtrig.triggers.spec import parse

ROOT = Path(__file__).resolve().parents[2]

SPEC = (ROOT / "docs/spec.md").read_text()

DOCUMENTS = (
    "README.md",
    "docs/aws.md",
    "docs/benchmarks.md",
    "docs/check.md",
    "docs/claim-check.md",
    "docs/connection.md",
    "docs/container.md",
    "docs/dead-letters.md",
    "docs/emit.md",
    "docs/eventbridge.md",
    "docs/guarantee.md",
    "docs/install.md",
    "docs/kinesis.md",
    "docs/lambda.md",
    "docs/limits.md",
    "docs/metrics.md",
    "docs/migrations.md",
    "docs/privileges.md",
    "docs/routing.md",
    "docs/sinks.md",
    "docs/sns.md",
    "docs/spec.md",
    "docs/sqs.md",
)

#: Without a spec in them.
PROSE = (
    "docs/aws.md",
    "docs/benchmarks.md",
    "docs/check.md",
    "docs/claim-check.md",
    "docs/connection.md",
    "docs/container.md",
    "docs/dead-letters.md",
    "docs/eventbridge.md",
    "docs/guarantee.md",
    "docs/install.md",
    "docs/kinesis.md",
    "docs/lambda.md",
    "docs/limits.md",
    "docs/metrics.md",
    "docs/migrations.md",
    "docs/privileges.md",
    "docs/routing.md",
    "docs/sinks.md",
    "docs/sns.md",
    "docs/sqs.md",
)


@pytest.mark.parametrize(
    ("section", "keys"),
    [
        ("At the top", spec._KEYS),
        ("Of a table", table_spec._KEYS),
        ("Domain events", domain_event._KEYS),
    ],
)
def test_every_key_of_the_spec_is_in_its_table(
    section: str, keys: tuple[str, ...]
) -> None:
    assert sorted(first_cells(section)) == sorted(f"`{key}`" for key in keys)


def test_every_kind_of_redaction_is_in_its_table() -> None:
    cells = " ".join(first_cells("Redaction"))
    assert [kind for kind in redaction.KINDS if kind not in cells] == []


def test_every_option_of_a_dsn_is_in_its_table() -> None:
    text = (ROOT / "docs/connection.md").read_text()
    cells = re.findall(r"^\| `(\w+)(?:=[\w-]+)?` \|", text, re.M)
    assert [name for name in dsn.OPTIONS if name not in cells] == []
    assert [mode for mode in tls.MODES if mode not in cells] == []
    taken = text[text.index("`[client]` and `[evtrig]` count") :]
    assert [name for name in option_file.FIELDS if f"`{name}`" not in taken] == []


def test_every_finding_of_check_is_in_its_documentation_with_its_severity() -> None:
    text = (ROOT / "docs/check.md").read_text()
    rows = re.findall(r"^\| `([a-z-]+)` \| (error|warning|notice) \|", text, re.M)
    assert rows == list(SEVERITIES.items())


def test_every_failure_in_the_matrix_names_a_test_that_there_is() -> None:
    text = (ROOT / "docs/guarantee.md").read_text()
    matrix = text[text.index("## What happens when") :]
    rows = [row for row in matrix.splitlines() if row.startswith("| ")][2:]
    assert len(rows) > 20
    for row in rows:
        cell = row.split("|")[3]
        named = re.findall(r"`(tests/[\w/]+\.py|tests/model)(?:::(\w+))?`", cell)
        assert named, row
        for path, test in named:
            assert (ROOT / path).exists(), row
            if test:
                assert f"def {test}(" in (ROOT / path).read_text(), row


def test_every_finding_of_check_has_a_test_that_produces_it() -> None:
    files = sorted((ROOT / "tests/integration").glob("test_check*.py"))
    text = "\n".join(path.read_text() for path in files)
    assert [code for code in SEVERITIES if f'"{code}"' not in text] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_spec_in_the_documentation_can_be_read(document: str) -> None:
    blocks = yaml_blocks(document)
    for line, block in blocks:
        path = f"{document}, from line {line}"
        if "tables:" in block:
            parse(block, path=path)
        else:
            parse_routes(block, path=path)
    assert blocks or document in PROSE


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_within_the_documentation_leads_somewhere(document: str) -> None:
    path = ROOT / document
    wrong = []
    for link in re.findall(r"\]\(([^)]+)\)", path.read_text()):
        file, _, anchor = link.partition("#")
        if ":" in file:
            continue
        target = (path.parent / file) if file else path
        if not target.exists() or (
            anchor and anchor not in anchors(target.read_text())
        ):
            wrong.append(link)
    assert wrong == []


def first_cells(section: str) -> list[str]:
    """Of the first table in a section of docs/spec.md."""
    text = SPEC.split(f"\n## {section}\n")[1].split("\n## ")[0]
    table = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert table, f"no table under {section}"
    return [row.split("|")[1].strip() for row in table[0].splitlines()[2:]]


def yaml_blocks(document: str) -> list[tuple[int, str]]:
    """With the line in which each begins."""
    text = (ROOT / document).read_text()
    return [
        (text.count("\n", 0, block.start()) + 1, block[1])
        for block in re.finditer(r"^```yaml\n(.*?)^```", text, re.M | re.S)
    ]


def anchors(text: str) -> set[str]:
    """The headings, as GitHub makes links of them."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", text, re.M)
    }
