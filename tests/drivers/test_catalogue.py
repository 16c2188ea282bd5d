"""The table of drivers has every package, and every package's driver is what it says."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import get_args

import pytest

import drivers
from drivers import driver
from drivers.catalogue import CATALOGUE, polled
from drivers.dlms.session import DlmsSession
from drivers.driver import Feature
from drivers.modbus.session import ModbusSession
from schemas.assets import Protocol

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
