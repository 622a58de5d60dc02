"""The laws of docs/design.md that only the compiled objects can show.

Objects are looked for below build/ (where `pip install .` leaves them) or in the directory that
POOLCORE_BUILD_DIR names. Where they or binutils are missing the test is skipped, in CI it fails.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def missing(reason: str) -> None:
    """Skips, or fails where everything should be there."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def tool(name: str) -> str:
    if platform.system() != "Linux":
        pytest.skip("reads ELF objects, as on Linux")
    path = shutil.which(name)
    if path is None:
        missing(f"{name} (binutils) is not installed")
    return str(path)


def output_of(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def object_folders(pattern: str) -> list[Path]:
    named = os.environ.get("POOLCORE_BUILD_DIR")
    roots = [Path(named)] if named else sorted((ROOT / "build").glob("*"))
    return [found for root in roots for found in root.glob(f"CMakeFiles/{pattern}.dir")]


def made_of(path: Path, folder: Path) -> list[Path]:
    """The sources of an object: one, or those that a unity build's file includes."""
    source = ROOT / path.relative_to(folder).with_suffix("")
    unity = path.with_suffix("")
    if unity.exists():
        included = re.findall(r'#include "(.+)"', unity.read_text())
        return [found for name in included if (found := Path(name)).exists()]
    return [source] if source.exists() else []


def objects(pattern: str) -> list[Path]:
    """Object files of a CMake target that are newer than what they are made of."""
    tool("nm")
    headers = max(path.stat().st_mtime for path in (ROOT / "cpp").rglob("*.hpp"))
    found = []
    for folder in object_folders(pattern):
        for path in sorted(folder.rglob("*.o")):
            times = [source.stat().st_mtime for source in made_of(path, folder)]
            if times and path.stat().st_mtime >= max(headers, *times):
                found.append(path)
    if not found:
        missing(f"no fresh objects of {pattern} below build/: run pip install . first")
    return found


def symbols(path: Path, *options: str) -> list[tuple[str, str]]:
    """Type letter and name of every symbol."""
    lines = output_of(tool("nm"), *options, str(path)).splitlines()
    parts = [line.split() for line in lines if line.strip()]
    return [(words[-2], words[-1]) for words in parts if len(words) >= 2]


@pytest.mark.failure(37)
def test_kernel_objects_define_their_table_alone() -> None:
    for path in objects("poolcore_kernels_*"):
        defined = symbols(path, "--defined-only")
        visible = {name for kind, name in defined if kind.isupper()}
        assert len(visible) == 1, (path.name, visible)
        assert re.search(r"k(Scalar|V2|V3|V4|Neon)Table", visible.pop())
        # Weak and unique symbols are where the linker may choose another target's copy.
        assert [s for s in defined if s[0] in "WVuvwi"] == [], path.name
        assert [s for s in defined if s[0] in "bBcC" or "_ZGV" in s[1]] == [], "statics"


def test_kernel_objects_call_nothing_but_the_compilers_helpers() -> None:
    helpers = re.compile(
        r"mem(cpy|move|set)|_GLOBAL_OFFSET_TABLE_|l?l?r?(rint|nearbyint|floor|ceil|trunc|round)f?"
        r"|__(float|fix|fixuns|floatun|extend|trunc|u?div|u?mod|mul|ashl|ashr|lshr)\w+"
        r"|__(asan|ubsan|tsan|stack_chk)\w+"
    )
    for path in objects("poolcore_kernels_*"):
        called = {name for _, name in symbols(path, "--undefined-only")}
        foreign = {name for name in called if not helpers.fullmatch(name)}
        assert not foreign, (path.name, foreign)


@pytest.mark.failure(37)
def test_core_and_kernels_run_nothing_at_load_time() -> None:
    for path in [*objects("poolcore_core"), *objects("poolcore_kernels_*")]:
        headers = output_of(tool("objdump"), "-h", str(path))
        assert not re.search(r"\.init_array|\.ctors", headers), path.name


@pytest.mark.failure(39)
def test_core_cannot_end_the_process() -> None:
    enders = {"abort", "exit", "_exit", "_Exit", "quick_exit", "__assert_fail", "_ZSt9terminatev"}
    for path in [*objects("poolcore_core"), *objects("poolcore_kernels_*")]:
        called = {name for _, name in symbols(path, "--undefined-only")}
        assert not called & enders, (path.name, called & enders)


def instructions(path: Path) -> Iterator[str]:
    for line in output_of(tool("objdump"), "-d", "--no-show-raw-insn", str(path)).splitlines():
        _, tab, rest = line.partition(":\t")
        if tab:
            yield rest.strip()


VEX = (
    r"v(?!err|erw|m[a-z]*call)\w+\s|.*%[yz]mm|.*%k[0-7]"
    r"|(andn|bextr|bls[ir]|blsmsk|mulx|pdep|pext|rorx|sarx|shlx|shrx)\s"
)
EVEX = r".*%zmm|.*%k[0-7]|.*%[xy]mm(1[6-9]|2[0-9]|3[01])"
# Of x86-64-v2 what compilers are most likely to choose.
SSE4 = (
    r"(popcnt|pshufb|ptest|pblendvb|blendv\w+|p(min|max)(sb|sd|uw|ud)|round[ps][sd]|pmovs?zx?\w+)\s"
)


@pytest.mark.failure(37)
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="x86 instructions")
@pytest.mark.parametrize(
    ("pattern", "forbidden"),
    [
        ("poolcore_core", f"{VEX}|{SSE4}"),
        ("_core", f"{VEX}|{SSE4}"),
        ("poolcore_kernels_scalar", f"{VEX}|{SSE4}"),
        ("poolcore_kernels_v2", VEX),
        ("poolcore_kernels_v3", EVEX),
    ],
)
def test_instructions_stay_in_their_target(pattern: str, forbidden: str) -> None:
    check = re.compile(forbidden)
    for path in objects(pattern):
        found = [text for text in instructions(path) if check.match(text)]
        assert not found, (path.name, len(found), found[:5])


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="x86 instructions")
def test_vector_targets_use_their_vectors() -> None:
    for target, register in (("v3", "%ymm"), ("v4", "%zmm")):
        for path in objects(f"poolcore_kernels_{target}"):
            assert any(register in text for text in instructions(path)), path.name


def test_module_exports_its_entry_alone() -> None:
    nm = tool("nm")
    module = pytest.importorskip("poolcore._core")
    lines = output_of(nm, "-D", "--defined-only", module.__file__).splitlines()
    assert {line.split()[-1].partition("@")[0] for line in lines} == {"PyInit__core"}
