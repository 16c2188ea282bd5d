"""The table of drivers has every package, and every package's driver is what it says."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest

import drivers
from drivers import driver
from drivers.activity_calendar import ActivityCalendar
from drivers.bare import BareSession
from drivers.catalogue import CATALOGUE, polled
from drivers.control import PushSetup
from drivers.dlms.session import DlmsSession
from drivers.driver import Feature
from drivers.errors import NotOffered
from drivers.modbus.session import ModbusSession
from schemas.assets import Protocol
from schemas.period import Period

# Packages that are no protocol: codecs of files, which nobody polls and nobody pushes.
FILES = {"files"}


def test_every_package_is_in_the_table() -> None:
    folder = Path(drivers.__file__).parent
    packages = {path.parent.name for path in folder.glob("*/__init__.py")}
    assert packages - FILES == set(CATALOGUE)
    assert set(CATALOGUE) | {"manual"} == set(get_args(Protocol))


def test_every_entry_says_what_it_was_tested_against() -> None:
    for name, entry in CATALOGUE.items():
        assert entry.name == name
        assert entry.tested_against
        assert entry.profiles()
        assert entry.offers <= set(get_args(Feature))


def test_polled_drivers_have_the_methods_of_a_session() -> None:
    assert set(polled()) == {"dlms", "modbus"}
    for name, one in polled().items():
        assert one.name == name
        assert one.offers == CATALOGUE[name].offers
        assert list(inspect.signature(one.session).parameters) == ["endpoint"]


@pytest.mark.parametrize("session", [DlmsSession, ModbusSession])
def test_a_session_has_everything_that_sessions_have(session: type) -> None:
    wanted = {
        name: inspect.signature(method)
        for name, method in inspect.getmembers(driver.Session, inspect.isfunction)
        if not name.startswith("_")
    }
    assert wanted.keys() >= {"identify", "read_registers", "read_intervals"}
    for name, signature in wanted.items():
        assert list(inspect.signature(getattr(session, name)).parameters) == list(
            signature.parameters
        )


@pytest.mark.parametrize(("session", "name"), [(DlmsSession, "dlms"), (ModbusSession, "modbus")])
def test_a_driver_offers_what_its_session_has_and_nothing_else(session: type, name: str) -> None:
    assert set(driver.METHODS) == set(get_args(Feature))
    for feature, methods in driver.METHODS.items():
        own = {one for one in methods if getattr(session, one) is not getattr(BareSession, one)}
        assert own == (set(methods) if feature in CATALOGUE[name].offers else set()), feature


async def test_what_a_session_lacks_is_not_offered() -> None:
    bare = BareSession("M1: a plain meter")
    calls = {name: getattr(bare, name) for methods in driver.METHODS.values() for name in methods}
    now = datetime(2026, 6, 1, tzinfo=UTC)
    day = Period(now, now)
    calendar = ActivityCalendar("a", (), (), ())
    needed = {
        "read_registers": (["active_energy_import"],),
        "read_register_history": (day,),
        "read_intervals": (day,),
        "read_events": (day,),
        "read_billing_registers": (day,),
        "set_clock": (now,),
        "adjust_clock": (30,),
        "switch": ("connect",),
        "write_activity_calendar": (calendar, now),
        "write_special_days": ([],),
        "write_push_setup": (PushSetup(0, (), ""),),
        "change_keys": ({"encryption": bytes(16)},),
        "transfer_image": (b"image", "name"),
    }
    for name, call in calls.items():
        named = {"now": now} if "now" in inspect.signature(call).parameters else {}
        with pytest.raises(NotOffered, match="M1: a plain meter does not offer"):
            await call(*needed.get(name, ()), **named)
