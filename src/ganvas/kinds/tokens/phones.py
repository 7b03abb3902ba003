"""English words as phones, by a plain table: the names of digits and some frequent words as they are said, any other word
letter by letter. Free of torch, and of dictionaries.

It knows no stress and no accent, takes names, foreign and irregular words as they are spelt (`colonel` has an l), and words of
other languages as if they were English. Phones are written as in the CMU dictionary, without stress.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from .captions import words_of

SILENCE = "sil"
LENGTHS = {
    SILENCE: 1.0,
    "aa": 1.3, "ae": 1.3, "ah": 1.0, "ao": 1.4, "aw": 1.7, "ay": 1.7, "eh": 1.1, "er": 1.3, "ey": 1.5, "ih": 0.9, "iy": 1.2,
    "ow": 1.6, "oy": 1.8, "uh": 0.9, "uw": 1.3,
    "b": 0.6, "d": 0.6, "g": 0.6, "k": 0.9, "p": 0.8, "t": 0.9, "ch": 1.2, "jh": 1.0,
    "dh": 0.5, "f": 1.1, "hh": 0.7, "s": 1.3, "sh": 1.3, "th": 1.0, "v": 0.7, "z": 1.0, "zh": 1.0,
    "l": 0.7, "m": 0.8, "n": 0.8, "ng": 0.9, "r": 0.7, "w": 0.8, "y": 0.6,
}  # fmt: skip
"""Phone -> how long it lasts, as a share of what is usual: vowels and hisses long, stops and glides short. Of no one's data."""
PHONES = tuple(LENGTHS)
INDEX = {phone: place for place, phone in enumerate(PHONES)}
UNVOICED = frozenset((SILENCE, "k", "p", "t", "ch", "f", "hh", "s", "sh", "th"))

SAID = {
    "zero": "z iy r ow", "one": "w ah n", "two": "t uw", "three": "th r iy", "four": "f ao r", "five": "f ay v",
    "six": "s ih k s", "seven": "s eh v ah n", "eight": "ey t", "nine": "n ay n", "ten": "t eh n", "oh": "ow",
    "eleven": "ih l eh v ah n", "twelve": "t w eh l v", "hundred": "hh ah n d r ah d", "thousand": "th aw z ah n d",
    "a": "ah", "the": "dh ah", "of": "ah v", "to": "t uw", "too": "t uw", "do": "d uw", "you": "y uw", "your": "y ao r",
    "are": "aa r", "was": "w aa z", "were": "w er", "is": "ih z", "his": "hh ih z", "has": "hh ae z", "as": "ae z",
    "have": "hh ae v", "give": "g ih v", "live": "l ih v", "said": "s eh d", "says": "s eh z", "some": "s ah m",
    "come": "k ah m", "who": "hh uw", "what": "w ah t", "where": "w eh r", "there": "dh eh r", "their": "dh eh r",
    "they": "dh ey", "this": "dh ih s", "that": "dh ae t", "these": "dh iy z", "those": "dh ow z", "then": "dh eh n",
    "with": "w ih dh", "into": "ih n t uw", "once": "w ah n s", "word": "w er d", "work": "w er k", "world": "w er l d",
    "water": "w ao t er", "any": "eh n iy", "many": "m eh n iy", "four's": "f ao r z", "no": "n ow", "go": "g ow",
    "so": "s ow", "yes": "y eh s", "he": "hh iy", "she": "sh iy", "we": "w iy", "me": "m iy", "be": "b iy", "i": "ay",
    "my": "m ay", "by": "b ay", "eye": "ay",
}  # fmt: skip
"""Words that are not said as they are spelt, the names of digits among them."""
FIGURES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

RULES: tuple[tuple[str, str], ...] = tuple(
    (pattern, phones)
    for pattern, phones in (
        ("tion", "sh ah n"), ("sion", "zh ah n"), ("eigh", "ey"), ("ough", "ao"), ("augh", "ao"), ("tch", "ch"), ("igh", "ay"),
        ("dge", "jh"), ("ture$", "ch er"), ("sch", "s k"), ("ck", "k"), ("ch", "ch"), ("sh", "sh"), ("th", "th"), ("ph", "f"),
        ("wh", "w"), ("^kn", "n"), ("^wr", "r"), ("^gn", "n"), ("mb$", "m"), ("ng$", "ng"), ("ng", "ng g"), ("qu", "k w"),
        ("ee", "iy"), ("ea", "iy"), ("oo", "uw"), ("ou", "aw"), ("oa", "ow"), ("oi", "oy"), ("oy", "oy"), ("ai", "ey"),
        ("ay", "ey"), ("au", "ao"), ("aw", "ao"), ("ow", "ow"), ("ew", "uw"), ("ie", "iy"), ("ey$", "iy"), ("ar", "aa r"),
        ("or", "ao r"), ("er", "er"), ("ir", "er"), ("ur", "er"), ("al(?=[lk])", "ao"), ("le$", "ah l"), ("ed$", "d"),
        ("a(?=[bcdfgklmnpstvz]e$)", "ey"), ("e(?=[bcdfgklmnpstvz]e$)", "iy"), ("i(?=[bcdfgklmnpstvz]e$)", "ay"),
        ("o(?=[bcdfgklmnpstvz]e$)", "ow"), ("u(?=[bcdfgklmnpstvz]e$)", "uw"), ("(?<=[a-z])e$", ""), ("c(?=[eiy])", "s"),
        ("g(?=[eiy])", "jh"), ("^y", "y"), ("y$", "iy"), ("(?<=[aeiou])s$", "z"),
        ("bb", "b"), ("dd", "d"), ("ff", "f"), ("gg", "g"), ("ll", "l"), ("mm", "m"), ("nn", "n"), ("pp", "p"), ("rr", "r"),
        ("ss", "s"), ("tt", "t"), ("zz", "z"), ("a", "ae"), ("b", "b"), ("c", "k"), ("d", "d"), ("e", "eh"), ("f", "f"),
        ("g", "g"), ("h", "hh"), ("i", "ih"), ("j", "jh"), ("k", "k"), ("l", "l"), ("m", "m"), ("n", "n"), ("o", "aa"),
        ("p", "p"), ("q", "k"), ("r", "r"), ("s", "s"), ("t", "t"), ("u", "ah"), ("v", "v"), ("w", "w"), ("x", "k s"),
        ("y", "ih"), ("z", "z"),
    )
)  # fmt: skip
"""Letters -> phones; the first that fits at a place holds. `^` and `$` are the ends of the word."""
_COMPILED = tuple((re.compile(pattern), phones.split()) for pattern, phones in RULES)


def phones_of_word(word: str) -> list[str]:
    """Phones of a word in lower case, or of a number figure by figure; none of what holds no letter and no figure."""
    if word in SAID:
        return SAID[word].split()
    if word in INDEX and word != SILENCE and not re.search("[aeiouy]", word):
        return [word]  # a lone consonant, as phones are written
    found: list[str] = []
    for part in re.findall(r"[0-9]|[a-z]+", word.replace("'", "")):
        found += SAID[FIGURES[int(part)]].split() if part.isdigit() else _spelt(part)
    return found


def _spelt(word: str) -> list[str]:
    found: list[str] = []
    place = 0
    while place < len(word):
        for pattern, phones in _COMPILED:  # a pattern looks at the whole word: `^`, `$` and what stands beside
            if (match := pattern.match(word, place)) and match.end() > place and not (pattern.pattern[0] == "^" and place):
                found += phones
                place = match.end()
                break
        else:
            place += 1
    return found


def phones_of(text: str) -> tuple[list[str], list[str]]:
    """(phones of a text, with silence at commas and ends of sentences; words that it found no way to say)."""
    found: list[str] = []
    unsaid: list[str] = []
    for word in words_of(text):
        own = phones_of_word(word)
        if own:
            found += own
        elif word in ",.;:!?-–—…":
            found += [SILENCE] * bool(found and found[-1] != SILENCE)
        else:
            unsaid.append(word)
    while found and found[-1] == SILENCE:
        found.pop()
    return found, unsaid


def indices(phones: Sequence[str]) -> list[int]:
    """Places in `PHONES`."""
    return [INDEX[phone] for phone in phones]
