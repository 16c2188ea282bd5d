"""Reasons that the record keeps as English text in UTC, said in a reader's language and time.

What is stored stays as it is: bills are replayed from it. Here each text is recognised by its form
(``console/reasons.csv``), taken apart into its figures, and said again. A test holds that whatever
``mdm`` can say has a form. What has none, such as a receiver's own words, is shown as it came.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Final, NamedTuple, get_args

from markupsafe import Markup, escape

from console.pages.showing import Reader, number
from mdm import tariff
from mdm.tariff_gates import SHARES
from schemas import reading_type
from schemas.reading_type import Commodity

_NUMBER: Final = r"[-+]?(?:\d[\d,]*)(?:\.\d+)?(?:[eE][-+]?\d+)?"
_PLACE: Final = re.compile(r"\{(\w+)(?::(\w+))?\}")
_BETWEEN: Final = "; "


@dataclass(frozen=True, slots=True)
class Context:
    """For whom something is said, and the zone of the place it is about; None for the page's."""

    reader: Reader
    zone: str | None


class Kind(NamedTuple):
    """A kind of figure in a reason: how it is written there, an example, how readers see it."""

    pattern: str
    example: str
    say: Callable[[Context, str], Markup]


@dataclass(frozen=True, slots=True)
class Form:
    """A way in which something is said; ``texts`` are the words for readers, by language."""

    text: str
    kinds: Mapping[str, str]
    pattern: re.Pattern[str]
    texts: Mapping[str, str]

    @property
    def example(self) -> str:
        """Give a reason of this form."""
        return _PLACE.sub(lambda place: KINDS[place[2]].example, self.text)


def said(reader: Reader, text: str, zone: str | None = None) -> Markup:
    """Say a stored reason to a reader.

    Parameters
    ----------
    zone : of the place that it is about; moments in another zone than the page's name it
    """
    parts = [_part(Context(reader, zone), part) for part in _parts(text)]
    return escape(reader.word("list_mark")).join(parts)


def recognised(text: str) -> bool:
    """Tell whether every part of a reason has a form."""
    return all(_found(part) for part in _parts(text))


@cache
def forms() -> tuple[Form, ...]:
    """Give the forms of ``reasons.csv``; the first that fits is meant."""
    text = resources.files("console").joinpath("reasons.csv").read_text("utf-8")
    return tuple(_form(row) for row in csv.DictReader(text.splitlines()))


def _form(row: Mapping[str, str]) -> Form:
    text = row["form"]
    kinds: dict[str, str] = {}
    pattern, end = "", 0
    for place in _PLACE.finditer(text):
        name, kind = place[1], place[2]
        kinds[name] = kind
        pattern += f"{re.escape(text[end : place.start()])}(?P<{name}>{KINDS[kind].pattern})"
        end = place.end()
    pattern += re.escape(text[end:])
    english = row["en"] or _PLACE.sub(lambda place: f"{{{place[1]}}}", text)
    return Form(text, kinds, re.compile(pattern, re.DOTALL), {"en": english, "ar": row["ar"]})


def _found(text: str) -> tuple[Form, Mapping[str, str]] | None:
    for form in forms():
        match = form.pattern.fullmatch(text)
        if match and all(
            recognised(match[name]) for name, kind in form.kinds.items() if kind == "reason"
        ):
            return form, match.groupdict()
    return None


def _parts(text: str) -> Iterator[str]:
    """Take reasons apart that stand one after another; names may have the mark between in them."""
    while text:
        ends = [at.start() for at in re.finditer(_BETWEEN, text)]
        known = (end for end in (*ends, len(text)) if _found(text[:end]))
        end = next(known, ends[0] if ends else len(text))
        yield text[:end]
        text = text[end + len(_BETWEEN) :]


def _part(context: Context, text: str) -> Markup:
    found = _found(text)
    if found is None:
        # In what language a receiver writes is not known; what is ours to be read is English.
        tongue = Markup(' lang="en"') if text.isascii() else ""
        return Markup("<bdi{}>{}</bdi>").format(tongue, text)
    form, values = found
    figures = {name: KINDS[form.kinds[name]].say(context, value) for name, value in values.items()}
    return escape(form.texts[context.reader.language]).format(**figures)


def _plain(text: str) -> Markup:
    """Keep figures together, and their direction that of numbers."""
    return Markup('<bdi dir="ltr">{}</bdi>').format(text)


def _name(_: Context, text: str) -> Markup:
    return Markup("<bdi>{}</bdi>").format(text)


def _figure(_: Context, text: str) -> Markup:
    value = Decimal(text.replace(",", ""))
    return _plain(number(value) if value == value.to_integral() or "E" not in text else text)


def _percent(context: Context, text: str) -> Markup:
    return _plain(text)


def _moment(context: Context, text: str) -> Markup:
    at = datetime.strptime(text, "%Y-%m-%d %H:%M UTC").replace(tzinfo=UTC)
    return _plain(context.reader.moment(at, context.zone))


def _reason(context: Context, text: str) -> Markup:
    return said(context.reader, text, context.zone)


def _day(context: Context, text: str) -> Markup:
    return _plain(date.fromisoformat(text).isoformat())


def _seconds(context: Context, text: str) -> Markup:
    seconds = int(text.removesuffix(" s"))
    if seconds == 0 or seconds % 60:
        return _plain(text)
    return escape(context.reader.counted("minutes", seconds // 60))


def _unit(context: Context, text: str) -> Markup:
    return Markup("<bdi>{}</bdi>").format(context.reader.word(f"unit:{text}"))


def _quantity(context: Context, text: str) -> Markup:
    for kind in reading_type.table().values():
        if kind.description_en.lower() == text:
            return escape(context.reader.reading_type(kind.name))
    return _name(context, text)


def _word(prefix: str) -> Callable[[Context, str], Markup]:
    """Say a word that has a row of its own in ``words.csv``."""
    return lambda context, text: escape(context.reader.word(prefix + text.replace(" ", "_")))


def _one_of(words: Iterator[str] | tuple[str, ...]) -> str:
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


_QUALITIES: Final = tuple(name.replace("_", " ") for name in SHARES)
KINDS: Final[Mapping[str, Kind]] = {
    "count": Kind(r"\d[\d,]*", "12", _figure),
    "number": Kind(_NUMBER, "1.5", _figure),
    "percent": Kind(_NUMBER + " %", "12.5 %", _percent),
    "moment": Kind(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "2026-06-01 21:00 UTC", _moment),
    "day": Kind(r"\d{4}-\d\d-\d\d", "2026-06-01", _day),
    "seconds": Kind(r"\d+ s", "900 s", _seconds),
    "unit": Kind(r".+?", "kWh", _unit),
    "quantity": Kind(r".+", "active energy import, interval", _quantity),
    "quality": Kind(_one_of(_QUALITIES), "estimated", _word("class:")),
    "determinant": Kind(_one_of(tuple(tariff.DETERMINANTS)), "consumption", _word("determinant:")),
    "per": Kind("interval|period", "period", _word("per:")),
    "side": Kind("start|end", "start", _word("side:")),
    "former": Kind("last year's same period|the last period", "the last period", _word("former:")),
    "outcome": Kind("billed|rejected", "billed", _word("state:")),
    "commodity": Kind(_one_of(get_args(Commodity)), "water", _word("commodity:")),
    "reason": Kind(r".+", "it is not in the export", _reason),
    "word": Kind(r"\S+", "kw-residential", _name),
    "name": Kind(r".+?", "M-1", _name),
}
"""Every kind of figure that reasons have."""
