"""
Compiles the program with the distribution's bcc; run as a script by any interpreter, it needs nothing of this package.

On standard input: a JSON object with ``bcc`` (folder of the bcc package), ``include`` (folder of the stub headers),
``text`` (C) and ``functions``. On standard output: a JSON object with ``maps`` (name, type, key, value, entries,
flags) and ``functions`` (name to instructions in hexadecimal, where a map's descriptor stands, its index in ``maps``);
or with ``error``.
"""

import importlib.util
import json
import os
import struct
import sys
from typing import Any

LOAD_IMMEDIATE = 0x18
IS_MAP = 1


def load_bcc(folder: str) -> Any:
    """Import bcc from its folder, without the other packages beside it."""
    spec = importlib.util.spec_from_file_location(
        "bcc", os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bcc"] = module
    spec.loader.exec_module(module)
    return module


def tables(program: Any, lib: Any) -> Any:
    """Return the maps and their descriptors."""
    maps = []
    descriptors = {}
    for number in range(lib.bpf_num_tables(program.module)):
        descriptors[lib.bpf_table_fd_id(program.module, number)] = number
        maps.append(
            {
                "name": lib.bpf_table_name(program.module, number).decode(),
                "type": lib.bpf_table_type_id(program.module, number),
                "key": lib.bpf_table_key_size_id(program.module, number),
                "value": lib.bpf_table_leaf_size_id(program.module, number),
                "entries": lib.bpf_table_max_entries_id(program.module, number),
                "flags": lib.bpf_table_flags_id(program.module, number),
            }
        )
    return maps, descriptors


def relocatable(code: bytes, descriptors: Any) -> str:
    """Put the maps' indexes where their descriptors are."""
    out = bytearray(code)
    for at in range(0, len(out), 8):
        if out[at] == LOAD_IMMEDIATE and out[at + 1] >> 4 == IS_MAP:
            (descriptor,) = struct.unpack_from("<i", out, at + 4)
            struct.pack_into("<i", out, at + 4, descriptors[descriptor])
    return out.hex()


def compiled(job: Any) -> Any:
    """Compile what the job says."""
    os.environ["BCC_KERNEL_SOURCE"] = job["include"]
    bcc = load_bcc(job["bcc"])
    if not hasattr(bcc, "BPF"):
        return {"error": f"the package in {job['bcc']} is not the BPF Compiler Collection"}
    from bcc.libbcc import lib

    for sizes in (lib.bpf_table_fd_id, lib.bpf_table_key_size_id, lib.bpf_table_leaf_size_id, lib.bpf_table_name):
        sizes.argtypes = lib.bpf_table_type_id.argtypes
    lib.bpf_table_key_size_id.restype = lib.bpf_table_leaf_size_id.restype = lib.bpf_table_max_entries_id.restype
    lib.bpf_table_name.restype = lib.bpf_table_key_desc.restype
    program = bcc.BPF(text=job["text"].encode(), cflags=["-Wno-everything"])
    maps, descriptors = tables(program, lib)
    functions = {name: relocatable(program.dump_func(name.encode()), descriptors) for name in job["functions"]}
    return {"maps": maps, "functions": functions, "bcc": bcc.__version__}


def main() -> None:
    """Read the job, write the answer; what the compiler prints goes to standard error."""
    job = json.load(sys.stdin)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        answer = compiled(job)
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    json.dump(answer, answers)
    answers.close()


if __name__ == "__main__":
    main()
