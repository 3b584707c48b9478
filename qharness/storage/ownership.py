"""Checks that nobody but us can have changed a file of the cache, so that its content can be trusted.

The rule is that of `ssh` for its keys: every folder on the way to a file, every link that is followed and the file
itself belong to us or to root, and none of them can be written by others. A folder that others can write but in which
they can rename nothing of ours (with the sticky bit, as /tmp) is accepted, because its entries are checked in turn.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from functools import cache
from pathlib import Path

from qharness.errors import CacheError

_ROOT = 0
_MOST_LINKS = 40
_ELSEWHERE = "set QHARNESS_CACHE_DIR to a folder of your own"
_checked = hasattr(os, "geteuid")  # Windows has neither such owners nor such modes


def require_ours(path: Path, *, inside: bool = False) -> None:
    """Raise CacheError, in one line, where anybody but us and root can change `path` or a folder or link on the way.

    `inside`: check the entries of a folder too, without following links. A path that does not exist passes.
    """
    if not _checked:
        return
    _walk(path)
    if inside and path.is_dir():
        for folder, folders, files in os.walk(path):
            for name in (*folders, *files):
                each = Path(folder, name)
                with suppress(FileNotFoundError):
                    _check(each, os.lstat(each), whole=True)


def close_to_others(path: Path) -> None:
    """Take everybody else's right to write a file, or a folder of ours and its entries, whatever the umask."""
    for each in (path, *(path.rglob("*") if path.is_dir() else ())):
        mode = each.lstat().st_mode
        if mode & 0o022 and not stat.S_ISLNK(mode):
            each.chmod(stat.S_IMODE(mode) & ~0o022)


def make_private(folder: Path) -> None:
    """Make a folder and the missing ones above it, with mode 0700; leave existing ones as they are."""
    if not folder.is_dir():
        make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _walk(path: Path) -> None:
    """Check each name on the way to a path, through links."""
    links = 0
    here = Path(path.anchor or os.sep)
    todo = list(reversed(path.absolute().relative_to(path.absolute().anchor).parts))
    while todo:
        name = todo.pop()
        if name == "..":
            here = here.parent
            continue
        try:
            found = os.lstat(here / name)
        except OSError:  # it is not there, or we may not look: opening it raises
            return
        _check(here / name, found, whole=not todo)
        if not stat.S_ISLNK(found.st_mode):
            here = here / name
            continue
        links += 1
        if links > _MOST_LINKS:
            return
        target = (here / name).readlink()
        if target.is_absolute():
            here = Path(target.anchor)
        todo += reversed(target.relative_to(target.anchor).parts)


def _check(path: Path, found: os.stat_result, *, whole: bool) -> None:
    """Raise CacheError for a file that others can change. `whole`: advise to correct a folder's entries as well."""
    us = os.geteuid()
    if found.st_uid not in (us, _ROOT) and not (_is_above_us(found) and stat.S_ISDIR(found.st_mode)):
        what = "is a link that belongs" if stat.S_ISLNK(found.st_mode) else "belongs"
        raise CacheError(
            f"{path} {what} to {_user(found.st_uid)}, and this is {_user(us)}: nothing is read of a cache that others "
            f"can change: {_ELSEWHERE}"
        )
    sticky = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
    if stat.S_ISLNK(found.st_mode) or sticky:
        return
    if others := _writers(path, found):
        raise CacheError(
            f"{path} can be written by {others}: nothing is read of a cache that others can change; "
            f"`chmod {'-R ' if whole else ''}go-w {path}`, if you trust what is there, or {_ELSEWHERE}"
        )


def _writers(path: Path, found: os.stat_result) -> str:
    """Name who else can write a file or folder; empty where its group is our own or root's, without other members."""
    if found.st_mode & stat.S_IWOTH:
        return "anyone"
    if not found.st_mode & stat.S_IWGRP:
        return ""
    with suppress(OSError, AttributeError):
        os.getxattr(path, "system.posix_acl_access", follow_symlinks=False)
        return "those whom its access list names"
    return "" if _is_private(found.st_gid) else f"the group {_group(found.st_gid)}"


@cache
def _is_private(group: int) -> bool:
    """Whether a group is root's or the user's own (many systems name it as the user) and has no other members."""
    import grp
    import pwd

    try:
        entry, us = grp.getgrgid(group), pwd.getpwuid(os.geteuid())
    except KeyError:  # in a container, perhaps; who is in the group, nobody can say
        return group == _ROOT
    own = us.pw_gid == group and us.pw_name == entry.gr_name
    return (own or group == _ROOT) and set(entry.gr_mem) <= {us.pw_name}


@cache
def _unmapped() -> int | None:
    """Return the user id that root's folders show in a user namespace without a root; None where there is a root."""
    try:
        lines = Path("/proc/self/uid_map").read_text(encoding="ascii").split("\n")
        if any(line.split()[:1] == ["0"] for line in lines):
            return None
        return int(Path("/proc/sys/kernel/overflowuid").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _is_above_us(found: os.stat_result) -> bool:
    """Whether a folder is root's, as seen in a user namespace without a root, and nobody in here can write it."""
    return found.st_uid == _unmapped() and not found.st_mode & 0o022


def _user(number: int) -> str:
    import pwd

    try:
        return f"{pwd.getpwuid(number).pw_name} (uid {number})"
    except KeyError:
        return f"uid {number}"


def _group(number: int) -> str:
    import grp

    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return f"gid {number}"
