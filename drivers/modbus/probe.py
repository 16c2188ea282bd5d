"""Which register map fits a meter that answers: every map is tried, with reading requests only."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from drivers import errors
from drivers.modbus import planner, plausibility, register_map, sunspec
from drivers.modbus.line import Line
from drivers.modbus.place import Place
from drivers.modbus.plausibility import Candidate
from drivers.modbus.register_map import RegisterMap, Span
from drivers.modbus.search import Search


async def probe(place: Place, unit: int, *, seconds: float, pause: float) -> list[Candidate]:
    """Ask a meter for the registers of every map, again where they look right, and rank the maps.

    Parameters
    ----------
    seconds : longest wait for an answer [s]
    pause : between the two looks at registers that should grow [s]

    Returns
    -------
    every map with what speaks for and against it, the likeliest first; equals by name

    Raises
    ------
    drivers.errors.DriverError
        if nobody answers, or somebody who speaks no Modbus.
    """
    line = Line(place)
    try:
        return await _rank(line, unit, seconds, pause)
    finally:
        line.close()


async def _rank(line: Line, unit: int, seconds: float, pause: float) -> list[Candidate]:
    meters = [register_map.named(name) for name in register_map.names()]
    survey = _Survey(line, unit, seconds)
    if (own := await survey.found(sunspec.search())) is not None:
        meters.append(own)
    first = {meter.name: await survey.words(meter, _everything(meter)) for meter in meters}
    if survey.silence and not survey.answered:
        raise survey.silence
    found = [plausibility.judge(meter, first[meter.name], {}) for meter in meters]
    if any(candidate.fits for candidate in found):
        await asyncio.sleep(pause)
    survey.forget()
    ranked = []
    for candidate in found:
        meter = candidate.meter
        if candidate.fits:
            later = await survey.words(meter, _cumulative(meter))
            ranked.append(plausibility.judge(meter, first[meter.name], later))
        else:
            ranked.append(candidate)
    return sorted(ranked, key=lambda candidate: (-candidate.score, candidate.meter.name))


def _everything(meter: RegisterMap) -> list[Span]:
    spans = [field.span for register in meter.registers.values() for field in register.fields]
    spans += [meter.product.field.span] if meter.product else []
    return spans + [field.span for field in meter.identity.values()]


def _cumulative(meter: RegisterMap) -> list[Span]:
    return [
        field.span
        for register in meter.registers.values()
        if register.cumulative
        for field in register.fields
    ]


class _Survey:
    """Reads what can be read, and remembers it: maps share requests."""

    def __init__(self, line: Line, unit: int, seconds: float) -> None:
        self._line, self._unit, self._seconds = line, unit, seconds
        self._known: dict[Span, tuple[int, ...] | None] = {}
        self.answered = False
        self.silence: errors.DriverError | None = None

    def forget(self) -> None:
        """Ask anew from here on."""
        self._known.clear()

    async def found(self, search: Search) -> RegisterMap | None:
        """Answer what a search asks; a meter that is silent once is not asked further."""
        try:
            span = next(search)
            while (words := await self._ask(span)) is not None:
                span = search.send(words or None)
        except StopIteration as end:
            found: RegisterMap | None = end.value
            return found
        return None

    async def words(self, meter: RegisterMap, spans: Iterable[Span]) -> dict[tuple[int, int], int]:
        """Read words by function code and address, without those that are not to be had."""
        memory: dict[tuple[int, int], int] = {}
        for request in planner.plan(spans, meter.limits):
            if request not in self._known:
                self._known[request] = await self._ask(request)
            words = self._known[request]
            if words is None:
                # Each silence costs a whole timeout, and one is enough to doubt the map.
                break
            for address, word in enumerate(words, request.address):
                memory[request.function, address] = word
        return memory

    async def _ask(self, request: Span) -> tuple[int, ...] | None:
        """Ask once; no words where the meter refuses, None where it does not answer in order."""
        try:
            words = await self._line.read(self._unit, request, self._seconds)
        except errors.MeterRefused:
            words = ()
        except (errors.Refused, errors.Unreachable):
            raise
        except (errors.LinkError, errors.RemoteProtocolError) as error:
            self.silence = error
            return None
        self.answered = True
        return words
