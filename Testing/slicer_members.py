"""Writes what PythonQt lets a script see of Slicer's, CTK's and Qt's classes: Testing/SlicerHost/members.json.

    git clone --depth 1 https://github.com/Slicer/Slicer
    git clone --depth 1 https://github.com/commontk/CTK
    git clone --depth 1 https://github.com/MeVisLab/pythonqt
    python Testing/slicer_members.py Slicer CTK pythonqt

Of Slicer's and CTK's classes these are properties, slots, invokables and signals of the headers, and what decorators
add. Of Qt's they are those of the meta objects (PySide6 has the same) and what PythonQt's generated wrappers add. The
classes are those that the module names, and those in `ALSO`.
"""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
MODULE = HERE.parent / "INRSuperResolution"
TARGET = HERE / "SlicerHost" / "members.json"
# what the module gets from others, and what the stand-in itself gives out
ALSO = (
    "qSlicerApplication", "qSlicerLayoutManager", "qMRMLSliceWidget", "qMRMLSliceView", "QByteArray", "QClipboard",
    "QIcon", "QPixmap", "QStyle", "QMenu", "QAction", "QGroupBox", "QScrollArea", "QRadioButton", "QFrame", "QGridLayout",
    "QSettings", "QMessageBox", "QPalette",
)  # fmt: skip
GENERATED = "generated_cpp_515"
# PythonQt hides it: QTimer has a static function of the same name
HIDDEN = {"QTimer": {"singleShot"}}
Members = dict[str, Any]


def wanted() -> list[str]:
    """The classes that the module's code and its UI file name."""
    code = "\n".join(p.read_text("utf-8") for p in MODULE.rglob("*.py"))
    ui = "\n".join(p.read_text("utf-8") for p in MODULE.rglob("*.ui"))
    named = re.findall(r"\b(?:qt|ctk|slicer)\.(Q\w+|ctk\w+|qMRML\w+|qSlicer\w+)", code)
    return sorted({*named, *re.findall(r'class="(\w+)"', ui), *ALSO, "Qt"} - {"QtCore"})


def without_comments(text: str) -> str:
    """C++ without its comments."""
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.S)


def split_arguments(text: str) -> list[str]:
    """The arguments of a function, at the commas that are in no brackets."""
    parts, depth, held = [], 0, ""
    for letter in text:
        depth += (letter in "<(") - (letter in ">)")
        if letter == "," and depth == 0:
            parts.append(held)
            held = ""
        else:
            held += letter
    return [p.strip() for p in [*parts, held] if p.strip()]


def signatures(name: str, arguments: str) -> list[str]:
    """As Qt's meta objects have them; one more for each argument that may be left out."""
    types, optional = [], 0
    for argument in split_arguments(arguments):
        kind, equals, _ = argument.partition("=")
        kind = re.sub(r"\bconst\b|&", " ", kind).strip()
        # the name of the argument goes, unless it is the type itself
        match = re.fullmatch(r"(.*[\s*>])(\w+)\s*", kind)
        kind = match[1] if match and match[1].strip() not in ("unsigned", "long") else kind
        types.append(re.sub(r"\s+", "", kind) if "unsigned" not in kind else " ".join(kind.split()))
        optional += bool(equals)
    return [f"{name}({','.join(types[: len(types) - n])})" for n in range(optional + 1)]


FUNCTION = re.compile(
    r"([\w:<>,*&\s]+?[\s*&>])(\w+)\s*\(((?:[^()]|\([^()]*\))*)\)\s*(?:const)?\s*(?:override|final|=\s*0)*\s*[;{]"
)


def read_header(text: str, name: str) -> Members | None:
    """Of a class that is declared in a header; None if it is not."""
    text = without_comments(text)
    start = re.search(rf"\bclass\s+(?:\w+_EXPORT\s+)?{name}\b\s*(?::\s*public\s+(\w+)[^{{]*)?\{{", text)
    if start is None:
        return None
    depth, end = 1, start.end()
    while depth and end < len(text):
        depth += (text[end] == "{") - (text[end] == "}")
        end += 1
    body = text[start.end() : end - 1]
    found: Members = {"base": start[1], "properties": set(), "methods": set(), "signals": set(), "enums": set()}
    found["properties"] |= set(re.findall(r"Q_PROPERTY\(\s*[\w:<>*]+[\s*&]+(\w+)", body))
    for names in re.findall(r"\benum\s+(?:class\s+)?\w*\s*\{([^}]*)\}", body):
        found["enums"] |= set(re.findall(r"(?:^|,)\s*(\w+)", names))
    kind = "private"
    for part in re.split(r"\b((?:public|protected|private)(?:\s+(?:slots|Q_SLOTS))?|signals|Q_SIGNALS)\s*:(?!:)", body):
        words = part.split()
        if len(words) <= 2 and words and words[0] in ("public", "protected", "private", "signals", "Q_SIGNALS"):
            kind = " ".join(words).replace("Q_SLOTS", "slots").replace("Q_SIGNALS", "signals")
            continue
        if kind == "signals":
            for _, function, arguments in FUNCTION.findall(part):
                found["signals"] |= set(signatures(function, arguments))
        elif kind == "public slots":
            found["methods"] |= {function for _, function, _ in FUNCTION.findall(part)}
        found["methods"] |= set(re.findall(r"Q_INVOKABLE[\w\s:<>,*&]*?[\s*&](\w+)\s*\(", part))
    return found


def decorated(headers: list[Path]) -> dict[str, set[str]]:
    """What decorators and PythonQt's wrappers add to classes."""
    added: dict[str, set[str]] = defaultdict(set)
    for path in headers:
        text = without_comments(path.read_text("utf-8", errors="replace"))
        for name in re.findall(r"\b(static_\w+)\s*\(", text):
            cls, _, function = name.removeprefix("static_").partition("_")
            added[cls].add(function)
        for function, cls in re.findall(r"\b(\w+)\s*\(\s*(?:const\s+)?(\w+)\s*[*&]\s*\w+\s*[,)]", text):
            if not function.startswith(("new_", "delete_", "static_", "py_q_", "py_set_", "py_get_")):
                added[cls].add(function)
    return added


def wrappers(folder: Path) -> dict[str, tuple[set[str], set[str]]]:
    """Methods and enum values that PythonQt's generated wrappers give to Qt's classes."""
    found: dict[str, tuple[set[str], set[str]]] = {}
    for path in sorted(folder.rglob("*.h")):
        text = path.read_text("utf-8", errors="replace")
        for name, body in re.findall(r"^class PythonQtWrapper_(\w+) : public [^\n]*\n(.*?)^\};", text, re.S | re.M):
            own = re.findall(rf"\b(\w+)\({name}\s*\*\s*\w+", body)
            static = re.findall(rf"\bstatic_{name}_(\w+)\(", body)
            enums = {
                e for block in re.findall(r"enum \w+\{(.*?)\}", body, re.S) for e in re.findall(r"(\w+)\s*=", block)
            }
            names = {n for n in [*own, *static] if not n.startswith(("py_", "__", "delete_", "new_"))}
            found[name] = (names, enums)
    return found


def of_qt(name: str, wrapped: dict[str, tuple[set[str], set[str]]], added: dict[str, set[str]]) -> Members:
    """Of one of Qt's own classes."""
    from PySide6 import QtCore, QtGui, QtWidgets

    methods, enums = wrapped.get(name, (set(), set()))
    found: Members = {
        "base": None, "properties": set(), "methods": methods | added.get(name, set()), "signals": set(), "enums": enums,
    }  # fmt: skip
    cls = next(getattr(lib, name) for lib in (QtCore, QtGui, QtWidgets) if hasattr(lib, name))
    if name == "Qt":
        return found
    bases = [b.__name__ for b in cls.__mro__[1:] if b.__name__.startswith("Q")]
    found["base"] = bases[0] if bases else None
    if not hasattr(cls, "staticMetaObject"):
        return found
    meta = cls.staticMetaObject
    found["properties"] = {meta.property(n).name() for n in range(meta.propertyOffset(), meta.propertyCount())}
    found["properties"] -= HIDDEN.get(name, set())
    for n in range(meta.methodOffset(), meta.methodCount()):
        method = meta.method(n)
        if method.methodType() == QtCore.QMetaMethod.MethodType.Signal:
            found["signals"].add(method.methodSignature().data().decode())
        elif method.access() == QtCore.QMetaMethod.Access.Public:
            found["methods"].add(method.name().data().decode())
    for n in range(meta.enumeratorOffset(), meta.enumeratorCount()):
        found["enums"] |= {meta.enumerator(n).key(k) for k in range(meta.enumerator(n).keyCount())}
    return found


def collect(slicer: Path, ctk: Path, pythonqt: Path) -> dict[str, Members]:
    """All classes that are wanted, with their bases."""
    headers = {p.stem: p for folder in (ctk, slicer) for p in sorted(folder.rglob("*.h"))}
    wrapped = wrappers(pythonqt / GENERATED)
    decorators = [p for s, p in headers.items() if s.endswith("PythonQtDecorators")]
    added = decorated([*decorators, pythonqt / "src" / "PythonQtStdDecorators.h"])
    classes: dict[str, Members] = {}
    todo = wanted()
    while todo:
        name = todo.pop()
        if name in classes:
            continue
        if name.startswith("Q"):
            classes[name] = of_qt(name, wrapped, added)
        else:
            found = read_header(headers[name].read_text("utf-8"), name) if name in headers else None
            if found is None:
                raise SystemExit(f"there is no header of {name}")
            found["methods"] |= added.get(name, set())
            classes[name] = found
        if classes[name]["base"]:
            todo.append(classes[name]["base"])
    return classes


def main() -> None:
    """See the module."""
    classes = collect(*map(Path, sys.argv[1:4]))
    lines = []
    for name in sorted(classes):
        told = {k: sorted(v) if isinstance(v, set) else v for k, v in classes[name].items()}
        lines.append(f"{json.dumps(name)}: {json.dumps(told)}")
    TARGET.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")
    print(f"{TARGET}: {len(classes)} classes")


if __name__ == "__main__":
    main()
