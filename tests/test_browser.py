"""The report's page as a reader sees it, in a headless Chromium, from a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browsers import chromium
from tests.page_runs import write_profile, write_run

webdriver = pytest.importorskip("selenium.webdriver")

ATTACK = "</script><img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
HOSTILE = f"evil{ATTACK}"
GOOD, BAD = "def f(x):\n    y = x\n    return y + 1", "def f(x):\n    z = x\n    return z"
TASK, SAMPLES, PROBLEMS = "try-python", 4, 16


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A report of three runs of one task, and of two whose task and completions attack the reader; its address."""
    from qharness.report import write_report

    runs, out = tmp_path_factory.mktemp("runs"), tmp_path_factory.mktemp("report")
    full = [[(GOOD, True)] * SAMPLES for _ in range(PROBLEMS)]
    three = [each if doc % 4 else [(GOOD, True), *[(BAD, False)] * 3] for doc, each in enumerate(full)]
    two = [[(BAD, False)] * SAMPLES for _ in range(PROBLEMS)]
    for quant, storage, completions in (("none", 4_000_000, full), ("rtn:3", 900_000, three), ("rtn:2", 600_000, two)):
        write_run(runs, TASK, quant, completions, storage=storage, tests="assert f(1) == 2")
    for quant in ("none", "rtn:2"):
        attack = [[(f"{ATTACK}{quant}", False), (ATTACK, True)] for _ in range(2)]
        write_run(runs, HOSTILE, quant, attack, model=f"m{ATTACK}", prompt=ATTACK)
    write_profile(runs, "none", 2.0, 800.0)
    write_profile(runs, "rtn:3", 1.0, 400.0)
    write_report([runs], out, f"Costs {ATTACK}")
    return (out / "index.html").as_uri()


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    """One Chromium for all; skips where there is none."""
    with chromium(performance="ALL") as found:
        yield found


@pytest.fixture
def opened(driver: Any, page: str) -> Any:
    """The page, opened anew, its data unpacked; whatever a test did, nothing was sent and nothing complained."""
    opened_at(driver, page)
    yield driver
    assert [entry for entry in driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    assert [url for url in requests(driver) if not url.startswith(("file:", "data:", "blob:"))] == []
    assert driver.title != "owned"


def opened_at(driver: Any, address: str) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    driver.get("about:blank")
    driver.get_log("browser"), driver.get_log("performance")  # of before
    driver.get(address)
    WebDriverWait(driver, 10, 0.02).until(lambda d: d.execute_script("return document.documentElement.dataset.ready"))


def requests(driver: Any) -> list[str]:
    events = (json.loads(entry["message"])["message"] for entry in driver.get_log("performance"))
    return [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]


def texts(driver: Any, selector: str) -> list[str]:
    """What stands in the elements that are seen."""
    script = (
        "return [...document.querySelectorAll(arguments[0])].filter(e => e.offsetParent).map(e => e.innerText.trim())"
    )
    found: list[str] = driver.execute_script(script, selector)
    return found


def follow(driver: Any, link: str, *, to_problem: bool) -> None:
    """Click a link within the page, and wait until a problem's page is shown, or no longer."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    driver.find_element(By.LINK_TEXT, link).click()
    shown = "return !!document.querySelector('#problem').offsetParent"
    WebDriverWait(driver, 10, 0.02).until(lambda d: d.execute_script(shown) is to_problem)


def choose(driver: Any, place: str, label: str, wanted: str) -> None:
    """Choose what is shown as `wanted` in the select that has this label, within an element by its id."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select

    path = f"//*[@id='{place}']//label[text()='{label}']/select"
    Select(driver.find_element(By.XPATH, path)).select_by_visible_text(wanted)


def test_what_is_seen_first(opened: Any) -> None:
    assert opened.title.startswith("Costs </script>")
    assert texts(opened, "h2") == ["From full precision down by size", "Tables", "Figures", "Problems"]
    answers = texts(opened, "#summary .words")
    assert len(answers) == 2 and "50.0 → 50.0% pass@1 on evil</script>" in answers[0]
    assert answers[1] == "None of 2 is shown to hold; this says nothing of: rtn:3; shown to lose: rtn:2."
    assert texts(opened, ".ladder tbody th")[2:] == [
        "full precision\n4.00 MB", "rtn:3\n◇ says nothing\n0.9 MB, 78% smaller", "rtn:2\n✕ loses\n0.6 MB, 85% smaller",
    ]  # fmt: skip
    assert "100.0 (54.8 to 100.0)" in texts(opened, ".ladder tbody tr")[-1]
    answer = opened.find_element("css selector", ".answer").location["y"]
    assert answer < opened.find_element("css selector", "nav").location["y"]  # the answer stands first
    assert len(texts(opened, "figure")) >= 4
    drawn = opened.execute_script("return [...document.querySelectorAll('figure svg text')].map(e => e.textContent)")
    assert {"checkpoint (MB)", "rtn:2"} <= set(drawn)
    assert any(text.startswith("python, n = ") for text in drawn)


def column(driver: Any, table: str, number: int) -> list[str]:
    return texts(driver, f"#{table} tbody td:nth-child({number})")


def test_sorts_by_mouse_and_keyboard(opened: Any) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    heads = texts(opened, "#table-pareto th")
    place = heads.index("checkpoint, MB")
    button = opened.find_elements(By.CSS_SELECTOR, "#table-pareto th button")[place]
    button.click()
    sizes = [float(each) for each in column(opened, "table-pareto", place + 1)]
    assert sizes == sorted(sizes) and len(set(sizes)) == 3
    assert button.find_element(By.XPATH, "..").get_attribute("aria-sort") == "ascending"
    button.send_keys(Keys.ENTER)
    assert [float(each) for each in column(opened, "table-pareto", place + 1)] == sizes[::-1]
    latency = heads.index("latency, s")
    for _ in range(2):  # undefined figures stay last, whichever way
        opened.find_elements(By.CSS_SELECTOR, "#table-pareto th button")[latency].click()
        assert column(opened, "table-pareto", latency + 1)[-3:] == ["n/a"] * 3


def test_filters_runs(opened: Any) -> None:
    from selenium.webdriver.common.by import By

    rows = "#table-runs tbody tr"
    assert len(texts(opened, rows)) == 5
    choose(opened, "table-runs", "quantizer", "rtn:2")
    assert len(texts(opened, rows)) == 2
    choose(opened, "table-runs", "task", TASK)
    assert len(texts(opened, rows)) == 1 and "rtn:2" in texts(opened, rows)[0]
    choose(opened, "table-runs", "quantizer", "all")
    opened.find_element(By.CSS_SELECTOR, "#table-runs input").send_keys("RTN:3")
    assert len(texts(opened, rows)) == 1 and texts(opened, "#table-runs output") == ["1 of 5 runs"]


def test_problems_lost_and_their_completions(opened: Any) -> None:

    choose(opened, "problems", "task", TASK)
    listed = "#problem-list tbody tr"
    choose(opened, "problems", "second run", "coder, rtn:3")
    assert len(texts(opened, listed)) == PROBLEMS
    choose(opened, "problems", "problems", "lost")
    assert len(texts(opened, listed)) == 4 and "▼ -75.0\t100.0\t25.0" in texts(opened, listed)[0]
    choose(opened, "problems", "problems", "won")
    assert texts(opened, listed) == []
    choose(opened, "problems", "problems", "lost")
    follow(opened, f"{TASK}/4", to_problem=True)
    assert texts(opened, "#problem h2") == [f"{TASK}: {TASK}/4"] and texts(opened, "#report") == []
    assert texts(opened, ".prompt") == ["def f(x):  # 4"]
    runs = texts(opened, ".run summary")
    assert (
        "coder, full precision: 4 of 4 passed, 1 distinct ✓✓✓✓" in runs
        and "coder, rtn:3: 1 of 4 passed, 2 distinct ✓✗✗✗" in runs
    )
    assert "✗ failed: AssertionError: 1 != 2 in 3 of 4 samples (2, 3, 4)" in texts(opened, ".outcome p")
    assert texts(opened, "#top") == [] and texts(opened, "nav a") == ["← previous", "All problems", "next →"]
    opened.find_element("css selector", "#problem details summary").click()
    assert texts(opened, "#problem details pre")[0] == "assert f(1) == 2"
    assert texts(opened, ".diff .del")[:2] == ["-     y = x", "-     return y + 1"]
    assert texts(opened, ".diff .add")[:2] == ["+     z = x", "+     return z"]
    choose(opened, "problem", "differences to", "coder, rtn:2")
    assert "+     y = x" in texts(opened, ".diff .add")
    follow(opened, "next →", to_problem=True)  # in the order of the list: those that are lost
    assert texts(opened, "#problem h2") == [f"{TASK}: {TASK}/8"]
    follow(opened, "All problems", to_problem=False)
    assert texts(opened, "#problem") == [] and len(texts(opened, listed)) == 4


def test_nothing_that_runs_hold_is_run(opened: Any, page: str) -> None:
    from urllib.parse import quote

    choose(opened, "problems", "task", HOSTILE)
    assert len(texts(opened, "#problem-list tbody tr")) == 2
    opened_at(opened, f"{page}#/problem/{quote(HOSTILE, safe='')}/1")
    assert texts(opened, ".prompt") == [f"{ATTACK}  # 1"]
    assert ATTACK in texts(opened, ".outcome pre")
    assert opened.execute_script("return document.querySelectorAll('img').length") == 0
    assert opened.execute_script("return document.scripts.length") == 2


def test_its_policy_stops_scripts_and_requests(driver: Any, page: str) -> None:
    """Even if something were taken for markup one day."""
    opened_at(driver, page)
    driver.execute_script(
        "document.body.insertAdjacentHTML('beforeend', '<img src=\"http://127.0.0.1:9/x\" onerror=\"document.title=1\">')"
    )
    script = "return fetch('http://127.0.0.1:9/y').then(() => 'sent', () => 'refused')"
    assert driver.execute_script(script) == "refused"
    blocked = [entry["message"] for entry in driver.get_log("browser")]
    assert sum("Content Security Policy" in message for message in blocked) >= 2
    assert not any("127.0.0.1" in url for url in requests(driver) if url.startswith("http://127.0.0.1:9/z"))
    assert driver.title != "1"


# What a reader with weak eyes or a small screen would complain of: [what, where].
FAULTS = """
const luminance = (rgb) => {
  const [r, g, b] = rgb.map((v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const parts = (colour) => colour.match(/[0-9.]+/g).map(Number);
const behind = (e) => {
  for (; e; e = e.parentElement) {
    const [r, g, b, a = 1] = parts(getComputedStyle(e).backgroundColor);
    if (a > 0) return [r, g, b];
  }
  return [255, 255, 255];
};
const found = [];
const root = document.documentElement;
if (root.scrollWidth > innerWidth) found.push(["wider than the window", root.scrollWidth]);
for (const e of document.querySelectorAll("body *")) {
  if (!e.checkVisibility() || e.closest("svg")) continue;
  const box = e.getBoundingClientRect();
  if (box.right > innerWidth + 1 && !e.closest(".scroll, pre")) found.push(["out of the window", e.outerHTML.slice(0, 80)]);
  const own = e.matches("input, select") || [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  if (!own) continue;
  const style = getComputedStyle(e);
  const size = parseFloat(style.fontSize);
  if (size < 12) found.push(["tiny", e.outerHTML.slice(0, 80)]);
  const [a, b] = [luminance(parts(style.color).slice(0, 3)), luminance(behind(e))].sort((x, y) => y - x);
  const contrast = (a + 0.05) / (b + 0.05);
  if (contrast < (size >= 24 ? 3 : 4.5)) found.push([`contrast ${contrast.toFixed(1)}`, e.outerHTML.slice(0, 80)]);
}
return found;
"""
SCREENS = {400: 800, 1280: 800, 1920: 1080}


@pytest.fixture
def screen(opened: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The browser with a window as wide as asked, in light or dark."""
    width, scheme = request.param
    shape = {"width": width, "height": SCREENS[width], "deviceScaleFactor": 1, "mobile": width < 500}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", shape)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    try:
        yield opened
    finally:
        opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


LOOKS = [(width, scheme) for width in SCREENS for scheme in ("light", "dark")]


@pytest.mark.parametrize("screen", LOOKS, indirect=True, ids=str)
@pytest.mark.parametrize("place", ["", f"#/problem/{TASK}/4"])
def test_fits_and_is_legible(screen: Any, page: str, place: str) -> None:
    opened_at(screen, page + place)
    screen.execute_script("for (const each of document.querySelectorAll('details')) each.open = true")
    assert screen.execute_script(FAULTS) == []


@pytest.mark.parametrize("screen", LOOKS[:2], indirect=True, ids=str)
def test_the_first_screen_of_a_phone_is_the_answer(screen: Any, page: str) -> None:
    opened_at(screen, page)
    ends = "return [...document.querySelectorAll('.answer')].map((each) => each.getBoundingClientRect().bottom)"
    assert len(screen.execute_script(ends)) == 2 and max(screen.execute_script(ends)) < SCREENS[400]
    assert screen.execute_script("return getComputedStyle(document.querySelector('.answer strong')).fontSize") >= "20"


def test_dark_and_without_script(driver: Any, page: str) -> None:
    driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    )
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        driver.get("about:blank")
        driver.get(page)
        assert driver.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(22, 24, 27)"
        assert len(texts(driver, "#table-runs tbody tr")) == 5
        assert "samples.jsonl" in texts(driver, "#problems")[0]
    finally:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
