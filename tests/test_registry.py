from __future__ import annotations

import ast
import dataclasses
import random
import sys
import types
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import ClassVar

import pytest

import qharness
from qharness import Limits, PluginError, TaskSource, Toolchain, UnknownNameError, hookimpl, option
from qharness.api import hooks
from qharness.registry import build_registry, get_registry
from tests.conftest import REPOSITORY


@dataclass(frozen=True)
class Halve:
    """Halves."""

    name: ClassVar[str] = "halve"
    needs_calibration: ClassVar[bool] = False
    batch_dependent: ClassVar[bool] = False
    times: int = option(1, "how often")

    def quantize(self, model: object, context: object) -> object:
        return model


@dataclass(frozen=True)
class Poem:
    """One poem."""

    name: ClassVar[str] = "poem"
    n: int = 1
    seqlen: int = 8

    def documents(self, rng: random.Random, data_dir: Path | None) -> Iterable[tuple[str, str]]:
        yield "poem", "Rose is a rose is a rose is a rose"


@dataclass(frozen=True)
class Shout:
    """Capitals."""

    name: ClassVar[str] = "shout"

    def __call__(self, text: str, rng: random.Random) -> str:
        return text.upper()


@dataclass(frozen=True)
class Silent:
    """A language in which nothing can be said."""

    name: ClassVar[str] = "silent"
    limits: ClassVar[Limits] = Limits()

    def toolchain(self, limits: Limits) -> Toolchain:
        return Toolchain(("true",), (), "1")

    def first_function(self, prompt: str, completion: str) -> str:
        return ""


def entry_point(module: str, **functions: object) -> EntryPoint:
    """An entry point whose module has these hooks."""
    fake = types.ModuleType(module)
    for name, function in functions.items():
        setattr(fake, name, hookimpl(function))
    sys.modules[module] = fake
    return EntryPoint(module, module, "qharness")


def test_hook_qharness_quantizers() -> None:
    registry = build_registry(entry_points=[entry_point("p_quant", qharness_quantizers=lambda: [Halve])])
    assert registry.quantizer("halve:times=3") == Halve(3)
    assert registry.quantizers["halve"].plugin == "p_quant"
    assert {"none", "int8-dynamic"} <= set(registry.quantizers)


def test_hook_qharness_calibration_sets() -> None:
    registry = build_registry(entry_points=[entry_point("p_calib", qharness_calibration_sets=lambda: [Poem])])
    assert registry.calibration_set("poem:n=2,seqlen=4") == Poem(2, 4)


def test_hook_qharness_perturbations() -> None:
    registry = build_registry(entry_points=[entry_point("p_pert", qharness_perturbations=lambda: [Shout])])
    assert registry.perturbation("shout")("ah", random.Random(0)) == "AH"


def test_hook_qharness_tasks(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("task: mine\ncustom_dataset: !function a.b\nmetadata: {summary: Mine.}\n")
    registry = build_registry(entry_points=[entry_point("p_task", qharness_tasks=lambda: [TaskSource(tmp_path)])])
    assert registry.tasks["mine"].value.summary == "Mine."
    assert registry.tasks["mine"].value.source.prose_spans({}) == []


def test_hook_qharness_languages() -> None:
    registry = build_registry(entry_points=[entry_point("p_lang", qharness_languages=lambda: [Silent])])
    assert registry.language("silent") == Silent()
    assert {"python", "java"} <= set(registry.languages)


def test_every_hook_has_a_test_and_its_exact_signature_in_the_docs() -> None:
    tree = ast.parse(Path(hooks.__file__).read_text())
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("qharness_")]
    assert len(functions) == 5
    docs = (REPOSITORY / "docs/plugins.md").read_text()
    for hook in functions:
        assert f"test_hook_{hook.name}" in globals()
        assert hook.returns is not None
        assert f"{hook.name}() -> {ast.unparse(hook.returns)}" in docs
        assert not hook.args.args


def test_a_name_offered_twice_names_both_plugins() -> None:
    points = [entry_point(p, qharness_quantizers=lambda: [Halve]) for p in ("p_one", "p_two")]
    with pytest.raises(PluginError, match=r"quantizer 'halve' is offered by two plugins, p_(one|two) and p_(one|two)"):
        build_registry(entry_points=points)


def test_a_plugin_that_does_not_import_is_set_aside() -> None:
    registry = build_registry(entry_points=[EntryPoint("lost", "no_such_module_anywhere", "qharness")])
    (broken,) = registry.broken
    assert broken.name == "lost"
    assert "no_such_module_anywhere" in broken.reason
    assert "none" in registry.quantizers


def test_a_misspelt_hook_is_an_error() -> None:
    with pytest.raises(PluginError, match="qharness_quantisers"):
        build_registry(entry_points=[entry_point("p_typo", qharness_quantisers=lambda: [])])


def test_a_folder_with_a_broken_yaml_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("no_task_here: 1\n")
    with pytest.raises(PluginError, match=r"bad\.yaml is no lm-eval task"):
        build_registry(entry_points=[entry_point("p_bad", qharness_tasks=lambda: [TaskSource(tmp_path)])])


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(
        UnknownNameError, match=r"unknown quantizer 'int8-dynmic': did you mean int8-dynamic, int8-static\?"
    ):
        get_registry().quantizer("int8-dynmic")


def test_plugins_import_only_what_qharness_exports() -> None:
    import qharness

    for path in [*REPOSITORY.glob("plugins/**/*.py"), *REPOSITORY.glob("tasks/**/*.py")]:
        own = {".".join(["qharness", *path.relative_to(REPOSITORY).with_suffix("").parts[:depth]]) for depth in (2, 3)}
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("qharness"):
                if node.module == "qharness":
                    assert {alias.name for alias in node.names} <= set(qharness.__all__), path
                else:
                    family = ".".join((node.module or "").split(".")[:3])
                    assert family in own or family == "qharness.tasks.prose", f"{path} imports {node.module}"


def test_example_packages_import_only_what_qharness_exports() -> None:
    import qharness

    paths = sorted(REPOSITORY.glob("examples/qharness-*/qharness_*/**/*.py"))
    assert len({path.relative_to(REPOSITORY).parts[1] for path in paths}) >= 4
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "qharness":
                assert node.module == "qharness" and {alias.name for alias in node.names} <= set(qharness.__all__), path


def test_every_exported_name_is_there() -> None:
    import qharness

    for name in qharness.__all__:
        assert getattr(qharness, name) is not None


def test_the_plugin_in_the_docs_works() -> None:
    """The example of docs/plugins.md, as it stands there."""
    from qharness.models.loading import LoadedModel
    from qharness.quantization.application import quantize_loaded
    from tests.tiny_models import make_model, tokenizer

    block = (REPOSITORY / "docs/plugins.md").read_text().split("    # my_package.py\n")[1].split("\n`pip install")[0]
    module = types.ModuleType("my_package")
    sys.modules["my_package"] = module
    exec("\n".join(line[4:] for line in block.splitlines()), module.__dict__)
    registry = build_registry(entry_points=[EntryPoint("mine", "my_package", "qharness")])
    loaded = LoadedModel(make_model("llama"), tokenizer(), "llama")
    quantize_loaded(loaded, registry.quantizer("drop:0.3"))
    weight = loaded.model.get_submodule("model.layers.0.mlp.up_proj").weight
    assert 0.2 < (weight == 0).float().mean() < 0.4


def test_a_language_is_looked_up_by_its_name() -> None:
    cpp = dataclasses.make_dataclass("Cpp", [], bases=(Silent,), namespace={"name": "c++"}, frozen=True)
    registry = build_registry(entry_points=[entry_point("p_cpp", qharness_languages=lambda: [cpp])])
    assert isinstance(registry.language("c++"), cpp)
    with pytest.raises(UnknownNameError, match=r"'java:x'"):
        registry.language("java:x")


def test_old_names_of_exports_warn_and_work() -> None:
    with pytest.warns(DeprecationWarning, match=r"qharness\.Load is now qharness\.LoadCheckpoint"):
        assert qharness.Load is qharness.LoadCheckpoint
    for name in qharness.__all__:
        assert getattr(qharness, name) is not None
