r"""Words of any script, found alike by Python's `re` at ingest and by RE2 in Transform's graph.

The two know other versions of Unicode, differ on `\s`, `\w`, `\b` and letter case, and RE2 cannot normalise. So nothing
is left to them: a text is cut into words by substitutions that write out their characters, and a keyword becomes a
pattern that spells out every way to write its letters.
"""

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache, lru_cache
from itertools import combinations, permutations

# Scripts without spaces between words, by blocks: each letter stands alone, and a keyword is found wherever its letters
# follow one another.
_UNSPACED = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3040, 0x312F),
    (0x31A0, 0x31BF), (0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xA9E0, 0xA9FF), (0xAA60, 0xAA7F),
    (0xF900, 0xFAFF), (0xFF66, 0xFF9F), (0x1AFF0, 0x1B16F),
)  # fmt: skip
_CODES = range(0x20000)
_IDEOGRAPHS = "\U00020000-\U0003ffff"  # all that is beyond
_VOICED = (0x3099, 0x309A)  # marks of Japanese
_LOOKS = range(0xFE00, 0xFE10)  # marks that choose how a character looks, mostly an emoji
_JOINERS = "_\u200c\u200d\ufffd"  # the last one stands for a letter that could not be read
_MOST_MARKS = 4  # on one letter; their orders are tried


@lru_cache(1 << 14)
def in_words(text: str) -> str:
    """Returns a text's words, with one space before, between and after them."""
    if not text.isprintable():  # bytes that are not UTF-8 come as surrogates
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    text = f" {text} "
    for pattern, replacement in _compiled():
        text = pattern.sub(replacement, text)
    return text


@cache
def substitutions() -> tuple[tuple[str, str], ...]:
    """Regular expressions and replacements that cut a text, between two spaces, into words; Python's and RE2's."""
    apart = {code for first, last in _UNSPACED for code in range(first, last + 1)}.union(_VOICED)
    of_kind: dict[str, set[int]] = {}
    for code in set(_CODES).difference(_LOOKS):
        of_kind.setdefault(unicodedata.category(chr(code))[0], set()).add(code)
    letters, marks = of_kind["L"] | of_kind["N"], of_kind["M"]
    alone = _ranges(letters & apart) + _IDEOGRAPHS
    words = _ranges(letters - apart | marks | set(map(ord, _JOINERS)))
    return (f"([{alone}][{_ranges(marks & apart)}]*)", r" \1 "), (f"[^{words}{alone}]+", " ")


@cache
def _compiled() -> Sequence[tuple[re.Pattern[str], str]]:
    return [(re.compile(pattern), replacement) for pattern, replacement in substitutions()]


def _ranges(codes: Collection[int]) -> str:
    """The inside of a character class."""
    firsts = [code for code in sorted(codes) if code - 1 not in codes]
    lasts = [code for code in sorted(codes) if code + 1 not in codes]
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in zip(firsts, lasts, strict=True))


def pattern_of(keywords: Iterable[str]) -> str:
    """Returns a regular expression that finds any of some keywords in what `in_words` makes of a text.

    Neither letter case counts, nor whether accents stand apart from their letters, nor what is between two words:
    `röcke` is found in `RÖCKE`, `t shirt` in `T-Shirt`, `fussball` in `Fußball`.
    """
    spelt = dict.fromkeys(" ".join(map(_spelt, in_words(keyword).split())) for keyword in keywords)
    return f" (?:{'|'.join(spelt)}) "


def folded(text: str) -> str:
    """Returns what all spellings of a text have in common: Unicode's canonical caseless matching (3.13, D145).

    With one addition: i is the same with a dot and without, for in capitals Turkish has İ and I, and others have I.
    """
    text = unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).casefold())
    return text.replace("ı", "i").replace("i\u0307", "i")


@cache
def _sources() -> dict[str, list[str]]:
    """Folded text to the characters that are folded to it, if not to itself alone."""
    found: dict[str, list[str]] = {}
    for character in map(chr, _CODES):
        if (key := folded(character)) != character:
            found.setdefault(key, []).append(character)
    return found


def _spelt(word: str) -> str:
    """A pattern for every spelling of a word."""
    letters: list[str] = []  # each with its marks
    for character in folded(word):
        if letters and unicodedata.combining(character):
            letters[-1] += character
        else:
            letters.append(character)
    parts, start = [], 0
    while start < len(letters):
        # One character may stand for several letters: ß, ligatures, syllables of Korean. They may overlap, as in "sss".
        end, at = start + 1, start
        while at < end:
            end, at = max([end, *(at + n for n in (2, 3) if "".join(letters[at : at + n]) in _sources())]), at + 1
        parts.append(_either(_ways(letters[start:end])))
        start = end
    return "".join(parts)


def _ways(letters: Sequence[str]) -> Iterator[str]:
    """Patterns of some letters, by what stands for one of them and what for several."""
    if not letters:
        yield ""
    for n in range(1, min(len(letters), 3) + 1):
        text = "".join(letters[:n])
        if n == 1 or text in _sources():
            head = _letter(text) if n == 1 else _either(_sources()[text])
            yield from (head + tail for tail in _ways(letters[n:]))


@cache
def _letter(folded_letter: str) -> str:
    """A pattern for every spelling of a letter with its marks, each of which may be part of it or stand behind it."""
    letter, marks = folded_letter[0], folded_letter[1:]
    if len(marks) > _MOST_MARKS:
        return folded_letter
    heads: dict[str, list[str]] = {}
    for count in range(len(marks) + 1):
        for inside in combinations(range(len(marks)), count):
            key = letter + "".join(marks[number] for number in inside)
            behind = [mark for number, mark in enumerate(marks) if number not in inside]
            for head in [*([key] if count == 0 else []), *_sources().get(key, [])]:
                for tail in set(map("".join, permutations(behind))):
                    if folded(head + tail) == folded_letter:
                        heads.setdefault(tail, []).append(head)
    dot = "\u0307?" if letter == "i" else ""
    return _either(f"{_either(heads[tail])}{dot}{tail}" for tail in sorted(heads))


def _either(patterns: Iterable[str]) -> str:
    every = list(dict.fromkeys(patterns))
    if len(every) == 1:
        return every[0]
    return f"[{''.join(every)}]" if all(len(each) == 1 for each in every) else f"(?:{'|'.join(every)})"
