"""Delivery by SFTP: each file under another name first, then renamed, the manifest last.

What is there already is kept if its content is right, so a delivery that broke off anywhere goes
on where it stopped. The server must be one of the known hosts; we show a key or a password.
"""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

import asyncssh

from mdm import answer_rows, delivery_folder
from mdm.acknowledgement import Acknowledgement
from mdm.delivery_access import Access, Way
from mdm.delivery_files import DeliveryError, Package
from mdm.delivery_folder import Answer, Sought

_PORT: Final = 22
_CONNECT_SECONDS: Final = 20
# A server that says nothing for so long, asked twice, is gone.
_ALIVE_SECONDS: Final = 20
_ALIVE_COUNT: Final = 2
# Who is meant, who asks and whether he may does not change by waiting.
_FINAL: Final = (
    asyncssh.HostKeyNotVerifiable, asyncssh.PermissionDenied, asyncssh.KeyExchangeFailed,
)  # fmt: skip
_LOST: Final = (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Place:
    """A folder of an SFTP server; a path that begins with /~/ is in the user's home."""

    host: str
    port: int
    user: str
    path: str

    @classmethod
    def of(cls, target: str) -> Place:
        """Read sftp://user@host:port/path.

        Raises
        ------
        ValueError
            if it names no host or no user, or carries a password.
        """
        parts = urlsplit(target)
        if parts.password is not None:
            # It would be kept, and shown in messages.
            raise ValueError("an address must not carry a password; name its file in a setting")
        if not parts.hostname or not parts.username:
            raise ValueError(
                f"{target} must name a user and a host: sftp://user@host:port/path; "
                "a path in the user's home begins with /~/"
            )
        return cls(parts.hostname, parts.port or _PORT, unquote(parts.username), _path(parts))


def sent(
    target: str, export: str, package: Package, way: Way
) -> Iterator[Sequence[Acknowledgement]]:
    """Bring an export to a folder of its own on the server; nobody acknowledges yet.

    Raises
    ------
    DeliveryError
        if the server cannot be reached, is not known, refuses, or holds another export there.
    """

    async def put(sftp: asyncssh.SFTPClient) -> None:
        await _put(sftp, target, posixpath.join(Place.of(target).path, export), package)

    _repeated(target, way, put)
    return iter(())


def answers(target: str, sought: Sought, way: Way) -> list[Answer]:
    """Fetch the files with acknowledgements that are on the server beside the exports.

    Raises
    ------
    DeliveryError
        if the server cannot be reached, is not known or refuses; of a single file that it does
        not give, the answer says so.
    """
    folder = posixpath.join(Place.of(target).path, delivery_folder.ANSWERS)

    async def fetch(sftp: asyncssh.SFTPClient) -> list[Answer]:
        if not await sftp.exists(folder):
            return []
        names = map(str, await sftp.listdir(folder))
        return [await _answer(sftp, folder, *one) for one in sought.named(names)]

    return _repeated(target, way, fetch)


async def _answer(sftp: asyncssh.SFTPClient, folder: str, name: str, export: str | None) -> Answer:
    path = posixpath.join(folder, name)
    try:
        return Answer(export, name, await _content(sftp, path, answer_rows.LARGEST + 1))
    except _LOST:
        raise
    except asyncssh.SFTPError as problem:
        return Answer(export, name, problem=f"{name} cannot be read: {problem.reason}")


def _repeated(target: str, way: Way, work: Callable[[asyncssh.SFTPClient], Awaitable[_T]]) -> _T:
    """Do work on the server, from the start again if the line breaks."""
    waits = way.retry.waits()
    while True:
        try:
            return asyncio.run(_done(target, way.access, work))
        except (OSError, asyncssh.Error) as problem:
            said = f"{type(problem).__name__}: {problem}"
            refusal = isinstance(problem, asyncssh.SFTPError) and not isinstance(problem, _LOST)
            if refusal or isinstance(problem, _FINAL):
                raise DeliveryError(f"{target} refuses; {said}{_advice(problem)}") from problem
            wait = next(waits, None)
            if wait is None:
                raise DeliveryError(
                    f"{target} did not take it in {way.retry.attempts} attempts; at last {said}. "
                    "Deliver again when it is back: nothing is sent twice"
                ) from problem
            way.again(wait, f"{target}: {said}")


async def _done(
    target: str, access: Access, work: Callable[[asyncssh.SFTPClient], Awaitable[_T]]
) -> _T:
    async with _client(Place.of(target), access) as sftp:
        return await work(sftp)


@asynccontextmanager
async def _client(place: Place, access: Access) -> AsyncIterator[asyncssh.SFTPClient]:
    """Open a session; nothing of the account's own SSH set-up is used."""
    if access.known_hosts_file is None:
        raise DeliveryError(
            f"who is {place.host}? Name a file with its host key in MIQYAS_SFTP_KNOWN_HOSTS_FILE"
        )
    keys, password = access.key_file, access.sftp_password()
    if keys is None and password is None:
        raise DeliveryError(
            f"{place.host} needs a key or a password: MIQYAS_SFTP_KEY_FILE or "
            "MIQYAS_SFTP_PASSWORD_FILE"
        )
    for file in (access.known_hosts_file, keys):
        if file is not None and not file.is_file():
            raise DeliveryError(f"{file}: there is no such file; SFTP needs it")
    try:
        connecting = asyncssh.connect(
            place.host,
            place.port,
            username=place.user,
            password=password,
            client_keys=None if keys is None else [str(keys)],
            known_hosts=str(access.known_hosts_file),
            config=None,
            agent_path=None,
            gss_auth=False,
            connect_timeout=_CONNECT_SECONDS,
            login_timeout=_CONNECT_SECONDS,
            keepalive_interval=_ALIVE_SECONDS,
            keepalive_count_max=_ALIVE_COUNT,
        )
        async with connecting as connection, connection.start_sftp_client() as sftp:
            yield sftp
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as problem:
        raise DeliveryError(f"{keys}: is no private key without a passphrase") from problem


async def _put(sftp: asyncssh.SFTPClient, target: str, folder: str, package: Package) -> None:
    """Write the files that are not there yet, the manifest last."""
    await sftp.makedirs(folder, exist_ok=True)
    for name, content in package.contents():
        final = posixpath.join(folder, name)
        if not await sftp.exists(final):
            await _write(sftp, f"{final}.part", content)
            await sftp.rename(f"{final}.part", final)
        elif await _content(sftp, final, len(content) + 1) != content:
            raise DeliveryError(
                f"{target}: {final} is there with other content; move it away, then deliver again"
            )


async def _write(sftp: asyncssh.SFTPClient, path: str, content: bytes) -> None:
    """Write a file whole; where the server can, it is on its disk afterwards."""
    async with sftp.open(path, "wb") as file:
        await file.write(content)
        with suppress(asyncssh.SFTPOpUnsupported):
            await file.fsync()


async def _content(sftp: asyncssh.SFTPClient, path: str, most: int) -> bytes:
    async with sftp.open(path, "rb") as file:
        content: bytes = await file.read(most)
        return content


def _path(parts: SplitResult) -> str:
    path = unquote(parts.path).rstrip("/")
    return path.removeprefix("/~/") if path.startswith("/~/") else path or "/"


def _advice(problem: Exception) -> str:
    if isinstance(problem, asyncssh.HostKeyNotVerifiable):
        return ". If that is its key indeed, put it into the file of known hosts"
    return ""
