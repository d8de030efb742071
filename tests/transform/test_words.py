"""Keywords of any language: which spellings of a word they find, and where a word ends."""

import re
import unicodedata

import pytest

from components.transform.words import folded, in_words, pattern_of, substitutions

# Words of many scripts, among them letters with several marks, ligatures, and those that several letters fold to.
WORDS = (
    "skirt", "röcke", "Fußbekleidung", "Strassenschuh", "Flussschiff", "affiche", "vêtements", "çanta", "kırmızı",
    "giyim", "İpek", "váy đầm", "áo khoác nữ", "šaty", "ťažký", "ruházat", "spodnie", "ρούχα", "φόρεμα", "ᾠδή",
    "одежда", "йогурт", "Ђорђе", "կոշիկ", "և", "ქურთუკი", "שמלה", "نعال", "تی‌شرت", "पोशाक", "ड़ोरी", "ஆடை", "ক্যাপ",
    "연두색", "각반",
    "连衣裙", "ワンピース", "がま口", "กระโปรง", "ເສື້ອ", "ᏣᎳᎩ", "𐐀𐐩", "t shirt", "women's", "kilt_2", "XL 50",
)  # fmt: skip


def found(keyword: str, text: str) -> bool:
    return re.search(pattern_of([keyword]), in_words(text)) is not None


def spellings(word: str) -> set[str]:
    cases = {word, word.upper(), word.lower(), word.title(), word.casefold(), word.swapcase()}
    return {unicodedata.normalize(form, text) for text in cases for form in ("NFC", "NFD")}


@pytest.mark.parametrize("word", WORDS)
def test_a_keyword_finds_every_spelling_of_its_word_and_no_longer_one(word):
    for keyword in spellings(word):
        for text in spellings(word):
            assert found(keyword, text), (keyword, text)
            assert found(keyword, f"neu: {text}!"), (keyword, text)
            if word not in ("连衣裙", "ワンピース", "がま口", "กระโปรง", "ເສື້ອ"):
                assert not found(keyword, f"{text}x"), (keyword, text)
                assert not found(keyword, f"ö{text}"), (keyword, text)
        assert not found(keyword, text[: len(text) // 2])


def test_every_letter_of_unicode_is_found_in_each_of_its_spellings():
    missed = [
        (character, text)
        for character in map(chr, range(0x3000))
        if character.isalpha() and "\u0345" not in unicodedata.normalize("NFD", character)  # of ancient Greek alone
        for text in spellings(character)
        if folded(text) == folded(character) and not found(f"x{character}x", f"x{text}x")
    ]
    assert missed == []


@pytest.mark.parametrize(
    ("keyword", "text", "is_found"),
    [
        ("röcke", "RÖCKE", True),
        ("röcke", "Ro\u0308cke", True),
        ("rocke", "Ro\u0308cke", False),
        ("ro", "Ro\u0308cke", False),
        ("fussball", "Fußball", True),
        ("größe", "GRÖSSE", True),
        ("t-shirt", "T\u2011Shirt\u00a0rot", True),
        ("women's", "WOMEN\u2019S", True),
        ("连衣裙", "夏季连衣裙女", True),
        ("t恤", "女士T恤", True),
        ("t恤", "女士tT恤", False),
        ("か\u3099ま", "がま口", True),
        ("かま", "がま口", False),
        ("กา", "กาง", True),
        ("กา", "ก้า", False),
        ("shoe", "👟shoe\ufe0f🏽", True),
        ("shoe", "\u200fshoe\u200e", True),
        ("shoe", "\udcffshoe", False),
    ],
)
def test_where_words_end_and_what_does_not_count(keyword, text, is_found):
    assert found(keyword, text) is is_found


def test_the_substitutions_name_no_class_that_the_engines_define_themselves():
    for pattern, _ in substitutions():
        assert not re.search(r"\\[A-Za-z]|\(\?", pattern)
    for word in WORDS:
        assert not re.search(r"\\|\(\?[^:]", pattern_of([word]))
