"""The package is typed and its public functions are documented."""

from __future__ import annotations

import importlib.metadata
import inspect
import runpy
from importlib.resources import files
from pathlib import Path

import pytest

import poolcore

POOLING = sorted(n for n in poolcore.__all__ if "pool" in n)
PUBLIC = sorted(n for n in poolcore.__all__ if callable(getattr(poolcore, n)))
NAMES = {
    *(f"{op}_pool{nd}d" for op in ("max", "min", "avg", "sum") for nd in (1, 2, 3)),
    *(f"adaptive_{op}_pool{nd}d" for op in ("max", "min", "avg") for nd in (1, 2, 3)),
    *(f"global_{op}_pool" for op in ("max", "min", "avg", "sum")),
    "spatial_pyramid_pool", "pool", "pool2d", "set_num_threads", "get_num_threads", "num_threads",
    "show_config",
}  # fmt: skip
POSITIONAL = {
    "max": ["x", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices"],
    "avg": ["x", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad",
            "divisor_override", "dilation"],
    "sum": ["x", "kernel_size", "stride", "padding", "dilation", "ceil_mode"],
}  # fmt: skip
INVERSE_POSITIONAL = {
    **{f"max_unpool{nd}d": ["x", "indices", "kernel_size", "stride", "padding", "output_size"]
       for nd in (1, 2, 3)},
    **{f"max_{what}{nd}d_backward": ["grad", "indices", "input_shape"]
       for what in ("pool", "unpool") for nd in (1, 2, 3)},
    **{f"avg_pool{nd}d_backward": ["grad", "input_shape", *POSITIONAL["avg"][1:]]
       for nd in (1, 2, 3)},
    **{f"sum_pool{nd}d_backward": ["grad", "input_shape", *POSITIONAL["sum"][1:]]
       for nd in (1, 2, 3)},
    **{f"adaptive_max_pool{nd}d_backward": ["grad", "indices", "input_shape"] for nd in (1, 2, 3)},
    **{f"adaptive_avg_pool{nd}d_backward": ["grad", "input_shape"] for nd in (1, 2, 3)},
}  # fmt: skip
NAMES |= set(INVERSE_POSITIONAL)
POSITIONAL["min"] = POSITIONAL["max"]


def test_markers_of_a_typed_package() -> None:
    package = files("poolcore")
    assert (package / "py.typed").is_file()
    assert (package / "_core.pyi").is_file()


def test_the_calls_that_type_checkers_accept_run() -> None:
    runpy.run_path(str(Path(__file__).with_name("typed_calls.py")))


def test_public_names() -> None:
    assert set(poolcore.__all__) >= NAMES
    assert len(set(poolcore.__all__)) == len(poolcore.__all__)
    for name in poolcore.__all__:
        assert hasattr(poolcore, name)
    assert poolcore.__version__ == importlib.metadata.version("poolcore")


@pytest.mark.parametrize("nd", [1, 2, 3])
@pytest.mark.parametrize("op", sorted(POSITIONAL))
def test_positional_order(op: str, nd: int) -> None:
    """PyTorch's order, so that a call copied from there works; the rest by keyword only."""
    parameters = inspect.signature(getattr(poolcore, f"{op}_pool{nd}d")).parameters
    positional = [n for n, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert positional == POSITIONAL[op]
    keyword = {n for n, p in parameters.items() if p.kind is p.KEYWORD_ONLY}
    assert keyword >= {"layout", "nan_policy", "out", "threads"}
    if op in ("avg", "sum"):
        assert "dtype" in keyword
    assert parameters["stride"].default is None
    assert parameters["padding"].default == 0


@pytest.mark.parametrize("nd", [1, 2, 3])
def test_positional_order_of_adaptive_pooling(nd: int) -> None:
    for op, names in [
        ("max", ["x", "output_size", "return_indices"]),
        ("min", ["x", "output_size", "return_indices"]),
        ("avg", ["x", "output_size"]),
    ]:
        parameters = inspect.signature(getattr(poolcore, f"adaptive_{op}_pool{nd}d")).parameters
        assert [n for n, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD] == names


@pytest.mark.parametrize("name", sorted(INVERSE_POSITIONAL))
def test_positional_order_of_inverses(name: str) -> None:
    parameters = inspect.signature(getattr(poolcore, name)).parameters
    positional = [n for n, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert positional == INVERSE_POSITIONAL[name]
    assert [n for n in parameters if n not in positional] == ["layout", "out", "threads"]


@pytest.mark.parametrize("name", PUBLIC)
def test_annotations(name: str) -> None:
    signature = inspect.signature(getattr(poolcore, name))
    for parameter in signature.parameters.values():
        assert parameter.annotation is not parameter.empty, parameter
    if not inspect.isclass(getattr(poolcore, name)):
        assert signature.return_annotation is not signature.empty


@pytest.mark.parametrize("name", PUBLIC)
def test_docstrings(name: str) -> None:
    thing = getattr(poolcore, name)
    text = inspect.getdoc(thing) or ""
    lines = text.splitlines()
    assert lines
    assert lines[0].endswith(".")
    assert len(lines[0]) <= 100
    assert "Examples\n--------" in text
    parameters = [p for p in inspect.signature(thing).parameters if p != "self"]
    if parameters:
        assert "Parameters\n----------" in text
    for parameter in parameters:
        assert any(
            line.split(":")[0].replace(",", " ").split().count(parameter) for line in lines
        ), f"{name}: {parameter} is not described"


@pytest.mark.parametrize("name", POOLING)
def test_docstrings_of_pooling(name: str) -> None:
    text = inspect.getdoc(getattr(poolcore, name)) or ""
    for section in ("Parameters", "Returns", "Raises", "Examples"):
        assert f"{section}\n{'-' * len(section)}" in text, section
    assert "ValueError" in text
    assert "TypeError" in text
    assert "shape" in text.lower() or "(N" in text, "shapes are not named"
    assert "undefined" in text or "KeyboardInterrupt" in text or "numerics" in text
