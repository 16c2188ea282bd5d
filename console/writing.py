"""Files that commands write: whole or not at all."""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TextIO


@contextmanager
def whole(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to write, which takes its place when the block ends well.

    Whatever stops the block (a full disk, Ctrl-C), what stood there before stands there still. A
    pipe or a terminal is written to as it is.

    Raises
    ------
    OSError
        if it cannot be written; its file name is ``path``.
    """
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as file:
                yield file
            return
        with _beside(path.resolve()) as file:
            yield file
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from error


@contextmanager
def _beside(path: Path) -> Iterator[IO[bytes]]:
    draft = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}")
    try:
        with draft.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            draft.chmod(path.stat().st_mode & 0o777)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def text(path: Path) -> Iterator[TextIO]:
    """Open a text file to write as ``whole`` does: UTF-8, line ends as they are given."""
    with whole(path) as file:
        lines = io.TextIOWrapper(file, encoding="utf-8", newline="")
        try:
            yield lines
        finally:
            # Which writes what waits in it.
            lines.detach()
