"""From a NEM12 file to an invoicing system's file, over the day when Sydney's clocks go back."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

from nemreader import NEMFile

from mdm.registry_row import COLUMNS
from tests.console.shell import Shell
from tests.console.town import row

AEST = timezone(timedelta(hours=10))
# Friday, Saturday, the Sunday of 25 hours, Monday: 48 + 48 + 50 + 48 half-hours, 97 pairs of them.
CYCLE = ("sydney", date(2025, 4, 4), date(2025, 4, 8))
# kWh and kvarh of even and odd half-hours.
USUAL = {"E1": ("1.0", "1.2"), "B1": ("0.2", "0.3"), "Q1": ("0.5", "0.6")}
# By day and half-hour of Australian Eastern Standard Time: Friday at four in the afternoon (summer
# time, so the clock in the file says three), Sunday at noon, Monday at four.
UNUSUAL = {
    ("E1", date(2025, 4, 4), 30): "2.0",
    ("E1", date(2025, 4, 6), 24): "0.1",
    ("E1", date(2025, 4, 7), 32): "1.8",
    ("Q1", date(2025, 4, 7), 32): "1.35",
}


def nem12() -> str:
    lines = ["100,NEM12,202504090000,MDP,RETAILER"]
    for suffix, pair in USUAL.items():
        unit = "KVARH" if suffix == "Q1" else "KWH"
        lines.append(f"200,6203778594,B1E1Q1,,{suffix},N1,,{unit},30,")
        for day in (date(2025, 4, 3) + timedelta(days=n) for n in range(6)):
            values = [UNUSUAL.get((suffix, day, slot), pair[slot % 2]) for slot in range(48)]
            lines.append(f"300,{day:%Y%m%d},{','.join(values)},A,,,{day:%Y%m%d}235959,")
    return "\r\n".join([*lines, "900", ""])


def billed(folder: Path) -> dict[tuple[str, str], dict[str, str]]:
    (file,) = folder.glob("*/*.csv")
    with file.open(encoding="utf-8", newline="") as text:
        return {(line["determinant"], line["part"]): line for line in csv.DictReader(text)}


def test_a_business_with_solar_panels(miqyas: Shell, tmp_path: Path) -> None:
    meter = row(
        "METER1", "6203778594", protocol="manual", profile="manual", host="", port="", address="",
        interval_seconds="1800", time_zone="Australia/Sydney", tariff="au-business",
        billing_group="sydney", sector="commercial", register_modulus="",
        installed_from="2024-01-01T00:00:00+11:00",
    )  # fmt: skip
    with (tmp_path / "meters.csv").open("w", newline="") as text:
        writer = csv.DictWriter(text, COLUMNS)
        writer.writeheader()
        writer.writerow(meter)
    (tmp_path / "sydney.csv").write_text(nem12(), "utf-8")

    def done(*arguments: object) -> str:
        said = miqyas(*arguments)
        assert (said.status, said.err) == (0, "")
        return said.out

    done("import", "registry", tmp_path / "meters.csv")
    said = done("import", "readings", tmp_path / "sydney.csv", "--format", "nem12")
    assert "1 meter, 864 new intervals" in said
    (tmp_path / "losses.csv").write_text(
        "usage_point,name,effective_from,factor\n"
        "6203778594,DLF,2024-07-01,1.05\n6203778594,MLF,2024-07-01,0.98\n"
    )
    said = done("import", "losses", tmp_path / "losses.csv")
    assert "2 loss factors new or changed, 0 unchanged" in said
    done("vee", "run")
    assert "1 usage point" in done("bill", "run", *CYCLE)
    folder = tmp_path / "out"
    done("bill", "export", *CYCLE[:2], "--to", folder, "--format", "csv")
    found = billed(folder)
    assert {key: line["value"] for key, line in found.items()} == {
        # 97 pairs of 2.2 kWh, + 1.0 − 0.9 + 0.8
        ("consumption", ""): "214.300",
        ("interval_consumption", ""): "214.300",
        # Twice 6 pairs, 15:00–21:00 on Friday and Monday, + 1.0 + 0.8
        ("time_of_use_consumption", "peak"): "28.200",
        ("time_of_use_consumption", "off_peak"): "186.100",
        ("block_demand", "30 min"): "4.000",
        # × 1.05 × 0.98
        ("energy", "with losses peak"): "29.018",
        ("energy", "with losses off_peak"): "191.497",
        # 97 pairs of 0.5 kWh; only on Sunday at noon was more given than taken.
        ("energy", "export"): "48.500",
        ("net_energy", "taken"): "165.900",
        ("net_energy", "given"): "0.100",
        # √(1.8² + 1.35²) kWh and kvarh in half an hour
        ("apparent_demand", "peak"): "4.500",
    }
    assert found["consumption", ""]["actual"] == "194"
    assert found["apparent_demand", "peak"]["starts_at"] == "2025-04-07T06:00:00Z"
    assert Decimal(found["consumption", ""]["value"]) == by_nemreader(tmp_path / "sydney.csv")
    assert "1 of 1 replayed bit-identical" in done("bill", "replay", *CYCLE[:2])


def by_nemreader(file: Path) -> Decimal:
    """Sum the period's consumption as an independent reader has it."""
    readings = NEMFile(str(file)).nem_data().readings["6203778594"]["E1"]
    start = datetime(2025, 4, 3, 13, tzinfo=UTC)
    inside = (
        one.read_value
        for one in readings
        if start <= one.t_start.replace(tzinfo=AEST) < start + timedelta(hours=97)
    )
    return sum((Decimal(str(value)) for value in inside), Decimal(0))


def test_terms_of_an_unknown_usage_point_are_told(miqyas: Shell, tmp_path: Path) -> None:
    file = tmp_path / "moves.csv"
    file.write_text("usage_point,starts_on,tariff,account\nNOBODY,2025-04-06,au-business,A-77\n")
    said = miqyas("import", "terms", file)
    assert said.status == 1
    assert "line 2, column usage_point, value 'NOBODY': no such usage point" in said.err
