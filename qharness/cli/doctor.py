"""`qharness doctor`: tries what works on this machine."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version

from qharness.api.languages import PackageLanguage, Program
from qharness.cli.defaults_file import OWN, SHARED, TABLE, find_defaults_file
from qharness.cli.options import Json
from qharness.cli.output import print_json, print_table, registry
from qharness.errors import QHarnessError
from qharness.execution.sandbox import Check, choose_isolation, interpreter, mechanisms
from qharness.execution.toolchains import find_toolchain
from qharness.execution.worker import SandboxWorker
from qharness.registry import Registry

_PACKAGES = ("torch", "transformers", "lm_eval")


def doctor(json: Json = False) -> None:
    """What works on this machine, and the command that mends what does not."""
    found = registry()
    here = [*_packages(), check_defaults(), _cuda(), *_isolation()]
    checks = [*here, *_languages(found), *_task_packages(found), *_plugins(found)]
    if json:
        print_json({"checks": [asdict(check) for check in checks]})
        return
    print_table(("", "ok", "found", "fix"), [(c.name, "yes" if c.ok else "no", c.found, c.fix) for c in checks])


def _packages() -> Iterator[Check]:
    yield Check("python", True, platform.python_version())
    for name in _PACKAGES:
        try:
            yield Check(name, True, version(name))
        except PackageNotFoundError:
            yield Check(name, False, "not installed", f"pip install {name}")


def check_defaults() -> Check:
    """The defaults file that counts here, with its values."""
    try:
        file = find_defaults_file()
        if file is None:
            return Check("defaults", True, f"none: there is no {OWN}, and no {SHARED} with [{TABLE}]")
        given = (f"{name.replace('_', '-')} {value}" for name, value in file.read().given().items())
        return Check("defaults", True, f"{file.path}: {', '.join(given) or 'no values'}")
    except QHarnessError as error:
        return Check("defaults", False, str(error), "correct the file")


def _cuda() -> Check:
    import torch

    if torch.cuda.is_available():
        return Check("cuda", True, torch.cuda.get_device_name())
    return Check("cuda", False, "none; models run on the CPU", "needed only for --device cuda")


def _isolation() -> Iterator[Check]:
    """The sandbox that programs would get here, and each mechanism that it is made of."""
    try:
        yield Check("sandbox", True, choose_isolation().name)
    except QHarnessError as error:
        yield Check("sandbox", False, str(error), "see the rows below")
    yield from mechanisms()


def _languages(found: Registry) -> Iterator[Check]:
    """Each language's toolchain, by running an empty program where there is a sandbox."""
    for name in found.languages:
        language = found.language(name)
        try:
            toolchain = language.toolchain(language.limits)
            SandboxWorker(language, choose_isolation()).run(Program(name, ""))
            tool = toolchain.tool or (toolchain.command or (interpreter(),))[0]
            yield Check(name, True, f"{toolchain.version}: {tool}")
        except QHarnessError as error:
            yield Check(name, False, str(error), str(error).partition(": ")[2])


def _task_packages(found: Registry) -> Iterator[Check]:
    """What the programs of tasks import besides a standard library, in a language that has packages."""
    languages = [each for each in map(found.language, found.languages) if isinstance(each, PackageLanguage)]
    asking = {name: entry.value.packages for name, entry in found.tasks.items() if entry.value.packages}
    for name, packages in asking.items():
        for language in languages:
            try:
                versions = find_toolchain(language, packages).packages
                yield Check(f"packages of {name}", True, ", ".join(f"{each} {version}" for each, version in versions))
            except QHarnessError as error:
                yield Check(f"packages of {name}", False, str(error), str(error).partition(": ")[2])


def _plugins(found: Registry) -> Iterator[Check]:
    for plugin in found.broken:
        yield Check(f"plugin {plugin.name}", False, plugin.reason, f"pip install --upgrade or uninstall {plugin.name}")
