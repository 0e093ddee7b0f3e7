"""Checks a folder with the addon for Apple silicon: what it asks for, the oldest macOS, where it looks."""

import struct
import sys
from pathlib import Path

import lief

OLDEST = [14, 0]
DEBUGGING = 0xE0  # the bits by which Mach-O marks what only debuggers read
NODE_API = ("_napi_", "_node_api_")
LIBRARIES = ("@rpath/libmlx.dylib", "/usr/lib/libSystem.B.dylib", "/usr/lib/libc++.1.dylib")


lief.logging.disable()


def main(folder: Path) -> list[str]:
    addon = read(folder / "mlx-llm-client.node")
    mlx = read(folder / "libmlx.dylib")
    problems = [*foreign_libraries(addon), *unknown_symbols(addon, exports_of(mlx))]
    rpaths = [command.path for command in addon.rpaths]
    if rpaths != ["@loader_path"]:
        problems.append(f"the addon looks for libraries in {rpaths}, not beside itself alone")
    if not any(symbol.name.startswith("_napi_register_module") for symbol in addon.exported_symbols):
        problems.append("the addon has no _napi_register_module, so Node does not take it")
    oldest = {
        "mlx-llm-client.node": list(addon.build_version.minos[:2]),
        "libmlx.dylib": list(mlx.build_version.minos[:2]),
        "mlx.metallib": stamp_of(folder / "mlx.metallib"),
    }
    problems += [f"{name} needs macOS {found}" for name, found in oldest.items() if found != OLDEST]
    return problems


def read(file: Path) -> lief.MachO.Binary:
    return lief.MachO.parse(str(file)).at(0)


def exports_of(library: lief.MachO.Binary) -> set[str]:
    return {symbol.name for symbol in library.exported_symbols}


def libraries_of(addon: lief.MachO.Binary) -> list[str]:
    """In the order in which symbols count them; the addon's own name stands among them."""
    own = lief.MachO.LoadCommand.TYPE.ID_DYLIB
    return [library.name for library in addon.libraries if library.command != own]


def foreign_libraries(addon: lief.MachO.Binary) -> list[str]:
    names = libraries_of(addon)
    missing = [] if LIBRARIES[0] in names else [f"the addon does not name {LIBRARIES[0]}"]
    return missing + [f"the addon names {name}" for name in names if name not in LIBRARIES]


def unknown_symbols(addon: lief.MachO.Binary, of_mlx: set[str]) -> list[str]:
    """The linker found what a library gives; whatever it left to run time must be Node's."""
    names = libraries_of(addon)
    counts = {"Node-API": 0, **{name: 0 for name in names}}
    problems = []
    for symbol in addon.imported_symbols:
        if symbol.raw_type & DEBUGGING:
            continue
        ordinal = symbol.description >> 8 & 0xFF  # from 1; others stand for a search at run time
        owner = names[ordinal - 1] if 0 < ordinal <= len(names) else "Node-API"
        counts[owner] += 1
        if owner == "Node-API" and not symbol.name.startswith(NODE_API):
            problems.append(f"nothing has {symbol.name}")
        if owner == LIBRARIES[0] and symbol.name not in of_mlx:
            problems.append(f"libmlx has no {symbol.name}")
    print("symbols: " + ", ".join(f"{count} of {name}" for name, count in counts.items()))
    return problems


def stamp_of(metallib: Path) -> list[int]:
    """A library of Metal begins with MTLB; its oldest macOS is at bytes 12 to 14."""
    with metallib.open("rb") as file:
        magic, _, major, minor = struct.unpack("<4s8sHB", file.read(15))
    return [major, minor] if magic == b"MTLB" else []


if __name__ == "__main__":
    found = main(Path(sys.argv[1]))
    print("\n".join(found))
    sys.exit(1 if found else 0)
