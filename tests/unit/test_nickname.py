"""One user cannot pass for another by what nobody sees."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.errors import (
    LONGEST_NICKNAME,
    NicknameEmpty,
    NicknameError,
    NicknameInvisible,
    NicknameTooLong,
    NicknameUnusable,
)
from service.core.nickname import clean

# DerivedCoreProperties.txt of Unicode 17.0: Default_Ignorable_Code_Point.
IGNORABLE = [
    (0xAD, 0xAD),
    (0x34F, 0x34F),
    (0x61C, 0x61C),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x206F),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFF8),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
]
BLANK = "\u2800\U0001d159\ufffc\U00013441\U00013442"
UNSEEN = [chr(code) for first, last in IGNORABLE for code in range(first, last + 1)] + [*BLANK]
LETTERS = st.text("aeiZß09#*. é小明アم가ไ", max_size=10)

FAMILY = "👨\u200d👩\u200d👧\u200d👦"
ENGLAND = "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
SRI = "ශ්\u200dරී"


@pytest.mark.parametrize(
    "name",
    [
        FAMILY,
        "👩🏽\u200d💻",
        "🏳\ufe0f\u200d🌈",
        "👁\ufe0f\u200d🗨\ufe0f",
        "🏃\u200d♀\ufe0f\u200d➡\ufe0f",
        "❤",
        "❤\ufe0f",
        "❤\ufe0e",
        "☝\ufe0f🏽",
        "1\ufe0f\u20e3#\ufe0f\u20e3*\ufe0f\u20e3",
        "1\u20e3",
        "©\ufe0f™\ufe0fℹ\ufe0f‼\ufe0f",
        "🏴",
        ENGLAND,
        ENGLAND.replace("\U000e0065\U000e006e\U000e0067", "\U000e0073\U000e0063\U000e0074"),
        ENGLAND.replace("\U000e0065\U000e006e\U000e0067", "\U000e0077\U000e006c\U000e0073"),
        "🇨🇳",
        f"小明{FAMILY}阿丽❤\ufe0f",
        SRI,
        "क्\u200dष",
        "ᬓ᭄\u200dᬓ",
        "ไทย",
        "한국",
        "⠓⠊",
        "ⵉ\u2d7fⵜ",
    ],
)
def test_emoji_and_letters_that_need_an_invisible_character_keep_it(name: str) -> None:
    assert clean(name) == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize("name", ["🫨", "🩷\ufe0f", "👩\u200d🫯"])
def test_an_emoji_is_no_unknown_character_because_python_is_older(name: str) -> None:
    assert clean(name) == name


@pytest.mark.parametrize(
    "unseen", ["\u200d", "\ufe0f", "\u034f", "\u3164", "\u115f", "\u2800", "\U00016fe4", "\u2d7f"]
)
@pytest.mark.parametrize("name", ["{}", "{}alice", "al{}ice", "alice{}", "李{}雷", "1{}", "{}{}"])
def test_one_that_is_not_seen_is_refused_wherever_it_stands(name: str, unseen: str) -> None:
    with pytest.raises(NicknameInvisible):
        clean(name.replace("{}", unseen))


@given(LETTERS, st.sampled_from(UNSEEN), LETTERS)
def test_no_text_with_a_character_that_is_not_seen_is_a_nickname(
    before: str, unseen: str, after: str
) -> None:
    with pytest.raises(NicknameError):
        clean(before + unseen + after)


def test_every_character_that_is_not_seen_is_known() -> None:
    for unseen in UNSEEN:
        with pytest.raises(NicknameInvisible):
            clean(f"ali{unseen}ce")


@pytest.mark.parametrize(
    "name",
    [
        "❤\ufe0f\ufe0f",
        "❤\ufe0e\ufe0f",
        "❤\u200d",
        "\u200d❤",
        "❤\u200d\u200d🔥",
        "a\u200d❤",
        "❤\u200da",
        "1\ufe0f",
        "1\ufe0e\u20e3",
        "1\ufe0f1",
        "★\ufe0f",
        "🏽\ufe0f",
        ENGLAND[:-1],
        ENGLAND[1:],
        ENGLAND + "\U000e007f",
        "🏴\U000e0075\U000e0073\U000e0063\U000e0061\U000e007f",
        "😀" + ENGLAND[1:],
        "क्\u200d",
        "क\u200dष",
        "क्\u200d\u094d",
        "क्\u200d²",
        "می\u200cخواهم",
        "葛\U000e0100",
        "ᠠ\u180b",
    ],
)
def test_where_it_changes_nothing_that_is_seen_it_is_refused(name: str) -> None:
    with pytest.raises(NicknameInvisible):
        clean(name)


@given(
    st.text(
        st.sampled_from([*"aé小1#❤👩🏽🏴♀ක්ර \u200d\ufe0f\u20e3", *ENGLAND]),
        max_size=LONGEST_NICKNAME,
    )
)
def test_a_clean_nickname_is_clean_and_looks_like_something(text: str) -> None:
    try:
        name = clean(text)
    except NicknameError:
        return
    assert clean(name) == name
    assert not set(name) <= set(UNSEEN)
    assert name[0] not in UNSEEN


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", NicknameEmpty),
        (" \t\u3000", NicknameEmpty),
        ("a" * 33, NicknameTooLong),
        ("a\x00b", NicknameInvisible),
    ],
)
def test_a_refusal_says_why(name: str, why: type[NicknameError]) -> None:
    with pytest.raises(why):
        clean(name)


def test_the_longest_is_taken() -> None:
    assert clean("a" * LONGEST_NICKNAME) == "a" * 32


SCRIPTS = [
    *("กำลัง", "ที่นั่น", "ผู้ใหญ่", "แก้ว"),  # Thai
    *("Nguyễn Thị Mỹ Linh", "Ọlá", "i\u0307\u0301", "ạ\u0308\u0303"),
    *("हिंदी", "क़िस्मत", "रक़्क़ासा", "श्रीमान्", "ਫ਼ੁੱਲ", "தமிழ்", "ക്ഷ്മി"),
    *("བསྒྲུབས", "རྒྱལ་པོ", "ཨོཾ་མ་ཎི་པདྨེ་ཧཱུྃ", "བཀྲ་ཤིས"),  # Tibetan
    *("مُحَمَّدٌ", "اللّٰه", "שָׁלוֹם", "בְּרֵאשִׁ֖ית", "ܐܳܠܰܗܳܐ"),
    *("မြို့", "ကျွန်ုပ်", "မျှော်လင့်", "ស្ត្រី", "ខ្ញុំ", "ភ្នំពេញ"),
    *("1\ufe0f\u20e3", "❤\ufe0f", "👩🏽\u200d💻", FAMILY, "が", "한국"),
]


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_marks_that_a_script_needs_are_taken(name: str) -> None:
    for form in ("NFC", "NFD"):
        assert clean(unicodedata.normalize(form, name)) == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize(
    "mark",
    ["\u0300", "\u0334", "\u0489", "\u20dd", "\u1ab0", "\u1dc4", "\ufe26", "\u0e49", "\u064e"],
)
@pytest.mark.parametrize("base", ["a", "李", "ท", "1", "👍", "\u3000x"])
def test_a_pile_of_marks_is_refused_wherever_it_stands(base: str, mark: str) -> None:
    for name in (base + mark * 5, f"a{base}{mark * 12}b", base + (mark + "\u0301") * 3):
        with pytest.raises(NicknameUnusable):
            clean(name)


@pytest.mark.parametrize("mark", ["\u0301", "\u20e3", "\u0e31", "\u093e"])
def test_a_mark_has_something_to_stand_on(mark: str) -> None:
    with pytest.raises(NicknameUnusable):
        clean(mark + "Alice")


def test_the_tallest_that_is_taken() -> None:
    assert clean("李\u0316\u0301") == "李\u0316\u0301"
    assert clean("ท" + "\u0e49" * 4) == "ท" + "\u0e49" * 4
    for pile in ("李" + "\u0316\u0301\u0301", "ท" + "\u0e49" * 5):
        with pytest.raises(NicknameUnusable):
            clean(pile)


@pytest.mark.parametrize(
    "name",
    [
        "微信用户",
        " 微信用户 ",
        "微 信 用 户",
        "微\u3000信用户",
        "微信⽤户",
        "微信用⼾",
    ],
)
def test_wechats_name_for_everybody_is_nobodys(name: str) -> None:
    with pytest.raises(NicknameUnusable):
        clean(name)
    assert clean(f"{name.strip()}2").endswith("2")
