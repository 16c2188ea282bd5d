"""Keys are changed over sockets, whatever gets lost on the way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from drivers.control import KeyChange
from drivers.dlms.session import DlmsDriver
from drivers.errors import LocalProtocolError, MeterRefused
from tests.drivers.dlms.secured_meter import endpoint, fleet
from tests.drivers.dlms.served import Served, counters, serving

# --- keys ---

NEW = {"encryption": bytes(range(16)), "authentication": bytes(range(100, 116))}


async def changed(one: Served, new: dict[str, bytes] = NEW) -> tuple[KeyChange, int | None]:
    """Change keys; tell what came of it, and whether the new ones (0) or the old (1) open."""
    driver, known = DlmsDriver(), endpoint(one, reserve_counters=counters())
    async with driver.session(known) as session:
        outcome = await session.change_keys(new)
    later = replace(known, reserve_counters=counters(5_000))
    return outcome, await driver.keys_in_force(later, (new, {}))


async def test_new_keys_are_in_force_after_their_change(served: Served) -> None:
    outcome, holds = await changed(served)
    assert outcome == KeyChange({"authentication": "new", "encryption": "new"}, answered=True)
    assert outcome.done
    assert holds == 0
    renewed = endpoint(served, reserve_counters=counters(9_000))
    renewed = replace(renewed, secrets={**renewed.secrets, **NEW})
    async with DlmsDriver().session(renewed) as session:
        assert (await session.identify()).serial == served.fleet.meters[0].mrid
        assert (await session.change_keys({"master": bytes(16)})).done


@pytest.mark.parametrize(("fault", "state"), [("lost", "new"), ("request_lost", "old")])
async def test_the_keys_in_force_are_found_out_when_the_answer_is_lost(
    tmp_path: Path, fault: str, state: str
) -> None:
    async with serving(fleet(tmp_path, key_answer=fault)) as one:
        outcome, holds = await changed(one)
    assert outcome == KeyChange({"authentication": state, "encryption": state}, answered=False)
    assert outcome.done == (state == "new")
    assert holds == (0 if state == "new" else 1)


async def test_a_meter_that_takes_one_client_at_a_time_is_asked_which_keys_hold(
    tmp_path: Path,
) -> None:
    async with serving(fleet(tmp_path, key_answer="lost", sessions=1)) as one:
        outcome, holds = await changed(one)
    assert outcome.done
    assert holds == 0


@pytest.mark.parametrize(
    ("fault", "times", "name", "state"),
    [
        ("lost", 1, "master", "new"),
        ("lost", 1, "broadcast", "new"),
        ("request_lost", 1, "master", "old"),
        ("request_lost", 1, "broadcast", "new"),
        ("lost", 9, "master", "unknown"),
        ("request_lost", 9, "broadcast", "unknown"),
    ],
)
async def test_keys_that_no_association_shows_are_given_once_more(
    tmp_path: Path, fault: str, times: int, name: str, state: str
) -> None:
    """Where the line breaks again, nobody knows, and both keys have to be kept."""
    async with (
        serving(fleet(tmp_path, key_answer=fault, key_answers_lost=times)) as one,
        DlmsDriver().session(endpoint(one)) as session,
    ):
        outcome = await session.change_keys({name: bytes(range(50, 66))})
    assert outcome.in_force == {name: state}
    assert not outcome.answered


async def test_keys_of_the_wrong_size_or_kind_are_not_sent(served: Served) -> None:
    async with DlmsDriver().session(endpoint(served)) as session:
        for new, message in (
            ({"encryption": bytes(17)}, "has 17 bytes, not 16"),
            ({"password": bytes(16)}, "not password"),
            ({}, "not none"),
            ({"encryption": session._endpoint.secrets["encryption"]}, "is the old one"),
        ):
            with pytest.raises(LocalProtocolError, match=message) as told:
                await session.change_keys(new)
            assert bytes(16).hex() not in str(told.value)
    lacking = endpoint(served, reserve_counters=counters(500))
    lacking = replace(lacking, secrets={k: v for k, v in lacking.secrets.items() if k != "master"})
    async with DlmsDriver().session(lacking) as session:
        with pytest.raises(LocalProtocolError, match="needs the secret 'master'"):
            await session.change_keys(NEW)


async def test_a_wrong_master_key_changes_nothing(served: Served) -> None:
    wrong = endpoint(served)
    wrong = replace(wrong, secrets={**wrong.secrets, "master": bytes(16)})
    async with DlmsDriver().session(wrong) as session:
        with pytest.raises(MeterRefused):
            await session.change_keys(NEW)
        assert (await session.identify()).serial


def test_an_outcome_never_shows_a_key() -> None:
    shown = repr(KeyChange({"encryption": "new"}, answered=True))
    assert NEW["encryption"].hex() not in shown
