"""Which account PostgreSQL runs as: it refuses to be root."""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path
from typing import Any

Account = pwd.struct_passwd

# Debian's package makes the first; the second is on every machine.
_UNPRIVILEGED = ("postgres", "nobody")


def unprivileged(existing: Path) -> Account | None:
    """Choose the account for a server started by root; None for anybody but root.

    Data that exists keeps the account that it belongs to.
    """
    if os.geteuid() != 0:
        return None
    if existing.exists() and existing.stat().st_uid != 0:
        return pwd.getpwuid(existing.stat().st_uid)
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return next(known[name] for name in _UNPRIVILEGED if name in known)


def identity(account: Account | None) -> dict[str, Any]:
    """Give the keyword arguments with which ``subprocess`` runs a program as the account."""
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def may_reach(account: Account | None, path: Path) -> bool:
    """Tell whether the account can enter a folder or run a program, all folders above included."""
    if account is None:
        return os.access(path, os.X_OK)
    command = ["/bin/sh", "-c", 'test -x "$1"', "sh", str(path)]
    return subprocess.run(command, cwd="/", check=False, **identity(account)).returncode == 0
