"""Carries out a control and is killed at a point: ``crashing_process URL CONTROL POINT [COUNT]``.

A point is a function of the program as ``module:name``; ``before`` or ``after`` its call number
COUNT the process kills itself, as a power cut would.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from functools import reduce
from typing import Any

from headend import control_now
from headend.capacity import Limits


def main(url: str, control: int, point: str, count: int = 1) -> None:
    when, place = point.split("@")
    module, names = place.split(":")
    *path, name = names.split(".")
    owner = reduce(getattr, path, importlib.import_module(module))
    setattr(owner, name, deadly(getattr(owner, name), when, count))
    control_now.run(url, control, limits=Limits(timeout=5.0))
    print("survived")


def deadly(function: Any, when: str, count: int) -> Any:
    calls = 0

    def call(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if when == "before" and calls == count:
            os.kill(os.getpid(), signal.SIGKILL)
        done = function(*arguments, **options)
        if when == "after" and calls == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    return call


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], *map(int, sys.argv[4:]))
