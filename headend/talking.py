"""Whether a meter talks, by the verdict on it. Pure."""

from __future__ import annotations

from headend.diagnosis import Verdict


def talks(verdict: Verdict) -> bool | None:
    """Tell whether a meter talks; None while it was never asked.

    A meter that published by itself and fell silent has no failed session: it does not talk
    either.
    """
    if verdict.words.level == "unknown":
        return None
    return verdict.words.level != "bad" and verdict.name != "stale"
