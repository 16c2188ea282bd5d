"""``python -m console``: the ``miqyas`` command, where it is not installed as one."""

from __future__ import annotations

from console import command

if __name__ == "__main__":
    command.main()
