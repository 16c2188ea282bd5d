"""One secured meter with its master key, for tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from simulators import keys
from simulators.fleet import Fleet
from tests.drivers.dlms.served import Served, described

ACTIVE = "active_energy_import"


def fleet(folder: Path, **options: Any) -> Fleet:
    """Describe a fleet of one secured meter with options."""
    written = "\n".join(f"{name} = {value!r}" for name, value in options.items())
    return described(folder, f"[group.options]\n{written}\n")


def endpoint(served: Served, **changes: Any) -> Any:
    """Describe the only meter, with its master key."""
    meter = served.fleet.meters[0]
    known = served.endpoint(meter.mrid)
    secrets = {**known.secrets, "master": keys.of(meter, "master")}
    return replace(known, secrets=secrets, **changes)
