"""A file for every name that a server stores, in every checkout, and back again."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evtrig.triggers.file_name import file_name, name_of

NAMES = st.text(
    st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]),
    min_size=1,
    max_size=64,
).filter(lambda name: "\0" not in name)

#: What Windows does not store, and what a shell does not leave alone.
UNSAFE = re.compile(r"""[\s<>:"/\\|?*'`$&;()!#~{}\[\]]|^[-.]|[ .]$""")
DEVICES = ["CON", "PRN", "AUX", "NUL", "COM1", "COM²", "LPT9", "CONIN$", "CONOUT$"]

HANGUL = "\ud55c" * 64
#: The same to a reader, and to some file systems.
COMPOSED, APART = "n\u00e9", "ne\u0301"


def folded(text: str) -> str:
    """As a file system sees it that knows neither case nor how a letter is composed."""
    for _ in range(2):
        text = unicodedata.normalize("NFD", text).casefold()
    return text


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("orders", "orders"),
        ("order_items-2", "order_items-2"),
        ("Orders", "+orders"),
        ("orderItems", "order+items"),
        ("a+b", "a%2bb"),
        ("a.b", "a%2eb"),
        (".hidden", "%2ehidden"),
        ("..", "%2e%2e"),
        ("-rf", "%2drf"),
        ("../../etc/passwd", "%2e%2e%2f%2e%2e%2fetc%2fpasswd"),
        ("100%", "100%25"),
        ("a`b'c\"d", "a%60b%27c%22d"),
        ("order items", "order%20items"),
        ("first\nsecond", "first%0asecond"),
        ("注文", "注文"),
        ("Été", "+été"),
        ("straße", "stra%c3%9fe"),
        (COMPOSED, COMPOSED),
        (APART, "ne%cc%81"),
        ("con", "%63on"),
        ("com¹", "%63om¹"),
        ("concert", "concert"),
        (HANGUL, HANGUL),
        ("\u2028" * 64, None),
    ],
)
def test_a_name_can_be_read_in_its_file(name: str, file: str | None) -> None:
    if file is not None:
        assert file_name(name) == file
    assert name_of(file_name(name)) == name


@given(NAMES)
@example("\u1100\u1161" * 32)
@example("H\u0331")
@example("Ǆǅǆ")
@example("\u1ebe" * 64)
@example("\u0e01\u0e33" * 32)
def test_every_name_comes_back(name: str) -> None:
    assert name_of(file_name(name)) == name


@given(NAMES)
@example("/" * 64)
@example("\uffff" * 64)
@example("\u1ebe" * 64)
def test_a_file_name_is_short_and_safe(name: str) -> None:
    file = file_name(name)
    assert len(f"{file}.sql".encode()) <= 255
    assert not UNSAFE.search(file)
    assert unicodedata.is_normalized("NFC", file)


@pytest.mark.parametrize("device", DEVICES)
def test_no_file_is_called_like_a_device_of_windows(device: str) -> None:
    for name in (device, device.lower(), f"{device}.txt"):
        first = file_name(name).partition(".")[0].upper()
        assert first not in DEVICES
        assert name_of(file_name(name)) == name


@given(NAMES, st.data())
@example("orders", None)
def test_two_names_never_meet_in_one_file(
    name: str, data: st.DataObject | None
) -> None:
    others = [
        *(name.upper(), name.lower(), name.swapcase(), name.casefold(), name.title()),
        *(unicodedata.normalize(form, name) for form in ("NFC", "NFD", "NFKC")),
        file_name(name),
    ]
    if data is not None:
        others.append(data.draw(NAMES))
    for other in others:
        if other != name and 0 < len(other) <= 64 and max(other) <= "\uffff":
            assert folded(file_name(other)) != folded(file_name(name))


@pytest.mark.parametrize(
    "file",
    [
        *("", "..", "Orders", "a.b", "a b", "a/b", "%6frders", "%2E", "%zz", "%", "+"),
        *("++a", "+1", "con", "-rf", "%ff", "%_", "%_1", "%_mfra", APART),
    ],
)
def test_what_no_name_gives_is_none_of_the_files(file: str) -> None:
    assert name_of(file) is None


@given(st.text(max_size=80))
def test_anything_can_be_asked_for(file: str) -> None:
    name = name_of(file)
    assert name is None or file_name(name) == file
