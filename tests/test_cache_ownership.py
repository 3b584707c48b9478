"""Nothing is read of a cache that somebody else can change: one line says what, whose, and what to do."""

from __future__ import annotations

import ast
import os
import shutil
import sqlite3
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qharness import CacheError
from qharness.quantization.quantized_artifacts import quantized_dir
from qharness.storage import ownership
from qharness.storage.benchmark_files import cache_dir, cache_path
from qharness.storage.locks import lock_file
from qharness.storage.ownership import make_private, require_ours
from tests.asked import resolved
from tests.conftest import REPOSITORY, copy_for_everyone, system_python
from tests.test_cli import Cli, in_process

__all__ = ["in_process"]

UID = 51_000 + os.getpid() % 9_000
"""A user that nobody is."""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give files to another user")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QHARNESS_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def write(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_what_is_made_is_ours_alone_whatever_the_umask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QHARNESS_CACHE_DIR", str(tmp_path / "new/deep/cache"))
    before = os.umask(0)
    try:
        path = cache_path("verdicts", "verdicts.sqlite")
        lock_file("some", "thing")
    finally:
        os.umask(before)
    made = (tmp_path / "new", tmp_path / "new/deep", cache_dir(), path.parent, cache_dir() / "locks")
    assert [mode(each) for each in made] == [0o700] * 5


def test_a_folder_that_was_there_stays_as_it_is(folder: Path) -> None:
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    assert cache_path("a", "b") == folder / "a/b"
    assert mode(folder) == 0o755 and mode(folder / "a") == 0o700


@pytest.mark.parametrize("bits", [0o777, 0o757, 0o722])
@pytest.mark.parametrize("place", ["", "kind", "kind/entry"])
def test_what_others_can_write_is_refused(place: str, bits: int, folder: Path) -> None:
    write(folder / "kind/entry/file")
    folder.chmod(0o755)
    (folder / "kind").chmod(0o755)
    cache_path("kind", "entry", inside=True)
    (folder / place).chmod(bits)
    with pytest.raises(
        CacheError, match=r"can be written by anyone: .*chmod (-R )?go-w .*QHARNESS_CACHE_DIR"
    ) as raised:
        cache_path("kind", "entry", inside=True)
    assert "\n" not in str(raised.value) and str(folder / place) in str(raised.value)


def test_a_file_inside_that_others_can_write_is_refused(folder: Path) -> None:
    file = write(folder / "kind/entry/deep/file")
    folder.chmod(0o755)
    file.chmod(0o666)
    cache_path("kind", "entry")  # its own folders are fine
    with pytest.raises(CacheError, match="deep/file can be written by anyone"):
        cache_path("kind", "entry", inside=True)


@needs_root
@pytest.mark.parametrize("place", ["", "kind", "kind/entry", "kind/entry/file"])
def test_what_belongs_to_another_user_is_refused(place: str, folder: Path) -> None:
    """Also in a folder that is closed to others now, and whatever its mode."""
    write(folder / "kind/entry/file")
    for path in (folder, folder / "kind", folder / "kind/entry"):
        path.chmod(0o700)
    os.chown(folder / place, UID, UID)
    with pytest.raises(CacheError, match=rf"belongs to uid {UID}, and this is root \(uid 0\): .*QHARNESS_CACHE_DIR"):
        cache_path("kind", "entry", inside=True)


@needs_root
def test_a_folder_above_that_is_anothers_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They could put another folder in its place."""
    monkeypatch.setenv("QHARNESS_CACHE_DIR", str(tmp_path / "theirs/cache"))
    (tmp_path / "theirs/cache").mkdir(parents=True)
    os.chown(tmp_path / "theirs", UID, UID)
    with pytest.raises(CacheError, match="theirs belongs to uid"):
        cache_dir()


@needs_root
def test_links_are_followed_and_judged(tmp_path: Path, folder: Path) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    theirs.mkdir()
    ours.mkdir()
    folder.symlink_to(ours)
    assert cache_path("a").parent == folder
    folder.unlink()
    folder.symlink_to(theirs)
    theirs.chmod(0o777)
    with pytest.raises(CacheError, match="theirs can be written by anyone"):
        cache_dir()
    theirs.chmod(0o755)
    os.lchown(folder, UID, UID)
    with pytest.raises(CacheError, match=rf"cache is a link that belongs to uid {UID}"):
        cache_dir()
    folder.unlink()
    folder.symlink_to(f"../{tmp_path.name}/hop")
    (tmp_path / "hop").symlink_to(theirs)
    os.chown(theirs, UID, UID)
    with pytest.raises(CacheError, match="theirs belongs to uid"):
        cache_dir()
    folder.unlink()
    folder.symlink_to(folder)  # whoever opens it will be told
    require_ours(folder / "x")


@needs_root
def test_a_folder_like_tmp_will_do_for_what_is_ours_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    monkeypatch.setenv("QHARNESS_CACHE_DIR", str(shared))
    assert mode(cache_path("kind", "x").parent) == 0o700
    os.chown(write(shared / "taken/x").parent, UID, UID)
    with pytest.raises(CacheError, match="taken belongs to"):
        cache_path("taken", "x")


def test_a_group_of_ones_own_is_nobody_else(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As under umask 002, where each user has a group of the same name; another group can be anyone."""
    monkeypatch.setattr(ownership, "_is_private", lambda _: True)
    write(folder / "kind/entry").chmod(0o664)
    folder.chmod(0o775)
    (folder / "kind").chmod(0o775)
    cache_path("kind", "entry")
    monkeypatch.setattr(ownership, "_is_private", lambda _: False)
    with pytest.raises(CacheError, match=r"cache can be written by the group \w+"):
        cache_path("kind", "entry")


@needs_root
def test_which_groups_are_private(monkeypatch: pytest.MonkeyPatch) -> None:
    import grp
    import pwd

    shared = next(
        (group.gr_gid for group in grp.getgrall() if group.gr_gid and group.gr_gid != pwd.getpwuid(0).pw_gid), None
    )
    assert ownership._is_private(0) and shared is not None and not ownership._is_private(shared)
    assert not ownership._is_private(UID)  # that no name is known of


def test_a_cache_that_cannot_be_made_says_so_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "file")
    monkeypatch.setenv("QHARNESS_CACHE_DIR", str(tmp_path / "file/cache"))
    assert cache_path("kind", "entry") == tmp_path / "file/cache/kind/entry"
    with pytest.raises(FileExistsError):
        make_private(cache_path("kind", "entry"))


# --------------------------------------------------------------------------------------------------- all that is read


def test_every_file_of_the_cache_is_named_by_the_one_function_that_looks() -> None:
    for top in ("qharness", "plugins", "examples"):
        for path in (REPOSITORY / top).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                joins = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)
                if joins and ast.unparse(node.left).startswith("cache_dir("):  # type: ignore[attr-defined]
                    assert path.name in ("cache.py", "verdicts.py"), f"{path}: cache_path() looks at whose it is"


def _model(random_llama: Path) -> Callable[[], object]:
    from qharness.quantization.quantized_models import Models

    spec = resolved(str(random_llama), "rtn:2")
    return lambda: Models(cached_from_s=0.0).get(spec)


def _verdicts(_: Path) -> Callable[[], object]:
    from qharness.execution.verdicts import verdict_cache

    def use() -> object:
        verdicts = verdict_cache()
        assert verdicts is not None
        return verdicts.find(["key"])

    return use


def _finished(_: Path) -> Callable[[], object]:
    import torch

    from qharness.plugins.aqlm.block_progress import PartCache

    def use() -> object:
        finished = PartCache.of("key", lambda _: None)
        finished.write("part", {"x": torch.zeros(2)})
        return finished.read("part")

    return use


def _packages(_: Path) -> Callable[[], object]:
    from qharness.plugins.languages.python_packages import find_packages

    def use() -> object:
        find_packages.cache_clear()
        return find_packages(("pluggy",))

    return use


def _translations(_: Path) -> Callable[[], object]:
    import random

    from qharness.plugins.perturbations.translation import BackTranslation

    return lambda: BackTranslation()("short", random.Random(0))


def _calibration(_: Path) -> Callable[[], object]:
    from qharness.quantization.calibration import _read
    from qharness.storage.artifacts import Artifact

    def use() -> object:
        cached = Artifact(cache_path("calibration", "key"))
        if not cached.there:
            with cached.writing({}):
                pass
        return _read(cached)

    return use


def _study(_: Path) -> Callable[[], object]:
    from qharness.study.remote import Remote

    def use() -> object:
        make_private(folder := Remote("memory://runs").folder)
        return folder

    return use


@needs_root
@pytest.mark.parametrize(
    ("kind", "use"),
    [
        ("quantized", _model),
        ("verdicts", _verdicts),
        ("aqlm", _finished),
        ("packages", _packages),
        ("back-translations", _translations),
        ("calibration", _calibration),
        ("studies", _study),
    ],
)
def test_nothing_of_another_user_is_read(
    kind: str, use: Callable[[Path], Callable[[], Any]], folder: Path, random_llama: Path
) -> None:
    call = use(random_llama)
    call()
    call()
    deepest = max((folder / kind).rglob("*"), key=lambda path: len(path.parts), default=folder / kind)
    for path in {folder, folder / kind, deepest}:
        if path.is_symlink():
            path = path.parent
        os.chown(path, UID, UID)
        with pytest.raises(CacheError, match="belongs to uid"):
            call()
        os.chown(path, 0, 0)
    call()


@needs_root
def test_the_compiled_harness_of_another_user_is_not_run(folder: Path) -> None:
    from qharness.plugins.languages import java
    from qharness.registry import get_registry

    language = get_registry().language("java")
    java._compiled_harness.cache_clear()
    try:
        language.toolchain(language.limits)
        (jar,) = (folder / "toolchains").glob("java-*/*.jar")
        os.chown(jar, UID, UID)
        java._compiled_harness.cache_clear()
        with pytest.raises(CacheError, match=r"\.jar belongs to uid"):
            language.toolchain(language.limits)
    finally:
        java._compiled_harness.cache_clear()


# ------------------------------------------------------------------------------------------------------- command line


@needs_root
def test_one_line_and_exit_status_2(in_process: Cli, folder: Path, tmp_path: Path) -> None:
    folder.mkdir()
    os.chown(folder, UID, UID)
    samples = write(tmp_path / "in.jsonl", '{"task_id": "tiny-python/held-out/0", "completion": "x"}\n')
    for arguments in (("cache", "ls"), ("cache", "rm"), ("score", "--task", "tiny-python", "--samples", samples)):
        done = in_process(*arguments)
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done
        assert f"{folder} belongs to uid {UID}" in done.stderr


@needs_root
def test_an_entry_that_is_anothers_is_listed_and_removed(in_process: Cli, folder: Path, random_llama: Path) -> None:
    _model(random_llama)()
    (entry,) = quantized_dir().iterdir()
    os.chown(entry / "about.json", UID, UID)
    assert "not only ours" in in_process("cache", "ls").stdout
    assert in_process("cache", "rm").returncode == 0 and not entry.exists()


# ------------------------------------------------------------------------------------------------------- another user

_AS_THEM = """
import sys
from qharness.storage.benchmark_files import cache_dir, cache_path
from qharness.errors import CacheError
from qharness.execution.verdicts import verdict_cache
try:
    verdicts = verdict_cache()
    print("read", verdicts and verdicts.find(["key"]), oct(cache_dir().stat().st_mode & 0o777))
except CacheError as error:
    print(f"refused {error}")
"""


@pytest.fixture
def home() -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    made = Path(tempfile.mkdtemp(dir="/var/tmp"))
    os.chown(made, UID, UID)
    yield made
    shutil.rmtree(made)


def test_as_an_ordinary_user(home: Path) -> None:
    """Their own cache, one under /tmp's bit, one that is root's and only read, one that root gave to a third."""
    with copy_for_everyone() as package:

        def ask(cache: Path, umask: int = 0o022) -> str:
            done = subprocess.run(
                [system_python(), "-c", _AS_THEM],
                env={"HOME": str(home), "QHARNESS_CACHE_DIR": str(cache), "PYTHONPATH": str(package)},
                cwd=home,
                capture_output=True,
                text=True,
                umask=umask,
                user=UID,
                group=UID,
                extra_groups=[],
            )
            return done.stdout + done.stderr

        if "No module named" in (said := ask(home / "first")):
            pytest.skip(said.splitlines()[-1])
        assert ask(home / "own", umask=0) == "read {} 0o700\n" == ask(home / "own")
        (home / "own/verdicts").chmod(0o777)
        assert f"refused {home / 'own/verdicts'} can be written by anyone" in ask(home / "own")
        roots = home / "roots"
        (roots / "verdicts").mkdir(parents=True)
        with sqlite3.connect(roots / "verdicts/verdicts.sqlite") as table:
            table.execute("CREATE TABLE verdicts (key TEXT PRIMARY KEY, status TEXT, detail TEXT, seconds REAL)")
        assert "refused" not in ask(roots)
        os.chown(roots / "verdicts/verdicts.sqlite", UID + 1, UID + 1)
        assert f"refused {roots / 'verdicts/verdicts.sqlite'} belongs to uid {UID + 1}, and this is" in ask(roots)
