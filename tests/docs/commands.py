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
from pathlib import Path

import page as pages
from bed import BED_PREFIX, Bed
from blocks import blocks, documents
from elsewhere import ELSEWHERE

SCRIPTS = sorted(path.stem for path in (Path(__file__).parent / "pages").glob("*.py"))
AT_ONCE = 4  # they mostly wait


def one(name):
    script = importlib.import_module(f"pages.{name}")
    with Bed(script.TOPOLOGY) as bed, pages.Page(script.PAGE) as page:
        script.run(page, bed)


def apart(number_and_name):
    number, name = number_and_name
    environment = {**os.environ, "CENTIPEDE_BED": f"{BED_PREFIX}{number}"}
    done = subprocess.run([sys.executable, __file__, name], env=environment, text=True, capture_output=True, timeout=100)
    print(f"== {name}: {'done' if done.returncode == 0 else 'FAILED'}\n{done.stdout}{done.stderr}", flush=True)
    return done.returncode


def nobody_looks_at():
    """Pages with commands or files, none of which a script or elsewhere.py has."""
    known = {importlib.import_module(f"pages.{name}").PAGE for name in SCRIPTS} | set(ELSEWHERE)
    return [page for page in documents() if page not in known and blocks(page)]


def main():
    if len(sys.argv) > 1:
        return one(sys.argv[1])
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        codes = list(pool.map(apart, enumerate(SCRIPTS)))
    if 77 in codes:
        return 77
    left = nobody_looks_at()
    for page in left:
        print(f"{page}: shows commands or files, and no script in tests/docs/pages/ executes them", file=sys.stderr)
    return 1 if any(codes) or left else 0


if __name__ == "__main__":
    sys.exit(main())
