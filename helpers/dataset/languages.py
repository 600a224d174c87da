"""The probable language of a text."""

import collections
import functools

LANGUAGES = ("unknown", "English", "German", "French", "Spanish", "Italian", "Portuguese", "Dutch", "Polish")
LANGUAGES += (
    "Russian or another in Cyrillic",
    "Chinese",
    "Japanese",
    "Korean",
    "Arabic or Persian",
    "Hebrew",
)
LANGUAGES += ("Greek", "Hindi or another in Devanagari", "Thai")
# Short words that are frequent in one of these languages and hardly used in English.
FREQUENT = {
    "English": "the and is are you your it of with what how that this have from can please where which not be will may "
    "i my we",
    "German": "der das und ist nicht ich sie ein eine mit auf für bitte wo wie kann den dem von zu werden wir",
    "French": "le les des est et vous je une dans pour avec où votre nous pas que sur du puis-je au ce être",
    "Spanish": "el los las es y una por para con usted su dónde puedo del qué en está como más al hay",
    "Italian": "i il gli è di che una per con sono dove posso della del non la può nel anche al si lei",
    "Portuguese": "os é uma para com você onde posso do da não em são na seu como mais ao ou",
    "Dutch": "het een en niet ik u met waar kan voor dat op zijn bij uw wij naar aan",
    "Polish": "i w nie na jest się że gdzie czy jak mogę proszę dla są przy pan od można którym",
}
SCRIPTS = (
    (0x0370, 0x03FF, "Greek"),
    (0x0400, 0x052F, "Russian or another in Cyrillic"),
    (0x0590, 0x05FF, "Hebrew"),
    (0x0600, 0x06FF, "Arabic or Persian"),
    (0x0900, 0x097F, "Hindi or another in Devanagari"),
    (0x0E00, 0x0E7F, "Thai"),
    (0x3040, 0x30FF, "Japanese"),
    (0x4E00, 0x9FFF, "Chinese"),
    (0xAC00, 0xD7AF, "Korean"),
)


@functools.cache
def _frequent() -> tuple[frozenset[str], dict[str, set[str]]]:
    """The frequent words, and the languages of each."""
    words: dict[str, set[str]] = {}
    for language, text in FREQUENT.items():
        for word in text.split():
            words.setdefault(word, set()).add(language)
    return frozenset(words), words


def language(text: str) -> int:
    """The probable language of a text as its place in LANGUAGES; 0 if it is too short or cannot be told."""
    start = text[:300]
    if not start.isascii() and (script := _script(start)):
        return LANGUAGES.index(script)
    words, languages_of = _frequent()
    known = words.intersection(start.lower().split())
    if len(known) < 3:
        return 0
    votes = collections.Counter([candidate for word in known for candidate in languages_of[word]])
    most = max(votes.values())
    if most < 3 or sum(count * 2 > most for count in votes.values()) > 1:
        return 0
    return LANGUAGES.index(max(votes, key=votes.get))


def _script(text: str) -> str | None:
    """The script that most letters have, if it is not the Latin one. Any kana make a text Japanese."""
    text = text[:: len(text) // 60 + 1]  # 60 of its characters are enough to tell
    found = [*filter(None, map(_letters().get, text))]
    if len(found) < 3:
        return None
    counts = {script: found.count(script) for script in dict.fromkeys(found)}
    if "Japanese" in counts:
        counts["Japanese"] += counts.pop("Chinese", 0)
    best = max(counts, key=counts.get)
    twice = counts[best] * 2
    is_most = twice > len(text) or twice > sum(map(str.isalpha, text))  # the first is quick, and often enough
    return best if twice >= 6 and is_most else None


@functools.cache
def _letters() -> dict[str, str]:
    """Letter -> script, for all but the Latin ones."""
    letters = ((chr(code), script) for first, last, script in SCRIPTS for code in range(first, last + 1))
    return {letter: script for letter, script in letters if letter.isalpha()}
