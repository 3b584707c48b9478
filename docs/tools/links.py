"""A mkdocs hook: what the pages link to outside docs/ becomes a page of the site too, under source/.

Pages are read on disk as well, where `../examples/...` is a plain link. A text file becomes a page that shows it, a
folder one that shows its files, Markdown is rendered. A link to what does not exist is a warning, and so is a page that
would load anything from elsewhere; `--strict` makes warnings fatal.
"""

from __future__ import annotations

import posixpath
import re
import subprocess
from pathlib import Path
from typing import Any

from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.files import File, InclusionLevel

log = get_plugin_logger("links")
ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"(?<=\]\()(?!\w+:)([^)#\s]+)(#[^)\s]*)?(?=\))")
LOADED = re.compile(r'<(?:script|img|link rel="(?:stylesheet|preconnect)")[^>]*?(?:src|href)="(https?:[^"]+)"')
FENCES = {".py": "python", ".toml": "toml", ".yaml": "yaml", ".yml": "yaml", ".java": "java", ".js": "javascript"}
SHOWN = (*FENCES, ".md", ".txt", ".jinja", ".cff", "")


def page_of(target: str) -> str:
    """Where the site shows a file of the repository; both are paths with `/`, the first one from the root."""
    if target.startswith("docs/"):
        return target.removeprefix("docs/")
    return f"source/{target.removesuffix('.md')}.md"


def targets(text: str, origin: str) -> list[str]:
    """The files of the repository that a Markdown text links to, as paths from the root; `origin` is where it lies."""
    return [_resolve(match[1], origin) for match in LINK.finditer(text)]


def relink(text: str, origin: str) -> str:
    """The text with its relative links made to point at the site's pages."""
    here = posixpath.dirname(page_of(origin))

    def link(match: re.Match[str]) -> str:
        page = page_of(_resolve(match[1], origin))
        return posixpath.relpath(page, here or ".") + (match[2] or "")

    return LINK.sub(link, text)


def on_files(files: Any, *, config: Any) -> Any:
    """Add a page for everything outside docs/ that a page links to, and that those pages link to in turn."""
    waiting = [target for path in sorted((ROOT / "docs").glob("**/*.md")) for target in targets(*_read(path))]
    done: set[str] = set()
    while waiting:
        target = waiting.pop()
        if target.startswith("docs/") or target in done:
            continue
        done.add(target)
        path = ROOT / target
        if target.startswith("..") or not path.exists():
            log.warning(f"a page links to {target}, which does not exist")
            continue
        if path.suffix == ".md":
            waiting += targets(*_read(path))
        content = relink(*_read(path)) if path.suffix == ".md" else _shown(path)
        page = File.generated(config, page_of(target), content=content, inclusion=InclusionLevel.NOT_IN_NAV)
        files.append(page)
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Any) -> str:
    """Make the links of a page of docs/ point at pages of the site."""
    uri = page.file.src_uri
    return markdown if uri.startswith("source/") else relink(markdown, f"docs/{uri}")


def on_post_page(output: str, *, page: Any, config: Any) -> str:
    """Warn of a page that loads a script, a style or a picture from elsewhere."""
    for loaded in LOADED.findall(output):
        log.warning(f"{page.file.src_uri} loads {loaded}")
    return output


def _resolve(link: str, origin: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(origin), link))


def _read(path: Path) -> tuple[str, str]:
    return path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix()


def _shown(path: Path) -> str:
    """A file in a code block, or all files of a folder."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", path], cwd=ROOT, capture_output=True, text=True, check=True
    )
    name = path.relative_to(ROOT).as_posix()
    shown = [ROOT / line for line in listed.stdout.splitlines() if Path(line).suffix in SHOWN]
    return f"# `{name}`\n\n" + "\n\n".join(_block(file, path) for file in shown if file.is_file())


def _block(file: Path, within: Path) -> str:
    heading = f"## `{file.relative_to(within).as_posix()}`\n\n" if file != within else ""
    text = file.read_text(encoding="utf-8").rstrip()
    return f"{heading}~~~~~~ {FENCES.get(file.suffix, 'text')}\n{text}\n~~~~~~"
