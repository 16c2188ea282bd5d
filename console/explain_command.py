"""``miqyas explain``: where a final interval comes from, step by step."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import typer

from console import show, store
from mdm import explain as explaining
from mdm import usage_points
from mdm.explain import ExplainError
from mdm.explanation import Change, Explanation, Proof, Version
from schemas import quality, reading_type
from schemas.database import Connection
from schemas.reading_type import ReadingType

_CHANGED: Final = {
    "reading": "it was read again",
    "installation": "its installation",
    "usage_point": "the registry's row of its usage point",
    "end_device": "the registry's row of its meter",
    "register_wrap": "where its register begins again",
    "transformer_ratio": "the ratio that the meter names",
    "outage": "outages or switching of its meter",
    "outage_event": "what events say about the supply",
    "check_meter": "which meter checks it",
    "check_meter_reading": "what its check meter counted",
    "node": "the node that it belongs to",
    "node_reading": "other flows of its node",
    "class_profile": "the profile of its class",
    "temperature": "temperatures near its day",
    "usage_point_term": "its tariff's terms",
}


def explain(
    name: Annotated[str, typer.Argument(metavar="METER", help="An end device or a usage point.")],
    time: Annotated[
        str, typer.Argument(metavar="TIME", help="Local time of the place, or ISO with an offset.")
    ],
    version: Annotated[
        int | None, typer.Option(min=1, help="An older version of the day, as it stood then.")
    ] = None,
) -> None:
    """Explain a final interval: what was read, which rules, which estimate, scaled how, and who.

    What a validation run made or a sum is computed again, from what was known then, to prove it.
    What has changed since is named, and what the same rules would make of it now.

    Example: miqyas explain M00013 2026-06-10T09:15
    """
    with store.connection() as connection:
        zone = _zone(connection, name)
        told = explaining.explain(
            connection, name, _moment(time, zone), now=store.now(connection), version=version
        )
    for one in told:
        _show(one)


def _zone(connection: Connection, name: str) -> ZoneInfo:
    point = usage_points.named(connection, name) or usage_points.of_end_device(connection, name)
    if point is None:
        raise ExplainError(f"no usage point and no end device is named {name!r} in the registry")
    return ZoneInfo(point.time_zone)


def _moment(text: str, zone: ZoneInfo) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no time such as 2026-06-10T09:15 or 2026-06-10T09:15:00+03:00",
            param_hint="TIME",
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def _show(told: Explanation) -> None:
    zone, kind = ZoneInfo(told.time_zone), reading_type.named(told.reading_type)
    start, end = told.starts_at.astimezone(zone), told.ends_at.astimezone(zone)
    final = told.final
    show.done(
        f"{told.usage_point}, {told.reading_type}, {start:%Y-%m-%d %H:%M} to {end:%H:%M} "
        f"({told.time_zone})"
    )
    which = f"version {final.number}, not the last" if told.superseded else "final"
    show.done(f"  {which}: {_amount(final.value, kind)}, {_quality(final.quality)}")
    show.done(f"  made by {_who(final)}, {_utc(final.recorded_at)}")
    show.done(f"  {_proved(told.proof, kind, final)}")
    for line in _since(told, kind):
        show.done(f"  {line}")
    if told.waiting:
        show.done("  something came for it since: `miqyas vee run` looks at that")
    if told.end_device:
        show.done(f"  meter {told.end_device}, multiplier {told.multiplier:f}")
    _tables(told, kind)
    show.done("")


def _tables(told: Explanation, kind: ReadingType) -> None:
    if told.inputs:
        show.table(
            "Made of (after the multiplier)",
            ["usage point", "reading type", "factor #", "value #", "quality", "version #"],
            [(i.usage_point, i.reading_type, f"{i.factor.normalize():f}", _amount(i.value, kind),
              _quality(i.quality), i.version) for i in told.inputs],
        )  # fmt: skip
    show.table(
        "Read (before the multiplier)",
        ["from, UTC", "value #", "quality", "source", "collected"],
        [(f"{r.starts_at:%Y-%m-%d %H:%M:%S}", _amount(r.value, kind), _quality(r.quality),
          r.source, _utc(r.collected_at)) for r in told.raw],
    )  # fmt: skip
    show.table(
        "The register beside it (before the multiplier)",
        ["read, UTC", "value #", "quality", "source"],
        [(f"{d.read_at:%Y-%m-%d %H:%M:%S}", _amount(d.value, kind), _quality(d.quality), d.source)
         for d in told.dials],
    )  # fmt: skip
    show.table(
        "Findings over it",
        ["no. #", "rule", "severity", "done", "observed #", "limit #", "state", "decided"],
        [(f.id, f.rule, f.severity, f.action, _figure(f.observed), _figure(f.limit), f.state,
          f"{f.decided_by}: {f.reason}" if f.decided_by else f.reason) for f in told.findings],
    )  # fmt: skip
    if len(told.versions) > 1:
        show.table(
            "Versions of its day",
            ["version #", "value #", "quality", "recorded", "by"],
            [(v.number, _amount(v.value, kind), _quality(v.quality), _utc(v.recorded_at), _who(v))
             for v in told.versions],
        )  # fmt: skip


def _proved(proof: Proof | None, kind: ReadingType, final: Version) -> str:
    if proof is None:
        why = "the rule set that made it is not kept"
        if final.kind == "virtual":
            why = "a version that it was the sum of is not in the record any more"
        return f"not computed again: {'a person made it' if final.person else why}"
    if final.kind == "virtual":
        return _summed(proof, kind)
    how = ""
    if proof.estimate is not None:
        how = f": estimate {_amount(proof.estimate, kind)}"
        to = f"the register {proof.register}" if proof.register else "the register"
        how += f" × {proof.factor} to meet {to}" if proof.factor is not None else ""
    if proof.same:
        return f"computed again just now: the same{how}"
    return (
        f"computed again just now: {_amount(proof.value, kind)}, {_quality(proof.quality)}, which "
        f"is NOT the same{how}; something arrived later or was changed: see `miqyas vee run`"
    )


def _summed(proof: Proof, kind: ReadingType) -> str:
    """Say what came of computing a sum again."""
    how = "the sum of the versions below, each times its factor, rounded over the day"
    if proof.beneath:
        how += f", and of {show.count(proof.beneath, 'virtual day')} beneath them"
    if proof.same:
        return f"computed again just now: the same ({how})"
    if proof.differing:
        return f"computed again just now: beneath it is NOT the same: {'; '.join(proof.differing)}"
    value = f"{_amount(proof.value, kind)}, {_quality(proof.quality)}"
    return f"computed again just now: {value}, which is NOT the same ({how})"


def _since(told: Explanation, kind: ReadingType) -> Iterator[str]:
    """Say what has changed since a version was made, and what would come of it now."""
    if told.changes:
        yield f"changed since: {'; '.join(_change(each) for each in told.changes)}"
    if told.today is None:
        return
    value, code = told.today.value, told.today.quality
    if (value, code) == (told.final.value, told.final.quality):
        yield "computed from what is known now, by the same rules: the same"
    else:
        now = f"{_amount(value, kind)}, {_quality(code)}"
        yield f"computed from what is known now, by the same rules: {now}"


def _change(change: Change) -> str:
    when = _utc(change.last)
    return f"{_CHANGED[change.what]} ({when if change.count == 1 else f'last {when}'})"


def _who(version: Version) -> str:
    if version.person:
        done = "set by" if version.kind == "edit" else "accepted by"
        return f"{done} {version.person}: {version.reason}"
    rules = f"{version.rule_set}@{(version.rule_set_digest or '')[:12]}"
    return f"rule set {rules}, {version.software}" if version.rule_set else version.software


def _amount(value: int | None, kind: ReadingType) -> str:
    return "no value" if value is None else f"{value:,} {kind.unit}"


def _quality(code: int) -> str:
    return quality.name_of(code).replace("_", " ")


def _figure(value: float | None) -> str | None:
    return None if value is None else f"{value:,.2f}".rstrip("0").rstrip(".")


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
