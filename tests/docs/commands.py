#!/usr/bin/python3
"""Every command that README.md, docs/ and the manual pages show is executed, on the hosts that the page speaks of, and
does what the page says; every file that they show is written there and taken. What nobody executes is named, with page
and line.

commands.py [PAGE]      PAGE: one script of pages/; without: all, side by side
"""

import concurrent.futures
import importlib
import os
import subprocess
import sys
import time
from pathlib import Path

import page as pages
from bed import BED_PREFIX, CENTIPEDE, Bed, run
from blocks import documents, names_of_commands
from elsewhere import ELSEWHERE, NOT_OURS

# From the end of the alphabet: as it happens, the longest ones come first.
SCRIPTS = sorted((path.stem for path in (Path(__file__).parent / "pages").glob("*.py")), reverse=True)
AT_ONCE = 4  # they mostly wait


def one(name):
    script = importlib.import_module(f"pages.{name}")
    with Bed(script.TOPOLOGY) as bed, pages.Page(script.PAGE) as page:
        script.run(page, bed)


def apart(number_and_name):
    number, name = number_and_name
    environment = {**os.environ, "CENTIPEDE_BED": f"{BED_PREFIX}{number}"}
    begin = time.monotonic()
    done = subprocess.run([sys.executable, __file__, name], env=environment, text=True, capture_output=True, timeout=200)
    print(f"== {name}: {'done' if done.returncode == 0 else 'FAILED'} in "
          f"{time.monotonic() - begin:.0f} s\n{done.stdout}{done.stderr}", flush=True)
    return done.returncode


def without_script():
    """What is wrong with the pages that no script carries out: each of their commands is elsewhere, or forgotten."""
    problems = [f"elsewhere.py: there is no {page}" for page in set(ELSEWHERE) - set(documents())]
    carried_out = {importlib.import_module(f"pages.{name}").PAGE for name in SCRIPTS}
    for page in documents():
        try:
            if page not in carried_out:
                pages.Page(page).complete()
        except AssertionError as error:
            problems.append(str(error))
    return problems


def unknown_names():
    """Commands that running text speaks of and the program does not have."""
    lines = {}
    for command in names_of_commands():
        if command.text not in NOT_OURS:
            lines.setdefault(command.text, command)
    return [f"{command}: no command of the program is called so" for text, command in lines.items()
            if f"Usage: {text} " not in run(CENTIPEDE, *text.split()[1:], "--help", check=False).stdout]


def main():
    if len(sys.argv) > 1:
        return one(sys.argv[1])
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        codes = list(pool.map(apart, enumerate(SCRIPTS)))
    if 77 in codes:
        return 77
    problems = without_script() + unknown_names()
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if any(codes) or problems else 0


if __name__ == "__main__":
    sys.exit(main())
