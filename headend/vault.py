"""Seals meter keys with AES-256-GCM under a master key that is a file beside the database."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_KEY_BYTES = 32
_NONCE_BYTES = 12


class VaultError(Exception):
    """The master key is missing, unsafe or the wrong one; the message says what to do."""


class Vault:
    """Seals and opens secrets; what is sealed for one name opens for that name only."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    @classmethod
    def open(cls, file: Path) -> Vault:
        """Read the master key of a file; the first time, make one that only its owner can read.

        Raises
        ------
        VaultError
            if others may read the file, or it does not hold 32 bytes as 64 hexadecimal digits.
        """
        if file.exists():
            return cls(_read(file))
        try:
            return cls(_make(file))
        except FileExistsError:
            return cls(_read(file))

    def seal(self, name: str, secret: bytes) -> bytes:
        """Encrypt a secret: nonce, ciphertext and tag in a row."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret, name.encode())

    def unseal(self, name: str, sealed: bytes) -> bytes:
        """Decrypt a secret.

        Raises
        ------
        VaultError
            if it was sealed with another master key or for another name.
        """
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], name.encode())
        except (InvalidTag, ValueError) as error:
            raise VaultError(
                f"{name} does not open with this master key; bring back the file that"
                " MIQYAS_MASTER_KEY_FILE named when the keys were imported, or import them again"
            ) from error


def _make(file: Path) -> bytes:
    """Write a new key beside the file and link it there whole: nobody reads half a key."""
    file.parent.mkdir(parents=True, exist_ok=True)
    key = secrets.token_bytes(_KEY_BYTES)
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as text:
            text.write(key.hex() + "\n")
            text.flush()
            os.fsync(handle)
        file.hardlink_to(draft)
    finally:
        draft.unlink()
    return key


def _read(file: Path) -> bytes:
    mode = file.stat().st_mode & 0o777
    if mode & 0o077:
        raise VaultError(f"{file} can be read by others (mode {mode:o}); run: chmod 600 {file}")
    try:
        key = bytes.fromhex(file.read_text("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise VaultError(f"{file} must hold a 32-byte key as 64 hexadecimal digits; restore it")
    return key
