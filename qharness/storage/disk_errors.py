"""Disks that cannot be written: recognised in whatever form a library reports them, and said in one line."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qharness.errors import DiskError

_AGAIN = "make room and run the command again: what is finished is kept"
_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the disk takes no larger file (or `ulimit -f` allows none)",
}
_REFUSED = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.EIO, errno.ENOTDIR, errno.ESTALE}
)
# What libraries that write without Python's files say: safetensors, SQLite, NumPy, PyTorch, tempfile.
_SAID = re.compile(
    r"\(os error (28|122|27)\)|No space left|disk is full|disk I/O error|\d+ requested and \d+ written"
    r"|unexpected pos \d+ vs \d+|No usable temporary directory"
)


def as_disk_error(error: BaseException, name: str = "") -> DiskError | None:
    """A disk that is full or refuses, as one line; None for any other error. `name`: what could not be written."""
    if isinstance(error, OSError):
        place = name or str(error.filename or "the output")
        if error.errno in _FULL:
            return DiskError(f"{place} cannot be written: {_FULL[error.errno]}; {_AGAIN}")
        if error.errno in _REFUSED:
            return DiskError(f"{place} cannot be {'' if name else 'read or '}written: {error.strerror}")
    if _SAID.search(str(error)):
        return DiskError(f"{name or 'the output'} cannot be written: {_FULL[errno.ENOSPC]}; {_AGAIN}")
    return None


@contextmanager
def named(name: str | Path) -> Iterator[None]:
    """Raise DiskError, which names what is written inside, where the disk is full or refuses.

    Of other errors those count that a full disk has caused.
    """
    try:
        yield
    except OSError as error:
        if told := as_disk_error(error, str(name)):
            raise told from error
        raise
    except Exception as error:
        cause = error.__cause__ or error.__context__
        told = as_disk_error(error, str(name)) or (as_disk_error(cause, str(name)) if cause else None)
        if told is None or isinstance(error, DiskError):
            raise
        raise told from error
