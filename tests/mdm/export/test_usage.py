"""Usage of billing systems, read back by clients that others wrote."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from cloudevents.core.bindings.http import HTTPMessage, from_structured_event
from cloudevents.core.formats.json import JSONFormat
from lago_python_client.models import BatchEvent

from mdm.export import killbill, lago, openmeter, usage
from mdm.export.record import LeftOut
from tests.mdm.export.records import AWKWARD, END, HEAD, START, line, record


def lines_of(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(text) for text in content.decode().splitlines()]


def test_lago_takes_every_body() -> None:
    many = [line("time_of_use_consumption", f"{n}.5", part=f"p{n}") for n in range(70)]
    points = [record("UP-1", many), record(AWKWARD, many), record("UP-3", [line()])]
    bodies = lines_of(lago.render(HEAD, points))
    batches = [BatchEvent.parse_obj(body) for body in bodies]
    # 70 and 70 do not fit in one body, 70 and 1 do: a usage point is not torn apart.
    assert [len(batch.events) for batch in batches] == [70, 71]
    events = [event for batch in batches for event in batch.events]
    assert len({event.transaction_id for event in events}) == 141
    assert {event.external_subscription_id for event in events} == {"UP-1", AWKWARD, "UP-3"}
    last = events[-1]
    assert last.code == "consumption"
    assert last.transaction_id.startswith("UP-3/2026-06-01/2026-06-04/1/consumption/")
    assert last.properties
    assert (last.properties["value"], last.properties["unit"]) == ("28.800", "kWh")
    assert last.properties["estimated"] == 5
    # The last second of the period: its end would be the next bill's.
    assert int(last.timestamp or 0) == int(END.timestamp()) - 1


def test_more_figures_than_a_body_takes_are_cut() -> None:
    many = [line("time_of_use_consumption", "1", part=str(n)) for n in range(250)]
    sizes = [
        len(batch) for batch in lago.batches(lago.events([record("UP-1", many), record("UP-2")]))
    ]
    assert sizes == [100, 100, 51]


def test_openmeter_gives_cloud_events() -> None:
    content = openmeter.render(HEAD, [record(AWKWARD, [line(), line("block_demand", "4", "kW")])])
    headers = {"content-type": "application/cloudevents+json"}
    events = [
        from_structured_event(HTTPMessage(headers, text.encode()), JSONFormat())
        for text in content.decode().splitlines()
    ]
    assert [event.get_type() for event in events] == ["consumption", "block_demand"]
    assert {event.get_source() for event in events} == {"miqyas"}
    assert len({event.get_id() for event in events}) == 2
    assert events[0].get_subject() == AWKWARD
    assert events[0].get_time() == datetime(2026, 6, 3, 20, 59, 59, tzinfo=UTC)
    assert events[1].get_data()["value"] == "4"  # type: ignore[index,call-overload]


def test_kill_bill_gets_local_days_and_units() -> None:
    window = {"starts_at": START, "ends_at": datetime(2026, 6, 1, 22, tzinfo=UTC)}
    shares = line("time_of_use_consumption", "1.5", part="peak", **window)
    (body,) = lines_of(killbill.render(HEAD, [record("UP-1", [line(), shares])]))
    assert body["subscriptionId"] == "UP-1"
    assert body["trackingId"] == "UP-1/2026-06-01/2026-06-04/1"
    assert body["unitUsageRecords"] == [
        {
            "unitType": "consumption",
            "usageRecords": [{"recordDate": "2026-06-03", "amount": "28.800"}],
        },
        {
            # 22:00 UTC is one o'clock of the second day in Kuwait.
            "unitType": "time_of_use_consumption:peak",
            "usageRecords": [{"recordDate": "2026-06-02", "amount": "1.5"}],
        },
    ]


def test_a_correction_adds_the_difference_and_tells_the_value() -> None:
    changed = {"previous": Decimal("28.800"), "difference": Decimal("0.250")}
    lower = {"previous": Decimal(5), "difference": Decimal(-1)}
    lines = [line("consumption", "29.050", **changed), line("block_demand", "4", "kW", **lower)]
    (body,) = lines_of(lago.render(HEAD, [record("UP-1", lines, version=2, corrects=1)]))
    sums, highest = (event["properties"] for event in body["events"])
    assert (sums["amount"], sums["value"], sums["corrects"]) == ("0.250", "29.050", 1)
    # A demand is not added up: the difference would be nonsense there.
    assert (highest["amount"], highest["value"]) == ("4", "4")


def test_figures_without_a_value_are_told() -> None:
    some = record("UP-1", [line(), line("load_factor", None, "1")])
    (body,) = lines_of(lago.render(HEAD, [some]))
    assert [event["code"] for event in body["events"]] == ["consumption"]
    assert list(usage.left_out(some)) == [LeftOut("load_factor", "no readings")]
    assert usage.refusal(some) is None
    assert usage.refusal(record("UP-2", [line(value=None)])) == "none of its figures has a value"
