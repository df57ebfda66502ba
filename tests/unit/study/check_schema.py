# SPDX-License-Identifier: Apache-2.0
"""check_schema.py SCHEMA WRITER: validates the studies WRITER writes, and that damaged ones fail."""
import copy
import json
import pathlib
import subprocess
import sys
import tempfile

from jsonschema import Draft7Validator


def holders(value, path=()):
    """Every object in `value`, with its path."""
    if isinstance(value, dict):
        yield path, value
        for key, member in value.items():
            yield from holders(member, path + (key,))
    elif isinstance(value, list):
        for index, member in enumerate(value[:1]):
            yield from holders(member, path + (index,))


def at(value, path):
    for step in path:
        value = value[step]
    return value


# Objects whose keys are data: names of variables and of memory items.
OPEN = ("env", "memory_bytes", "gpu_libraries")

# Keys that studies without GPUs lack (a GPU's own are all there), that transfers between two ranks
# lack, and that equal stages lack.
OPTIONAL = ("gpu", "devices", "gpu_libraries", "nccl", "energy_joules", "joules_per_token", "algorithm", "stage_layers")


def accepted_damage(validator, study):
    """Damaged copies of `study` that the schema lets pass."""
    for path, holder in holders(study):
        if path and path[-1] in OPEN:
            continue
        extra = copy.deepcopy(study)
        at(extra, path)["surprise"] = 1
        if validator.is_valid(extra):
            yield f"{path}: an unknown key"
        for key, member in holder.items():
            short = copy.deepcopy(study)
            del at(short, path)[key]
            optional = key in OPTIONAL and path[-1:] != ("gpu",)
            if not optional and validator.is_valid(short):
                yield f"{path}: {key} missing"
            mistyped = copy.deepcopy(study)
            at(mistyped, path)[key] = 1 if isinstance(member, dict) else {"not": ["this"]}
            if validator.is_valid(mistyped):
                yield f"{path}: {key} of another type"


def main():
    schema_path, writer = sys.argv[1:]
    schema = json.loads(pathlib.Path(schema_path).read_text())
    Draft7Validator.check_schema(schema)
    validator = Draft7Validator(schema)
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([writer, folder], check=True)
        files = sorted(pathlib.Path(folder).glob("*/study.json"))
        assert files, "the writer wrote nothing"
        for file in files:
            study = json.loads(file.read_text())
            problems += [f"{file.parent.name}: {e.json_path}: {e.message[:200]}" for e in validator.iter_errors(study)]
            problems += [f"{file.parent.name}: accepted {damage}" for damage in accepted_damage(validator, study)]
    print("\n".join(problems) or f"{len(files)} studies are valid; damaged copies are refused")
    sys.exit(1 if problems else 0)


main()
