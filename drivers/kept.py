"""The drivers' values as JSON and back, for whoever keeps them in a database or a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")

_ADAPTERS: Final[dict[type[Any], TypeAdapter[Any]]] = {}


def dumped(value: object) -> dict[str, Any]:
    """Give a frozen value, such as a ``MeterProfile``, as what JSON can hold.

    A list of values stands in a dataclass too; dates and times are written as ISO 8601.
    """
    plain: dict[str, Any] = _adapter(type(value)).dump_python(value, mode="json")
    return plain


def loaded(kind: type[T], data: Mapping[str, Any]) -> T:
    """Make a value of what ``dumped`` gave, or of a file that a person wrote.

    Raises
    ------
    ValueError
        naming the field that is missing, unknown or wrong.
    """
    adapter: TypeAdapter[T] = _adapter(kind)
    try:
        value = adapter.validate_python(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or kind.__name__
        raise ValueError(f"{where}: {first['msg']}") from None
    _check_known(data, dumped(value), "")
    return value


def _check_known(given: object, known: object, where: str) -> None:
    """Refuse fields that nothing was made of: a misspelt one would be passed over in silence."""
    if isinstance(given, Mapping) and isinstance(known, Mapping):
        for name, part in given.items():
            if name not in known:
                raise ValueError(f"{where}{name}: there is no such field")
            _check_known(part, known[name], f"{where}{name}.")
    elif isinstance(given, list | tuple) and isinstance(known, list):
        for number, (part, made) in enumerate(zip(given, known, strict=True)):
            _check_known(part, made, f"{where}{number}.")


def _adapter(kind: type[T]) -> TypeAdapter[T]:
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]
