"""Only what PythonQt lets a script do: which members there are, how signals connect, what slots take and give.

`members.json` has the names; ``Testing/slicer_members.py`` takes them from the headers of Slicer, CTK and PythonQt.
What the module's own code may not do in Slicer raises here: a member that is not wrapped, a keyword argument, a
signal that is not there, a function that asks for more than its signal gives. The stand-in itself and the tests work
on the plain PySide6 classes underneath.
"""

from __future__ import annotations

import functools
import inspect
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

MEMBERS: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("members.json").read_text("utf-8"))
# every wrapper has them
ALWAYS = {"className", "inherits", "help", "delete", "name", "connect", "disconnect"}
# whose code is held to the rules: the module's
HELD = ("INRSuperResolution", "INRSuperResolutionModule")


@functools.cache
def family(name: str) -> tuple[str, ...]:
    """A class and its bases."""
    base = MEMBERS[name]["base"]
    return (name, *family(base)) if base else (name,)


@functools.cache
def every(name: str, kind: str) -> frozenset[str]:
    """All properties, methods, signals or enums of a class and its bases."""
    return frozenset(member for cls in family(name) for member in MEMBERS[cls][kind])


@functools.cache
def is_wrapped(name: str, member: str) -> bool:
    """Whether PythonQt knows the member of a class."""
    if member.endswith("_") and not member.endswith("__"):
        return is_wrapped(name, member[:-1])  # as exec_, once a word of Python's own
    if member in ALWAYS or any(member in every(name, kind) for kind in ("properties", "methods", "enums")):
        return True
    return any(signal.partition("(")[0] == member for signal in every(name, "signals"))


def is_held(depth: int = 2) -> bool:
    """Whether the caller's caller is code that is held to the rules."""
    return sys._getframe(depth).f_globals.get("__name__", "").partition(".")[0] in HELD


def known_class(value: Any) -> str | None:
    """The most special wrapped class that an object of PySide6 is of."""
    return next((c.__name__ for c in type(value).__mro__ if c.__name__ in MEMBERS), None)


class Slot:
    """A member function as PythonQt calls it: by position only."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self._name, self._function = name, function
        self.__name__ = name

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        if named:
            raise ValueError(f"Called {self._name} with keyword arguments, but called slot does not support kwargs.")
        return outward(self._function(*map(inward, arguments)))


class Wrapped:
    """An object of PySide6 that is no class of the stand-in's (an item, an icon, bytes), with what is wrapped of it."""

    def __init__(self, value: Any, name: str) -> None:
        object.__setattr__(self, "_value", value)
        object.__setattr__(self, "_name", name)

    def __getattr__(self, member: str) -> Any:
        if member.startswith("__"):
            raise AttributeError(member)
        if is_held():
            refuse_unwrapped(self._name, member)
        if member == "connect":
            return functools.partial(connect, self._value)
        found = getattr(self._value, member)
        if member in every(self._name, "properties") and callable(found):
            return outward(found())
        return Slot(f"{self._name}.{member}", found) if callable(found) else outward(found)

    def __setattr__(self, member: str, value: Any) -> None:
        refuse_new(self._name, member)
        self._value.setProperty(member, value)

    def __bytes__(self) -> bytes:
        return bytes(self._value)

    def __eq__(self, other: object) -> bool:
        return self._value == inward(other)

    __hash__ = None  # type: ignore[assignment]


class WrappedClass:
    """A class as `qt` and `ctk` give it: made by position, static functions, enums, `isinstance`."""

    # what a test has a file dialog answer
    answers: dict[str, str] = {}  # noqa: RUF012

    def __init__(self, name: str, cls: type) -> None:
        self.__name__, self.cls = name, cls

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return Slot(self.__name__, self.cls)(*arguments, **named)

    def __instancecheck__(self, value: Any) -> bool:
        return isinstance(inward(value), self.cls)

    def __getattr__(self, member: str) -> Any:
        if is_held():
            refuse_unwrapped(self.__name__, member)
        if self.__name__ == "QFileDialog" and member.startswith("get"):
            # one string, not PySide6's pair with the filter
            return Slot(member, lambda *_: self.answers.get(member, ""))
        if (self.__name__, member) == ("QTimer", "singleShot"):
            return Slot(member, lambda ms, function: QtCore.QTimer.singleShot(ms, guarded(function)))
        found = getattr(self.cls, member)
        is_enum = member in every(self.__name__, "enums") if self.__name__ in MEMBERS else False
        return Slot(f"{self.__name__}.{member}", found) if callable(found) and not is_enum else found


def outward(value: Any) -> Any:
    """As a script sees what C++ gives it."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(outward, value))
    if not type(value).__module__.startswith("PySide6") or getattr(type(value), "wrapped_as", None):
        return value
    name = known_class(value)
    return Wrapped(value, name) if name is not None else value


def inward(value: Any) -> Any:
    """The inverse of `outward`."""
    if isinstance(value, Wrapped):
        return value._value
    if isinstance(value, WrappedClass):
        return value.cls
    return [inward(v) for v in value] if isinstance(value, list) else value


def refuse_unwrapped(name: str, member: str) -> None:
    """Raise as PythonQt for a member that it does not wrap."""
    if not is_wrapped(name, member):
        raise AttributeError(f"{name} has no attribute named '{member}'")


def refuse_new(name: str, member: str) -> None:
    """Raise as PythonQt where something is set that is no property."""
    if member in every(name, "properties") or member == "name":
        return
    if is_wrapped(name, member):
        raise AttributeError(f"Slot '{member}' can not be overwritten on {name} object")
    raise AttributeError(
        f"'{member}' does not exist on {name} and creating new attributes on C++ objects is not allowed"
    )


def hold_to_the_rules(cls: type, name: str) -> type:
    """Make the members of a class of the stand-in those of Slicer's class `name`, for code that is held."""

    def get(self: Any, member: str) -> Any:
        if member.startswith("_") or not is_held():
            return super(cls, self).__getattribute__(member)
        refuse_unwrapped(name, member)
        found = super(cls, self).__getattribute__(member)
        isFunction = callable(found) and not isinstance(found, QtCore.SignalInstance)
        return Slot(f"{name}.{member}", found) if isFunction else outward(found)

    def set_(self: Any, member: str, value: Any) -> None:
        if not member.startswith("_") and is_held():
            refuse_new(name, member)
            value = inward(value)
        super(cls, self).__setattr__(member, value)

    cls.wrapped_as = name  # type: ignore[attr-defined]
    cls.__getattribute__, cls.__setattr__ = get, set_  # type: ignore[method-assign,assignment]
    return cls


# ---- signals -------------------------------------------------------------------------------------


def guarded(function: Callable[..., Any], given: int = 0, taken: int = 0) -> Callable[..., Any]:
    """What the main loop calls: an error in `function` is printed there and goes no further.

    PySide6 counts the parameters to find out what to give, so there are as many as the signal has (`given`), of
    which the function gets those that it takes.
    """

    def call(*arguments: Any) -> None:
        try:
            function(*map(outward, arguments[:taken]))
        except Exception:
            sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]

    shapes: list[Callable[..., Any]] = [lambda: call(), lambda a: call(a), lambda a, b: call(a, b)]
    return shapes[given]


def arguments_taken(function: Callable[..., Any], given: int) -> int:
    """With how many of a signal's arguments PythonQt calls a function; raises TypeError if that is too few for it."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # written in C++
        return given
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return given
    own = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = sum(p.default is p.empty for p in own)
    if needed > given:
        raise TypeError(f"{function} takes {needed} arguments, and its signal gives {given}")
    return min(given, len(own))


def connect(self: Any, *arguments: Any) -> bool:
    """``object.connect("valueChanged(int)", f)``; raises where Slicer would only print that there is no such signal."""
    signal, slot = arguments
    name = getattr(type(self), "wrapped_as", None) or known_class(self)
    signature = re.sub(r"\bconst\b|&|\s", "", signal)
    if name is None or signature not in {s.replace(" ", "") for s in every(name, "signals")}:
        raise ValueError(
            f"signal {signal} does not exist on {name}: it has {sorted(every(name, 'signals') if name else [])}"
        )
    if not callable(slot):
        raise TypeError(f"{slot!r} cannot be called")
    types = signature.partition("(")[2].rstrip(")")
    given = len(types.split(",")) if types else 0
    bound = getattr(self, signature.partition("(")[0])
    bound.connect(guarded(slot, given, arguments_taken(slot, given)))
    return True


def plain_class(name: str) -> type | None:
    """The class of PySide6."""
    return next((getattr(lib, name) for lib in (QtCore, QtGui, QtWidgets) if hasattr(lib, name)), None)
