#!/usr/bin/env python3
"""check-references accepts a tree whose documents name what exists and finds each kind of violation planted in it."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

CHECKER = pathlib.Path(__file__).resolve().parent / "check-references"

GONE = "docs/" + "gone.md"  # in two parts, because the checker reads this file too
ROW = "| replay | the window | `Window.Boundaries` |\n"
TABLE = "# Security\n\n| attack | what stops it | tests |\n|---|---|---|\n"

CLEAN = {
    "README.md": "# Title\n\n[Security](docs/security.md#security), `tests/netns/nat.py`, "
                 "`tests/unit/LAYER/NAME_test.cpp`, `cmake --build build/asan --target tests/fuzz/all`\n",
    "docs/security.md": TABLE + ROW + "| NAT | paths | `nat`, `Path.Rebinds`, `fuzz_window`, `tests/sim/watch.h` |\n"
                        "\n| other | table |\n|---|---|\n| of | `anything` |\n",
    "tests/unit/crypto/window_test.cpp":
        "TEST(Window, Boundaries) {}\n// See docs/security.md.\n// TEST(Window, Planned) {}\n",
    "tests/unit/control/path_test.cpp": "TEST_F(Path,\n       Rebinds) {}\nTEST_P(Path, DISABLED_Roams) {}\n",
    "tests/netns/CMakeLists.txt":
        "function(netns_scenario name)\nendfunction()\nnetns_scenario(nat xdp udp)\nnetns_scenario(gone udp)\n",
    "tests/netns/nat.py": "",
    "tests/netns/soak.py": "",
    "tests/fuzz/CMakeLists.txt": "fuzz_target(window LIBRARIES centipede_crypto)\n",
    "tests/sim/watch.h": "",
}


def table_with(cell: str) -> dict[str, str]:
    return {"docs/security.md": TABLE + ROW + f"| attack | defence |{cell}|\n"}


# What is planted, where the complaint must point, and a piece of it.
VIOLATIONS = {
    "link to no file": ({"README.md": f"[x]({GONE})\n"}, "README.md:1:", "leads nowhere"),
    "link to no heading": ({"README.md": "[x](docs/security.md#gone)\n"}, "README.md:1:", "no heading for #gone"),
    "path that is not there": ({"README.md": "tests/netns/gone.py\n"}, "README.md:1:", "names tests/netns/gone.py"),
    "document in a comment": ({"bpf/x.c": f"/* {GONE} */\n"}, "bpf/x.c:1:", f"points to {GONE}"),
    "unknown case": (table_with(" `Window.Gone` "), "docs/security.md:6:", "the test Window.Gone"),
    "unknown suite": (table_with(" `Gone.Boundaries` "), "docs/security.md:6:", "the test Gone.Boundaries"),
    "one of two": (table_with(" `Window.Boundaries`, `Window.Gone` "), "docs/security.md:6:", "the test Window.Gone"),
    "case in a comment": (table_with(" `Window.Planned` "), "docs/security.md:6:", "the test Window.Planned"),
    "disabled case": (table_with(" `Path.Roams` "), "docs/security.md:6:", "the test Path.Roams"),
    "suite without a case": (table_with(" `Window` "), "docs/security.md:6:", "the test Window,"),
    "scenario that no test runs": (table_with(" `soak` "), "docs/security.md:6:", "the test soak"),
    "scenario without a script": (table_with(" `gone` "), "docs/security.md:6:", "the test gone"),
    "unknown fuzz target": (table_with(" `fuzz_gone` "), "docs/security.md:6:", "the test fuzz_gone"),
    "unknown header": (table_with(" `tests/sim/gone.h` "), "docs/security.md:6:", "the test tests/sim/gone.h"),
    "row with words alone": (table_with(" Window.Boundaries "), "docs/security.md:6:", "names no test"),
    "row without a test": (table_with(" "), "docs/security.md:6:", "names no test"),
    "row without the column":
        ({"docs/security.md": TABLE + ROW + "| attack |\n"}, "docs/security.md:6:", "names no test"),
    "no table of tests": ({"docs/security.md": "# Security\n"}, "docs/security.md:1:", "no table of tests"),
}


def run_checker(files: dict[str, str]) -> subprocess.CompletedProcess:
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = pathlib.Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return subprocess.run([sys.executable, CHECKER, folder], capture_output=True, text=True, check=False)


class CheckReferences(unittest.TestCase):
    def test_accepts_a_tree_that_names_what_exists(self):
        result = run_checker(CLEAN)
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_refuses_an_empty_tree(self):
        self.assertEqual(run_checker({}).returncode, 1)

    def test_finds_each_planted_violation(self):
        for name, (planted, where, complaint) in VIOLATIONS.items():
            with self.subTest(name):
                result = run_checker({**CLEAN, **planted})
                self.assertEqual(result.returncode, 1, "not found")
                self.assertIn(complaint, result.stderr)
                self.assertIn(where, result.stderr)


if __name__ == "__main__":
    unittest.main()
