"""NumPy's arrays between pages that no one may touch, by the allocator of guard_pages.c.

For the thread that asks alone: NumPy keeps the allocator in a context variable.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

SET_HANDLER = 304  # where PyDataMem_SetHandler stands in NumPy's table of C functions


def compiled(source: str, folder: Path, *options: str) -> str | None:
    """A library of one C file of this folder; None where none can be built."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    library = folder / Path(source).with_suffix(".so").name
    file = Path(__file__).with_name(source)
    done = subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(file), *options],
        capture_output=True,
        check=False,
    )
    return None if done.returncode else str(library)


@cache
def _library() -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = compiled("guard_pages.c", Path(folder), "-lpthread")
        return None if path is None else ctypes.CDLL(path)


def numpy_core() -> Any:
    return np._core if hasattr(np, "_core") else np.core  # as before NumPy 2


def possible() -> bool:
    """Sanitizers guard what they allocate themselves."""
    preloaded = os.environ.get("LD_PRELOAD", "")
    return sys.platform == "linux" and "san" not in preloaded and _library() is not None


def start() -> bool:
    """Whether arrays that NumPy makes from now on are guarded."""
    if not possible():
        return False
    python = ctypes.pythonapi
    python.PyCapsule_GetPointer.restype = ctypes.c_void_p
    python.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    python.PyCapsule_New.restype = ctypes.py_object
    python.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    table = python.PyCapsule_GetPointer(numpy_core()._multiarray_umath._ARRAY_API, None)
    functions = ctypes.cast(table, ctypes.POINTER(ctypes.c_void_p))
    set_handler = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(functions[SET_HANDLER])
    handler = ctypes.addressof(ctypes.c_char.in_dll(_library(), "guard_pages"))
    set_handler(python.PyCapsule_New(handler, b"mem_handler", None))
    return True


def arrays() -> int:
    """How many arrays have been guarded so far."""
    return 0 if _library() is None else ctypes.c_long.in_dll(_library(), "guarded_arrays").value
