"""python -m poolcore: demo, pool, info."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import poolcore


def naive(x: Any, kernel: int, stride: int, pad: int) -> Any:
    """Pool NCHW by the definition: one NumPy maximum per window."""
    n, c, h, w = x.shape
    padded = np.full((n, c, h + 2 * pad, w + 2 * pad), -np.inf, x.dtype)
    padded[:, :, pad : pad + h, pad : pad + w] = x
    oh, ow = (padded.shape[2] - kernel) // stride + 1, (padded.shape[3] - kernel) // stride + 1
    out = np.empty((n, c, oh, ow), x.dtype)
    shown = time.monotonic()
    for channel in range(c):
        for i in range(oh):
            for j in range(ow):
                top, left = i * stride, j * stride
                window = padded[:, channel, top : top + kernel, left : left + kernel]
                out[:, channel, i, j] = window.max(axis=(1, 2))
        if time.monotonic() - shown > 1:
            shown = time.monotonic()
            print(f"    definition: {channel + 1} of {c} channels", flush=True)
    return out


def best_time(call: Any) -> float:
    """Seconds of the fastest of several calls."""
    times = []
    for _ in range(20):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def demo() -> None:
    """Show the lesson's example, a shifted edge, and two layers of real networks."""
    lesson = np.arange(9.0).reshape(3, 3)
    print("X =", lesson.tolist())
    print("pool2d(X, 2) =", poolcore.pool2d(lesson, 2).tolist())
    print("pool2d(X, 2, 'avg') =", poolcore.pool2d(lesson, 2, "avg").tolist())
    edge = np.zeros((4, 8))
    edge[:, 3] = 1
    shifted = np.roll(edge, -1, axis=1)
    a, b = (poolcore.max_pool2d(e[None], 2)[0] for e in (edge, shifted))
    print("\nA vertical edge, and the same one pixel further left:")
    print(edge[0].astype(int).tolist(), shifted[0].astype(int).tolist())
    print("After 2x2 max pooling:", a[0].astype(int).tolist(), b[0].astype(int).tolist())
    print("The same:", bool(np.array_equal(a, b)), "\n")
    for size, kernel, stride, pad in ((224, 2, 2, 0), (112, 3, 2, 1)):
        x = np.random.default_rng(0).random((1, 64, size, size), dtype=np.float32)
        print(f"1x64x{size}x{size}, {kernel}x{kernel} windows, stride {stride}, padding {pad}:")
        start = time.perf_counter()
        want = naive(x, kernel, stride, pad)
        slow = time.perf_counter() - start
        if not np.array_equal(poolcore.max_pool2d(x, kernel, stride, pad), want):
            raise SystemExit("poolcore and the definition disagree")
        fast = best_time(lambda: poolcore.max_pool2d(x, kernel, stride, pad))  # noqa: B023
        print(f"    definition {slow:.3f} s, poolcore {fast * 1e6:.0f} us")
        print(f"    speed-up {slow / fast:,.0f} times, results equal")


def read(path: str) -> tuple[Any, bool]:
    """Give the array in a file, and whether it is an image."""
    if path.endswith(".npy"):
        return np.load(path, mmap_mode="r", allow_pickle=False), False
    try:
        from PIL import Image
    except ImportError:
        raise ValueError("images need Pillow: pip install 'poolcore[image]'") from None
    with Image.open(path) as image:
        return np.asarray(image), True


def write(path: str, result: Any) -> None:
    """Write beside the target, then rename: no half-written file is left under its name."""
    target = Path(path)
    handle, name = tempfile.mkstemp(suffix=target.suffix, dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            if target.suffix == ".npy":
                np.save(file, result, allow_pickle=False)
            else:
                from PIL import Image

                Image.fromarray(result).save(file, format=Image.registered_extensions().get(
                    target.suffix.lower(), "PNG"))  # fmt: skip
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise


def pool_file(a: argparse.Namespace) -> None:
    """Pool a .npy file or an image into another file."""
    x, image = read(a.input)
    options: dict[str, Any] = {"ceil_mode": a.ceil, "nan_policy": a.nan_policy}
    if image and a.op in ("avg", "sum", "median"):
        options["dtype"] = x.dtype
    axes = (0, 1) if image else None
    padding = a.padding if not a.padding.isdigit() else int(a.padding)
    result = poolcore.pool(x, a.kernel, a.op, axes, a.stride, padding, a.dilation, **options)
    write(a.output, result)
    print(f"{a.output}: {result.dtype} {'x'.join(map(str, result.shape))}")


def parser() -> argparse.ArgumentParser:
    """Describe the commands."""
    top = argparse.ArgumentParser(prog="python -m poolcore", description=poolcore.__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    commands.add_parser("demo", help="examples, checks and a comparison of speed")
    commands.add_parser("info", help="version, compiler, targets, threads")
    p = commands.add_parser("pool", help="pool a .npy file or an image")
    p.add_argument("input")
    p.add_argument("output")
    p.add_argument("--op", choices=["max", "min", "avg", "sum", "mode", "median"],
                   default="max")  # fmt: skip
    p.add_argument("--kernel", type=int, nargs="+", required=True, help="one, or one per axis")
    p.add_argument("--stride", type=int, nargs="+")
    p.add_argument("--padding", default="0", help="a number, valid, same or same_lower")
    p.add_argument("--dilation", type=int, default=1)
    p.add_argument("--ceil", action="store_true")
    p.add_argument("--nan-policy", default="propagate", choices=["propagate", "omit", "raise"])
    return top


def main() -> int:
    """Run a command; mistakes are one line on standard error."""
    a = parser().parse_args()
    try:
        if a.command == "demo":
            demo()
        elif a.command == "info":
            poolcore.show_config()
        else:
            a.kernel = a.kernel[0] if len(a.kernel) == 1 else a.kernel
            a.stride = a.stride[0] if a.stride and len(a.stride) == 1 else a.stride
            pool_file(a)
    except (OSError, ValueError, TypeError, MemoryError) as error:
        print(f"poolcore: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
