"""Recognises a full or refusing disk in the errors of every library, and reports it in one line."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qharness.errors import DiskError, QHarnessError

_AGAIN = "make room and run the command again: what is finished is kept"
_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the disk takes no larger file (or `ulimit -f` allows none)",
}
_REFUSED = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.EIO, errno.ENOTDIR, errno.ESTALE}
)
# Messages of libraries that write without Python's files: safetensors, SQLite, NumPy, PyTorch, tempfile.
_SAID = re.compile(
    r"\(os error (28|122|27)\)|No space left|disk is full|disk I/O error|\d+ requested and \d+ written"
    r"|unexpected pos \d+ vs \d+|No usable temporary directory"
)


def as_disk_error(error: BaseException, name: str = "") -> DiskError | None:
    """Return the DiskError for a disk that is full or refuses, None for any other error. `name`: of the output."""
    found = error.filename if isinstance(error, OSError) else None
    place = name or str(found or "the output")
    if is_full(error):
        return DiskError(f"{place} cannot be written: {_why(error)}; {_AGAIN}")
    if isinstance(error, OSError) and error.errno in _REFUSED:
        return DiskError(f"{place} cannot be {'written' if name else 'read or written'}: {error.strerror}")
    return None


@contextmanager
def named(name: str | Path) -> Iterator[None]:
    """Wrap code that only writes: raise any OSError as DiskError with this name."""
    try:
        with filling(name):
            yield
    except OSError as error:
        told = as_disk_error(error, str(name))
        raise told or DiskError(f"{name} cannot be written: {error.strerror or error}") from error


@contextmanager
def filling(name: str | Path, scratch: Path | None = None) -> Iterator[None]:
    """Wrap code that computes and writes: raise an error that a full disk caused as DiskError with this name.

    A DiskError of a file in `scratch`, the unfinished form of the output, gets the name too.
    """
    try:
        yield
    except DiskError as error:
        if scratch is None or not isinstance(error.__cause__, OSError) or str(scratch) not in str(error):
            raise
        raise as_disk_error(error.__cause__, str(name)) or error from error.__cause__
    except Exception as error:
        for each in (error, error.__cause__, error.__context__):
            if each is not None and is_full(each) and not isinstance(error, QHarnessError):
                raise DiskError(f"{name} cannot be written: {_why(each)}; {_AGAIN}") from error
        raise


def is_full(error: BaseException) -> bool:
    """Whether the error comes of a full disk."""
    return (isinstance(error, OSError) and error.errno in _FULL) or bool(_SAID.search(str(error)))


def _why(error: BaseException) -> str:
    number = error.errno if isinstance(error, OSError) else None
    return _FULL.get(number or errno.ENOSPC, _FULL[errno.ENOSPC])
