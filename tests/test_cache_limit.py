"""Cached quantized models: made once, no more than the limit, and removed when nobody is at them."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pytest

from qharness import QHarnessError
from qharness.cli.cache import cache
from qharness.quantization import quantized_models as store
from qharness.quantization.quantized_artifacts import limit_bytes, make_room, quantized, quantized_dir
from qharness.quantization.quantized_models import Models
from tests.asked import resolved

DAY = 86400


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QHARNESS_CACHE_DIR", str(tmp_path / "cache"))
    return quantized_dir()


def put_in_cache(name: str, size: int, days: float) -> Path:
    """An entry of that size that was last used so long ago."""
    entry = quantized_dir() / name
    entry.mkdir(parents=True)
    (entry / "model.safetensors").write_bytes(bytes(size))
    about = entry / "about.json"
    about.write_text(json.dumps({"quant": "rtn:2", "model": "/m/one abc", "seconds": 12.5}))
    os.utime(about, (time.time() - days * DAY,) * 2)
    return entry


def cached() -> list[str]:
    return sorted(entry.name for entry in quantized_dir().iterdir())


def test_what_was_not_used_for_longest_goes_first() -> None:
    for name, days in (("a", 3), ("b", 9), ("c", 1), ("d", 0)):
        put_in_cache(name, 1000, days)
    make_room(5000, newest="d")
    assert cached() == ["a", "b", "c", "d"]
    make_room(3500, newest="d")
    assert cached() == ["a", "c", "d"]
    with quantized("a").locked("a"):  # in use: the next one goes in its place
        make_room(2500, newest="d")
    assert cached() == ["a", "d"]
    make_room(0, newest="d")
    assert cached() == []


def test_a_model_that_is_read_counts_as_used(random_llama: Path) -> None:
    spec = resolved(str(random_llama), "rtn:2")
    Models(cached_from_s=0.0).get(spec)
    (about,) = quantized_dir().glob("*/about.json")
    os.utime(about, (0, 0))
    Models().get(spec)
    assert time.time() - about.stat().st_mtime < 60


def test_two_at_once_quantize_a_model_once(random_llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []
    real = store.load_model

    def load(*given: object, **options: object) -> object:
        loads.append(given)
        time.sleep(0.5)
        return real(*given, **options)

    monkeypatch.setattr(store, "load_model", load)
    spec = resolved(str(random_llama), "rtn:2")
    made: list[object] = []
    threads = [threading.Thread(target=lambda: made.append(Models(0.0).get(spec))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 2 and len(loads) == 1


def test_the_limit_is_a_number(monkeypatch: pytest.MonkeyPatch, random_llama: Path) -> None:
    assert limit_bytes() == 50e9
    monkeypatch.setenv("QHARNESS_CACHE_GB", "0.5")
    assert limit_bytes() == 5e8
    for text in ("much", "-1", "nan"):
        monkeypatch.setenv("QHARNESS_CACHE_GB", text)
        with pytest.raises(QHarnessError, match=f"QHARNESS_CACHE_GB must be a number of gigabytes, not '{text}'"):
            Models().get(resolved(str(random_llama), "rtn:2"))


def test_the_command_lists_and_removes_by_age(capsys: pytest.CaptureFixture[str]) -> None:
    put_in_cache("old", 1_000_000, 40)
    put_in_cache("new", 1_000_000, 2)
    cache("ls")
    listed = capsys.readouterr().out
    assert "40.0" in listed and "quantized models take 0.00 of 50 GB (QHARNESS_CACHE_GB)" in listed
    with pytest.raises(QHarnessError, match="--older-than goes with rm"):
        cache("ls", older_than=1)
    with quantized("old").locked("old"):
        cache("rm", older_than=30)
        assert cached() == ["new", "old"]
    said = capsys.readouterr()
    assert "removed 0 entries" in said.out and "in use, and left" in said.err
    cache("rm", older_than=30)
    assert cached() == ["new"]
