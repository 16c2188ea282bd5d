"""The fleet's simulated time: it stands until somebody moves it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(slots=True)
class Clock:
    """Simulated time of a fleet [Unix s]."""

    seconds: int

    @property
    def now(self) -> datetime:
        """The moment, in UTC."""
        return datetime.fromtimestamp(self.seconds, UTC)

    def move(self, to: datetime) -> None:
        """Move the clock forward.

        Raises
        ------
        ValueError
            if that is backwards: what meters have sent cannot be taken back.
        """
        seconds = int(to.timestamp())
        if seconds < self.seconds:
            raise ValueError(f"the fleet's clock stands at {self.now:%Y-%m-%dT%H:%M:%SZ}")
        self.seconds = seconds
