"""The table of export formats."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from mdm.export import (
    cim,
    csv_,
    espi,
    json_,
    killbill,
    lago,
    mscons,
    nem12,
    nem13,
    openmeter,
    parquet,
    points,
    usage,
)
from mdm.export.record import Head, LeftOut, Record
from mdm.export.sheet import Sheet


def _everything(_record: Record) -> Iterable[LeftOut]:
    return ()


def _takes(_record: Record) -> str | None:
    return None


Refusal = Callable[[Record], str | None]
Render = Callable[[Head, Iterable[Record]], bytes]
RenderSheets = Callable[[Head, Iterable[Record], Iterable[Sheet]], bytes]


@dataclass(frozen=True, slots=True)
class Format:
    """A way to write records.

    Attributes
    ----------
    carries : what is in it, for people
    lacks : what it never can say
    left_out : what of a record it leaves out beside that; the manifest tells both
    refusal : why a usage point cannot be in it at all, None where it can: it is not claimed then
    series : whether it needs the records' intervals and register readings
    usage_points : most of them in one file: small enough to send again, few enough to count
    of_sheets : writes records and sheets as ``render`` writes all of them as records; None where
        each usage point must be taken out of its sheet first. Of a sheet's usage points such a
        format says the same and refuses the same, whatever their figures are.
    """

    suffix: str
    media_type: str
    render: Render
    carries: str = "determinants with all their fields"
    lacks: tuple[str, ...] = ()
    left_out: Callable[[Record], Iterable[LeftOut]] = _everything
    refusal: Refusal = _takes
    series: bool = False
    usage_points: int = 1000
    of_sheets: RenderSheets | None = None

    @property
    def says_all(self) -> bool:
        """Whether it has a place for everything."""
        return not self.lacks and self.left_out is _everything

    @property
    def refuses(self) -> bool:
        """Whether there is anything that it cannot be asked for."""
        return self.refusal is not _takes

    def omissions(self, record: Record) -> Iterable[LeftOut]:
        """Give everything that the format does not say of a record."""
        return (*(LeftOut(what, _NO_PLACE) for what in self.lacks), *self.left_out(record))


def _bare(render: Render) -> RenderSheets:
    """Write sheets in a format that carries readings only."""
    return lambda head, records, sheets: render(head, points.bare(records, sheets))


_NO_PLACE: Final = "the format has no place for it"
_LINES: Final = "application/x-ndjson"

_MSCONS: Final = Format(
    *("edi", "application/edifact", mscons.render),
    "intervals and registers, substitutes with their method",
    lacks=mscons.LACKS,
    left_out=mscons.left_out,
    refusal=mscons.refusal,
    series=True,
    usage_points=100,
    of_sheets=_bare(mscons.render),
)

FORMATS: Final = {
    "csv": Format("csv", "text/csv", csv_.render, of_sheets=csv_.of_sheets),
    "json": Format("json", "application/json", json_.render, of_sheets=json_.of_sheets),
    "parquet": Format(
        *("parquet", "application/vnd.apache.parquet", parquet.render),
        "determinants with all their fields, as typed columns",
        refusal=parquet.refusal,
        of_sheets=parquet.of_sheets,
    ),
    "lago": Format(
        *("jsonl", _LINES, lago.render, "determinants as events of Lago"),
        left_out=usage.left_out,
        refusal=usage.refusal,
        of_sheets=lago.of_sheets,
    ),
    "openmeter": Format(
        *("jsonl", _LINES, openmeter.render, "determinants as CloudEvents"),
        left_out=usage.left_out,
        refusal=usage.refusal,
        of_sheets=openmeter.of_sheets,
    ),
    "killbill": Format(
        *("jsonl", _LINES, killbill.render, "determinants as usage of a day"),
        lacks=killbill.LACKS,
        left_out=usage.left_out,
        refusal=usage.refusal,
        of_sheets=killbill.of_sheets,
    ),
    "nem12": Format(
        *("csv", "text/csv", nem12.render, "intervals with flag, method and reason"),
        lacks=nem12.LACKS,
        left_out=nem12.left_out,
        refusal=nem12.refusal,
        series=True,
        of_sheets=_bare(nem12.render),
    ),
    "nem13": Format(
        *("csv", "text/csv", nem13.render, "register reads and the quantity between them"),
        lacks=nem13.LACKS,
        left_out=nem13.left_out,
        refusal=nem13.refusal,
        series=True,
        of_sheets=_bare(nem13.render),
    ),
    "espi": Format(
        *("xml", "application/atom+xml", espi.render),
        "intervals and registers with quality, and determinants as a UsageSummary",
        lacks=espi.LACKS,
        left_out=espi.left_out,
        refusal=espi.refusal,
        series=True,
        usage_points=50,
    ),
    "cim": Format(
        *("xml", "application/xml", cim.render, "intervals and registers with qualities"),
        lacks=cim.LACKS,
        left_out=cim.left_out,
        refusal=cim.refusal,
        series=True,
        usage_points=50,
        of_sheets=_bare(cim.render),
    ),
    "mscons": _MSCONS,
    "mscons_comma": replace(
        _MSCONS,
        render=mscons.render_comma,
        carries=f"{_MSCONS.carries}, decimal comma",
        of_sheets=_bare(mscons.render_comma),
    ),
}


def named(name: str) -> Format:
    """Find a format.

    Raises
    ------
    KeyError
        with the known names, if there is none.
    """
    try:
        return FORMATS[name]
    except KeyError:
        raise KeyError(f"no export format {name!r}; known: {', '.join(FORMATS)}") from None
