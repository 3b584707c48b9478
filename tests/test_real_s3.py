"""A study's results in object storage: a real S3 server (moto's) on this machine, reached by s3fs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from qharness import QHarnessError, RunSpec
from qharness.study.executors.in_process import InProcess
from qharness.study.jobs import Job
from qharness.study.remote import Remote, remote_of
from tests.s3_server import credentials, s3_server
from tests.test_cli import Cli, in_process
from tests.test_executors import carried_out
from tests.test_run import lines

__all__ = ["in_process"]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[None]:
    """An S3 server with one bucket, `there`."""
    with s3_server() as port, pytest.MonkeyPatch.context() as patch:
        for name, value in credentials(port).items():
            patch.setenv(name, value)
        yield


def buckets() -> set[str]:
    import s3fs

    return set(s3fs.S3FileSystem(use_listings_cache=False, skip_instance_cache=True).ls(""))


def test_a_bucket_that_does_not_exist_is_refused_and_not_created(server: None, in_process: Cli, tmp_path: Path) -> None:
    with pytest.raises(QHarnessError, match=r"s3://ther/study: there is no bucket 'ther': correct its name"):
        remote_of("s3://ther/study")
    study = tmp_path / "study.toml"
    study.write_text('models = ["tinycoder"]\nquants = ["none"]\ntasks = ["tiny-python"]\nlimit = 1\nsamples = 1\n')
    done = in_process("study", study, "--output", "s3://ther/study")
    assert done.returncode == 2 and "no bucket 'ther'" in done.stderr.splitlines()[-1]
    assert buckets() == {"there"}
    assert remote_of("s3://there/study") == Remote("s3://there/study")


def test_a_study_its_report_and_a_partial_journal(
    server: None, in_process: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second machine resumes from the journal that a first one sent, and a third one reports from the URL alone."""
    url = "s3://there/some/study"

    def job(machine: str) -> Job:
        monkeypatch.setenv("QHARNESS_CACHE_DIR", str(tmp_path / machine))
        remote = remote_of(url)
        assert remote
        return Job(RunSpec("tiny-python", samples=2, limit=3, max_new_tokens=80, output=remote.folder), remote=remote)

    (first,) = carried_out([job("one")], InProcess())
    import s3fs

    files = s3fs.S3FileSystem(use_listings_cache=False)
    there = f"there/some/study/{first.result.folder.name}"
    journal = files.cat_file(f"{there}/journal.jsonl")
    part = b"".join(journal.splitlines(keepends=True)[:2]) + b'{"doc_id": 2, "torn'
    for name in ("run.json", "results.json", "samples.jsonl"):
        files.rm_file(f"{there}/{name}")
    files.pipe_file(f"{there}/journal.jsonl", part)

    (second,) = carried_out([job("two")], InProcess())
    whole = files.cat_file(f"{there}/journal.jsonl")
    assert whole.startswith(part[: part.rindex(b"\n") + 1]) and len(whole.splitlines()) == len(journal.splitlines())
    assert json.loads(files.cat_file(f"{there}/run.json")) == second.result.document
    assert second.result.metrics["pass@1"] == first.result.metrics["pass@1"]
    before, after = (lines(each.result.folder / "samples.jsonl") for each in (first, second))
    assert [row["completion"] for row in before] == [row["completion"] for row in after]

    monkeypatch.setenv("QHARNESS_CACHE_DIR", str(tmp_path / "three"))
    done = in_process("report", url, "--output", tmp_path / "page")
    assert done.returncode == 0 and "report of 1 runs" in done.stdout
    assert "tiny-python" in (tmp_path / "page/index.html").read_text()
    nothing = in_process("report", "s3://there/nothing", "--output", tmp_path / "other")
    assert nothing.returncode == 2 and "s3://there/nothing holds no runs" in nothing.stderr
