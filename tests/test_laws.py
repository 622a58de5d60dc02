"""The laws of docs/design.md that can be read in the sources; test_laws_objects.py has the rest."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CPP = ROOT / "cpp"
MAX_FUNCTION = 50
MAX_FILE = 400


def cpp_files(*folders: str) -> list[Path]:
    found = [
        path
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in (".cpp", ".hpp")
    ]
    assert found, f"no C++ files in {folders}"
    return found


def python_files() -> list[Path]:
    folders = ("python", "tests", "bench")
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def show(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# ------------------------------------------------------------------------------ reading C++

_TOKEN = re.compile(
    r"""//[^\n]* | /\*.*?\*/ | R"(\w*)\(.*?\)\1"
    | "(?:\\.|[^"\\\n])*" | (?<!\w)'(?:\\.|[^'\\\n])+' """,
    re.DOTALL | re.VERBOSE,
)


def _blank(match: re.Match[str]) -> str:
    text = match.group()
    hollow = "\n" * text.count("\n")
    return ('""' if text[0] in '"R' else " ") + hollow


def without_comments(text: str) -> str:
    """The code alone: comments and the insides of strings are gone, line numbers stay."""
    return _TOKEN.sub(_blank, text)


def without_directives(text: str) -> str:
    """Without preprocessor lines and their continuations; line numbers stay."""
    return re.sub(
        r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: "\n" * m[0].count("\n"), text, flags=re.M
    )


@cache
def code(path: Path) -> str:
    return without_comments(path.read_text())


def includes(path: Path) -> tuple[set[str], set[str]]:
    """What a file includes with quotation marks and with angle brackets."""
    text = path.read_text()
    own = set(re.findall(r'^\s*#\s*include\s*"([^"]+)"', text, re.M))
    system = set(re.findall(r"^\s*#\s*include\s*<([^>]+)>", text, re.M))
    return own, system


def offences(paths: list[Path], pattern: str) -> list[str]:
    found = []
    for path in paths:
        for number, line in enumerate(code(path).splitlines(), 1):
            if re.search(pattern, line):
                found.append(f"{show(path)}:{number}: {line.strip()}")
    return found


def cpp_functions(path: Path) -> Iterator[tuple[str, int]]:
    """Header and number of lines of every outermost function with a body."""
    text = without_directives(code(path))
    depth, inside, header_from, started = 0, 0, 0, 0
    scope = re.compile(r"\b(namespace|struct|class|union|enum)\b")
    for at, char in enumerate(text):
        if char == "{":
            header = text[header_from:at]
            if not inside and ")" in header and not scope.search(header):
                inside = depth + 1
                started = header_from + len(header) - len(header.lstrip())
            depth += 1
        elif char == "}":
            if depth == inside and inside:
                yield (
                    " ".join(text[started:at].split("{")[0].split()),
                    text.count("\n", started, at) + 1,
                )
                inside = 0
            depth -= 1
        if char in "{};" and not inside:
            header_from = at + 1
    assert depth == 0, f"{show(path)}: braces do not match"


# ----------------------------------------------------------------------- laws of the sources


def test_the_reader_of_cpp_reads() -> None:
    text = 'int a; // {\nchar b = \'{\'; /* { \n */ const char* s = "// \\" {";\n'
    assert "{" not in without_comments(text)
    assert without_comments(text).count("\n") == text.count("\n")
    assert without_directives("#define A \\\n {\nint b;").strip() == "int b;"


def test_function_counter_counts(tmp_path: Path) -> None:
    file = ROOT / "tests" / "cpp" / "check.hpp"
    found = dict(cpp_functions(file))
    assert any(header.startswith("inline int run(int argc") for header in found), found
    assert found["inline Registry& registry()"] == 4


def test_python_is_known_to_the_bindings_only() -> None:
    rest = [p for p in cpp_files("cpp") if CPP / "bindings" not in p.parents]
    assert not offences(rest, r"pybind11|\bPy[A-Z]\w+|\bpy::|#\s*include\s*<Python")


INTRINSICS = (
    r"immintrin|[a-z]mmintrin|x86intrin|arm_neon|arm_sve|\b_mm\d*_\w+|__builtin_ia32|\b__m(128|256|512)"
    r"|\bv\w+q?_[fsu](8|16|32|64)\b"
)


def test_intrinsics_are_in_kernels_only() -> None:
    rest = [p for p in cpp_files("cpp") if CPP / "kernels" not in p.parents]
    assert not offences(rest, INTRINSICS)


def test_instruction_set_flags_are_on_kernels_only() -> None:
    text = re.sub(r"#[^\n]*", "", (ROOT / "CMakeLists.txt").read_text())
    flag = re.compile(r"(?<![\w-])-m(arch|cpu|tune|fpu|avx|sse|fma|bmi|f16c)|/arch:")
    flagged = [line.strip() for line in text.splitlines() if flag.search(line)]
    assert flagged, "the vector targets have lost their flags"
    kernel_line = re.compile(r"poolcore_add_target\(\w+ [^)]*\)")
    assert [line for line in flagged if not kernel_line.fullmatch(line)] == []
    assert "-ffp-contract=off" in text
    everything = cpp_files("cpp")
    assert not offences(
        everything,
        r"target_clones|\btarget\s*\(\s*\"|#\s*pragma\s+(GCC|clang)\s+(target|attribute)",
    )


def test_no_openmp() -> None:
    assert not offences(cpp_files("cpp"), r"#\s*pragma\s+omp|\bomp_")
    assert "openmp" not in (ROOT / "CMakeLists.txt").read_text().lower()


KERNEL_HEADERS = {"cstddef", "cstdint", "limits", "type_traits", "immintrin.h", "arm_neon.h"}
KERNEL_STD = (
    r"std::(?!u?int(8|16|32|64)_t\b|size_t\b|ptrdiff_t\b|byte\b|numeric_limits\b"
    r"|(is|make|remove|enable|conditional|integral|bool)_?\w*\b|uint8_t\b|conditional_t\b)"
)


def test_kernels_include_almost_nothing() -> None:
    for path in cpp_files("cpp/kernels"):
        own, system = includes(path)
        assert system <= KERNEL_HEADERS, (show(path), system - KERNEL_HEADERS)
        allowed = {"poolcore/types.hpp"} if path.name == "kernel_table.hpp" else set()
        foreign = {name for name in own if not re.fullmatch(r"kernels/[\w.]+\.hpp", name)}
        assert foreign <= allowed, (show(path), foreign)
        if path.suffix == ".cpp":
            assert own == {"kernels/target.inl.hpp"}, show(path)


def test_kernels_neither_allocate_nor_throw_nor_know_the_library() -> None:
    kernels = cpp_files("cpp/kernels")
    assert not offences(kernels, r"\b(new|delete|malloc|calloc|realloc|free|alloca)\b(?!\s*=)")
    assert not offences(kernels, r"\b(throw|try|catch|dynamic_cast|typeid|virtual)\b")
    assert not offences(kernels, r"\b(thread_local|mutex|atomic|thread|volatile)\b")
    assert not offences(kernels, KERNEL_STD)


# Who may include whom below cpp/poolcore; the run family is one layer in many files.
RUN_FAMILY = {
    "run", "adaptive", "arg_box", "arg_kind", "box", "boxes", "each_window", "element",
    "finish", "flat", "gradient_boxes", "huge", "indices", "lanes", "median_network",
    "median_rows", "moves", "nan_scan", "narrow", "pack", "powers", "schedule",
    "select", "select_count", "select_emit", "select_job", "select_window", "soft", "soft_lanes",
    "stages", "tasks", "totals", "turned",
}  # fmt: skip
LAYERS: dict[str, set[str]] = {
    "types": set(),
    "error": set(),
    "exponential": set(),
    "cpu": set(),
    "wait": set(),
    "placement": set(),
    "view": {"types"},
    "geometry": {"types", "error"},
    "scratch": {"error"},
    "threads": {"cpu", "error", "placement", "scratch", "wait"},
    "thread_count": {"cpu", "error", "threads"},
    "dispatch": {"cpu", "error", "kernels"},
    "plan": {"geometry", "view", "types", "error"},
    "scatter": {"run", "view", "types", "error", "dispatch", "scratch", "threads", "kernels"},
    "roi": {
        "run",
        "scatter",
        "plan",
        "view",
        "types",
        "error",
        "dispatch",
        "scratch",
        "threads",
        "kernels",
    },
    "soft_backward": {
        "run",
        "plan",
        "geometry",
        "view",
        "types",
        "error",
        "dispatch",
        "scratch",
        "threads",
        "kernels",
    },
    "norm_backward": {
        "run",
        "spread",
        "plan",
        "geometry",
        "view",
        "types",
        "error",
        "dispatch",
        "scratch",
        "threads",
        "kernels",
    },
    "stochastic": {"run", "plan", "geometry", "view", "types", "dispatch", "threads", "kernels"},
    "pyramid": {"run", "view", "types", "error", "dispatch", "scratch", "threads", "kernels"},
    "spread": {
        "run",
        "plan",
        "geometry",
        "view",
        "types",
        "error",
        "dispatch",
        "scratch",
        "threads",
        "kernels",
    },
    "run": {
        "plan",
        "geometry",
        "view",
        "types",
        "error",
        "dispatch",
        "scratch",
        "exponential",
        "threads",
        "kernels",
    },
}
# Layers of more than one file that are not the run family.
PARTS = {
    f"{layer}_{part}": layer
    for layer, parts in {
        "norm_backward": ("exact", "job", "largest", "move", "pairs", "task"),
        "pyramid": ("tile",),
        "roi": ("axis", "candidates", "give", "gradient", "job", "largest", "mean", "pool", "taps"),
        "scratch": ("thread",),
        "scatter": ("gather", "half", "nest", "read"),
        "soft_backward": ("job", "measure", "task"),
        "spread": ("box", "cover", "job", "load", "long", "slow", "tile", "weave"),
        "threads": ("task",),
    }.items()
    for part in parts
}
PUBLIC = set(LAYERS) - {"exponential", "placement", "scratch", "wait"}


def layer_of(stem: str) -> str:
    return "run" if stem in RUN_FAMILY else PARTS.get(stem, stem)


def included_layers(path: Path) -> Iterator[str]:
    for name in includes(path)[0]:
        folder, _, file = name.partition("/")
        if folder == "kernels":
            assert file == "kernel_table.hpp", f"{show(path)} includes {name}"
            yield "kernels"
        else:
            assert folder == "poolcore", f"{show(path)} includes {name}"
            yield layer_of(file.removesuffix(".hpp"))


def test_the_arrows_of_the_core() -> None:
    for path in cpp_files("cpp/poolcore"):
        layer = layer_of(path.stem)
        assert layer in LAYERS, f"{show(path)} belongs to no layer: give it one here"
        reached = set(included_layers(path)) - {layer}
        assert reached <= LAYERS[layer], f"{show(path)} may not include {reached - LAYERS[layer]}"


def test_bindings_include_public_headers_only() -> None:
    for path in cpp_files("cpp/bindings"):
        for name in includes(path)[0]:
            folder, _, file = name.partition("/")
            public = folder == "poolcore" and file.removesuffix(".hpp") in PUBLIC
            assert folder == "bindings" or public, f"{show(path)} includes {name}"


@pytest.mark.failure(3)
def test_geometry_knows_no_floats() -> None:
    files = [CPP / "poolcore" / name for name in ("geometry.hpp", "geometry.cpp")]
    assert not offences(
        files, r"\b(float|double)\b|\d\.\d|\b\d+[eE]\d|<cmath>|\b(floor|ceil|round)\("
    )


@pytest.mark.failure(39)
def test_nothing_ends_the_process() -> None:
    pattern = r"(?<!static_)\b(assert|abort|exit|_Exit|_exit|quick_exit|terminate|raise)\s*\("
    assert not offences(cpp_files("cpp"), pattern)


def test_the_package_imports_numpy_alone() -> None:
    known = set(sys.stdlib_module_names) | {"numpy", "poolcore"}
    for path in sorted((ROOT / "python").rglob("*.py")):
        tree = ast.parse(path.read_text())
        for node in tree.body:  # optional packages are imported inside functions
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names.append(node.module or "")
            roots = {name.partition(".")[0] for name in names}
            assert roots <= known, f"{show(path)} imports {roots - known}"


def test_cpp_functions_are_short() -> None:
    long = [
        f"{show(path)}: {lines} lines: {header}"
        for path in cpp_files("cpp", "tests/cpp")
        for header, lines in cpp_functions(path)
        if lines > MAX_FUNCTION
    ]
    assert not long, "\n".join(long)


def python_functions(path: Path) -> Iterator[tuple[str, int]]:
    """Name and number of lines of every function, its docstring left out."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        first = node.body[0]
        if ast.get_docstring(node, clean=False) is not None:
            lines -= (first.end_lineno or first.lineno) - first.lineno + 1
        yield node.name, lines


def test_python_functions_are_short() -> None:
    long = [
        f"{show(path)}: {lines} lines: {name}"
        for path in python_files()
        for name, lines in python_functions(path)
        if lines > MAX_FUNCTION
    ]
    assert not long, "\n".join(long)


def test_files_are_short() -> None:
    files = [*cpp_files("cpp", "tests/cpp"), *python_files()]
    long = [
        f"{show(path)}: {lines} lines"
        for path in files
        if (lines := len(path.read_text().splitlines())) > MAX_FILE
    ]
    assert not long, "\n".join(long)
