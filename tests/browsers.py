"""A headless Chromium for the tests of pages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


@contextmanager
def chromium(**logged: str) -> Iterator[Any]:
    """A driver of Chromium, 1280 by 900 pixels, that keeps the logs of these names; skips the test where there is none."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    browser, server = shutil.which("chromium"), shutil.which("chromedriver")
    if not browser or not server:
        pytest.skip("needs a browser: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", **logged})
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    for flag in ("--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,900", *root):
        options.add_argument(flag)
    found = webdriver.Chrome(options=options, service=Service(server))
    try:
        yield found
    finally:
        found.quit()
