"""Reads and writes lease objects in storage so that of several machines that write one at a time only one succeeds.

S3 does that itself: it refuses a write with `If-None-Match: *` if the object exists, and one with `If-Match: ETAG` if
the object has changed since it had that ETag. Other storage is written, waited for and read back: of two machines that
write within the wait, both read what the later one wrote.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

from qharness.errors import QHarnessError, first_line
from qharness.progress import detail

SETTLE_S = 2.0
"""The wait between a write and reading it back, longer than a write takes to become visible to other machines."""
_REFUSALS = ("PreconditionFailed", "412", "ConditionalRequestConflict", "409")
_NOT_IMPLEMENTED = ("NotImplemented", "501", "InvalidArgument", "InvalidRequest")


@dataclass(frozen=True)
class LeaseObject:
    """A lease object as it was read. `version`: what a later write is conditional on; `age_s`: since it was written."""

    content: bytes
    version: str
    age_s: float


class LeaseStore(Protocol):
    """The four operations on a lease object; `path` is fsspec's. Any may raise an error of the storage's own."""

    def read(self, path: str) -> LeaseObject | None:
        """Return the object, or None if there is none."""
        ...

    def create(self, path: str, content: bytes) -> str | None:
        """Write a new object and return its version; None, and nothing is written, if there is one already."""
        ...

    def replace(self, path: str, content: bytes, version: str) -> str | None:
        """Write over the object of that version and return the new version; None if it has another version by now."""
        ...

    def remove(self, path: str, version: str) -> None:
        """Remove the object of that version; do nothing if it has another version by now."""
        ...


class ConditionalStore:
    """S3 that knows conditional writes. Its own clock gives the age, so those of the machines need not agree."""

    def __init__(self, files: Any) -> None:
        self._files = files

    def read(self, path: str) -> LeaseObject | None:
        """See LeaseStore."""
        from fsspec.asyn import sync

        try:
            found: LeaseObject = sync(self._files.loop, self._get, path)
        except FileNotFoundError:
            return None
        return found

    async def _get(self, path: str) -> LeaseObject:
        """Read content, ETag and age in one request."""
        answer = await self._files._call_s3("get_object", **self._at(path))
        async with answer["Body"] as body:
            content = await body.read()
        now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
        return LeaseObject(content, answer["ETag"], (now - answer["LastModified"]).total_seconds())

    def create(self, path: str, content: bytes) -> str | None:
        """See LeaseStore."""
        return self._put(path, content, IfNoneMatch="*")

    def replace(self, path: str, content: bytes, version: str) -> str | None:
        """See LeaseStore."""
        return self._put(path, content, IfMatch=version)

    def remove(self, path: str, version: str) -> None:
        """See LeaseStore."""
        try:
            self._files.call_s3("delete_object", **self._at(path), IfMatch=version)
        except Exception as error:
            if _code(error) in _NOT_IMPLEMENTED:  # some servers know conditions of writes only
                if (found := self.read(path)) and found.version == version:
                    self._files.rm_file(path)
            elif not _is_refusal(error):
                raise

    def _put(self, path: str, content: bytes, **condition: str) -> str | None:
        try:
            answer = self._files.call_s3("put_object", **self._at(path), Body=content, **condition)
        except Exception as error:
            if _is_refusal(error):
                return None
            raise
        return str(answer["ETag"])

    def _at(self, path: str) -> dict[str, str]:
        bucket, key, _ = self._files.split_path(path)
        return {"Bucket": bucket, "Key": key}


class ReadBackStore:
    """Any other storage. Ages are by this machine's clock and the time that the storage gives its files."""

    def __init__(self, files: Any) -> None:
        self._files = files

    def read(self, path: str) -> LeaseObject | None:
        """See LeaseStore."""
        try:
            content: bytes = self._files.cat_file(path)
            age = time.time() - self._files.modified(path).timestamp()
        except FileNotFoundError:
            return None
        return LeaseObject(content, _version(content), age)

    def create(self, path: str, content: bytes) -> str | None:
        """See LeaseStore."""
        return None if self._files.exists(path) else self._written(path, content)

    def replace(self, path: str, content: bytes, version: str) -> str | None:
        """See LeaseStore."""
        return self._written(path, content) if self._is(path, version) else None

    def remove(self, path: str, version: str) -> None:
        """See LeaseStore."""
        if self._is(path, version):
            self._files.rm_file(path)

    def _written(self, path: str, content: bytes) -> str | None:
        """Write, wait and read back; None if another machine wrote meanwhile."""
        self._files.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
        self._files.pipe_file(path, content)
        time.sleep(SETTLE_S)
        return _version(content) if self._is(path, _version(content)) else None

    def _is(self, path: str, version: str) -> bool:
        found = self.read(path)
        return found is not None and found.version == version


def lease_store(files: Any, folder: str) -> LeaseStore:
    """Return the store for a file system: for S3, whichever of the two its answers ask for.

    `folder`: where an object may be written for a moment, to find out whether the server knows conditions or ignores
    them. Raises QHarnessError where the server lets nothing be written there.
    """
    protocol = files.protocol if isinstance(files.protocol, tuple | list) else (files.protocol,)
    if "s3" not in protocol:
        return ReadBackStore(files)
    store = ConditionalStore(files)
    path = f"{folder}/.conditions-{uuid.uuid4().hex}"
    try:
        knows = _knows_conditions(store, path)
        files.rm_file(path)
    except PermissionError as error:
        raise QHarnessError(
            f"s3://{folder}: no run can be claimed: {first_line(error)}: allow these credentials to get, put and delete"
        ) from None
    if not knows:
        detail(f"s3://{folder}: the server ignores conditional writes: claims are written and read back")
    return store if knows else ReadBackStore(files)


def _knows_conditions(store: ConditionalStore, path: str) -> bool:
    """Whether a server refuses what it should: to create an object twice, and to replace one of another version."""
    try:
        version = store.create(path, b"1")
        if version is None:  # an answer was lost, and the repeated request was refused
            return True
        if store.create(path, b"2") is not None:
            return False
        return store.replace(path, b"3", f'"{"0" * 32}"') is None
    except OSError as error:
        if _code(error) in _NOT_IMPLEMENTED:
            store._files.pipe_file(path, b"4")
            return False
        raise


def _is_refusal(error: Exception) -> bool:
    """Whether a conditional request was refused for its condition, or for want of the object that it names."""
    return isinstance(error, FileExistsError | FileNotFoundError) or _code(error) in _REFUSALS


def _code(error: BaseException) -> str:
    """Return S3's code of an error; empty for an error that is not S3's answer."""
    response = getattr(error.__cause__ or error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def _version(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
