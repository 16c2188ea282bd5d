"""Failures of the world, in words: what, where and what to do."""

from __future__ import annotations

import errno
from typing import Final

import psycopg

OF_THE_WORLD: Final = (psycopg.Error, OSError, OverflowError, UnicodeDecodeError)

# What to do about failures of files and connections that no command answers for itself.
_REMEDIES: Final = {
    errno.EACCES: "What to do: give this account access to it, or choose another place.",
    errno.EADDRINUSE: "What to do: choose another port, or stop the program that has it.",
    errno.EDQUOT: "What to do: make room there, then run the command again.",
    errno.EFBIG: "What to do: raise the limit of a file's size (ulimit -f).",
    errno.EISDIR: "What to do: name a file; this is a folder.",
    errno.ENOENT: "What to do: make the folder first, or look at the name.",
    errno.ENOSPC: "What to do: make room there, then run the command again.",
    errno.ENOTDIR: "What to do: name a folder; a part of this is a file.",
    errno.EROFS: "What to do: choose another place; this one can only be read.",
}


def told(error: Exception) -> list[str]:
    """Say what went wrong and what to do, a line each; nothing for a fault of the program."""
    if isinstance(error, psycopg.Error):
        return _database(error)
    if isinstance(error, UnicodeDecodeError):
        return [
            f"A file that was given is not text in UTF-8: {error}.",
            "What to do: save it with the encoding UTF-8.",
        ]
    if isinstance(error, OSError):
        return [
            f"{error.filename or 'A file or connection'}: {error.strerror or error}.",
            _REMEDIES.get(error.errno or 0, "What to do: look at its name and its place."),
        ]
    return [f"A number or a day that was given cannot be: {error}."]


def _database(error: psycopg.Error) -> list[str]:
    if isinstance(error, psycopg.errors.DiskFull):
        return [
            f"The database's disk is full, nothing was changed: {error}".strip(),
            "What to do: make room where the database is, then run the command again.",
        ]
    if isinstance(error, psycopg.OperationalError):
        return [f"The database did not answer: {error}".strip(), "What to do: run `miqyas doctor`."]
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return [
            f"The database refuses: {error}".strip(),
            "What to do: make the role of MIQYAS_DATABASE_URL the database's owner.",
        ]
    if isinstance(error, psycopg.DataError | psycopg.IntegrityError):
        said = error.diag.message_primary or error
        return [f"A number, a day or a name that was given cannot be: {said}."]
    if isinstance(error, psycopg.ProgrammingError) and not error.sqlstate:
        # What is wrong with the address may hold a password.
        return [
            "MIQYAS_DATABASE_URL is no address of a database.",
            "What to do: write it as postgresql://user@host/name.",
        ]
    return []
