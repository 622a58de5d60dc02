"""Every class of failure has its tests, and the table of docs/robustness.md names them."""

from __future__ import annotations

import failures


def test_every_class_has_a_test() -> None:
    found = failures.tests_by_class()
    assert set(found) == set(range(1, 41)), "a test bears the number of no class"
    assert [number for number, tests in found.items() if not tests] == []
    for files in failures.ELSEWHERE.values():
        for name in files:
            assert (failures.TESTS / name).exists(), name


def test_the_documented_table_names_tests_that_exist() -> None:
    found = failures.tests_by_class()
    rows = failures.documented()
    assert set(rows) == set(failures.TITLES)
    for number, names in rows.items():
        files = {name.partition("::")[0] for name in found[number]}
        assert names, f"class {number} names no test"
        assert set(names) <= files, f"class {number}: {set(names) - files}"
