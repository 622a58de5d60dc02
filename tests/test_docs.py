"""What the documentation shows is what happens: doctests, and the blocks of the README."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import poolcore

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"


def modules() -> list[ModuleType]:
    found = [poolcore]
    for info in pkgutil.walk_packages(poolcore.__path__, "poolcore."):
        if not info.name.endswith("__main__"):
            found.append(importlib.import_module(info.name))
    return found


def public_objects() -> dict[str, object]:
    return {n: getattr(poolcore, n) for n in poolcore.__all__ if callable(getattr(poolcore, n))}


@pytest.mark.parametrize("module", modules(), ids=lambda m: m.__name__)
def test_doctests_of_modules(module: ModuleType) -> None:
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert result.failed == 0


@pytest.mark.parametrize("name", sorted(public_objects()))
def test_every_public_function_has_a_doctest_that_runs(name: str) -> None:
    thing = public_objects()[name]
    finder = doctest.DocTestFinder(exclude_empty=True)
    tests = [t for t in finder.find(thing, name, module=False, globs={}) if t.examples]
    assert tests, f"{name} has no example"
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for test in tests:
        names = {n: getattr(poolcore, n) for n in poolcore.__all__}
        test.globs.update(names, poolcore=poolcore, np=np, __name__="__main__")
        outcome = runner.run(test)
        assert outcome.failed == 0


def blocks(language: str) -> list[str]:
    if not README.exists():
        pytest.skip("the tests run without the source tree")
    return re.findall(
        rf"^```{language}\n(.*?)^```", README.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )


def test_readme_blocks_run() -> None:
    """In order, in one namespace; prompts are checked, plain code must not raise."""
    found = blocks("(?:python|pycon)")
    assert found, "README.md shows no Python"
    namespace: dict[str, object] = {"__name__": "readme"}
    for number, block in enumerate(found):
        if ">>>" in block:
            test = doctest.DocTestParser().get_doctest(block, namespace, f"block {number}", None, 0)
            runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
            runner.run(test, clear_globs=False)
            namespace.update(test.globs)
            assert runner.summarize(verbose=False).failed == 0
        else:
            exec(compile(block, f"README block {number}", "exec"), namespace)


def test_readme_has_the_two_commands() -> None:
    if not README.exists():
        pytest.skip("the tests run without the source tree")
    text = README.read_text("utf-8")
    assert "pip install . && python -m poolcore demo" in text
    assert "pip install '.[test]' && pytest" in text
