"""Runs a program that ends with the process that started it, however that ends.

``python -m simulators.leash PROGRAM ARGUMENT...`` holds one end of a pipe: its standard input. The
system closes the other end when the starter is gone, also when it was killed and could not say so;
then the program is told to stop.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

_STOP_SECONDS = 10.0


def start(command: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
    """Start a program on the leash.

    Signals to stop are passed on to it, and its exit status is the process's.

    Parameters
    ----------
    options : of ``subprocess.Popen``, apart from ``stdin`` and ``cwd``
    """
    return subprocess.Popen(
        [sys.executable, "-m", "simulators.leash", *command],
        stdin=subprocess.PIPE,
        cwd=Path(__file__).parents[1],
        **options,
    )


def stop(process: subprocess.Popen[Any]) -> None:
    """Let go of a program, and wait until it has ended; one that does not is killed."""
    if process.stdin is not None:
        process.stdin.close()
    process.wait()


def main() -> int:
    """Run the program that the arguments name until it ends or standard input does."""
    program = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)

    def pass_on(number: int, _: FrameType | None) -> None:
        program.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, pass_on)
    threading.Thread(target=_hold, args=(program,), daemon=True).start()
    status = program.wait()
    return status if status >= 0 else 128 - status


def _hold(program: subprocess.Popen[bytes]) -> None:
    """Stop the program when nobody holds the other end any more."""
    # Not through sys.stdin: its lock would be held when the interpreter ends.
    while os.read(0, 1024):
        pass
    program.terminate()
    try:
        program.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        program.kill()


if __name__ == "__main__":
    sys.exit(main())
