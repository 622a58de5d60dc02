"""python -m poolcore: demo, pool, info."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import oracle
import poolcore
from support import assert_same, targets


def run(*arguments: str, timeout: float = 120, ok: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "poolcore", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )
    if ok:
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done


def test_demo() -> None:
    text = run("demo", timeout=240).stdout
    for number in ("4", "5", "7", "8"):
        assert number in text
    squeezed = "".join(text.split())
    assert "1x64x224x224" in squeezed
    assert "1x64x112x112" in squeezed
    assert "speed" in text.lower() or "faster" in text.lower()


def test_info() -> None:
    text = run("info").stdout
    assert poolcore.__version__ in text
    for name in targets():
        assert name in text
    assert "thread" in text.lower()
    assert "compiler" in text.lower()


@pytest.mark.parametrize("op", ["max", "min", "avg", "sum"])
def test_pool_npy(op: str, tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((2, 3, 9, 10)).astype(np.float32)
    np.save(tmp_path / "in.npy", x)
    run("pool", str(tmp_path / "in.npy"), str(tmp_path / "out.npy"), "--op", op, "--kernel", "2")
    assert_same(np.load(tmp_path / "out.npy"), oracle.pool(x, 2, op, (2, 3)))
    run(
        "pool", str(tmp_path / "in.npy"), str(tmp_path / "out2.npy"), "--op", op, "--kernel", "3",
        "--stride", "2", "--padding", "1", "--ceil",
    )  # fmt: skip
    want = oracle.pool(x, 3, op, (2, 3), 2, 1, 1, True)
    assert_same(np.load(tmp_path / "out2.npy"), want)


def test_pool_image(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 3)).astype(np.uint8)
    for mode, array in (("RGB", pixels), ("L", pixels[..., 0])):
        image.fromarray(array).save(tmp_path / "in.png")
        run(
            "pool",
            str(tmp_path / "in.png"),
            str(tmp_path / "out.png"),
            "--op",
            "max",
            "--kernel",
            "2",
        )
        with image.open(tmp_path / "out.png") as opened:
            assert opened.mode == mode
            got = np.asarray(opened)
        assert_same(got.copy(), oracle.pool(array, 2, "max", (0, 1)))


@pytest.mark.parametrize(
    "arguments",
    [
        ("pool",),
        ("pool", "missing.npy", "out.npy", "--kernel", "2"),
        ("pool", "{x}", "{out}", "--kernel", "0"),
        ("pool", "{x}", "{out}", "--kernel", "two"),
        ("pool", "{x}", "{out}", "--kernel", "2", "--op", "middle"),
        ("pool", "{x}", "{out}", "--kernel", "2", "--padding", "5"),
        ("pool", "{text}", "{out}", "--kernel", "2"),
        ("nonsense",),
    ],
    ids=" ".join,
)
def test_mistakes_are_explained(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """A line of text and an exit code, not a traceback; no output file."""
    np.save(tmp_path / "x.npy", np.ones((1, 1, 4, 4)))
    (tmp_path / "text.npy").write_text("this is no array")
    paths = {name: str(tmp_path / f"{name}.npy") for name in ("x", "text", "out")}
    done = run(*(a.format(**paths) for a in arguments), ok=False)
    assert done.returncode not in (0, -11, -6)
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.npy").exists()


def test_help() -> None:
    assert "demo" in run("--help").stdout
    text = run("pool", "--help").stdout
    for option in ("--op", "--kernel", "--stride", "--padding", "--ceil"):
        assert option in text
