"""The forty classes of failure that pooling code has shown elsewhere, and which tests close them.

A test says `@pytest.mark.failure(15)`, a module `pytestmark = pytest.mark.failure(15)`; checks that
pytest does not run are listed in ELSEWHERE. `python tests/failures.py` prints the table.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

TITLES = {
    1: "overflow in shape arithmetic",
    2: "narrowing to 32 bits",
    3: "floats in geometry",
    4: "kernel of no elements",
    5: "stride of nothing",
    6: "padding outside its range",
    7: "dilation, and taps beside the image",
    8: "kernel larger than the padded input",
    9: "empty axes, empty sequences",
    10: "ranks and numbers of entries",
    11: "shapes of arrays that belong together",
    12: "values used as addresses",
    13: "float values turned into integers",
    14: "work that the data does not bound",
    15: "allocation failure",
    16: "ceil windows, windows without a tap",
    17: "divisors",
    18: "accumulators",
    19: "NaN by place",
    20: "identities, ties, signed zeros",
    21: "denormals, floating-point state",
    22: "reads past the end",
    23: "output left unwritten",
    24: "strides",
    25: "misalignment",
    26: "byte order",
    27: "odd dtypes",
    28: "silent conversion",
    29: "out=",
    30: "hostile providers",
    31: "arrays that change meanwhile",
    32: "leaks and exceptions",
    33: "races, determinism",
    34: "fork",
    35: "Ctrl-C",
    36: "interpreters and their end",
    37: "dispatch to the CPU",
    38: "threads that cannot start, small stacks, affinity",
    39: "checks that vanish or abort",
    40: "a sibling left unguarded",
}
TESTS = Path(__file__).parent
# The core's own tests, which ctest runs under sanitizers.
ELSEWHERE = {
    1: ["cpp/test_geometry.cpp"],
    3: ["cpp/test_geometry.cpp"],
    7: ["cpp/test_geometry.cpp"],
    13: ["cpp/test_roi.cpp"],
    21: ["cpp/test_threads.cpp"],
    22: ["cpp/test_run.cpp", "cpp/test_select.cpp", "cpp/test_gradients.cpp", "cpp/test_roi.cpp"],
    33: ["cpp/test_threads.cpp"],
    34: ["cpp/test_processes.cpp"],
}


def _classes(decorator: ast.expr) -> list[int]:
    """The numbers of every `failure(...)` within an expression."""
    return [
        argument.value
        for call in ast.walk(decorator)
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.failure"
        for argument in call.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, int)
    ]


def tests_by_class() -> dict[int, list[str]]:
    """For every class the tests that bear its number, as pytest's node ids."""
    found: dict[int, list[str]] = {number: [] for number in TITLES}
    for path in sorted(TESTS.glob("test_*.py")):
        module: list[int] = []
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark":
                module = _classes(node.value)
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                own = [n for d in node.decorator_list for n in _classes(d)]
                for number in {*module, *own}:
                    found.setdefault(number, []).append(f"{path.name}::{node.name}")
    for number, files in ELSEWHERE.items():
        found[number] += files
    return found


def documented() -> dict[int, list[str]]:
    """The table of docs/robustness.md: number -> names of tests in its row."""
    text = (TESTS.parent / "docs" / "robustness.md").read_text()
    rows = re.findall(r"^\| (\d+) [^|]*\|([^|]*)\|", text, re.M)
    return {int(number): re.findall(r"`([^`]+)`", tests) for number, tests in rows}


if __name__ == "__main__":
    for number, names in tests_by_class().items():
        print(f"{number:>2} {TITLES[number]}")
        for name in names:
            print(f"     {name}")
