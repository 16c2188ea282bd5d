"""Registries, keys and readings as people import them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headend import keys
from mdm import beside_import, billing_terms, virtual_file
from mdm.registry_row import COLUMNS
from tests.console.served import IMPORT, Town, one_row, registered
from tests.console.shell import Shell


def test_the_registry_lands_but_for_its_bad_lines(miqyas: Shell, tmp_path: Path) -> None:
    miqyas("simulate", "registry", "small", "--out", tmp_path / "good.csv")
    lines = (tmp_path / "good.csv").read_text().splitlines()
    lines[2] = lines[2].replace("electricity", "steam")
    lines[4] = lines[4].replace("Asia/Kuwait", "Mars/Base")
    file = tmp_path / "meters.csv"
    file.write_text("\n".join(lines) + "\n")
    said = miqyas("import", "registry", file)
    assert said.status == 1
    assert "end devices 11 0 0" in said.lines
    assert "line 3, column commodity, value 'steam': must be one of electricity, " in said.err
    assert "line 5, column time_zone, value 'Mars/Base': must be an IANA time zone" in said.err
    assert "Not taken: 2 of 13 lines." in said.err
    again = miqyas("import", "registry", file)
    assert "end devices 0 0 11" in again.lines
    mended = miqyas("import", "registry", tmp_path / "good.csv")
    assert mended.status == 0
    assert "end devices 2 0 11" in mended.lines


@pytest.mark.parametrize("kind", ["registry", "keys"])
@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"usage_point,\xff\xfe\n", b"\0\n1\n"])
def test_a_file_that_is_something_else_is_refused_in_words(
    miqyas: Shell, tmp_path: Path, kind: str, content: bytes
) -> None:
    file = tmp_path / "other.csv"
    file.write_bytes(content)
    said = miqyas("import", kind, file)
    assert said.status == 1
    assert "the first line must name the columns" in said.err or "in UTF-8" in said.err
    assert "Traceback" not in said.err


_IMPORTS = ("registry", "keys", "virtual", "check-meters", "temperature", "terms", "losses")


@pytest.mark.parametrize("kind", _IMPORTS)
def test_what_is_no_table_of_people_is_refused_by_name(
    miqyas: Shell, tmp_path: Path, kind: str
) -> None:
    file = tmp_path / "ملف مشترك.csv"
    headings = {
        "registry": COLUMNS, "keys": keys.COLUMNS, "virtual": virtual_file.COLUMNS,
        "check-meters": beside_import.CHECK_COLUMNS,
        "temperature": beside_import.TEMPERATURE_COLUMNS,
        "terms": billing_terms.TERM_COLUMNS, "losses": billing_terms.LOSS_COLUMNS,
    }  # fmt: skip
    heading = ",".join(headings[kind])
    arabic = "عداد".encode("cp1256")
    for content, words in (
        (heading.encode("utf-16"), "it is in UTF-16"),
        (heading.encode("utf-16-le"), "UTF-16 or no text"),
        (f"{heading}\n".encode() + arabic, "line 2 has the byte 0xda"),
        (heading.replace(",", "\t").encode(), "these are tabs"),
        (b"x" * 3_000_000, "line 1 has more than"),
        (f'{heading}\n"{"x," * 100_000}'.encode(), "after line 1: field larger than field limit"),
    ):
        file.write_bytes(content)
        said = miqyas("import", kind, file)
        assert said.status == 1, words
        assert words in said.err
        assert said.err.startswith(str(file))
        assert len(said.err) < 1500
    file.write_bytes(b"\xef\xbb\xbf" + heading.encode() + b"\r\n,,\r\n\r\n")
    assert miqyas("import", kind, file).status == 0
    file.write_text(f"{heading},{headings[kind][0]}\n")
    assert "more than once" in miqyas("import", kind, file).err


def test_a_key_in_a_cell_too_many_is_not_shown(town: Town, tmp_path: Path) -> None:
    secret = "5ec4e7" * 5
    file = tmp_path / "keys.csv"
    file.write_text(f"end_device,kind,key_hex\n\nM00007,encryption,,{secret}\n")
    said = town.run("import", "keys", file)
    assert said.status == 1
    assert "line 3, key_hex '…'" in said.err
    assert secret not in said.out + said.err


@pytest.mark.parametrize("kind", ["registry", "keys", "virtual", "temperature"])
def test_a_spreadsheets_semicolons_are_named(miqyas: Shell, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "excel.csv"
    file.write_text("usage_point;commodity;sector\nUP-1;electricity;residential\n")
    said = miqyas("import", kind, file)
    assert said.status == 1
    assert said.err.startswith(str(file))
    assert "save it with commas between the columns; these are semicolons." in said.err


def test_keys_are_taken_once_and_never_shown(town: Town, tmp_path: Path) -> None:
    again = town.run("import", "keys", tmp_path / "keys.csv")
    assert "0 keys new, 0 changed, 24 unchanged" in again.out
    secret = "5ec4e7" * 5
    bad = tmp_path / "bad.csv"
    bad.write_text(f"end_device,kind,key_hex\nM00007,encryption,{secret}\nNOBODY,password,3132\n")
    said = town.run("import", "keys", bad)
    assert said.status == 1
    assert "line 2, key_hex '…': the encryption key has 15 bytes; security suite 0" in said.err
    assert "line 3, end_device 'NOBODY'" in said.err
    assert secret not in said.out + said.err


def test_readings_from_our_own_csv(miqyas: Shell, tmp_path: Path) -> None:
    registered(miqyas, tmp_path, "UP1", "M1", "Asia/Kuwait")
    file = tmp_path / "june.csv"
    file.write_text(
        "end_device,reading_type,starts_at,interval_seconds,value,unit,quality\n"
        f"M1,{IMPORT},2026-06-01T00:00:00+03:00,1800,0.250,kWh,\n"
        f"M1,{IMPORT},2026-06-01T00:30:00+03:00,1800,much,kWh,\n"
        f"M1,{IMPORT},2026-06-01T01:00:00+03:00,1800,0.310,kWh,estimated\n"
    )
    said = miqyas("import", "readings", "--format", "csv", file)
    assert said.status == 1
    assert "1 meter, 2 new intervals" in said.out
    assert "line 3, value 'much'" in said.err
    assert "Not taken: 1 row." in said.err
    assert (
        "0 new intervals, 0 new register readings, 2 already there"
        in miqyas("import", "readings", "--format", "csv", file).out
    )
    unknown = miqyas("import", "readings", "--format", "pdf", file)
    assert (unknown.status, unknown.out) == (1, "")
    assert "no file format 'pdf'; there are: csv, nem12" in unknown.err


def test_readings_from_a_real_nem12_file(
    miqyas: Shell, tmp_path: Path, shared: Path, database_url: str
) -> None:
    name = "Example_NEM12_actual_interval.csv"
    expected = json.loads((shared / "data/nem12/expected.json").read_text())[name]
    file = shared / "data/nem12" / name
    nobodys = miqyas("import", "readings", "--format", "nem12", file)
    assert nobodys.status == 1
    assert "import it first" in nobodys.err
    registered(miqyas, tmp_path, "VABD000163", "METSER123", "Australia/Brisbane")
    said = miqyas("import", "readings", file, "--format", "nem12")
    assert (said.status, said.err) == (0, "")
    assert "1 meter, 96 new intervals" in said.out
    total = one_row(
        database_url,
        f"SELECT sum(value) FROM raw_reading WHERE reading_type = '{IMPORT}'",
    )
    assert total == (round(expected["VABD000163/E1"]["sum"] * 1000),)
