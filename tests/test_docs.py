"""Docs and code agree: commands, options, plugins, the site's pages, versions, the workflows."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
import typer.main
import yaml
from typer.testing import CliRunner

from qharness.cli import app
from qharness.registry import Registry, build_registry
from tests.conftest import REPOSITORY, tool
from tests.tiny_architectures import ARCHITECTURES

DOCS = REPOSITORY / "docs"
GITHUB = REPOSITORY / ".github"
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def sections() -> dict[str, str]:
    """The sections of docs/commands.md, by command."""
    parts = (DOCS / "commands.md").read_text(encoding="utf-8").split("\n## qharness ")[1:]
    return {part.split("\n")[0]: part.split("\n## ")[0] for part in parts}


def flags_of(command: Any) -> set[str]:
    """A command's options, `--help` aside."""
    return {flag for each in command.params for flag in each.opts if flag.startswith("--")} - {"--help"}


def test_every_command_has_a_section_and_every_section_a_command() -> None:
    assert set(sections()) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_in_the_commands_section(name: str) -> None:
    missing = {flag for flag in flags_of(COMMANDS[name]) if not re.search(rf"{flag}(?![\w-])", sections()[name])}
    assert not missing


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_section_exists(name: str) -> None:
    """Those in the first column of its table; the forms above it are checked with all commands that pages show."""
    rows = [line.split("|")[1] for line in sections()[name].split("\n") if line.startswith("| `")]
    assert set(re.findall(r"--[a-z-]+", " ".join(rows))) <= flags_of(COMMANDS[name])


@pytest.fixture(scope="module")
def built_in() -> Registry:
    """What comes with qharness, whatever else is installed."""
    return build_registry(entry_points=())


def test_the_page_of_options_is_what_the_plugins_say(built_in: Registry) -> None:
    assert (DOCS / "options.md").read_text(encoding="utf-8") == tool("options").render(built_in), "make docs-tables"


@pytest.mark.parametrize(
    ("kind", "page"),
    [
        ("quantizers", "quantizers.md"),
        ("calibration_sets", "calibration.md"),
        ("perturbations", "perturbations.md"),
        ("languages", "languages.md"),
        ("tasks", "tasks.md"),
    ],
)
def test_every_built_in_plugin_and_its_options_are_on_their_page(kind: str, page: str, built_in: Registry) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    for name, entry in getattr(built_in, kind).items():
        assert re.search(rf"[`#] ?{re.escape(name)}\b|\b{re.escape(name)}\b,|, {re.escape(name)}\b", text), name
        for option in dataclasses.fields(entry.value) if kind != "tasks" else ():
            assert {f"`{option.name}`", f"{name}:{option.name.upper()}"} & set(re.findall(r"`[^`]+`", text)), (
                option.name
            )


def test_every_task_says_its_licence(built_in: Registry) -> None:
    rows = re.findall(r"^\| `([\w-]+)` \|(.*)\|$", (DOCS / "tasks.md").read_text(encoding="utf-8"), re.MULTILINE)
    licence = {name: cells.split("|")[-1].strip() for name, cells in rows}
    assert set(licence) == set(built_in.tasks)
    assert all(licence.values())


def test_replicating_names_the_reports_tables() -> None:
    keys = [
        set(re.findall(r"`((?:wei|giagnorio)-\d+)`", (DOCS / page).read_text(encoding="utf-8")))
        for page in ("replicating.md", "report.md")
    ]
    assert keys[0] == keys[1]


def nav() -> list[str]:
    """The pages that the site's navigation names."""

    class Loader(yaml.SafeLoader):
        """Reads what PyYAML's safe loader does not know as nothing."""

    Loader.add_multi_constructor("tag:yaml.org,2002:python", lambda *_: None)

    def pages(node: Any) -> list[str]:
        if isinstance(node, str):
            return [node]
        return [page for each in (node.values() if isinstance(node, dict) else node) for page in pages(each)]

    return pages(yaml.load((REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8"), Loader)["nav"])


def test_every_page_is_in_the_navigation_once() -> None:
    assert sorted(nav()) == sorted(path.relative_to(DOCS).as_posix() for path in DOCS.glob("**/*.md"))


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", ".github/SECURITY.md"])
def test_links_of_the_pages_outside_the_site_exist(page: str) -> None:
    """`make docs` checks those in docs/."""
    for target in tool("links").targets((REPOSITORY / page).read_text(encoding="utf-8"), page):
        assert (REPOSITORY / target).exists(), target


def test_version_changelog_and_citation_agree() -> None:
    import tomllib

    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))
    newest = re.search(r"^## \[?([\d.]+)", (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest and newest[1] == version == citation["version"]
    assert CliRunner().invoke(app, ["--version"]).output == f"qharness {version}\n"
    assert citation["license"] == "Apache-2.0" and len(citation["references"]) == 2


def test_the_workflows_are_whole() -> None:
    """Each parses and runs what is there. They have not been run themselves: this is no GitHub."""
    parsed = {path.name: yaml.safe_load(path.read_text(encoding="utf-8")) for path in GITHUB.glob("**/*.yml")}
    assert {"ci.yml", "publish.yml"} < set(parsed)
    for name in ("ci.yml", "publish.yml"):
        for job in parsed[name]["jobs"].values():
            for step in job["steps"]:
                assert "uses" in step or "run" in step
                script = str(step.get("run", "")).split()[:1]
                assert not (script and script[0].startswith(".ci/")) or (REPOSITORY / script[0]).is_file()
    assert ".ci/run" in [step.get("run") for step in parsed["ci.yml"]["jobs"]["test"]["steps"]]
    assert parsed["publish.yml"]["jobs"]["publish"]["permissions"] == {"id-token": "write"}


@pytest.mark.long
def test_the_table_of_what_quantizers_touch() -> None:
    """A sample of its rows is made again: each kind of model, each quantizer."""
    touched, page = tool("touched"), (DOCS / "models.md").read_text(encoding="utf-8")
    rows = touched.render(["Llama", "GPT-2", "gpt-oss", "DBRX", "Falcon-Mamba", "Jamba", "T5"])
    table = page[page.index(touched.HEADING) :].split("\n\n")[0].split("\n")
    assert [row for row in rows if row not in table] == []
    assert [row.split(" | ")[0].removeprefix("| ") for row in table[2:]] == list(ARCHITECTURES)
    assert touched.rewritten(page, table) == page
