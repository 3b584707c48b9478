"""Typed values as JSON documents: frozen dataclasses to objects and back, with NaN as null and infinity as a number."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Self, TypeVar, cast

from pydantic import (
    BeforeValidator,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, core_schema

from qharness.errors import QHarnessError, SamplesError
from qharness.storage.json_values import JsonObject, defined

T = TypeVar("T")

Figure = Annotated[float, BeforeValidator(defined), WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "null"}]})]
"""A number that may be undefined: NaN in memory, null in JSON."""

LEFT_OUT: Mapping[str, str] = MappingProxyType({"json": "left out"})
"""Metadata of a field that a document lacks where its value is None."""

SPLICED: Mapping[str, str] = MappingProxyType({"json": "spliced"})
"""Metadata of a mapping whose items stand in the object itself; its class derives from `Splicing`."""


class Splicing:
    """A dataclass with one SPLICED field: a document's items that name no other field are read into it."""

    @classmethod
    def is_spliced(cls, value: object) -> bool:
        """Whether an item's value is of the spliced field's type; others are unknown fields, which are ignored."""
        return not isinstance(value, dict | list)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Pydantic's schema of the dataclass, which gathers the spliced items first."""
        return core_schema.no_info_before_validator_function(_gathering(source), handler(source))

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonObject:
        """The JSON Schema of the object, in which the spliced items are any further properties."""
        found: JsonObject = handler.resolve_ref_schema(handler(schema))
        (spliced,) = (each.name for each in dataclasses.fields(cast(Any, cls)) if each.metadata == SPLICED)
        own = {name: each for name, each in found["properties"].items() if name != spliced}
        further = found["properties"].get(spliced, {}).get("additionalProperties", True)
        return {**found, "properties": own, "additionalProperties": further}


def _gathering(kind: Any) -> Callable[[object], object]:
    fields = dataclasses.fields(kind)
    (spliced,) = (each.name for each in fields if each.metadata == SPLICED)
    own = {each.name for each in fields}

    def gather(document: object) -> object:
        if not isinstance(document, Mapping):
            return document
        items = {name: value for name, value in document.items() if name not in own and kind.is_spliced(value)}
        return {spliced: items, **{name: value for name, value in document.items() if name not in items}}

    return gather


def encode(value: Any) -> Any:
    """The JSON form of a dataclass, or of a mapping or sequence of them; NaN and infinity stay for `json_text`.

    Keys are in the order of the fields. An underscore at a name's end, as in `from_`, is no part of the key.
    """
    if dataclasses.is_dataclass(value):
        document: JsonObject = {}
        for field in dataclasses.fields(value):
            item = getattr(value, field.name)
            if field.metadata == SPLICED:
                document |= encode(item)
            elif item is not None or field.metadata != LEFT_OUT:
                document[field.name.rstrip("_")] = encode(item)
        return document
    if isinstance(value, Mapping):
        return {key: encode(item) for key, item in value.items()}
    return [encode(item) for item in value] if isinstance(value, list | tuple) else value


def decode(kind: type[T], document: object, error_type: type[QHarnessError], place: str) -> T:
    """The value that a document holds. Unknown fields are ignored, missing ones have the class's defaults.

    Raises `error_type`, in one line that names the place and the field, for a document of another shape.
    """
    try:
        found: T = _adapter(cast(Hashable, kind)).validate_python(document)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise error_type(f"{place} cannot be read: {field or 'it'}: {first['msg']}") from None
    except QHarnessError as error:
        raise error_type(f"{place} cannot be read: {error}") from None
    return found


class JsonRecord:
    """A dataclass that is a JSON document of its own."""

    @classmethod
    def of_document(cls, document: object, place: str | Path) -> Self:
        """Read a document, as `decode` does. Raises SamplesError, naming the place, for another shape."""
        return decode(cls, document, SamplesError, str(place))

    @property
    def document(self) -> JsonObject:
        """The JSON form; undefined numbers are NaN."""
        document: JsonObject = encode(self)
        return document


def json_schema(kind: type[Any]) -> JsonObject:
    """The JSON Schema of a class's documents; properties that it does not name may come later."""
    return _adapter(cast(Hashable, kind)).json_schema(mode="validation")


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
