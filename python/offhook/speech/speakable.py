"""Text as it is said aloud, in English: pure functions from text to text.

`plain` takes away what is for the eye (markup, emoji, escapes). `speakable` also spells out what a small voice reads
wrongly or not at all: telephone numbers, codes, times, dates, money, addresses of e-mail and the web, units. Where the
language can't be known from the text alone (is 1250 a code or a price?) the word before it decides.
"""

import html
import re
import unicodedata
from collections.abc import Callable

from offhook.speech import number_words as say

_MONTHS = [
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
]
_CURRENCIES = {
    "$": ("dollar", "cent"),
    "€": ("euro", "cent"),
    "£": ("pound", "penny"),
    "¥": ("yen", ""),
    "₹": ("rupee", "paisa"),
}
_PLURALS = {
    "penny": "pence",
    "yen": "yen",
    "paisa": "paise",
    "inch": "inches",
    "foot": "feet",
    "hertz": "hertz",
    "kilohertz": "kilohertz",
}
_UNITS = {
    "ms": "millisecond",
    "km": "kilometer",
    "cm": "centimeter",
    "mm": "millimeter",
    "kg": "kilogram",
    "lb": "pound",
    "lbs": "pound",
    "mph": "mile per hour",
    "dB": "decibel",
    "Hz": "hertz",
    "kHz": "kilohertz",
    "KB": "kilobyte",
    "MB": "megabyte",
    "GB": "gigabyte",
    "hrs": "hour",
    "min": "minute",
    "mins": "minute",
    "sec": "second",
    "secs": "second",
    "°C": "degree Celsius",
    "°F": "degree Fahrenheit",
    "°": "degree",
}
# After these a number is a name: it is read digit by digit.
_NAMES_BEFORE = (
    "account|authorization|booking|card|case|code|confirmation|digits|ext|extension|fax|id|identifier|invoice|mobile|"
    "number|order|passcode|password|phone|pin|postcode|reference|reservation|serial|ssn|ticket|tracking|zip"
)
_YEARS_BEFORE = "|".join(["in", "since", "until", "till", "by", "of", "from", "year", "before", "after", *_MONTHS])

_FENCE = re.compile(r"^[ \t]*(?:```|~~~)[^\n]*$", re.MULTILINE)
_RULE = re.compile(r"^[ \t]*(?:[-*_=][ \t]*){3,}$", re.MULTILINE)
_TABLE_RULE = re.compile(r"^[ \t|:-]*\|[ \t|:-]*$", re.MULTILINE)
_LINE_MARK = re.compile(r"^[ \t]*(?:#{1,6}[ \t]+|>[ \t]?|[-*+•‣◦][ \t]+(?:\[[ xX]\][ \t]+)?)", re.MULTILINE)
_NUMBERED = re.compile(r"^[ \t]*(\d{1,3})[.)][ \t]+", re.MULTILINE)
_LINK = re.compile(r"!?\[([^\[\]\n]{0,300})\]\([^()\s]{0,2000}(?:\s\"[^\"\n]{0,200}\")?\)")
_TAG = re.compile(r"</?[A-Za-z][^<>\n]{0,300}>|<!--.{0,2000}?-->", re.DOTALL)
_AUTOLINK = re.compile(r"<((?:https?://|mailto:)[^<>\s]{1,2000})>")
_EMPHASIS = (
    re.compile(r"(\*{1,3}|~~|`{1,3})(?=\S)([^*`~\n]{1,1000}?)(?<=\S)\1"),
    re.compile(r"(?<!\w)(_{1,3})(?=\S)([^_\n]{1,1000}?)(?<=\S)\1(?!\w)"),
)
_SPACES = re.compile(r"[^\S\n]+")
_LINES = re.compile(r"\s*\n\s*")
_LOOSE = re.compile(r"[ \t]+([,.;:!?])")
_REPEATED = re.compile(r"([,;:])(?:\s*[,;:])+")

_EMAIL = re.compile(r"(?<![\w.+-])(?:mailto:)?([A-Za-z0-9][\w.+-]{0,63})@((?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24})\b")
_WEB = re.compile(
    r"(?<![\w@.])(?:(?:https?|wss?|ftp)://|(?=www\.))([^\s<>\"'()]{1,2000})",
    re.IGNORECASE,
)
_SIP = re.compile(r"\bsips?:([\w.+-]{1,64})@([\w.-]{1,253}\w)", re.IGNORECASE)
_IPV4 = re.compile(r"(?<![\w.])(\d{1,3}(?:\.\d{1,3}){3})(?::(\d{1,5}))?(?![\w]|\.\d)")
_PHONE = re.compile(
    r"(?<![\w.,$€£¥₹+-])"
    r"(\+\d{1,3}[ .-]?(?:\(\d{1,5}\)[ .-]?)?\d{1,14}(?:[ .-]\d{1,8}){0,6}"
    r"|0\d{1,4}(?:[ -]\d{2,8}){1,4}"
    r"|\(\d{2,5}\)[ .-]?\d{2,8}(?:[ .-]\d{2,8}){0,4}"
    r"|1?[ .-]?\d{3}[ .-]\d{3}[ .-]\d{4}"
    r"|\d{3}-\d{4})"
    r"(?![\w%]|[.,-]\d)"
)
_DATE = re.compile(r"(?<![\w-])(\d{4})-(\d{2})-(\d{2})(?![\w-])")
_MONTH_DAY = re.compile(rf"\b({'|'.join(_MONTHS)}) (\d{{1,2}})(?:st|nd|rd|th)?\b(?![\d:.,]\d|%)")
_TIME = re.compile(r"(?<![\w:.])(\d{1,2}):(\d{2})(?::(\d{2}))?(?:\s?([ap])\.?m\b\.?)?(?![\w:])", re.IGNORECASE)
_HOUR = re.compile(r"(?<![\w:.,])(\d{1,2})\s?([ap])\.?m\b\.?", re.IGNORECASE)
_NUMBER = r"\d{1,3}(?:,\d{3}){1,8}(?:\.\d{1,20})?|\d{1,40}(?:\.\d{1,20})?"
_MONEY = re.compile(
    rf"([$€£¥₹])\s?({_NUMBER})(?![\d])(?:\s?(thousand|million|billion|trillion|[kKmM](?![\w])|bn(?!\w)))?"
)
_MONEY_AFTER = re.compile(rf"(?<![\w.,])({_NUMBER})\s?([$€£])(?!\w)")
_PERCENT = re.compile(rf"(?<![\w.,])({_NUMBER})\s?%")
_UNIT = re.compile(
    rf"(?<![\w.,])(-?(?:{_NUMBER}))\s?({'|'.join(sorted(map(re.escape, _UNITS), key=len, reverse=True))})(?!\w)"
)
_NAMED = re.compile(
    rf"\b((?:{_NAMES_BEFORE})s?(?:\s(?:number|code|is|no\.?|was|ending\sin)){{0,3}}(?:\s?[:#]\s?|\s))"
    r"(\d{1,40}(?:[ -]\d{1,40}){0,8})(?![\w:%]|[.,]\d)",
    re.IGNORECASE,
)
_MIXED = re.compile(r"(?<![\w.-])(?=[A-Z0-9-]*\d)(?=[A-Z0-9-]*[A-Z])[A-Z0-9]+(?:-[A-Z0-9]+)*(?![\w-])")
_YEAR = re.compile(
    rf"\b((?i:{_YEARS_BEFORE})|\w{{2,20}}(?:th|first|second|third),?)(\s)(1[1-9]\d\d|20\d\d)(?![\w%]|[.,:-]\d)"
)
_DECADE = re.compile(r"(?<![\w.,])((?:1[1-9]|20)\d|[2-9])0s\b")
_VERSION = re.compile(r"(?<![\w.,])\d{1,6}(?:\.\d{1,6}){2,5}(?!\w)")
_ORDINAL = re.compile(r"(?<![\w.,])(\d{1,6})(?:st|nd|rd|th)\b")
_RANGE = re.compile(r"(?<![\w.,-])(\d{1,4})\s?[-–—]\s?(\d{1,4})(?![\w-]|[.,]\d)")
_FRACTION = re.compile(r"(?<![\w./])(\d)/([2-9]|10)(?![\w/]|\.\d)")
_PLAIN_NUMBER = re.compile(rf"(?<![\w.,])(-?)({_NUMBER})(?!\w)")
_SYMBOLS = {
    "&": " and ",
    "@": " at ",
    "+": " plus ",
    "=": " equals ",
    "×": " times ",
    "÷": " divided by ",
    "±": " plus or minus ",
    "≤": " at most ",
    "≥": " at least ",
    "→": " to ",
    "§": " section ",
    "#": " number ",
}


def plain(text: str) -> str:
    """The words alone: without Markdown, HTML and SSML, emoji and control characters; lines become sentences.

    What a link points to is not said, what it is called is. Text of any origin is safe to give to any voice after it.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    for pattern in (_FENCE, _TABLE_RULE, _RULE):
        text = pattern.sub("", text)
    text = _AUTOLINK.sub(r"\1", text)
    text = _TAG.sub(" ", text)
    text = html.unescape(text)
    text = _LINE_MARK.sub("", _LINE_MARK.sub("", text))
    text = _NUMBERED.sub(r"\1: ", text)
    text = _LINK.sub(r"\1", text)
    for pattern in _EMPHASIS:
        # Twice: bold around italics.
        text = pattern.sub(r"\2", pattern.sub(r"\2", text))
    text = text.replace("|", ", ")
    text = "".join(character if _is_said(character) else " " for character in text)
    # What brackets and marks are left are read aloud by some voices, and mean something to others.
    text = re.sub(r"(?<=\d)\s*<\s*(?=\d)", " less than ", text)
    text = re.sub(r"(?<=\d)\s*>\s*(?=\d)", " greater than ", text)
    text = re.sub(r"[<>\[\]{}*`~^\\]|(?<!\w)_+|_+(?!\w)", " ", text)
    text = _LINES.sub(_end_of_line, text.strip())
    return _tidy(text)


def speakable(text: str) -> str:
    """`plain`, with everything in words that a voice would stumble over. English; at most some ten times as long."""
    text = plain(text).replace("’", "'")
    for pattern, words in _READINGS:
        text = pattern.sub(words, text)
    for symbol, word in _SYMBOLS.items():
        text = text.replace(symbol, word)
    text = re.sub(r"\s*[—–]\s*|\s-+\s", ", ", text)
    text = re.sub(r"(?<=\w)[/_](?=\w)", " ", text)
    return _tidy(text)


def _is_said(character: str) -> bool:
    """False for emoji, pictures, control and format characters. Signs of arithmetic and money are said."""
    if character == "\n" or character.isascii():
        return character.isprintable() or character in "\n\t"
    category = unicodedata.category(character)
    return (category[0] in "LNPMZ" and not 0xFE00 <= ord(character) <= 0xFE0F) or character in "×÷±≤≥→°€£¥₹"


def _end_of_line(match: re.Match[str]) -> str:
    before = match.string[match.start() - 1 : match.start()]
    return " " if before in ".!?…:;," else ". "


def _tidy(text: str) -> str:
    text = _SPACES.sub(" ", text)
    text = _REPEATED.sub(r"\1", _LOOSE.sub(r"\1", text))
    return text.strip(" ,;")


def _plural(name: str, one: bool) -> str:
    if one:
        return name
    first, _, rest = name.partition(" ")
    return " ".join(filter(None, (_PLURALS.get(first, f"{first}s"), rest)))


def _number(text: str) -> str:
    """A quantity as it was written: with or without commas, sign and decimals."""
    sign = "minus " if text.startswith("-") else ""
    whole, _, decimals = text.lstrip("-").replace(",", "").partition(".")
    if int(whole) > say.LARGEST:
        return sign + say.digits(whole)
    return sign + say.cardinal(int(whole)) + (f" point {say.digits(decimals)}" if decimals else "")


def _groups(text: str) -> str:
    """Digits one by one, with a breath where they were grouped; a long run is cut into threes, the rest last."""
    groups = re.findall(r"\d+", text)
    if len(groups) == 1 and len(groups[0]) > 4:
        run = groups[0]
        cut = list(range(0, len(run) - 4, 3))
        groups = [run[at : at + 3] for at in cut] + [run[len(cut) * 3 :]]
    return ", ".join(map(say.digits, groups))


def _phone(match: re.Match[str]) -> str:
    text = match[0]
    if sum(map(str.isdigit, text)) < 7:
        return text
    if text.startswith("+1") and re.fullmatch(r"\+1\d{10}", text):
        text = f"+1 {text[2:5]} {text[5:8]} {text[8:]}"
    return ("plus " if text.startswith("+") else "") + _groups(text)


def _date(match: re.Match[str]) -> str:
    number, month, day = int(match[1]), int(match[2]), int(match[3])
    if not (1 <= month <= 12 and 1 <= day <= 31 and number >= 1000):
        return match[0]
    return f"{_MONTHS[month - 1]} {say.ordinal(day)}, {say.year(number)}"


def _time(match: re.Match[str]) -> str:
    hour, minute, second = int(match[1]), int(match[2]), match[3]
    if hour > 24 or minute > 59 or (second and int(second) > 59):
        return match[0]
    half = f" {match[4].upper()} M" if match[4] else ""
    words = say.cardinal(hour)
    if minute or second:
        words += f" {say.cardinal(minute)}" if minute >= 10 else f" oh {say.cardinal(minute)}" if minute else " hundred"
    elif not half:
        words += " o'clock" if 1 <= hour <= 12 else " hundred"
    if second:
        words += f" and {say.cardinal(int(second))} {_plural('second', int(second) == 1)}"
    return words + half + _stop(match)


def _hour(match: re.Match[str]) -> str:
    if not 1 <= int(match[1]) <= 12:
        return match[0]
    return f"{say.cardinal(int(match[1]))} {match[2].upper()} M{_stop(match)}"


def _stop(match: re.Match[str]) -> str:
    """The stop of `7 p.m.` is the sentence's too where a sentence ends there."""
    rest = match.string[match.end() :].lstrip()
    return "." if match[0].endswith(".") and (not rest or rest[0].isupper()) else ""


def _money(match: re.Match[str]) -> str:
    unit, cent = _CURRENCIES[match[1]]
    amount, scale = match[2], (match[3] or "").lower()
    if scale:
        scale = {"k": "thousand", "m": "million", "bn": "billion"}.get(scale, scale)
        return f"{_number(amount)} {scale} {_plural(unit, one=False)}"
    whole, _, decimals = amount.replace(",", "").partition(".")
    if len(decimals) != 2 or not cent or int(whole) > say.LARGEST:
        return f"{_number(amount)} {_plural(unit, one=amount == '1')}"
    big, small = int(whole), int(decimals)
    words = [f"{say.cardinal(big)} {_plural(unit, one=big == 1)}"] if big or not small else []
    if small:
        words.append(f"{say.cardinal(small)} {_plural(cent, one=small == 1)}")
    return " and ".join(words)


def _unit(match: re.Match[str]) -> str:
    return f"{_number(match[1])} {_plural(_UNITS[match[2]], one=match[1] in ('1', '-1'))}"


def _spelled(text: str) -> str:
    """A name of letters and digits as one would read it over the telephone; words in it stay words."""
    parts = re.findall(r"[A-Za-z]+|\d+|[^A-Za-z\d]", text)
    words = []
    for part in parts:
        if part.isdigit():
            words.append(say.digits(part) if len(part) > 2 or part.startswith("0") else say.cardinal(int(part)))
        elif part.isalpha():
            words.append(part)
        else:
            words.append(
                {".": "dot", "-": "dash", "_": "underscore", "/": "slash", "+": "plus", ":": "colon"}.get(part, " ")
            )
    return " ".join(" ".join(words).split())


def _web(match: re.Match[str]) -> str:
    whole = match[1].rstrip(".,;:!?")
    address = re.sub(r"^www\.", "", re.split(r"[?#]", whole, maxsplit=1)[0], flags=re.IGNORECASE).rstrip("/")
    if len(address) > 80:
        # Nobody writes down what is longer: where it leads is enough.
        address = address.split("/", 1)[0][:80]
    return _spelled(address) + match[1][len(whole) :]


def _ipv4(match: re.Match[str]) -> str:
    words = " dot ".join(map(say.digits, match[1].split(".")))
    return words + (f" port {say.digits(match[2])}" if match[2] else "")


def _mixed(match: re.Match[str]) -> str:
    groups = match[0].split("-")
    return ", ".join(" ".join(say.digits(c) if c.isdigit() else c for c in group) for group in groups)


def _fraction(match: re.Match[str]) -> str:
    top, bottom = int(match[1]), int(match[2])
    if not 0 < top < bottom:
        return match[0]
    name = "half" if bottom == 2 else "quarter" if bottom == 4 else say.ordinal(bottom)
    return f"{say.cardinal(top)} {name if top == 1 else 'halves' if bottom == 2 else f'{name}s'}"


def _decade(match: re.Match[str]) -> str:
    number = int(f"{match[1]}0")
    words = say.year(number) if number > 99 else say.cardinal(number)
    return f"{words.removesuffix('y')}ies" if words.endswith("y") else f"{words}s"


def _bare_number(match: re.Match[str]) -> str:
    sign, text = match[1], match[2]
    # A number that begins with 0, or is too long to be taken in as a quantity, is a name.
    if "," not in text and "." not in text and (len(text) > 4 or (text.startswith("0") and len(text) > 1)):
        return _groups(text)
    return _number(sign + text)


_Words = Callable[[re.Match[str]], str]
_READINGS: tuple[tuple[re.Pattern[str], _Words], ...] = (
    (_SIP, lambda m: f"{_spelled(m[1])} at {_spelled(m[2])}"),
    (_EMAIL, lambda m: f"{_spelled(m[1])} at {_spelled(m[2])}"),
    (_WEB, _web),
    (_IPV4, _ipv4),
    (_DATE, _date),
    (_PHONE, _phone),
    (_MONTH_DAY, lambda m: f"{m[1]} {say.ordinal(int(m[2]))}" if 1 <= int(m[2]) <= 31 else m[0]),
    (_TIME, _time),
    (_HOUR, _hour),
    (_MONEY, _money),
    (_MONEY_AFTER, lambda m: f"{_number(m[1])} {_plural(_CURRENCIES[m[2]][0], one=m[1] == '1')}"),
    (_PERCENT, lambda m: f"{_number(m[1])} percent"),
    (_UNIT, _unit),
    (_NAMED, lambda m: m[1] + _groups(m[2])),
    (_MIXED, _mixed),
    (_YEAR, lambda m: f"{m[1]}{m[2]}{say.year(int(m[3]))}"),
    (_DECADE, _decade),
    (_VERSION, lambda m: " point ".join(_number(part) for part in m[0].split("."))),
    (_ORDINAL, lambda m: say.ordinal(int(m[1]))),
    (_RANGE, lambda m: f"{m[1]} to {m[2]}"),
    (_FRACTION, _fraction),
    (_PLAIN_NUMBER, _bare_number),
)
