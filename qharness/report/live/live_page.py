"""The page of a running study: what each path of the server answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from qharness.errors import QHarnessError
from qharness.evaluate.run.run_folder import RUN
from qharness.figure_style import require_matplotlib
from qharness.progress import complain
from qharness.report.live.live_server import LiveAnswer, LiveServer
from qharness.report.live.live_study import LiveStudy
from qharness.report.live.report_refresher import ReportRefresher
from qharness.report.page.report_output import PAGE
from qharness.specs import MaxLoss
from qharness.storage.json_values import json_text
from qharness.study.executors import Watcher
from qharness.study.jobs import Job

USUAL_PORT = 8421
_REPORT = "/report/"
_OWN = {"/": "live.html", "/live.css": "live.css", "/live.js": "live.js"}
_MEDIA_TYPES = {
    ".css": "text/css",
    ".csv": "text/csv",
    ".html": "text/html",
    ".js": "text/javascript",
    ".md": "text/markdown",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".tex": "text/plain",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_REPORT_POLICY = "frame-ancestors 'self'"  # the rest of it the page brings itself


class LivePage:
    """A study's page, while it is open. `title`: of the page and of the report; `port`: that it is served at."""

    port = 0

    def __init__(self, title: str, reports: ReportRefresher) -> None:
        self._title, self._reports = title, reports
        self._study: LiveStudy | None = None
        self._over = False

    def watching(self, jobs: Sequence[Job], inner: Watcher) -> Watcher:
        """A watcher that keeps the page up to date, and hands all events on to `inner`."""
        self._study = LiveStudy(jobs, inner, self._reports.want)
        return self._study

    def end(self) -> None:
        """Say on the page that the study is over."""
        self._over = True

    def find(self, path: str) -> LiveAnswer | None:
        """The answer to a path; None where there is nothing."""
        if path in _OWN:
            body = (files("qharness.report") / "templates" / _OWN[path]).read_bytes()
            return LiveAnswer(body, _MEDIA_TYPES[Path(_OWN[path]).suffix], _POLICY)
        if path == "/state.json":
            return LiveAnswer(self._state.encode(), "application/json", _POLICY)
        if path.startswith(_REPORT):
            return _file(self._reports.report, path.removeprefix(_REPORT) or PAGE)
        return None

    @property
    def _state(self) -> str:
        reports = self._reports
        return json_text(
            {
                "title": self._title,
                "over": self._over,
                "jobs": self._study.rows if self._study else [],
                "report": {"number": reports.number, "error": reports.error},
            }
        )


def _file(folder: Path | None, name: str) -> LiveAnswer | None:
    """A file of the report; None for one that is not there, of no known kind, or outside of the folder."""
    parts = name.split("/")
    if folder is None or any(not part or part.startswith(".") or "\0" in part or "\\" in part for part in parts):
        return None
    path = folder.joinpath(*parts)
    if path.suffix not in _MEDIA_TYPES or not path.resolve().is_relative_to(folder.resolve()):
        return None
    try:
        return LiveAnswer(path.read_bytes(), _MEDIA_TYPES[path.suffix], _REPORT_POLICY)
    except OSError:
        return None


@contextmanager
def live_page(port: int, title: str, folder: Path, max_loss: MaxLoss) -> Iterator[LivePage]:
    """Serve the page of a study whose runs go to `folder`, until the context ends; a line says where, also with -q.

    `port` 0: the usual one, or any other if that is taken. Raises QHarnessError for a port that cannot be had,
    MissingDependencyError where there is no matplotlib.
    """
    require_matplotlib()
    with ReportRefresher(folder, title, max_loss) as reports:
        page = LivePage(title, reports)
        with _bound(port, page) as server:
            page.port = server.server_port
            threading.Thread(target=server.serve_forever, daemon=True).start()
            complain(f"the study's page, while it runs: {server.url}")
            if any(folder.glob(f"*/{RUN}")):
                reports.want()  # of the runs that are there already
            try:
                yield page
            finally:
                server.shutdown()


def _bound(port: int, page: LivePage) -> LiveServer:
    if port:
        return LiveServer(port, page.find)
    try:
        return LiveServer(USUAL_PORT, page.find)
    except QHarnessError:
        return LiveServer(0, page.find)
