"""Python and Java, as `writing` needs them."""

from __future__ import annotations

import random
from collections.abc import Mapping

from tinycoder.snippets import fill
from tinycoder.steps import JAVA_BOXES, JAVA_TYPES, Sink, Source, Step
from tinycoder.writing import Bind, Items

Spelt = list[tuple[Bind, str]]


class Python:
    """Comprehensions and builtins for expressions."""

    name = "python"
    margin = 1
    braces = False
    reserved = frozenset({"v"})

    def codes(self, step: Step | Sink) -> tuple[str, ...]:
        return step.python if isinstance(step, Step) else step.python_loop

    def headers(self, source: Source) -> tuple[str, ...]:
        return source.python

    def assign(self, kind: str, name: str, value: str) -> str:
        return f"{name} = {value}"

    def assign_list(self, kind: str, name: str, value: str) -> str:
        return f"{name} = {value}"

    def leave(self, value: str) -> str:
        return f"return {value}"

    def guard(self, condition: str) -> list[str]:
        return [f"if {condition}:", "    continue"]

    def branch(self, condition: str) -> str:
        return f"if {condition}:"

    def over(self, kind: str, name: str, items: str) -> str:
        return f"for {name} in {items}:"

    def new_list(self, kind: str, name: str) -> str:
        return f"{name} = []"

    def append(self, name: str, value: str) -> str:
        return f"{name}.append({value})"

    def list_of(self, segment: Spelt, items: Items, x: str, kinds: tuple[str, str]) -> str | None:
        inner = self._comprehension(segment, items, x)
        return f"[{inner}]" if inner else None

    def whole(
        self, segment: Spelt, items: Items, x: str, sink: Sink, holes: Mapping[str, str], rng: random.Random
    ) -> str | None:
        if not sink.python_whole:
            return None
        code = rng.choice(sink.python_whole)
        if not segment and items.name:
            return fill(code, {**holes, "s": items.name})
        inner = self._comprehension(segment, items, x)
        if not inner or code.count("$s") > 1:
            return None
        alone = "($s)" in code and not code.startswith(("len", "sum(map"))
        return fill(code, {**holes, "s": inner if alone and rng.random() < 0.7 else f"[{inner}]"})

    def _comprehension(self, segment: Spelt, items: Items, x: str) -> str | None:
        """Filters, then at most one map."""
        maps = [bind for bind, _ in segment if not bind.step.filters]
        if len(maps) > 1 or (maps and maps[0] is not segment[-1][0]):
            return None
        value = fill(segment[-1][1], {"x": x}) if maps else x
        conditions = [fill(code, {"x": x}) for bind, code in segment if bind.step.filters]
        over = f"for {x} in {items.name}"
        if items.source:
            if not items.source.python_items:
                return None
            text = items.source.python_items[0]
            row = {"row": "row" if x != "row" else "line"}
            over = fill(text, {**(items.holes or {}), **row, "x": x})
        test = " if " + " and ".join(f"({c})" if " or " in c else c for c in conditions) if conditions else ""
        return f"{value} {over}{test}"


class Java:
    """Streams for expressions."""

    name = "java"
    margin = 2
    braces = True
    reserved = frozenset({"a", "b", "c", "v"})

    def codes(self, step: Step | Sink) -> tuple[str, ...]:
        return step.java if isinstance(step, Step) else step.java_loop

    def headers(self, source: Source) -> tuple[str, ...]:
        return source.java

    def assign(self, kind: str, name: str, value: str) -> str:
        return f"{JAVA_TYPES[kind]} {name} = {value};"

    def assign_list(self, kind: str, name: str, value: str) -> str:
        return f"List<{JAVA_BOXES[kind]}> {name} = {value};"

    def leave(self, value: str) -> str:
        return f"return {value};"

    def guard(self, condition: str) -> list[str]:
        return [f"if ({condition}) {{", "    continue;", "}"]

    def branch(self, condition: str) -> str:
        return f"if ({condition}) {{"

    def over(self, kind: str, name: str, items: str) -> str:
        return f"for ({JAVA_TYPES[kind]} {name} : {items}) {{"

    def new_list(self, kind: str, name: str) -> str:
        return f"ArrayList<{JAVA_BOXES[kind]}> {name} = new ArrayList<>();"

    def append(self, name: str, value: str) -> str:
        return f"{name}.add({value});"

    def list_of(self, segment: Spelt, items: Items, x: str, kinds: tuple[str, str]) -> str | None:
        stream = self._stream(segment, items, x)
        return stream + ".collect(Collectors.toList())" if stream else None

    def whole(
        self, segment: Spelt, items: Items, x: str, sink: Sink, holes: Mapping[str, str], rng: random.Random
    ) -> str | None:
        stream = self._stream(segment, items, x)
        return stream + fill(rng.choice(sink.java_tail), holes) if stream and sink.java_tail else None

    def _stream(self, segment: Spelt, items: Items, x: str) -> str | None:
        """Filters and maps in any order."""
        stream = f"{items.name}.stream()"
        if items.source:
            if not items.source.java_stream:
                return None
            stream = fill(items.source.java_stream[0], items.holes or {})
        for bind, code in segment:
            stream += f".{'filter' if bind.step.filters else 'map'}({x} -> {fill(code, {'x': x})})"
        return stream


PYTHON, JAVA = Python(), Java()
