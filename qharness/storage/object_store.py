"""A folder in storage that fsspec reaches: object storage or a file system behind a URL.

Calls that fail for what may pass, such as a connection that breaks, are repeated with growing pauses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from qharness.errors import MissingDependencyError, QHarnessError, first_line
from qharness.progress import detail, duration, note
from qharness.storage.disk_errors import is_full
from qharness.storage.json_values import JsonObject

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from tenacity import RetryCallState

PATIENCE_S = 300.0
"""The time for which a call that fails is repeated. Storage that is away for longer fails the job."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 20.0
_LASTING = (FileNotFoundError, FileExistsError, PermissionError, NotADirectoryError, IsADirectoryError)
_OURS = (
    *(QHarnessError, AssertionError, AttributeError, ImportError, LookupError),
    *(NotImplementedError, TypeError, ValueError),
)
_Found = TypeVar("_Found")


@dataclass(frozen=True)
class ObjectStore:
    """The folder at `url`. Paths of its files are relative to it and have slashes."""

    url: str

    def opened(self) -> tuple[Any, str]:
        """Return fsspec's file system and the folder's path in it.

        Raises MissingDependencyError or QHarnessError for a URL of a kind that nothing here reaches.
        """
        import fsspec

        try:
            found: tuple[Any, str] = fsspec.core.url_to_fs(self.url, use_listings_cache=False)
        except ImportError as error:
            raise MissingDependencyError(f"what reaches {self.url}", f"pip install it ({first_line(error)})") from None
        except ValueError as error:
            raise QHarnessError(f"{self.url}: {first_line(error)}") from None
        if loop := getattr(found[0], "loop", None):
            loop.set_exception_handler(_told_in_detail)
        return found

    def check(self) -> None:
        """Raise QHarnessError if the storage does not answer, or if the folder's bucket does not exist.

        fsspec would create the bucket, whoever's name it is. In object storage the bucket is the path's first part; a
        path that begins at a root has none. Nothing is repeated: the user is there to correct the URL.
        """
        files, root = self.opened()
        try:
            if self._entries(files, root):
                return
            bucket = root.partition("/")[0]
            missing = bool(bucket) and "://" not in root and not files.exists(bucket)
        except Exception as error:  # each storage has errors of its own
            raise QHarnessError(f"{self.url} cannot be read: {first_line(error)}") from None
        if missing:
            raise QHarnessError(f"{self.url}: there is no bucket {bucket!r}: correct its name, or create it first")

    def folders(self) -> list[str]:
        """List the names of the folders in it; none where it does not exist."""
        files, root = self.opened()
        found = self.patiently(lambda: self._entries(files, root))
        return [_last(entry["name"]) for entry in found if entry["type"] == "directory"]

    def sizes(self, folder: str) -> dict[str, int]:
        """Return the sizes in bytes of a folder's files, without hidden ones; empty where the folder does not exist."""
        files, root = self.opened()
        found = self.patiently(lambda: self._entries(files, f"{root}/{folder}"))
        sizes = {_last(entry["name"]): entry["size"] for entry in found if entry["type"] == "file"}
        return {name: size for name, size in sizes.items() if name[:1] not in ("", ".")}

    def read(self, path: str) -> bytes | None:
        """Return a file's content; None where there is no such file."""
        files, root = self.opened()
        try:
            content: bytes = self.patiently(lambda: files.cat_file(f"{root}/{path}"))
        except FileNotFoundError:
            return None
        return content

    def download(self, path: str, target: Path) -> None:
        """Write a file's content to a local file."""
        files, root = self.opened()
        self.patiently(lambda: files.get_file(f"{root}/{path}", str(target)))

    def upload(self, source: Path, path: str) -> None:
        """Write a local file's content to a file."""
        files, root = self.opened()

        def send() -> None:
            there = f"{root}/{path}"
            files.makedirs(there.rsplit("/", 1)[0], exist_ok=True)
            files.put_file(str(source), there)

        self.patiently(send)

    @staticmethod
    def _entries(files: Any, path: str) -> list[JsonObject]:
        """List a folder's entries as fsspec does; none where it does not exist."""
        try:
            found: list[JsonObject] = files.ls(path, detail=True)
        except FileNotFoundError:
            return []
        return found

    def patiently(self, call: Callable[[], _Found]) -> _Found:
        """Return what the call returns; repeat it for PATIENCE_S seconds while it fails for what may pass.

        The first failure is noted. Raises what the last attempt raised.
        """
        import tenacity

        def say(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            if state.attempt_number == 1 and error:
                note(f"{self.url}: {first_line(error)}: trying again, for up to {duration(PATIENCE_S)}")

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(may_pass),
            stop=tenacity.stop_after_delay(PATIENCE_S),
            wait=tenacity.wait_exponential(multiplier=_FIRST_PAUSE_S, max=_LONGEST_PAUSE_S),
            before_sleep=say,
            reraise=True,
        )
        return retrying(call)


def may_pass(error: BaseException) -> bool:
    """Whether a call that failed so may succeed later: what is missing, forbidden or a mistake of ours stays so."""
    return isinstance(error, Exception) and not isinstance(error, (*_LASTING, *_OURS)) and not is_full(error)


def _told_in_detail(_: AbstractEventLoop, context: Mapping[str, object]) -> None:
    """Say what failed behind a request, by a line and no traceback: the request itself has raised, or was repeated."""
    error = context.get("exception")
    said = first_line(error) if isinstance(error, BaseException) else ""
    detail(f"{context.get('message')}: {said}" if said else str(context.get("message")))


def _last(path: str) -> str:
    return path.rstrip("/").rsplit("/", 1)[-1]
