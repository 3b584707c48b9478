"""The spec grammar: `name[:argument[,argument]*]`, an argument being positional or `key=value`.

A value that holds one of `, = : @ + "`, a space or nothing at all stands in double quotes, in which a backslash
escapes a quote or a backslash. `parse` and `Spec.__str__` are each other's inverse.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import types
import typing
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, Union

from qharness.errors import SpecError

T = TypeVar("T")

_TOKEN = re.compile(r'"((?:[^"\\]|\\["\\])*)"|([,=:@+])|([^\s,=:@+"]+)')
_PLAIN = re.compile(r'[^\s,=:@+"]+')


@dataclass(frozen=True)
class Spec:
    """A parsed spec string: positional arguments come first, then named ones, in the order written."""

    name: str
    args: tuple[str, ...] = ()
    kwargs: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        arguments = [_quote(a) for a in self.args] + [f"{k}={_quote(v)}" for k, v in self.kwargs]
        return _quote(self.name) + (":" + ",".join(arguments) if arguments else "")


def _quote(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _tokens(text: str) -> list[tuple[bool, str]]:
    """Split into (is punctuation, value) pairs; raise SpecError at the first character that fits nothing."""
    out, position = [], 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise SpecError(f"spec {text!r} does not parse at character {position + 1}: put the value in double quotes")
        quoted, punctuation, plain = match.groups()
        if quoted is not None:
            out.append((False, re.sub(r"\\(.)", r"\1", quoted)))
        else:
            out.append((punctuation is not None, punctuation or plain))
        position = match.end()
    return out


def parse(text: str) -> Spec:
    """Parse one spec; raise SpecError with the text and the mistake in it."""
    return _parse_tokens(_tokens(text), text)


def _parse_tokens(tokens: list[tuple[bool, str]], text: str) -> Spec:
    """Parse the tokens of one spec; `text` is the whole string, which the message of a SpecError quotes."""

    def fail(reason: str) -> typing.NoReturn:
        raise SpecError(f"spec {text!r} does not parse: {reason}; the form is name:value,key=value")

    if not tokens or tokens[0][0]:
        fail("it must begin with a name")
    name, rest = tokens[0][1], tokens[1:]
    if not rest:
        return Spec(name)
    if rest[0] != (True, ":"):
        fail(f"expected ':' after {name!r}")
    args: list[str] = []
    kwargs: list[tuple[str, str]] = []
    for argument in _split(rest[1:], ","):
        match argument:
            case [(False, value)] if not kwargs:
                args.append(value)
            case [(False, value)]:
                fail(f"positional value {value!r} after a named one")
            case [(False, key), (True, "="), (False, value)]:
                if key in dict(kwargs):
                    fail(f"option {key!r} is given twice")
                kwargs.append((key, value))
            case _:
                fail("an argument is empty or holds more than a value or key=value")
    return Spec(name, tuple(args), tuple(kwargs))


def _split(tokens: list[tuple[bool, str]], mark: str) -> list[list[tuple[bool, str]]]:
    parts: list[list[tuple[bool, str]]] = [[]]
    for token in tokens:
        if token == (True, mark):
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def parse_task(text: str) -> tuple[str, tuple[Spec, ...]]:
    """Split `TASK@PERTURBATION[+PERTURBATION]` into the task's name and its perturbations, in order of application."""
    tokens = _tokens(text)
    if not tokens or tokens[0][0]:
        raise SpecError(f"task {text!r} does not parse: it must begin with a name")
    if len(tokens) == 1:
        return tokens[0][1], ()
    if tokens[1] != (True, "@"):
        raise SpecError(f"task {text!r} does not parse: expected '@' after {tokens[0][1]!r}")
    return tokens[0][1], tuple(_parse_tokens(part, text) for part in _split(tokens[2:], "+"))


def bind(spec: Spec, cls: type[T]) -> T:
    """Make the plugin `cls` (a frozen dataclass) with the spec's options; raise SpecError for a wrong option."""
    fields = [f for f in dataclasses.fields(cls) if f.init]  # type: ignore[arg-type]
    names = [f.name for f in fields]
    if len(spec.args) > len(fields):
        raise SpecError(f"{spec.name} takes at most {len(fields)} options, {len(spec.args)} given in {str(spec)!r}")
    given = dict(zip(names, spec.args, strict=False))
    for key, value in spec.kwargs:
        if key not in names:
            near = difflib.get_close_matches(key, names, n=3, cutoff=0.4) or names
            advice = f"did you mean {', '.join(near)}?" if near else "it takes none"
            raise SpecError(f"{spec.name} has no option {key!r}: {advice}")
        if key in given:
            raise SpecError(f"option {key!r} of {spec.name} is given twice in {str(spec)!r}")
        given[key] = value
    hints = typing.get_type_hints(cls)
    values = {key: _convert(value, hints[key], f"option {key!r} of {spec.name}") for key, value in given.items()}
    missing = [f.name for f in fields if f.name not in values and not _has_default(f)]
    if missing:
        raise SpecError(
            f"{spec.name} needs {', '.join(missing)}: write {spec.name}:{','.join(m.upper() for m in missing)}"
        )
    made = cls(**values)
    check_options(made)
    return made


def check_options(plugin: Any) -> None:
    """Raise SpecError for an option of a plugin's dataclass that is out of the range it declares."""
    for f in dataclasses.fields(plugin):
        if "range" in f.metadata and (complaint := f.metadata["range"].complaint(getattr(plugin, f.name))):
            raise SpecError(f"{plugin.name}'s {f.name} {complaint}")


def unbind(plugin: Any) -> Spec:
    """The shortest spec that makes `plugin` again: leading options bare, later ones by name, defaults not at all."""
    args: list[str] = []
    kwargs: list[tuple[str, str]] = []
    leading = True
    for f in dataclasses.fields(plugin):
        value = getattr(plugin, f.name)
        if _has_default(f) and value == _default(f):
            leading = False
        elif leading:
            args.append(show(value))
        else:
            kwargs.append((f.name, show(value)))
    return Spec(plugin.name, tuple(args), tuple(kwargs))


def _has_default(f: dataclasses.Field[Any]) -> bool:
    return f.default is not dataclasses.MISSING or f.default_factory is not dataclasses.MISSING


def _default(f: dataclasses.Field[Any]) -> Any:
    return f.default_factory() if f.default_factory is not dataclasses.MISSING else f.default


def show(value: Any) -> str:
    """An option's value as a spec spells it, unquoted."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _convert(text: str, hint: Any, where: str) -> Any:
    """Turn an option's text into its field's type: bool, int, float, str, a Literal, or one of these or None."""
    origin = typing.get_origin(hint)
    if origin in (Union, types.UnionType):
        members = [m for m in typing.get_args(hint) if m is not type(None)]
        if text == "None" and len(members) < len(typing.get_args(hint)):
            return None
        return _convert(text, members[0], where)
    if origin is Literal:
        for choice in typing.get_args(hint):
            if text == str(choice):
                return choice
        raise SpecError(f"{where} must be one of {', '.join(map(str, typing.get_args(hint)))}, not {text!r}")
    if hint is bool:
        if text not in ("true", "false"):
            raise SpecError(f"{where} must be true or false, not {text!r}")
        return text == "true"
    try:
        value = hint(text)
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(text)
        return value
    except ValueError:
        kind = {int: "a whole number", float: "a number"}.get(hint, hint.__name__)
        raise SpecError(f"{where} must be {kind}, not {text!r}") from None
