"""Takes a picture of a report's page: `python examples/studies/picture.py REPORT_DIR OUT.png`.

Needs a Chromium (Debian: `apt-get install chromium`). The picture is of the page's top, as wide as asked.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("report", type=Path, help="folder that `qharness report` wrote")
    parser.add_argument("picture", type=Path, help="PNG to write")
    parser.add_argument("--width", type=int, default=1200)
    parser.add_argument("--height", type=int, default=1600)
    arguments = parser.parse_args()
    page, browser = arguments.report / "index.html", shutil.which("chromium") or shutil.which("google-chrome")
    if not page.is_file():
        parser.error(f"{arguments.report} is no report: it has no index.html")
    if browser is None:
        parser.error("needs a browser: apt-get install chromium")
    picture = arguments.picture.absolute()
    with tempfile.TemporaryDirectory() as profile:
        command = [
            browser, "--headless=new", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}",
            *(["--no-sandbox"] if os.geteuid() == 0 else []),  # its sandbox does not work for root
            f"--window-size={arguments.width},{arguments.height}", "--virtual-time-budget=5000",
            f"--screenshot={picture}", page.absolute().as_uri(),
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    print(f"{picture}: {picture.stat().st_size / 1e3:.0f} kB")  # noqa: T201


if __name__ == "__main__":
    main()
