"""The roofline of a case: one pass over as many bytes, on as many threads, without work.

roofline.c is compiled once for this machine with the C compiler at hand. Without one, NumPy does
the pass, which is no true limit: reading then costs arithmetic and threads wake slowly.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import shlex
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from bench.contender import Contender

LINE = 64
SLICE_LINES = 256  # no thread takes less than 16 KiB at once
STREAMED_FROM = 1 << 20  # bytes of output from which stores past the caches are tried too
SOURCE = Path(__file__).with_name("roofline.c")
FLAGS = ["-O3", "-std=c11", "-shared", "-fPIC", "-pthread"]


class _Pass(ctypes.Structure):
    _fields_ = (
        ("input", ctypes.c_void_p),
        ("output", ctypes.c_void_p),
        ("in_lines", ctypes.c_int64),
        ("out_lines", ctypes.c_int64),
        ("slices", ctypes.c_int64),
        ("threads", ctypes.c_int32),
        ("past_caches", ctypes.c_int32),
    )


def _compiler() -> list[str] | None:
    wanted = os.environ.get("CC") or "cc"
    for command in (wanted, "gcc", "clang", sysconfig.get_config_var("CC") or "cc"):
        words = shlex.split(command)
        if words and shutil.which(words[0]):
            return words
    return None


def _build(compiler: list[str], folder: Path) -> Path:
    key = hashlib.sha256(SOURCE.read_bytes() + repr((compiler, FLAGS)).encode()).hexdigest()[:16]
    library = folder / f"roofline-{key}.so"
    flags = [*FLAGS, "-march=native"]
    done = subprocess.run([*compiler, *flags, str(SOURCE), "-o", str(library)], capture_output=True)
    if done.returncode != 0:  # some compilers know no -march=native
        subprocess.run(
            [*compiler, *FLAGS, str(SOURCE), "-o", str(library)], check=True, capture_output=True
        )
    return library


@functools.cache
def library() -> tuple[Any, str]:
    """Give the compiled pass, or None, and a sentence on what the roofline is."""
    compiler = _compiler()
    if compiler is None:
        return None, "made with NumPy, for want of a C compiler: no true limit"
    # A folder of this run's own: nobody else can have put a library there.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        try:
            loaded = ctypes.CDLL(str(_build(compiler, Path(folder))))
        except (OSError, subprocess.CalledProcessError) as error:
            return None, f"made with NumPy, because {' '.join(compiler)} failed ({error})"
    loaded.roofline_pass.restype = None
    loaded.roofline_pass.argtypes = [ctypes.POINTER(_Pass)]
    return loaded, f"roofline.c, compiled with {' '.join(compiler)}"


def _lines(n_bytes: int) -> int:
    return max(1, -(-n_bytes // LINE))


def _buffer(n_bytes: int) -> np.ndarray:
    """Give touched memory of whole lines that starts at a line."""
    size = _lines(n_bytes) * LINE
    raw = np.empty(size + LINE, np.uint8)
    raw.fill(1)
    start = -raw.ctypes.data % LINE
    return raw[start : start + size]


def _compiled(buffers: tuple[np.ndarray, np.ndarray], threads: int, past: bool) -> Any:
    loaded, _ = library()
    source, target = buffers
    larger = max(source.size, target.size) // LINE
    slices = 1 if threads == 1 else max(1, min(threads * 8, larger // SLICE_LINES))
    loaded.roofline_start(threads)
    work = _Pass(source.ctypes.data, target.ctypes.data, source.size // LINE, target.size // LINE,
                 slices, threads, int(past))  # fmt: skip
    call = functools.partial(loaded.roofline_pass, ctypes.byref(work))
    call.keep = (buffers, work)  # type: ignore[attr-defined]
    return call


@functools.cache
def _executor(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)


def _with_numpy(buffers: tuple[np.ndarray, np.ndarray], threads: int) -> Callable[[], Any]:
    source, target = (np.array_split(buffer.view(np.uint64), threads) for buffer in buffers)

    def one(part: tuple[np.ndarray, np.ndarray]) -> None:
        read, written = part
        both = min(read.size, written.size)
        np.copyto(written[:both], read[:both])
        if read.size > both:
            np.bitwise_or.reduce(read[both:])
        written[both:] = 1

    parts = list(zip(source, target, strict=True))
    if threads == 1:
        return lambda: one(parts[0])
    return lambda: list(_executor(threads).map(one, parts))


def rooflines(bytes_in: int, bytes_out: int, threads: int) -> list[Contender]:
    """Give the ways to make the pass; the limit is the fastest of them."""
    buffers = _buffer(bytes_in), _buffer(bytes_out)
    counts = [threads] if threads == 1 else [threads, 1]
    if library()[0] is None:
        return [Contender(f"roofline/{n}", _with_numpy(buffers, n)) for n in counts]
    made = []
    for n in counts:
        made.append(Contender(f"roofline/{n}", _compiled(buffers, n, False)))
        if bytes_out >= STREAMED_FROM:
            made.append(Contender(f"roofline/{n}/streamed", _compiled(buffers, n, True)))
    return made
