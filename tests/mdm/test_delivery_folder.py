"""Delivery to a folder: written by a few at a time, read again before it is there."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mdm import delivery_folder
from mdm.delivery_files import DeliveryError, File, Package
from mdm.export.manifest import FileEntry

CONTENTS = {f"A-{n:04d}.csv": f"file {n}\n".encode() * (n + 1) * 100 for n in range(40)}


def packed(contents: dict[str, bytes]) -> Package:
    store, files = io.BytesIO(), []
    for name, content in contents.items():
        digest = hashlib.sha256(content).hexdigest()
        entry = FileEntry(name, "text/csv", len(content), digest, 1)
        files.append(File(entry, [1], store, store.tell()))
        store.write(content)
    return Package(files, b"{}")


def there(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def damaging(path: str, damage: Callable[[Path], object]) -> Callable[[int], None]:
    """Give a way to the disk on which one file is not what was written."""
    sync = os.fsync

    def damaged(descriptor: int) -> None:
        sync(descriptor)
        file = Path(f"/proc/self/fd/{descriptor}").resolve()
        if file.name == path:
            damage(file)

    return damaged


def test_an_export_is_there_whole_and_may_be_delivered_again(tmp_path: Path) -> None:
    for _ in range(2):
        assert delivery_folder.put(tmp_path, "A-1", packed(CONTENTS)) == tmp_path / "A-1"
        assert there(tmp_path / "A-1") == {**CONTENTS, "manifest.json": b"{}"}
        assert [path.name for path in tmp_path.iterdir()] == ["A-1"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(file.read_bytes()[:-1] + b"?"),
        lambda file: file.unlink(),
    ],
)
def test_what_reads_otherwise_than_it_was_written_is_not_delivered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], object]
) -> None:
    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", damaging("A-0007.csv", damage))
        with pytest.raises(DeliveryError, match=r"A-0007.csv reads otherwise than it was written"):
            delivery_folder.put(tmp_path, "A-1", packed(CONTENTS))
    assert not (tmp_path / "A-1").exists()
    # On a disk that keeps what it is given the same delivery goes through.
    delivery_folder.put(tmp_path, "A-1", packed(CONTENTS))
    assert there(tmp_path / "A-1") == {**CONTENTS, "manifest.json": b"{}"}
    # Whoever changed it since: it is held against what is delivered, file by file.
    damage(tmp_path / "A-1" / "A-0007.csv")
    changed = there(tmp_path / "A-1")
    with pytest.raises(DeliveryError, match="is there with other content; move it away"):
        delivery_folder.put(tmp_path, "A-1", packed(CONTENTS))
    assert there(tmp_path / "A-1") == changed


def test_few_files_are_in_memory_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = []

    class Watched(Package):
        def contents(self) -> Iterator[tuple[str, bytes]]:
            for one in super().contents():
                given.append(len(given) + 1 - len(done))
                yield one

    done: list[bool] = []
    holds = delivery_folder._holds

    def held(file: Path, content: bytes) -> bool:
        right = holds(file, content)
        done.append(right)
        return right

    monkeypatch.setattr(delivery_folder, "_holds", held)
    whole = packed(CONTENTS)
    delivery_folder.put(tmp_path, "A-1", Watched(whole.files, whole.manifest))
    assert len(done) == len(CONTENTS) + 1
    assert max(given) <= 5
