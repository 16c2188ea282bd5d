"""Fuzz one decoder for a while: ``python -m tests.fuzz TARGET [--seconds 60]``.

Guided by coverage if atheris is installed, else by hypothesis. A finding ends the run with status 1
and is shown with the bytes that led to it. One input may take ten seconds and the process 1 GiB.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

_TARGETS: Final = "tests.fuzz.targets"
_LONGEST: Final = 16_384
_SLOWEST_S: Final = 10
_MOST_MEMORY_MB: Final = 1024


def by_coverage(name: str, seconds: int) -> None:
    """Fuzz with atheris, which ends the process itself."""
    import atheris  # noqa: PLC0415  # an extra that not every machine can have

    with atheris.instrument_imports(include=["drivers"]):
        target = importlib.import_module(_TARGETS).TARGETS[name]
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(target.seeds):
            Path(corpus, f"seed-{number}").write_bytes(seed)
        found = Path(".fuzz")
        found.mkdir(exist_ok=True)
        options = [
            f"-max_total_time={seconds}",
            f"-timeout={_SLOWEST_S}",
            f"-rss_limit_mb={_MOST_MEMORY_MB}",
            f"-max_len={_LONGEST}",
            f"-artifact_prefix={found}/{name}-",
            "-print_final_stats=1",
            "-verbosity=0",
        ]
        atheris.Setup([sys.argv[0], *options, corpus], target.run)
        atheris.Fuzz()


def by_examples(name: str, seconds: int) -> None:
    """Fuzz with hypothesis: any bytes, and seeds with a part of them replaced."""
    from hypothesis import HealthCheck, given, settings  # noqa: PLC0415  # not with atheris
    from hypothesis import strategies as st  # noqa: PLC0415

    target = importlib.import_module(_TARGETS).TARGETS[name]
    seeded = st.builds(
        lambda seed, at, length, text: seed[:at] + text + seed[at + length :],
        st.sampled_from(target.seeds),
        st.integers(0, 200),
        st.integers(0, 20),
        st.binary(max_size=20),
    )
    checks = list(HealthCheck)

    @settings(max_examples=2000, deadline=_SLOWEST_S * 1000, suppress_health_check=checks)
    @given(st.binary(max_size=_LONGEST) | seeded)
    def run(data: bytes) -> None:
        target.run(data)

    resource.setrlimit(resource.RLIMIT_AS, (4 * _MOST_MEMORY_MB << 20, resource.RLIM_INFINITY))
    end = time.monotonic() + seconds
    rounds = 0
    while time.monotonic() < end:
        run()
        rounds += 1
    print(f"{name}: {rounds} rounds of 2,000 examples, nothing found")


def main() -> None:
    """Fuzz what the command line names."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", nargs="?", help="default: list them")
    parser.add_argument("--seconds", type=int, default=60)
    chosen = parser.parse_args()
    if chosen.target is None:
        print("\n".join(importlib.import_module(_TARGETS).TARGETS))
    elif importlib.util.find_spec("atheris"):
        by_coverage(chosen.target, chosen.seconds)
    else:
        by_examples(chosen.target, chosen.seconds)


if __name__ == "__main__":
    main()
