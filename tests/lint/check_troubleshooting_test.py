#!/usr/bin/env python3
"""check-troubleshooting accepts a page that has every finding and complains of each kind of gap planted in one."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

CHECKER = pathlib.Path(__file__).resolve().parent / "check-troubleshooting"
SOURCE = '''
Finding one() { return {Level::ok, "one", "nothing to say about this", ""}; }
Finding two(const std::string& name) {
  const std::string what = name + " two";
  if (bad) return {Level::warn, what, error().text, "advice is not looked for"};
  return {Level::fail, what, std::to_string(number(name, 2)) + " is much "
                                 "too \\"old\\", (alas)", ""};
}
Finding three() {
  const std::string unknown = driver.empty() ? "no driver" : "driver " + driver + " is not known";
  return {Level::warn, "three", unknown, "advice"};
}
'''
PAGE = '**`two`**, **`6.0 is much too "old", (alas)`**, **`driver x is not known`**, `any other text`\n'
# What is planted in the page or the sources, and a piece of the complaint.
VIOLATIONS = {
    "missing": (PAGE.replace("driver x is not", "nothing is"), SOURCE, "doctor.cpp:11:"),
    "joined text": (PAGE.replace("much too", "too"), SOURCE, '...is much too "old"'),
    "error passed on": (PAGE.replace("two", "2"), SOURCE, "...two..."),
    "not in bold": (PAGE.replace("**", ""), SOURCE, "doctor.cpp:"),
    "stale": (PAGE + "**`it said so once`**\n", SOURCE, "any more): it said so once"),
    "no text": (PAGE, SOURCE + "Finding f() { return {Level::fail, name, error().text, {}}; }\n", "no text of its own"),
    "no findings": (PAGE, "", "found no finding"),
}


class CheckTroubleshooting(unittest.TestCase):
    def complaints(self, page, source):
        with tempfile.TemporaryDirectory() as folder:
            tree = pathlib.Path(folder)
            for path, text in (("docs/troubleshooting.md", page), ("userspace/cli/doctor.cpp", source)):
                (tree / path).parent.mkdir(parents=True)
                (tree / path).write_text(text, encoding="utf-8")
            done = subprocess.run([sys.executable, CHECKER, folder], capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode != 0, bool(done.stderr), done.stderr)
            return done.stderr

    def test_accepts_a_page_that_has_them_all(self):
        self.assertEqual(self.complaints(PAGE, SOURCE), "")

    def test_finds_what_is_planted(self):
        for name, (page, source, complaint) in VIOLATIONS.items():
            with self.subTest(name):
                self.assertIn(complaint, self.complaints(page, source))


if __name__ == "__main__":
    unittest.main()
