"""A real SFTP server on 127.0.0.1 in a process of its own, which can be made to die at a point."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

import asyncssh

POINTS = ("open", "write", "close", "rename", "renamed")
left = {"point": "", "number": 0}


def reached(point: str) -> None:
    """Die here, as by a power cut, if it is the point and the how many-th time."""
    left["number"] -= point == left["point"]
    if point == left["point"] and not left["number"]:
        os.kill(os.getpid(), signal.SIGKILL)


class Files(asyncssh.SFTPServer):
    """Files under one folder."""

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        if path.endswith(b".part"):
            reached("open")
        return super().open(path, pflags, attrs)

    def write(self, file_obj: object, offset: int, data: bytes) -> int:
        # Half of what came is on the disk when it dies.
        if left["point"] == "write":
            super().write(file_obj, offset, data[: len(data) // 2])
            file_obj.flush()  # type: ignore[attr-defined]
        reached("write")
        return super().write(file_obj, offset, data)

    def close(self, file_obj: object) -> None:
        super().close(file_obj)
        reached("close")

    def rename(self, oldpath: bytes, newpath: bytes) -> None:
        reached("rename")
        super().rename(oldpath, newpath)
        reached("renamed")


class Door(asyncssh.SSHServer):
    """Lets a user in who has the password."""

    def __init__(self, password: str) -> None:
        self._password = password

    def begin_auth(self, _username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ("miqyas", self._password)


async def serve(chosen: argparse.Namespace) -> None:
    left.update(point=chosen.die or "", number=chosen.die_at)
    server = await asyncssh.listen(
        "127.0.0.1", chosen.port,
        server_factory=lambda: Door(chosen.password_file.read_text().strip()),
        server_host_keys=[str(chosen.host_key)],
        authorized_client_keys=str(chosen.authorized) if chosen.authorized else None,
        sftp_factory=lambda channel: Files(channel, chroot=str(chosen.folder)),
    )  # fmt: skip
    sys.stdout.write(f"{server.get_port()}\n")
    sys.stdout.flush()
    await server.wait_closed()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--host-key", type=Path, required=True)
    parser.add_argument("--password-file", type=Path, required=True)
    parser.add_argument("--authorized", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--die", choices=POINTS)
    parser.add_argument("--die-at", type=int, default=1)
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
