"""lm-eval's index of its own tasks, 14,000 YAML files that take it five seconds to read, in the cache folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qharness.errors import DiskError
from qharness.storage.artifacts import cached_folder
from qharness.storage.fingerprints import hash_of, sources_below, stat_hash

if TYPE_CHECKING:
    from lm_eval.tasks._index import Entry

KIND = "lm-eval-tasks"
"""The cache's folder of indexes."""
_FILE = "index.json"


@contextmanager
def cached_task_index() -> Iterator[None]:
    """Have each `TaskManager` that is made inside take the index of lm-eval's own tasks from the cache.

    The index holds what lm-eval's own code makes of the YAML files; it is made again when any of them has another size
    or time. Other folders are read as ever.
    """
    import lm_eval.tasks
    from lm_eval.tasks._index import TaskIndex

    own, method, build = Path(lm_eval.tasks.__file__).parent, TaskIndex.__dict__["build"], TaskIndex.build

    def build_from_cache(paths: Iterable[Path], *, resolve_includes: bool = True) -> dict[str, Entry]:
        index: dict[str, Entry] = {}
        for path in paths:
            cached = path == own and resolve_includes
            index |= _index(path, build) if cached else build([path], resolve_includes=resolve_includes)
        return index

    TaskIndex.build = staticmethod(build_from_cache)
    try:
        yield
    finally:
        TaskIndex.build = method


def _index(folder: Path, build: Callable[[Sequence[Path]], dict[str, Entry]]) -> dict[str, Entry]:
    """The entries of a folder's tasks by name, from the cache, where `build` puts them if need be."""
    try:
        cached = cached_folder(KIND, _key(folder), lambda made: _store(build([folder]), made / _FILE))
    except DiskError:
        return build([folder])
    try:
        return dict(map(_entry, json.loads((cached / _FILE).read_bytes())))
    except (OSError, LookupError, TypeError, ValueError):
        shutil.rmtree(cached, ignore_errors=True)  # it is damaged
        return build([folder])


def _store(index: Mapping[str, Entry], path: Path) -> None:
    rows = [
        (each.name, each.kind.name, each.yaml_path and str(each.yaml_path), each.cfg, sorted(each.tags))
        for each in index.values()
    ]
    path.write_text(json.dumps(rows), encoding="utf-8")


def _entry(row: Sequence[Any]) -> tuple[str, Entry]:
    from lm_eval.tasks._index import Entry, Kind

    name, kind, path, config, tags = row
    return name, Entry(name, Kind[kind], path and Path(path), config, set(tags))


def _key(folder: Path) -> str:
    """A hash of lm-eval's version and of the names, sizes and times of the YAML files."""
    return hash_of(version("lm_eval"), stat_hash(sources_below(folder, ".yaml")))
