"""The page of a running study: who may read it, what it says, and that nothing of it harms the study."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from qharness.errors import QHarnessError
from qharness.progress import Verbosity, set_verbosity, verbosity_restored
from qharness.report.live.live_page import LivePage, live_page
from qharness.report.live.live_server import LiveServer
from qharness.report.live.report_refresher import ReportRefresher
from qharness.specs import MaxLoss
from qharness.study.executors.local import Local
from qharness.study.live_view import Lines
from qharness.study.sweep import carry_out
from tests.browsers import chromium
from tests.conftest import REPOSITORY, still_running
from tests.page_runs import write_run
from tests.test_cli import Cli, in_process, one_line
from tests.test_executors import job

__all__ = ["in_process"]
SECRET = "not of the report"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[LiveServer]:
    """The server of a page whose report is there; beside the report lies a file that it must not give away."""
    report = tmp_path / "report"
    (report / "tables").mkdir(parents=True)
    (report / "index.html").write_text("<p>été</p>")
    (report / "tables/pareto.csv").write_text("a,b\n")
    (report / ".hidden.md").write_text(SECRET)
    for outside in (tmp_path / "secret.md", tmp_path / "report-2/secret.md"):
        outside.parent.mkdir(exist_ok=True)
        outside.write_text(SECRET)
    (report / "link.md").symlink_to(tmp_path / "secret.md")
    reports = ReportRefresher(tmp_path, "t", MaxLoss())
    reports.report = report
    with LiveServer(0, LivePage("A study", reports).find) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def ask(server: LiveServer, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
    """Status, headers and body; the request line holds the path as it is."""
    given = {"Host": f"127.0.0.1:{server.server_port}", **headers}
    lines = [f"{method} {path} HTTP/1.0", *(f"{name}: {value}" for name, value in given.items()), "", ""]
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as connection:
        connection.sendall("\r\n".join(lines).encode())
        answer = http.client.HTTPResponse(connection, method=method)
        answer.begin()
        return answer.status, dict(answer.getheaders()), answer.read().decode()


def test_the_page_and_the_report(served: LiveServer) -> None:
    for path, kind, part in (
        ("/", "text/html", 'src="/live.js"'),
        ("/live.js", "text/javascript", "/state.json"),
        ("/live.css", "text/css", "body"),
        ("/state.json", "application/json", '"title": "A study"'),
        ("/report/", "text/html", "<p>été</p>"),
        ("/report/index.html?x=1", "text/html", "<p>été</p>"),
        ("/report/tables/pareto.csv", "text/csv", "a,b"),
    ):
        status, headers, body = ask(served, path)
        assert (status, headers["Content-Type"]) == (200, f"{kind}; charset=utf-8") and part in body
        assert headers["Cache-Control"] == "no-store" and headers["X-Content-Type-Options"] == "nosniff"
        assert (
            headers["Cross-Origin-Resource-Policy"] == "same-origin" and "'self'" in headers["Content-Security-Policy"]
        )
    assert ask(served, "/report/", Host=f"localhost:{served.server_port}")[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/report/../secret.md", "/report/%2e%2e/secret.md", "/report/..%2fsecret.md", "/report/tables/../../secret.md",
        "/report//etc/passwd", "//etc/passwd", "/report/%2fetc%2fpasswd", "/report/link.md", "/report/.hidden.md",
        "/report/..\\secret.md", "/report/%00", "/report/tables", "/report/tables/", "/report/../report-2/secret.md",
        "/../secret.md", "/secret.md", "/report/no.html", "http://evil.example/", "/templates/live.html", "*",
    ],
)  # fmt: skip
def test_nothing_but_the_report_is_given_away(served: LiveServer, path: str) -> None:
    status, _, body = ask(served, path)
    assert status == 404 and SECRET not in body


def test_only_the_loopback_by_its_own_names(served: LiveServer) -> None:
    """A page elsewhere whose name resolves to this machine sends that name."""
    assert served.server_address[0] == "127.0.0.1"
    port = served.server_port
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", f"127.0.0.1:{port + 1}", f"127.0.0.2:{port}", ""):
        status, _, body = ask(served, "/state.json", Host=host)
        assert status == 403 and "A study" not in body
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(f"GET / HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nHost: evil.example\r\n\r\n".encode())
        assert b" 403 " in connection.recv(100)
    addresses = {
        each.address for all_of in psutil.net_if_addrs().values() for each in all_of if each.family is socket.AF_INET
    }
    for address in addresses - {"127.0.0.1"}:
        with pytest.raises(OSError, match=r"refused|timed out|unreachable"):
            socket.create_connection((address, port), timeout=3)


@pytest.mark.parametrize(
    "method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "NONSENSE"]
)
def test_only_get(served: LiveServer, method: str) -> None:
    status, headers, body = ask(served, "/state.json", method)
    assert status == 405 and headers["Allow"] == "GET" and "A study" not in body


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            QHarnessError, match=f"--serve {port}: 127.0.0.1:{port} cannot be had: Address already in use"
        ):
            LiveServer(port, lambda path: None)


def test_serve_with_and_without_a_port(tmp_path: Path, in_process: Cli) -> None:
    file = tmp_path / "study.toml"
    file.write_text('tasks = ["tiny-python"]\nlimit = 1\n')
    for words in (["--serve", file], [file, "--serve"], ["--serve", "--output", "x", file], [file, "--serve", 8123]):
        done = in_process("study", "--dry-run", *words)
        assert done.returncode == 0 and "1 of 1 jobs to do" in done.stdout, done.stderr
    for value in ("65536", "80a", "-1"):
        one_line(in_process("study", "--dry-run", file, "--serve", value), "--serve")


# ------------------------------------------------------------------------------------------------------ what it says


def until(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Wait until a condition holds, and return what it found."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come to pass")


def test_the_state_of_jobs_that_end_well_badly_and_not_at_all(tmp_path: Path) -> None:
    jobs = [job("write", "well", tmp_path), job("fail", "mistake", tmp_path), job("die", "twice", tmp_path, "x")]
    page = LivePage("A study", ReportRefresher(tmp_path, "t", MaxLoss()))
    watcher = page.watching(jobs, Lines(jobs))

    def states() -> list[tuple[str, str]]:
        answer = page.find("/state.json")
        assert answer
        return [(each["state"], each["result"]) for each in json.loads(answer.body)["jobs"]]

    assert states() == [("waiting", "")] * 3
    attempts = carry_out(jobs, Local(1), watcher)
    assert [bool(each.error) for each in attempts] == [False, True, True]
    assert states() == [
        ("done", ""), ("failed", "no such thing"), ("failed", "its process died twice (SIGKILL); of too little memory?"),
    ]  # fmt: skip
    answer = page.find("/state.json")
    assert answer and json.loads(answer.body)["over"] is False
    first = json.loads(answer.body)["jobs"][0]
    assert first["task"] == "well" and (first["work"], first["done"], first["total"]) == ("letters", 1, 1)
    assert first["seconds"] > 0


@pytest.mark.slow
def test_a_report_that_fails_leaves_the_last_one_and_the_study_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reports' process is another; what it says is shown, and a folder of reports is gone at the end."""
    monkeypatch.setattr(ReportRefresher, "share", 1.0)
    runs = tmp_path / "runs"
    (folder := write_run(runs, "made-python", "none", [[("return 1", True)]] * 8)).joinpath("x").touch()
    with live_page(0, "Costs", runs, MaxLoss()) as page:  # which begins with the runs that are there
        reports = page._reports
        assert until(lambda: reports.number) == 1 and reports.error == ""
        answer = page.find("/report/")
        assert answer and "Costs" in answer.body.decode() and "made-python" in answer.body.decode()
        (runs / "profile-1.json").write_text("{")
        reports.want()
        assert "profile-1.json cannot be read" in until(lambda: reports.error)
        assert reports.number == 1 and page.find("/report/") == answer
        top = reports._top
        assert top.is_dir()
    assert not top.exists() and folder.is_dir()


def test_its_address_is_said_with_q_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    with verbosity_restored():
        set_verbosity(Verbosity.QUIET)
        with live_page(0, "A study", tmp_path, MaxLoss()) as page:
            assert capsys.readouterr().err == f"the study's page, while it runs: http://127.0.0.1:{page.port}/\n"


# -------------------------------------------------------------------------------------------------------- a real study

STUDY = """
quants = ["none", "rtn:4", "rtn:2"]
tasks = ["tiny-python"]
samples = 2
limit = 6
device = "cpu"
dtype = "float32"
"""


@pytest.fixture
def study(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A study of the bundled model with its page, at a port that its first line names."""
    (tmp_path / "some.toml").write_text(STUDY)
    command = [sys.executable, "-m", "qharness", "study", "some.toml", "--serve", "--output", "runs"]
    with subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def address(study: subprocess.Popen[str]) -> str:
    assert study.stderr
    line = study.stderr.readline()
    assert line.startswith("the study's page, while it runs: http://127.0.0.1:"), line
    threading.Thread(target=study.stderr.read, daemon=True).start()  # or it would wait to be read
    return line.split()[-1]


def state(url: str) -> Any:
    """The state that the page shows; None once the server has gone."""
    host = url.split("/")[2]
    connection = http.client.HTTPConnection(host, timeout=10)
    try:
        connection.request("GET", "/state.json")
        return json.loads(connection.getresponse().read())
    except OSError:
        return None
    finally:
        connection.close()


@pytest.mark.slow
def test_ctrl_c_ends_the_study_and_its_page(study: subprocess.Popen[str]) -> None:
    url = address(study)
    until(lambda: "running" in {each["state"] for each in state(url)["jobs"]})
    family = psutil.Process(study.pid).children(recursive=True)
    study.send_signal(signal.SIGINT)
    assert study.wait(30) not in (0, 2)
    assert state(url) is None
    assert not still_running(family)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_on_a_terminal_the_page_stays_until_ctrl_c(tmp_path: Path) -> None:
    """With the last report on it; the exit status is the study's."""
    import pty

    (tmp_path / "some.toml").write_text('tasks = ["tiny-python"]\nlimit = 2\nsamples = 1\ndevice = "cpu"\n')
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "qharness", "study", "some.toml", "--serve", "--output", "runs"]
    with subprocess.Popen(
        command, cwd=tmp_path, stderr=theirs, stdout=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "TERM": "xterm"},
    ) as process:  # fmt: skip
        os.close(theirs)
        said: list[bytes] = []

        def read() -> None:
            with suppress(OSError):  # the end of a pseudo-terminal
                while part := os.read(ours, 4096):
                    said.append(part)

        threading.Thread(target=read, daemon=True).start()
        try:
            until(lambda: b"stays until Ctrl-C" in b"".join(said), 300)
            url = re.search(rb"http://127\.0\.0\.1:\d+/", b"".join(said))
            assert url
            until(lambda: state(url[0].decode())["report"]["number"], 300)
            found = state(url[0].decode())
            assert found["over"] is True and [each["state"] for each in found["jobs"]] == ["done"]
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0 and state(url[0].decode()) is None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        assert process.stdout and "tiny-python" in process.stdout.read()
    os.close(ours)


@pytest.fixture
def driver() -> Iterator[Any]:
    """A Chromium; skips where there is none."""
    pytest.importorskip("selenium.webdriver")
    with chromium() as found:
        yield found


def complaints(driver: Any) -> list[str]:
    """What the browser's console says, but for a server that has gone."""
    said = [each["message"] for each in driver.get_log("browser") if each["level"] in ("SEVERE", "WARNING")]
    return [each for each in said if "ERR_CONNECTION_REFUSED" not in each]


@pytest.mark.slow
def test_a_real_study_in_a_real_browser(study: subprocess.Popen[str], driver: Any, tmp_path: Path) -> None:
    """Jobs move from waiting to done with their pass@1; the page says when the study has gone, which is whole."""
    driver.get(address(study))
    assert len(until(lambda: driver.find_elements("css selector", "#rows tr"))) == 3 and driver.title == "some"
    assert until(lambda: driver.find_elements("css selector", "#rows td.done"), 300)
    assert study.wait(300) == 0
    until(lambda: "has ended" in driver.find_element("id", "summary").text)
    assert complaints(driver) == []
    assert len(list((tmp_path / "runs").glob("*/run.json"))) == 3


@pytest.mark.slow
def test_the_report_on_the_page_is_renewed(driver: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a run finishes; what it is scrolled to stays."""
    monkeypatch.setattr(ReportRefresher, "share", 1.0)
    completions = [[("return 1", n % 2 == 0)] for n in range(12)]
    write_run(tmp_path, "made-python", "none", completions)
    with live_page(0, "A study", tmp_path, MaxLoss()) as page:
        assert page.find("/state.json")
        driver.get(f"http://127.0.0.1:{page.port}/")

        def in_report(script: str) -> Any:
            return driver.execute_script(f"const frame = document.getElementById('report').contentWindow; {script}")

        text = "return frame.document.body ? frame.document.body.textContent : ''"
        until(lambda: "made-python" in in_report(text))
        assert "rtn:2" not in in_report(text)
        in_report("frame.scrollTo(0, 150)")
        write_run(tmp_path, "made-python", "rtn:2", completions)
        page._reports.want()
        until(lambda: "rtn:2" in in_report(text))
        assert until(lambda: in_report("return frame.scrollY"))  # it is not at the top again
        assert complaints(driver) == []
