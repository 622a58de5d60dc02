"""How many threads, which kernels: what holds for the whole process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import SupportsIndex

from poolcore import _core

__all__ = ["configuration", "get_num_threads", "num_threads", "set_num_threads", "show_config"]


def get_num_threads() -> int:
    """Return how many threads a pooling call may use.

    At first the environment variable POOLCORE_NUM_THREADS, or else the number of CPUs that this
    process may run on.

    Returns
    -------
    int
        At least 1; the calling thread is one of them.

    Examples
    --------
    >>> get_num_threads() >= 1
    True
    """
    return _core.get_num_threads()


def set_num_threads(n: SupportsIndex) -> None:
    """Set how many threads a pooling call may use, in the whole process.

    Parameters
    ----------
    n : int
        At least 1; more than 256 count as 256.

    Raises
    ------
    TypeError
        n is not an integer.
    ValueError
        n is less than 1 or does not fit 64 bits.

    Examples
    --------
    >>> before = get_num_threads()
    >>> set_num_threads(2)
    >>> get_num_threads()
    2
    >>> set_num_threads(before)
    """
    _core.set_num_threads(n)


@contextlib.contextmanager
def num_threads(n: SupportsIndex) -> Iterator[None]:
    """Set the number of threads for the length of a ``with`` block.

    The setting is the whole process's, as that of `set_num_threads`; for one call alone use the
    argument `threads` of that call.

    Parameters
    ----------
    n : int
        At least 1; more than 256 count as 256.

    Raises
    ------
    TypeError
        n is not an integer.
    ValueError
        n is less than 1 or does not fit 64 bits.

    Examples
    --------
    >>> with num_threads(1):
    ...     get_num_threads()
    1
    """
    before = _core.get_num_threads()
    _core.set_num_threads(n)
    try:
        yield
    finally:
        _core.set_num_threads(before)


def configuration() -> dict[str, str]:
    """Give the lines of `show_config` as names and values."""
    return {
        "poolcore": _core.__version__,
        "compiler": _core.compiler,
        "targets built": ", ".join(_core.targets_built()),
        "targets supported": ", ".join(_core.targets_supported()),
        "target in use": _core.target_in_use(),
        "threads": f"{_core.get_num_threads()} of {_core.available_cpus()} CPUs",
    }


def show_config() -> None:
    """Print the version, the compiler, the instruction-set targets and the number of threads.

    The environment variable POOLCORE_TARGET, read once, chooses another target than the best;
    naming one that this build or this CPU lacks is a ValueError.

    Examples
    --------
    >>> show_config()  # doctest: +ELLIPSIS
    poolcore           ...
    compiler           ...
    targets built      ...
    targets supported  ...
    target in use      ...
    threads            ...
    """
    for name, value in configuration().items():
        print(f"{name:<18} {value}")
