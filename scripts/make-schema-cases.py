"""Writes test/fixtures/json-schema: the official cases of JSON Schema's draft 2020-12.

The source package of Python's jsonschema carries them:
    pip download --no-deps --no-binary :all: jsonschema==4.26.0
    python scripts/make-schema-cases.py jsonschema-4.26.0.tar.gz
"""

import json
import sys
import tarfile
from pathlib import Path, PurePosixPath

FOLDER = Path(__file__).parent.parent / "test/fixtures/json-schema"
DRAFT = "tests/draft2020-12"
FORMATS = "date-time time date duration email hostname ipv4 ipv6 uuid uri".split()


def is_wanted(path: PurePosixPath) -> bool:
    folder = str(path.parent)
    is_format = folder == f"{DRAFT}/optional/format" and path.stem in FORMATS
    return path.suffix == ".json" and (folder == DRAFT or is_format)


def main(archive: str) -> None:
    cases = {}
    with tarfile.open(archive) as files:
        for member in files.getmembers():
            _, _, name = member.name.partition("/json/")
            path = PurePosixPath(name)
            if name == "LICENSE":
                (FOLDER / name).write_bytes(files.extractfile(member).read())
            elif is_wanted(path):
                key = str(path.relative_to(DRAFT).with_suffix(""))
                cases[key.removeprefix("optional/")] = json.load(files.extractfile(member))
    # A line for each group, so that a newer suite shows what it changed.
    written = []
    for key, groups in sorted(cases.items()):
        lines = ",\n".join(json.dumps(group, separators=(",", ":")) for group in groups)
        written.append(f"{json.dumps(key)}:[\n{lines}\n]")
    (FOLDER / "draft2020-12.json").write_text("{\n" + ",\n".join(written) + "\n}\n")


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    main(sys.argv[1])
