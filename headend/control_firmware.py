"""Brings a firmware image into a meter, has it verified, and activated at its time."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime

from drivers import kept
from drivers.control import ImageProgress, ImageState
from headend import firmware
from headend.control_ledger import Verdict
from headend.control_work import SessionSpent, Work
from headend.firmware import Image

# Progress that nobody watches is written down this often.
_NOTE_SECONDS = 5.0
_ACTIVATED = ("activation_initiated", "activation_successful")


async def update_firmware(work: Work) -> Verdict:
    """Go on with a firmware update from where the meter says that it is.

    Raises
    ------
    SessionSpent
        with the verdict, when the line is given back before the transfer is whole.
    """
    image = await work.stored(lambda c, _: firmware.image(c, work.due.parameters["image"]))
    at = work.due.parameters.get("activate_at")
    state = await work.session.read_image_state()
    if not state.enabled:
        return Verdict("failed", message="the meter does not take firmware images now")
    if work.claim.sent_at is not None and state.status in _ACTIVATED:
        return _done(state, "the answer was lost; the meter had begun to activate the image")
    if not work.claim.may_send:
        return Verdict("failed", _told(state), message="its time is over; nothing more is sent")
    await _transfer(work, image, state)
    work.tell("verifying the image")
    state = await work.session.verify_image()
    if state.status != "verification_successful":
        return Verdict("failed", _told(state), message="the meter finds the image damaged")
    if at is None:
        return _done(state, "transferred and verified; not activated")
    return await _activate(work, None if at == "verified" else datetime.fromisoformat(at))


async def _activate(work: Work, at: datetime | None) -> Verdict:
    when = at if at is not None and at > work.clock() else None
    told = f"{when:%Y-%m-%d %H:%M %Z}" if when else ""
    work.tell(f"activating at {told}" if told else "activating")
    await work.sent()
    state = await work.session.activate_image(when)
    if state.status == "activation_failed":
        return Verdict("failed", _told(state), message="the meter could not activate the image")
    return _done(state, f"activates itself at {told}" if told else "activated")


async def _transfer(work: Work, image: Image, state: ImageState) -> None:
    """Transfer blocks until the meter has all, or its turn is over."""
    so_far, total = ImageProgress(0, 0), len(image.content)

    def progress(now: ImageProgress) -> None:
        nonlocal so_far
        so_far = now
        done = min(now.blocks_taken * state.block_size, total)
        size = f"{done / 1000:,.1f} of {total / 1000:,.1f} kB"
        work.tell(f"{now.blocks_taken:,} of {now.blocks:,} blocks ({size})")

    async def note() -> None:
        while True:
            await asyncio.sleep(_NOTE_SECONDS)
            await _note(work, so_far)

    noting = asyncio.create_task(note())
    try:
        async with asyncio.timeout(work.means.slice.total_seconds()):
            await work.session.transfer_image(image.content, image.identifier, progress=progress)
    except TimeoutError:
        told = f"{so_far.blocks_taken:,} of {so_far.blocks:,} blocks; goes on"
        raise SessionSpent(Verdict("waiting", message=told, next_attempt=work.clock())) from None
    finally:
        noting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await noting
        if so_far.blocks:
            await _note(work, so_far)


async def _note(work: Work, so_far: ImageProgress) -> None:
    """Write progress down; it also tells others that this control is being worked at."""
    told = {"blocks": so_far.blocks_taken, "of": so_far.blocks}
    ledger = work.means.ledger
    await asyncio.to_thread(ledger.progress, work.due.id, told, now=work.clock())


def _done(state: ImageState, message: str) -> Verdict:
    return Verdict("done", _told(state), message=message)


def _told(state: ImageState) -> dict[str, object]:
    return {"image": kept.dumped(state)}
