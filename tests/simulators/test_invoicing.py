"""The simulated invoicing system: what it takes, refuses, rejects and remembers."""

from __future__ import annotations

import copy
import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from simulators import invoicing
from simulators.invoicing import Running
from simulators.invoicing_accounts import Accounts
from simulators.invoicing_ledger import Books

EXPORT = "A-2026-06-01-1-0001"
FILE = f"{EXPORT}-0001.json"


def line(determinant: str, value: str | None, **more: object) -> dict[str, Any]:
    return {
        "determinant": determinant,
        "reading_type": "active_energy_import",
        "part": "",
        "value": value,
        "unit": "kWh",
        "starts_at": "2026-05-31T21:00:00Z",
        "ends_at": "2026-06-30T21:00:00Z",
        "actual": 2880,
        "questionable": 0,
        "missing": 0,
        "estimated": 0,
        "edited": 0,
        "rounding": "half_up to 3 decimals",
        "note": "" if value else "no reading",
        **more,
    }


def bill(usage_point: str = "UP-1", version: int = 1, **more: object) -> dict[str, Any]:
    return {
        "key": f"{usage_point}/2026-06-01/2026-07-01/{version}",
        "usage_point": usage_point,
        "commodity": "electricity",
        "sector": "residential",
        "tariff": "kw-residential",
        "time_zone": "Asia/Kuwait",
        "period_start": "2026-05-31T21:00:00Z",
        "period_end": "2026-06-30T21:00:00Z",
        "version": version,
        "corrects": None,
        "digest": hashlib.sha256(f"{usage_point}{version}".encode()).hexdigest(),
        "determinants": [
            line("consumption", "312.500"),
            line("interval_consumption", "312.500"),
            line("time_of_use_consumption", "112.500", part="peak"),
            line("time_of_use_consumption", "200.000", part="off_peak"),
        ],
        **more,
    }


def content(*bills: dict[str, Any], **more: object) -> bytes:
    head = {
        "format": "miqyas-determinants/1",
        "export": EXPORT,
        "billing_group": "A",
        "starts_on": "2026-06-01",
        "ends_on": "2026-07-01",
        "usage_points": list(bills),
    }
    return json.dumps({**head, **more}).encode()


def manifest(file: bytes, count: int, export: str = EXPORT, **more: object) -> dict[str, Any]:
    return {
        "format": "miqyas-manifest/1",
        "export": export,
        "billing_group": "A",
        "starts_on": "2026-06-01",
        "ends_on": "2026-07-01",
        "prepared_at": "2026-07-01T06:00:00Z",
        "usage_points": count,
        "corrections": 0,
        "determinants": 4 * count,
        "sums": [],
        "files": [
            {
                "name": f"{export}-0001.json",
                "media_type": "application/json",
                "bytes": len(file),
                "sha256": hashlib.sha256(file).hexdigest(),
                "usage_points": count,
            }
        ],
        "versions": {},
        **more,
    }


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    books = Books(Accounts.named(["UP-1", "UP-2", "UP-3"]))
    with invoicing.serving(tmp_path / "books.sqlite", books=books) as running:
        yield running


class Sender:
    """Sends what a test says, as it says it."""

    def __init__(self, url: str) -> None:
        self.client = httpx.Client(base_url=url, trust_env=False)

    def announce(self, content: object, export: str = EXPORT) -> httpx.Response:
        return self.client.put(f"/exports/{export}", json=content)

    def post(
        self, file: bytes, *, key: str | None = None, export: str = EXPORT,
        media_type: str = "application/json",
    ) -> httpx.Response:  # fmt: skip
        headers = {
            "Idempotency-Key": key or hashlib.sha256(file).hexdigest(),
            "Content-Type": media_type,
        }
        path = f"/exports/{export}/files/{export}-0001.json"
        return self.client.post(path, content=file, headers=headers)

    def send(self, *bills: dict[str, Any], export: str = EXPORT) -> list[dict[str, Any]]:
        file = content(*bills, export=export)
        assert self.announce(manifest(file, len(bills), export), export).status_code == 200
        answer = self.post(file, export=export)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["acknowledgements"]
        return found

    def invoices(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.client.get("/invoices").json()["invoices"]
        return found


@pytest.fixture
def sender(running: Running) -> Sender:
    return Sender(running.url)


def test_a_good_export_is_invoiced(sender: Sender) -> None:
    given = sender.send(bill("UP-1"), bill("UP-2"))
    assert [(a["usage_point"], a["version"], a["outcome"]) for a in given] == [
        ("UP-1", 1, "billed"),
        ("UP-2", 1, "billed"),
    ]
    first, second = sender.invoices()
    assert (first["number"], first["usage_point"], first["quantity"], first["unit"]) == (
        *(1, "UP-1", "312.500", "kWh"),
    )
    assert second["lines"][0]["value"] == "312.500"
    one = sender.client.get("/invoices", params={"usage_point": "UP-2"}).json()["invoices"]
    assert [invoice["usage_point"] for invoice in one] == ["UP-2"]
    assert sender.client.get(f"/exports/{EXPORT}").json()["files"] == {FILE: True}


def test_the_same_file_again_is_answered_again(sender: Sender) -> None:
    assert sender.send(bill("UP-1")) == sender.send(bill("UP-1"))
    assert len(sender.invoices()) == 1


def test_the_same_bill_in_another_export_is_not_invoiced_twice(sender: Sender) -> None:
    sender.send(bill("UP-1"))
    (given,) = sender.send(bill("UP-1"), export="A-2026-06-01-1-0002")
    assert given["outcome"] == "billed"
    assert len(sender.invoices()) == 1


def test_the_same_key_with_other_content_is_rejected(sender: Sender) -> None:
    sender.send(bill("UP-1"))
    (given,) = sender.send(bill("UP-1", digest="0" * 64), export="A-2026-06-01-1-0002")
    assert (given["outcome"], given["reason"]) == (
        "rejected",
        "this version was invoiced with other content",
    )


def corrected(**more: object) -> dict[str, Any]:
    changed = line("consumption", "312.000", previous="312.500", difference="-0.500")
    return {**bill("UP-1", 2), "corrects": 1, "determinants": [changed], **more}


def test_a_correction_follows_what_it_corrects(sender: Sender) -> None:
    sender.send(bill("UP-1"))
    (given,) = sender.send(corrected(), export="A-2026-06-01-1-0002")
    assert given["outcome"] == "billed"
    assert [(i["version"], i["corrects"], i["difference"]) for i in sender.invoices()] == [
        (1, None, None),
        (2, 1, "-0.500"),
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"corrects": None}, "it corrects nothing, and version 1 was invoiced"),
        ({"corrects": 4}, "it corrects version 4, and version 1 was invoiced"),
        (
            {"determinants": [line("consumption", "1", previous="0", difference="1")]},
            "its previous consumption is not what was invoiced",
        ),
        (
            {"determinants": [line("consumption", "1", previous="312.500", difference="1")]},
            "consumption: difference is not value − previous",
        ),
    ],
)
def test_a_wrong_correction_is_rejected(
    sender: Sender, change: dict[str, Any], reason: str
) -> None:
    sender.send(bill("UP-1"))
    (given,) = sender.send(corrected(**change), export="A-2026-06-01-1-0002")
    assert given["outcome"] == "rejected"
    assert reason in given["reason"]
    assert len(sender.invoices()) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"usage_point": "UP-9"}, "no account has this usage point"),
        ({"period_end": "2026-05-31T21:00:00Z"}, "the period ends before it starts"),
        ({"corrects": 1}, "it corrects version 1, and nothing was invoiced"),
        ({"determinants": [line("load_factor", "0.5")]}, "there is no consumption"),
        ({"determinants": [line("consumption", None)]}, "there is no consumption"),
        ({"determinants": [line("consumption", "-1.000")]}, "the consumption is negative"),
        ({"determinants": [line("consumption", "1", unit="hp")]}, "the unit 'hp' is not invoiced"),
        (
            {"determinants": [*bill()["determinants"][:3]]},
            "time-of-use parts sum to 112.500, not to 312.500",
        ),
    ],
)
def test_a_bill_is_rejected_by_itself(sender: Sender, change: dict[str, Any], reason: str) -> None:
    bad, good = sender.send({**bill("UP-1"), **change}, bill("UP-2"))
    assert (bad["outcome"], good["outcome"]) == ("rejected", "billed")
    assert reason in bad["reason"]
    assert [invoice["usage_point"] for invoice in sender.invoices()] == ["UP-2"]
    (kept,) = sender.client.get("/rejections").json()["rejections"]
    assert reason in kept["reason"]


def drop(*path: str) -> Callable[[dict[str, Any]], None]:
    def change(item: dict[str, Any]) -> None:
        target = item["determinants"][0] if path[0] == "line" else item
        del target[path[-1]]

    return change


def put(name: str, value: object, *, in_line: bool = False) -> Callable[[dict[str, Any]], None]:
    def change(item: dict[str, Any]) -> None:
        (item["determinants"][0] if in_line else item)[name] = value

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (drop("tariff"), "tariff is missing"),
        (drop("line", "unit"), "unit is missing"),
        (put("price", "3"), "price is not known"),
        (put("price", "3", in_line=True), "price is not known"),
        (put("usage_point", ""), "usage_point is empty"),
        (put("usage_point", 7), "usage_point is empty"),
        (put("version", "1"), "version is no number"),
        (put("version", True), "version is no number"),
        (put("corrects", "x"), "corrects is no version"),
        (put("digest", "abc"), "digest is no SHA-256"),
        (put("period_start", "yesterday"), "period_start is no time"),
        (put("period_start", "2026-05-31T21:00:00+03:00"), "period_start is no time"),
        (put("determinants", []), "has no determinants"),
        (put("determinants", [3]), "is no object"),
        (put("value", 312.5, in_line=True), "value 312.5 is no decimal number"),
        (put("value", "1e3", in_line=True), "value '1e3' is no decimal number"),
        (put("value", "NaN", in_line=True), "value 'NaN' is no decimal number"),
        (put("value", None, in_line=True), "neither a value nor a note"),
        (put("actual", -1, in_line=True), "actual is no count"),
        (put("starts_at", None, in_line=True), "starts_at is no time"),
    ],
)
def test_a_malformed_file_is_refused_whole(
    sender: Sender, change: Callable[[dict[str, Any]], None], reason: str
) -> None:
    bad = copy.deepcopy(bill("UP-1"))
    change(bad)
    file = content(bad, bill("UP-2"))
    sender.announce(manifest(file, 2))
    answer = sender.post(file)
    assert answer.status_code == 422
    assert any(reason in given for given in answer.json()["reasons"])
    assert sender.invoices() == []


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (b"{", "is no JSON"),
        (b"\xff\xfe", "is no JSON"),
        (b"[]", "is no JSON object"),
        (content(bill(), bill()), "UP-1/2026-06-01/2026-07-01/1: is there twice"),
        (content(bill("UP-1"), export="other"), "file: is of export 'other'"),
        (content(bill("UP-1"), format="miqyas-determinants/9"), "is not known"),
        (content(bill("UP-1"), extra=1), "extra is not known"),
        (content(bill("UP-1")), "has 1 usage points, the manifest says 2"),
    ],
)
def test_a_malformed_whole_is_refused(sender: Sender, file: bytes, reason: str) -> None:
    sender.announce(manifest(file, 2))
    answer = sender.post(file)
    assert answer.status_code == 422
    assert any(reason in given for given in answer.json()["reasons"])
    assert sender.invoices() == []


def test_what_the_manifest_does_not_know_is_refused(sender: Sender) -> None:
    file = content(bill("UP-1"))
    assert sender.post(file).status_code == 404
    assert sender.announce(manifest(file, 1)).status_code == 200
    other = content(bill("UP-2"))
    refused = sender.post(other)
    assert refused.status_code == 422
    assert "its SHA-256 is" in refused.json()["reasons"][0]
    wrong_key = sender.post(file, key="0" * 64)
    assert wrong_key.json()["reasons"] == [f"{FILE}: Idempotency-Key must be its SHA-256"]
    media = sender.post(file, media_type="text/plain")
    assert "media type 'text/plain' is not one of" in media.json()["reasons"][0]
    path = f"/exports/{EXPORT}/files/other.json"
    assert sender.client.post(path, content=file).json()["reasons"] == [
        "other.json is not in the manifest"
    ]
    assert sender.invoices() == []


def test_another_manifest_under_the_same_name_is_refused(sender: Sender) -> None:
    file = content(bill("UP-1"))
    assert sender.announce(manifest(file, 1)).status_code == 200
    assert sender.announce(manifest(file, 1)).status_code == 200
    assert sender.announce(manifest(file, 1, corrections=1)).status_code == 409


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": "x"}, "format 'x' is not known"),
        ({"export": "x"}, "is of export 'x'"),
        ({"usage_points": 5}, "do not sum to usage_points"),
        ({"files": [{"name": "x"}]}, "sha256 is missing"),
        ({"more": 1}, "more is not known"),
    ],
)
def test_a_wrong_manifest_is_refused(sender: Sender, change: dict[str, Any], reason: str) -> None:
    answer = sender.announce({**manifest(content(bill("UP-1")), 1), **change})
    assert answer.status_code == 422
    assert any(reason in given for given in answer.json()["reasons"])


def test_csv_is_read_too_and_held_to_its_heading(sender: Sender) -> None:
    item = bill("UP-1")
    text = io.StringIO()
    head = ["export", "key", "usage_point", "commodity", "sector", "tariff", "billing_group"]
    rest = ["time_zone", "period_start", "period_end", "version", "corrects", "digest"]
    columns = [*head, *rest, *item["determinants"][0], "previous", "difference"]
    writer = csv.DictWriter(text, columns, lineterminator="\n", restval="")
    writer.writeheader()
    whole = {name: value for name, value in item.items() if name != "determinants"}
    for entry in item["determinants"]:
        writer.writerow({"export": EXPORT, "billing_group": "A", **whole, **entry})
    sender.announce(manifest(text.getvalue().encode(), 1))
    answer = sender.post(text.getvalue().encode(), media_type="text/csv")
    assert answer.status_code == 200, answer.text
    assert sender.invoices()[0]["quantity"] == "312.500"


@pytest.mark.parametrize("file", [b"", b"a,b\n1,2\n", b'"', b"\xff", b"export,key\n" + b"x" * 10])
def test_csv_that_is_none_is_refused(sender: Sender, file: bytes) -> None:
    sender.announce(manifest(file, 1))
    assert sender.post(file, media_type="text/csv").status_code == 422


def test_the_books_are_still_there_after_a_restart(tmp_path: Path) -> None:
    journal = tmp_path / "books.sqlite"
    with invoicing.serving(journal) as first:
        before = Sender(first.url).send(bill("UP-1"))
    with invoicing.serving(journal) as second:
        sender = Sender(second.url)
        assert sender.send(bill("UP-1")) == before
        assert len(sender.invoices()) == 1
