"""Fleets from TOML files: the same every time, and wrong files are told what is wrong."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mdm import registry_row
from schemas.period import Period
from simulators import faults, fleet, fleet_file, truth
from simulators.fleet import Fleet

_DIGEST = """
import hashlib
from simulators import fleet, stored, truth
loaded = fleet.load({name!r})
table = truth.intervals(loaded)
made = hashlib.sha256(table["value"].to_numpy().tobytes())
made.update(table["end_device"].cat.codes.to_numpy().tobytes())
made.update(truth.faults(loaded).to_csv().encode())
made.update(repr((loaded.registry(), loaded.keys())).encode())
for meter in loaded.meters[::7]:
    made.update(repr(meter.register_start).encode())
    for column in stored.load_profile(meter).values.values():
        made.update(column.tobytes())
print(made.hexdigest())
"""

_GROUP = """
[[group]]
name = "a"
protocol = "dlms"
count = 3
profile = "generic"
first_address = "127.9.0.1"
"""
_TOP = 'seed = 1\nzone = "Asia/Kuwait"\nstart = 2026-06-01\ndays = 3\n'


@pytest.fixture(scope="module")
def demo() -> Fleet:
    return fleet.load("demo")


def _written(folder: Path, text: str) -> Path:
    file = folder / "fleet.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_two_processes_make_the_same_fleet() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", _DIGEST.format(name="demo")],
            check=True,
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_demo_is_what_the_demonstration_needs(demo: Fleet) -> None:
    count = Counter(meter.protocol for meter in demo.meters)
    assert len({meter.usage_point for meter in demo.meters}) == 200
    assert count["dlms"] >= 140
    assert count["modbus"] >= 20
    assert count["mqtt"] >= 20
    kuwait = Period(datetime(2026, 5, 26, 21, tzinfo=UTC), datetime(2026, 6, 30, 21, tzinfo=UTC))
    assert demo.period == kuwait
    labels = truth.faults(demo)
    # A wrong multiplier keeps the bill back, and the demonstration's bills go out.
    assert set(labels["kind"]) == set(faults.KINDS) - {"wrong_multiplier"}
    gaps = labels[(labels["kind"] == "gap") & labels["end_device"].str.startswith("M")]
    lasting = (gaps["ends_at"] - gaps["starts_at"]).dt.total_seconds() / 900
    assert {1, 2, 3, 4, 6, 8, 192} <= set(lasting.astype(int))
    whole = [meter for meter in demo.meters if not meter.faults]
    assert len(whole) > 100


def test_every_row_of_the_registry_can_be_imported(demo: Fleet) -> None:
    rows = [registry_row.parse(2 + n, row) for n, row in enumerate(demo.registry())]
    assert [row for row in rows if isinstance(row, registry_row.Rejected)] == []
    assert tuple(fleet.REGISTRY_COLUMNS) == registry_row.COLUMNS


def test_exchange_makes_two_rows_without_a_gap(demo: Fleet) -> None:
    exchanged = [m for m in demo.meters if any(m.having("meter_exchange"))]
    assert len(exchanged) == 4
    for old in exchanged:
        rows = [row for row in demo.registry() if row["usage_point"] == old.usage_point]
        assert len(rows) == 2
        assert rows[0]["installed_until"] == rows[1]["installed_from"]
        assert rows[1]["installed_until"] == ""
        assert rows[0]["end_device"] != rows[1]["end_device"]


def test_keys_the_head_end_is_told_are_wrong_for_labelled_meters_only(demo: Fleet) -> None:
    def by_key(*, right: bool) -> dict[tuple[str, str], str]:
        rows = demo.keys(right=right)
        return {(row["end_device"], row["kind"]): row["key_hex"] for row in rows}

    told, right = by_key(right=False), by_key(right=True)
    differing = {device for (device, kind), value in told.items() if right[device, kind] != value}
    assert differing == {m.mrid for m in demo.meters if any(m.having("wrong_key"))}
    assert {len(value) for (_, kind), value in told.items() if kind != "password"} == {32}
    assert len(set(right.values())) == len(right)


def test_rollover_passes_zero_at_its_label(demo: Fleet) -> None:
    rolling = [m for m in demo.meters if any(m.having("rollover"))]
    assert {m.protocol for m in rolling} == {"dlms", "modbus", "mqtt"}
    for meter in rolling:
        (label,) = meter.having("rollover")
        name = meter.reading_types[0]
        assert meter.register_at(name, label.starts_at) == 0
        assert meter.register_at(name, meter.start) > meter.register_modulus // 2


def test_number_of_meters_can_be_set() -> None:
    assert len(fleet.load("collect", meters=17).meters) == 17


def test_truth_tables_agree(demo: Fleet) -> None:
    one = next(m for m in demo.meters if m.multiplier > 1 and not m.faults)
    day = Period(demo.period.start, datetime(2026, 5, 27, 21, tzinfo=UTC))
    rows = truth.intervals(demo, meters=[one])
    first = rows[(rows["starts_at"] < day.end)].groupby("reading_type", observed=True)["value"]
    energy = truth.energy(demo, day).set_index(["usage_point", "reading_type"])["value"]
    for reading_type, value in first.sum().items():
        assert energy[one.usage_point, reading_type] == value
        assert value % one.multiplier == 0
    assert len(rows) == 2 * 35 * 96


def test_exchanged_usage_point_has_its_energy_whole(demo: Fleet) -> None:
    old = next(m for m in demo.meters if any(m.having("meter_exchange")))
    energy = truth.energy(demo, demo.period).set_index(["usage_point", "reading_type"])["value"]
    total = int(energy[old.usage_point, "active_energy_import_interval"])
    assert total == int(old.load.active.sum()) * old.multiplier


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed = 1", "zone"),
        (_TOP + "sead = 2", "unknown at the top: sead"),
        (_TOP + _GROUP + "colour = 1", "group 1: unknown colour"),
        (_TOP + '[[group]]\nname = "a"', "group 1: needs count, profile, protocol"),
        (_TOP + _GROUP.replace("127.9", "10.9"), "first_address must be in 127.0.0.0/8"),
        (_TOP + _GROUP.replace('"dlms"', '"hdlc"'), "protocol must be"),
        (_TOP + _GROUP + "interval = 300", "interval must be"),
        (_TOP + _GROUP + "register_modulus = 5000000000", "32 bits"),
        (_TOP + _GROUP + _GROUP, "same name"),
        (_TOP + _GROUP + _GROUP.replace('"a"', '"b"'), "the same address 127.9.0.1"),
        (_TOP + _GROUP + '[[fault]]\nkind = "moth"', "'moth' is not one of gap"),
        (_TOP + _GROUP + '[[fault]]\nkind = "gap"\ngroups = ["x"]', "no group 'x'"),
        (_TOP + _GROUP + '[[fault]]\nkind = "gap"\nmeters = ["M9"]', "no meter 'M9'"),
        (
            _TOP + _GROUP + '[[fault]]\nkind = "gap"\ngroups = ["a"]\ncount = 4',
            "4 meters asked, 3 free",
        ),
        (
            _TOP + _GROUP.replace('"dlms"', '"mqtt"') + '[[fault]]\nkind = "spike"\ngroups = ["a"]',
            "mqtt meters cannot have it",
        ),
        (_TOP + _GROUP + '[[fault]]\nkind = "gap"\nfactor = 3', "unknown factor"),
        (_TOP.replace("2026-06-01", "2026-06-01T00:00:00"), "start must be a day"),
        ("seed = ", "Invalid value"),
    ],
)
def test_wrong_files_are_told_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(fleet_file.BadFleet, match=message) as told:
        fleet.load(_written(tmp_path, text))
    assert "fleet.toml" in str(told.value)


def test_unknown_name_says_which_are_known() -> None:
    with pytest.raises(fleet_file.BadFleet, match=r"fleets known by name: collect, demo, .*small"):
        fleet.load("nothing")


def test_days_where_clocks_change_have_their_hours(tmp_path: Path) -> None:
    text = _TOP.replace("Asia/Kuwait", "Europe/London").replace("06-01", "10-24") + _GROUP
    loaded = fleet.load(_written(tmp_path, text))
    assert loaded.period.duration.total_seconds() == (24 + 25 + 24) * 3600
    assert len(loaded.meters[0].true_intervals("active_energy_import")) == 96 + 100 + 96


def test_another_seed_makes_another_fleet(tmp_path: Path) -> None:
    one, other = (
        fleet.load(_written(tmp_path, _TOP.replace("seed = 1", f"seed = {seed}") + _GROUP))
        for seed in (1, 2)
    )
    assert one.keys() == other.keys() == []
    assert truth.energy(one, one.period)["value"].tolist() != (
        truth.energy(other, other.period)["value"].tolist()
    )


def test_the_reference_names_every_key_and_kind() -> None:
    page = (Path(__file__).parents[2] / "docs" / "simulators.md").read_text(encoding="utf-8")
    keys = {f.name for kind in (fleet_file.Group, fleet_file.FaultRequest) for f in fields(kind)}
    own = {name for names in fleet_file.SETTINGS.values() for name in names}
    named = set(re.findall(r"`([a-z_]+)`", page))
    assert (keys - {"settings"}) | own | faults.KINDS.keys() <= named
