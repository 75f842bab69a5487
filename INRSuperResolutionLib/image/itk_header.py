"""Headers of NRRD and MetaImage, checked before ITK sees them: some of them it hangs on, crashes on or reads wrong."""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NoReturn

from ..errors import InputError, OutOfMemory
from ..memory import available_memory
from .unpack import MOST_GZIP_GAIN

MM_OF_UNIT = {
    **dict.fromkeys(("mm", "millimeter", "millimeters"), 1.0),
    **dict.fromkeys(("um", "µm", "μm", "micron", "microns", "micrometer", "micrometers"), 1e-3),
    **dict.fromkeys(("cm", "centimeter", "centimeters"), 10.0),
    **dict.fromkeys(("m", "meter", "meters"), 1e3),
}
# a key of NRRD files that the panel writes for its worker: mm, of the slices along k; ITK does not give away what
# NRRD's own field "thicknesses" holds
THICKNESS_KEY = "inrsr_slice_thickness"
LONGEST_HEADER = 1 << 16
MOST_AXES = 6
BLOCK = 1 << 20
# bytes behind the values that say nothing, as a line end
LOOSE_END = 2
PATIENT_SPACES = (
    *(f"{x}-{y}-superior" for x, y in (("left", "posterior"), ("right", "anterior"), ("left", "anterior"))),
    *("lps", "ras", "las"),
)
NRRD_BYTES = {
    **dict.fromkeys(("signed char", "int8", "int8_t", "uchar", "unsigned char", "uint8", "uint8_t"), 1),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), 2),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), 2),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t", "uint", "unsigned int", "uint32", "uint32_t"), 4),
    **dict.fromkeys(("longlong", "long long", "long long int", "signed long long", "signed long long int"), 8),
    **dict.fromkeys(("int64", "int64_t", "ulonglong", "unsigned long long", "unsigned long long int"), 8),
    **dict.fromkeys(("uint64", "uint64_t", "double"), 8),
    "float": 4,
}
META_BYTES = {
    **dict.fromkeys(("MET_CHAR", "MET_UCHAR", "MET_ASCII_CHAR"), 1),
    **dict.fromkeys(("MET_SHORT", "MET_USHORT"), 2),
    **dict.fromkeys(("MET_INT", "MET_UINT", "MET_FLOAT"), 4),
    **dict.fromkeys(("MET_LONG", "MET_ULONG", "MET_LONG_LONG", "MET_ULONG_LONG", "MET_DOUBLE"), 8),
}
META_NUMBERS = ("Offset", "Position", "Origin", "ElementSpacing", "ElementSize", "CenterOfRotation")
META_MATRICES = ("TransformMatrix", "Rotation", "Orientation")


@dataclass
class Header:
    """What ITK does not look at, or takes in silence."""

    factor: float = 1.0
    """How many mm its unit of length is."""
    warnings: list[str] = field(default_factory=list)


def check_header(path: Path, data: bool = True) -> Header:
    """Read the header of a NRRD or MetaImage file, and (unless `data` is False) its values as far as they can be damaged.

    Raises
    ------
    InputError
        If ITK would not read it, or read it wrong.
    OutOfMemory
        If it unpacks to more than there is room for.
    """
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(f"{path}: its name is not UTF-8", "Rename it, or its folder") from error
    if path.suffix.lower() in (".nrrd", ".nhdr"):
        return _check_nrrd(path, data)
    return _check_meta(path, data)


def _refuse(path: Path, what: str) -> NoReturn:
    raise InputError(f"cannot read {path}: {what}", "The file may be damaged")


def _line(stream: BinaryIO, path: Path) -> str:
    """The next line of a header, without its end."""
    line = stream.readline(LONGEST_HEADER)
    if len(line) == LONGEST_HEADER or b"\0" in line:
        _refuse(path, "its header is no text")
    try:
        return line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        _refuse(path, "its header is not UTF-8")


def _floats(words: list[str], path: Path, name: str) -> list[float]:
    try:
        values = [float(w) for w in words]
    except ValueError:
        _refuse(path, f"{name} {' '.join(words)!r} are no numbers")
    if not all(math.isfinite(v) and abs(v) < 1e30 for v in values):
        _refuse(path, f"{name} {' '.join(words)!r} is not finite")
    return values


def _sizes(words: list[str], count: int, path: Path) -> int:
    """The number of values; raises InputError unless there are `count` positive sizes."""
    if not all(w.isdecimal() for w in words) or len(words) != count or min(map(int, words), default=0) < 1:
        _refuse(path, f"its sizes {' '.join(words)!r} do not fit {count} axes")
    return math.prod(map(int, words))


def _axes(text: str, path: Path) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_AXES:
        _refuse(path, f"{text!r} is no number of axes from 1 to {MOST_AXES}")
    return int(text)


def _check_room(path: Path, file: Path, needed: int, is_packed: bool) -> None:
    """Raise InputError if a file cannot hold so many bytes, OutOfMemory if the memory cannot."""
    there = file.stat().st_size
    if there * (MOST_GZIP_GAIN if is_packed else 1) < needed:
        _refuse(path, f"it should have {needed} bytes of values, it has {there}")
    free = available_memory()
    if free is not None and needed > free:
        raise OutOfMemory(
            f"{path} unpacks to {needed / 2**30:.1f} GB, {free / 2**30:.1f} GB are free", "Give a smaller region"
        )


def _check_nrrd(path: Path, data: bool) -> Header:
    fields: dict[str, str] = {}
    with open(path, "rb") as stream:
        first = _line(stream, path)
        if not first.startswith("NRRD000"):
            _refuse(path, "it does not start as NRRD does")
        while line := _line(stream, path):
            if stream.tell() > LONGEST_HEADER:
                _refuse(path, "its header does not end")
            name, colon, value = line.partition(":")
            if line.startswith("#") or value.startswith("="):
                continue  # a comment, or a key of its own
            if not colon:
                _refuse(path, f"its header has the line {line[:40]!r}")
            fields[name.strip().lower().replace(" ", "")] = value.strip()
        start = stream.tell()
    axes = _axes(fields.get("dimension", ""), path)
    voxels = _sizes(fields.get("sizes", "").split(), axes, path)
    kind = fields.get("type", "").lower()
    if kind not in NRRD_BYTES:
        _refuse(path, f"its type {kind!r} is not known")
    _check_nrrd_place(fields, axes, path)
    needed = voxels * NRRD_BYTES[kind]
    encoding = fields.get("encoding", "raw").lower()
    file, skip = path, 0
    detached = fields.get("datafile")
    if detached is not None:
        if detached.split()[:1] == ["LIST"] or "%" in detached:
            raise InputError(f"{path} lists several data files", "Save it as one file first")
        file, start = path.parent / detached, 0
        if not file.is_file():
            _refuse(path, f"its data file {detached} does not exist")
    for name in ("lineskip", "byteskip"):
        if fields.get(name, "0") not in ("0", "-1"):
            skip += 1
    units = [u for u in fields.get("spaceunits", fields.get("units", "")).replace('"', " ").split() if u != "???"]
    header = Header(_mm_of(units, path), _odd_nrrd_place(fields, path))
    if not data or skip:
        return header
    _check_room(path, file, needed, encoding != "raw")
    if encoding == "raw":
        from_end = fields.get("byteskip") == "-1"
        _check_length(path, file.stat().st_size - start, needed, None if from_end else header)
    elif encoding in ("gzip", "gz"):
        _check_gzip(path, file, start, needed)
    elif encoding in ("bzip2", "bz2"):
        raise InputError(f"{path} is compressed with bzip2, which ITK does not read", "Save it with gzip")
    elif encoding not in ("ascii", "text", "txt", "hex"):
        _refuse(path, f"its encoding {encoding!r} is not known")
    return header


def _check_length(path: Path, there: int, needed: int, header: Header | None) -> None:
    """Raise InputError for too few bytes of values; too many are told, as they may begin with another header.

    `header` is None where the values are the last bytes of the file.
    """
    if there < needed:
        _refuse(path, f"it should have {needed} bytes of values, it has {there}")
    if header is not None and there > needed + LOOSE_END:
        header.warnings.append(
            f"{path.name}: {there - needed} bytes lie behind its values; if they should lie before them, they are read wrong"
        )


def _odd_nrrd_place(fields: dict[str, str], path: Path) -> list[str]:
    """What there is to say about a place that is told in part only; ITK takes it as left-posterior-superior."""
    space = fields.get("space", "").lower()
    if space not in PATIENT_SPACES:
        said = f"its space is {space!r}" if space else "it has no space"
        return [f"{path.name} does not tell how it lies in the patient ({said}): left-posterior-superior is taken"]
    if "spacedirections" not in fields:
        return [f"{path.name} does not tell its directions: its axes are taken to run to left, posterior and superior"]
    told = fields["spacedirections"].replace(", ", ",").split()
    if sum(v != "none" for v in told) < 3:
        return [f"{path.name} does not tell the direction of each axis: some are taken"]
    return []


def _mm_of(units: list[str], path: Path) -> float:
    """How many mm the unit of length is; that of all axes, 1 where none is told."""
    known = {MM_OF_UNIT[u.lower()] for u in units if u.lower() in MM_OF_UNIT}
    if len(known) > 1:
        _refuse(path, f"its axes are told in different units: {' '.join(units)}")
    return known.pop() if known else 1.0


def _check_nrrd_place(fields: dict[str, str], axes: int, path: Path) -> None:
    """Directions, origin and spacing: as many as there are axes, and finite."""
    if "spacedirections" in fields:
        vectors = fields["spacedirections"].replace("none", "()").replace(", ", ",").split()
        if len(vectors) != axes:
            _refuse(path, f"it has {len(vectors)} directions for {axes} axes")
        for vector in vectors:
            _floats([w for w in vector.strip("()").split(",") if w], path, "direction")
    if "spaceorigin" in fields:
        _floats([w for w in fields["spaceorigin"].strip("()").split(",") if w.strip()], path, "origin")
    for name in ("spacings", "thicknesses", "axismins", "axismaxs"):
        words = [w for w in fields.get(name, "").split() if w.lower() not in ("nan", "none")]
        values = _floats(words, path, name)
        if name == "spacings" and any(v == 0 for v in values):
            _refuse(path, "a spacing is 0")


def _check_gzip(path: Path, file: Path, start: int, needed: int) -> None:
    """Raise InputError unless the stream unpacks to `needed` bytes with the right checksum."""
    count = 0
    with open(file, "rb") as stream:
        stream.seek(start)
        try:
            with gzip.GzipFile(fileobj=stream) as unpacked:
                while block := unpacked.read(BLOCK):
                    count += len(block)
                    if count > needed + BLOCK:
                        break
        except (OSError, EOFError, zlib.error) as error:
            _refuse(path, f"its values are damaged: {error}")
    if count < needed:
        _refuse(path, f"it should have {needed} bytes of values, it has {count}")


def _check_meta(path: Path, data: bool) -> Header:
    fields: dict[str, str] = {}
    with open(path, "rb") as stream:
        while "ElementDataFile" not in fields:
            line = _line(stream, path)
            if not line.strip() or stream.tell() > LONGEST_HEADER:
                _refuse(path, "its header does not end with ElementDataFile")
            name, equals, value = line.partition("=")
            if not equals:
                _refuse(path, f"its header has the line {line[:40]!r}")
            fields[name.strip()] = value.strip()
        start = stream.tell()
    axes = _axes(fields.get("NDims", ""), path)
    voxels = _sizes(fields.get("DimSize", "").split(), axes, path)
    kind = fields.get("ElementType", "")
    if kind not in META_BYTES:
        _refuse(path, f"its type {kind!r} is not known")
    channels = fields.get("ElementNumberOfChannels", "1")
    if not channels.isdecimal() or int(channels) < 1:
        _refuse(path, f"it has {channels!r} values per voxel")
    for name in META_NUMBERS:
        if name in fields and len(_floats(fields[name].split(), path, name)) != axes:
            _refuse(path, f"{name} {fields[name]!r} does not fit {axes} axes")
    for name in META_MATRICES:
        if name in fields and len(_floats(fields[name].split(), path, name)) != axes * axes:
            _refuse(path, f"{name} {fields[name]!r} does not fit {axes} axes")
    if any(v == 0 for v in _floats(fields.get("ElementSpacing", "").split(), path, "ElementSpacing")):
        _refuse(path, "a spacing is 0")
    if not fields.get("HeaderSize", "0").lstrip("-").isdecimal():
        _refuse(path, f"HeaderSize {fields['HeaderSize']!r} is no number")
    needed = voxels * META_BYTES[kind] * int(channels)
    for name, neutral in (("ElementToIntensityFunctionSlope", 1.0), ("ElementToIntensityFunctionOffset", 0.0)):
        if _floats(fields.get(name, "").split(), path, name) not in ([], [neutral]):
            _refuse(path, f"its values are scaled ({name} {fields[name]}), which ITK does not do")
    header = Header(_mm_of(fields.get("DistanceUnits", "").split(), path))
    if "ElementSpacing" not in fields and "ElementSize" not in fields:
        header.warnings.append(f"{path.name} does not tell its spacing: 1 mm is taken")
    turned = fields.get("AnatomicalOrientation", "RAI").upper()
    if not any(name in fields for name in META_MATRICES) and turned not in ("RAI", "???"):
        header.warnings.append(
            f"{path.name} tells an orientation {turned} but no directions: its axes are taken to run to left, posterior "
            "and superior"
        )
    if data:
        _check_meta_data(path, fields, start, needed, header)
    return header


def _check_meta_data(path: Path, fields: dict[str, str], start: int, needed: int, header: Header) -> None:
    named = fields["ElementDataFile"]
    file = path
    if named.upper() not in ("LOCAL", ""):
        if named.split()[0].upper() == "LIST" or "%" in named:
            raise InputError(f"{path} lists several data files", "Save it as one file first")
        file, start = path.parent / named, 0
        if not file.is_file():
            _refuse(path, f"its data file {named} does not exist")
    elif named == "":
        _refuse(path, "it does not tell where its data are")
    is_text = fields.get("BinaryData", "True").lower() == "false"
    is_packed = fields.get("CompressedData", "False").lower() == "true"
    _check_room(path, file, needed, is_packed or is_text)
    if is_text:
        return
    if is_packed:
        size = fields.get("CompressedDataSize", "")
        if not size.isdecimal() or _zlib_length(path, file, start, needed) != int(size):
            # ITK would read something else, and not tell
            _refuse(path, f"its CompressedDataSize {size!r} is not that of its values")
    elif (size := fields.get("HeaderSize", "0")) in ("0", "-1"):
        _check_length(path, file.stat().st_size - start, needed, header if size == "0" else None)


def _zlib_length(path: Path, file: Path, start: int, needed: int) -> int:
    """The length of the stream (zlib or gzip); raises InputError unless it unpacks to `needed` bytes, checksum and all."""
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    count = length = 0
    with open(file, "rb") as stream:
        stream.seek(start)
        try:
            while not unpacker.eof and (block := stream.read(BLOCK)):
                length += len(block)
                while block and not unpacker.eof:
                    count += len(unpacker.decompress(block, BLOCK))
                    block = unpacker.unconsumed_tail
                    if count > needed + BLOCK:
                        _refuse(path, "it has more values than its sizes tell")
        except zlib.error as error:
            _refuse(path, f"its values are damaged: {error}")
    if not unpacker.eof or count < needed:
        _refuse(
            path, f"it should have {needed} bytes of values, it has {count}{'' if unpacker.eof else ' and ends early'}"
        )
    return length - len(unpacker.unused_data)
