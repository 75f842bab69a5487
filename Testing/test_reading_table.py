"""The page about reading has every fault that is tested, and none of them is read or ends in our own error."""

from __future__ import annotations

from reading_table import PAGE, faults, outcome


def test_the_page_tells_how_each_fault_ends():
    page = PAGE.read_text("utf-8")
    rows = {
        line.split(" | ")[0].lstrip("| "): line.split(" | ")[1] for line in page.splitlines() if line.count(" | ") == 2
    }
    for name, make in faults():
        code, _ = outcome(make)
        assert code in (2, 4), name
        assert rows.get(name) == str(code), f"{name}: run python Testing/reading_table.py"
