"""Leases: locks between machines that share nothing but storage. Each is an object that its holder renews.

A machine that dies renews nothing, and its lease runs out; another machine may take it over then.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cache

from qharness.errors import BusyError, first_line
from qharness.progress import detail, note
from qharness.storage.json_reader import JsonError, parse_json
from qharness.storage.json_values import json_text
from qharness.storage.lease_objects import LeaseObject, LeaseStore, lease_store
from qharness.storage.object_store import ObjectStore

LASTS_S = 60.0
"""The time after its last renewal at which a lease runs out."""
RENEWALS = 4
"""How often a lease is renewed within that time."""
_GRACE_S = 2.0  # S3 counts in whole seconds
_POLL_S = 2.0


@dataclass(frozen=True)
class LeaseTerms:
    """What a lease object says. `owner`: the machine's own token; `writing`: a token that is new at each writing.

    `lasts_s`: seconds from its last writing to its end; `process`, `host`: of the holder, for people.
    """

    owner: str
    writing: str
    process: int
    host: str
    lasts_s: float

    @classmethod
    def of(cls, owner: str) -> LeaseTerms:
        """Return terms for this process."""
        return cls(owner, uuid.uuid4().hex, os.getpid(), socket.gethostname(), LASTS_S)

    @classmethod
    def read(cls, content: bytes) -> LeaseTerms:
        """Return the terms in an object's content; those of an unknown holder where the content is damaged."""
        try:
            found = parse_json(content)
            return cls(
                str(found["owner"]),
                str(found["writing"]),
                int(found["process"]),
                str(found["host"]),
                float(found["lasts_s"]),
            )
        except (JsonError, KeyError, TypeError, ValueError):
            return cls("", "", 0, "another machine", LASTS_S)

    def rewritten(self) -> LeaseTerms:
        """Return the same terms for another writing."""
        return replace(self, writing=uuid.uuid4().hex)

    @property
    def content(self) -> bytes:
        """The object's content, JSON."""
        return (json_text(asdict(self)) + "\n").encode()

    @property
    def holder(self) -> str:
        """The holder, as a lock's file names it."""
        return f"process {self.process} on {self.host}"


class Lease:
    """A lease that this process holds and a thread of it renews, until another machine has taken it over."""

    def __init__(self, objects: ObjectStore, path: str, what: str, terms: LeaseTerms, version: str) -> None:
        self._objects, self._store, self._path, self._what = objects, _store_of(objects), path, what
        self._terms, self._version = terms, version
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True)
        self.lost = False
        self._thread.start()

    def _renew(self) -> None:
        while not self._over.wait(LASTS_S / RENEWALS) and not self.lost:
            try:
                self._renew_once()
            except Exception as error:  # the next attempt may reach the storage
                detail(f"the claim to {self._what} could not be renewed: {first_line(error)}")

    def _renew_once(self) -> None:
        """Write the object anew. Where that is refused, it is lost, unless an answer was and the writing is ours."""
        terms = self._terms.rewritten()
        version = self._store.replace(self._path, terms.content, self._version)
        if version is None:
            found = self._store.read(self._path)
            there = LeaseTerms.read(found.content) if found else None
            if found is None or there is None or (there.owner, there.process) != (terms.owner, terms.process):
                self.lost = True
                holder = there.holder if there else "another machine, which has ended"
                note(f"{self._what} was taken over by {holder}, after this machine could not renew its claim")
                return
            version = found.version
        self._terms, self._version = terms, version

    def release(self) -> None:
        """Stop renewing and remove the object. One that cannot be removed runs out by itself."""
        self._over.set()
        self._thread.join()
        if self.lost:
            return
        try:
            self._objects.patiently(lambda: self._store.remove(self._path, self._version))
        except Exception as error:
            note(f"the claim to {self._what} could not be removed, and runs out by itself: {first_line(error)}")


@contextmanager
def leased(objects: ObjectStore, path: str, what: str, owner: str, *, wait: bool) -> Iterator[Lease]:
    """Hold the lease whose object is at `path`. While another machine holds it, wait, with a note, or raise BusyError.

    `what`: the thing that is made under the lease, as messages name it. `owner`: this machine's token. A lease with it
    is free: the caller holds a lock against this machine's other processes, so a dead one left it. Raises QHarnessError
    where the storage lets nothing be written.
    """
    store, terms = _store_of(objects), LeaseTerms.of(owner)
    _, root = objects.opened()
    place, told = f"{root}/{path}", False
    while True:
        holder, version = objects.patiently(lambda: _take(store, place, terms))
        if version is not None:
            break
        held = f"{what} is being made by {holder}"
        if not wait:
            raise BusyError(held)
        if not told:
            note(f"{held}: waiting for it")
            told = True
        time.sleep(_POLL_S)
    lease = Lease(objects, place, what, terms, version)
    try:
        yield lease
    finally:
        lease.release()


@cache
def _store_of(objects: ObjectStore) -> LeaseStore:
    files, root = objects.opened()
    return objects.patiently(lambda: lease_store(files, root))


def _take(store: LeaseStore, path: str, terms: LeaseTerms) -> tuple[str, str | None]:
    """Try once to take a lease; return its holder and, if that is now this process, the object's version."""
    found = store.read(path)
    if found is None:
        version = store.create(path, terms.content)
    elif _is_free(found, terms.owner):
        version = store.replace(path, terms.content, found.version)
    else:
        return LeaseTerms.read(found.content).holder, None
    if version is not None:
        return terms.holder, version
    found = store.read(path)  # another machine was faster, or the answer to our own request was lost
    if found is None:
        return "another machine", None
    there = LeaseTerms.read(found.content)
    return there.holder, found.version if there.writing == terms.writing else None


def _is_free(found: LeaseObject, owner: str) -> bool:
    """Whether a lease has run out, or is one that a dead process of this machine left."""
    there = LeaseTerms.read(found.content)
    return there.owner == owner or found.age_s > there.lasts_s + _GRACE_S
