"""`qharness doctor`: tries what works on this machine."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from qharness.api.languages import Program
from qharness.cli.options import Json
from qharness.cli.output import print_json, print_table, registry
from qharness.errors import QHarnessError
from qharness.registry import Registry

if TYPE_CHECKING:
    from qharness.execution.sandbox import Check

_PACKAGES = ("torch", "transformers", "lm_eval")


def doctor(json: Json = False) -> None:
    """What works on this machine, and the command that mends what does not."""
    found = registry()
    checks = [*_packages(), _cuda(), *_isolation(), *_languages(found), *_task_packages(found), *_plugins(found)]
    if json:
        print_json({"checks": [asdict(check) for check in checks]})
        return
    print_table(("", "ok", "found", "fix"), [(c.name, "yes" if c.ok else "no", c.found, c.fix) for c in checks])


def _check(name: str, ok: bool, found: str, fix: str = "") -> Check:
    from qharness.execution.sandbox import Check

    return Check(name, ok, found, fix)


def _packages() -> Iterator[Check]:
    yield _check("python", True, platform.python_version())
    for name in _PACKAGES:
        try:
            yield _check(name, True, version(name))
        except PackageNotFoundError:
            yield _check(name, False, "not installed", f"pip install {name}")


def _cuda() -> Check:
    import torch

    if torch.cuda.is_available():
        return _check("cuda", True, torch.cuda.get_device_name())
    return _check("cuda", False, "none; models run on the CPU", "needed only for --device cuda")


def _isolation() -> Iterator[Check]:
    """The sandbox that programs would get here, and each mechanism that it is made of."""
    from qharness.execution import choose_isolation
    from qharness.execution.sandbox import mechanisms

    try:
        yield _check("sandbox", True, choose_isolation().name)
    except QHarnessError as error:
        yield _check("sandbox", False, str(error), "see the rows below")
    yield from mechanisms()


def _languages(found: Registry) -> Iterator[Check]:
    """Each language's toolchain, by running an empty program where there is a sandbox."""
    from qharness.execution import choose_isolation
    from qharness.execution.sandbox import interpreter
    from qharness.execution.worker import SandboxWorker

    for name in found.languages:
        language = found.language(name)
        try:
            toolchain = language.toolchain(language.limits)
            SandboxWorker(language, choose_isolation()).run(Program(name, ""))
            yield _check(name, True, f"{toolchain.version}: {(toolchain.command or (interpreter(),))[0]}")
        except QHarnessError as error:
            yield _check(name, False, str(error), str(error).partition(": ")[2])


def _task_packages(found: Registry) -> Iterator[Check]:
    """What the programs of tasks import besides a standard library, in a language that has packages."""
    from qharness.api.languages import PackageLanguage
    from qharness.execution.toolchains import find_toolchain

    languages = [each for each in map(found.language, found.languages) if isinstance(each, PackageLanguage)]
    asking = {name: entry.value.packages for name, entry in found.tasks.items() if entry.value.packages}
    for name, packages in asking.items():
        for language in languages:
            try:
                versions = find_toolchain(language, packages).packages
                yield _check(f"packages of {name}", True, ", ".join(f"{each} {version}" for each, version in versions))
            except QHarnessError as error:
                yield _check(f"packages of {name}", False, str(error), str(error).partition(": ")[2])


def _plugins(found: Registry) -> Iterator[Check]:
    for plugin in found.broken:
        yield _check(f"plugin {plugin.name}", False, plugin.reason, f"pip install --upgrade or uninstall {plugin.name}")
