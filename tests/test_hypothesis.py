"""Random everything against the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import layouts
import oracle
import poolcore
from support import (
    DTYPES,
    FLOATS,
    INTEGERS,
    OPS,
    assert_same,
    function,
    random_array,
    targets,
    use_target,
)

BASIC = settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
LONG = settings(BASIC, max_examples=20_000, derandomize=False)


@st.composite
def calls(draw: Any) -> dict[str, Any]:
    """Arguments of one call of pool(), legal or refused for its geometry only."""
    rank = draw(st.integers(1, 5))
    nd = draw(st.integers(1, min(3, rank)))
    axes = tuple(draw(st.permutations(range(rank)))[:nd])
    longest = draw(st.sampled_from([6, 12, 40 if rank <= 3 else 12]))
    shape = tuple(
        draw(st.integers(1, longest)) if a in axes else draw(st.integers(0, 3)) for a in range(rank)
    )
    op = draw(st.sampled_from(OPS))
    dtype = draw(st.sampled_from(DTYPES))
    kernel = tuple(draw(st.integers(1, 5)) for _ in axes)
    stride = draw(st.none() | st.tuples(*[st.integers(1, 4) for _ in axes]))
    dilation = tuple(draw(st.sampled_from([1, 1, 1, 2, 3, 7])) for _ in axes)
    effective = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    explicit = st.tuples(
        *[st.tuples(st.integers(0, e - 1), st.integers(0, e - 1)) for e in effective]
    )
    padding = draw(st.just(0) | explicit | st.sampled_from(["valid", "same", "same_lower"]))
    options: dict[str, Any] = {"nan_policy": draw(st.sampled_from(["propagate", "omit"]))}
    if op in ("max", "min"):
        options["return_indices"] = draw(st.booleans())
    else:
        types = FLOATS if dtype in FLOATS else [*FLOATS, *INTEGERS]
        options["dtype"] = draw(st.none() | st.sampled_from(types))
    if op == "avg":
        options["count_include_pad"] = draw(st.booleans())
        nonzero = st.integers(-(2**40), 2**40).filter(bool)
        options["divisor_override"] = draw(st.none() | nonzero)
        options["rounding"] = draw(st.sampled_from(["half_even", "half_up", "floor", "trunc"]))
    return {
        "shape": shape, "dtype": dtype, "op": op, "axes": axes, "kernel_size": kernel,
        "stride": stride, "padding": padding, "dilation": dilation,
        "ceil_mode": draw(st.booleans()), "options": options,
        "layout": draw(st.sampled_from(layouts.LAYOUTS)), "seed": draw(st.integers(0, 2**32 - 1)),
        "target": draw(st.sampled_from(targets())), "threads": draw(st.sampled_from([1, 2, 7])),
    }  # fmt: skip


def as_tuple(result: Any) -> tuple[Any, ...]:
    return result if isinstance(result, tuple) else (result,)


def check(call: dict[str, Any]) -> None:
    rng = np.random.default_rng(call["seed"])
    x = random_array(rng, call["dtype"], call["shape"], "special")
    if x.size and x.ndim:
        x = call["layout"](x)
    window = {k: call[k] for k in ("stride", "padding", "dilation", "ceil_mode")}
    op, options = call["op"], call["options"]
    copy = np.array(x, order="C")
    with use_target(call["target"]):
        try:
            want = oracle.pool(copy, call["kernel_size"], op, call["axes"], **window, **options)
        except ValueError:
            with pytest.raises(ValueError, match="pool: "):
                poolcore.pool(x, call["kernel_size"], op, call["axes"], **window, **options)
            return
        got = poolcore.pool(
            x, call["kernel_size"], op, call["axes"], **window, **options, threads=call["threads"]
        )
        assert len(as_tuple(got)) == len(as_tuple(want))
        for g, w in zip(as_tuple(got), as_tuple(want), strict=True):
            assert_same(g, w, nan_bits=op in ("sum", "avg"))


@BASIC
@given(calls())
def test_any_call(call: dict[str, Any]) -> None:
    check(call)


@pytest.mark.slow
@LONG
@given(calls())
def test_any_call_many_times(call: dict[str, Any]) -> None:
    check(call)


@BASIC
@given(
    nd=st.integers(1, 3),
    op=st.sampled_from(OPS),
    seed=st.integers(0, 2**32 - 1),
    last=st.booleans(),
    batched=st.booleans(),
    data=st.data(),
)
def test_named_functions_are_pool(
    nd: int, op: str, seed: int, last: bool, batched: bool, data: Any
) -> None:
    """max_pool2d(x, ...) is pool(x, ..., axes=...) for every name, layout and batch form."""
    rng = np.random.default_rng(seed)
    x = random_array(rng, np.dtype(np.float32), (2, 3, 6, 7, 8)[: nd + 2], "special")
    x = x if batched else x[0]
    axes = tuple(range(x.ndim - nd, x.ndim))
    layout = "NC" + "DHW"[3 - nd :]
    if last:
        layout = "N" + "DHW"[3 - nd :] + "C"
        axes = tuple(a - 1 for a in axes)
    kernel = tuple(data.draw(st.integers(1, 3)) for _ in range(nd))
    stride = data.draw(st.none() | st.integers(1, 3))
    padding = data.draw(st.sampled_from([0, "same", "valid"]))
    ceil = data.draw(st.booleans())
    got = function(op, nd)(x, kernel, stride, padding, ceil_mode=ceil, layout=layout)
    want = poolcore.pool(x, kernel, op, axes, stride, padding, ceil_mode=ceil)
    assert_same(got, want, nan_bits=op in ("sum", "avg"))
    assert got.strides == want.strides
