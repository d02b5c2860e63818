"""What the documents show to be typed or written into files: the fenced blocks of Markdown and the examples (.nf) of
manual pages, each command with its line.

```sh is commands, and so is what begins with sudo in `running text`: that is to be typed as it stands. Without sudo,
`centipede detach` in running text is a command's name, held to what the program has (names_of_commands()). Any other word
after the fence is a file. A fence without a word, or with `text`, is neither: output, a drawing, somebody else's file.
"""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]


@dataclass
class Command:
    page: str
    line: int
    text: str  # without comment, on one line or more

    def __str__(self):
        return f"{self.page}:{self.line}: {self.text}"


@dataclass
class Block:
    page: str
    line: int  # of its first line
    heading: str
    kind: str
    text: str

    def commands(self):
        return list(split(self.page, self.line, self.text))


def documents():
    """Every page that is held to this, as paths from the top of the tree."""
    pages = [SOURCE / "README.md", *sorted((SOURCE / "docs").rglob("*.md")), *sorted((SOURCE / "docs/man").iterdir())]
    return [str(page.relative_to(SOURCE)) for page in pages]


def blocks(page):
    text = (SOURCE / page).read_text(encoding="utf-8")
    found = manual_blocks(page, text) if re.search(r"\.[1-8]$", page) else markdown_blocks(page, text)
    return [block for block in found if block.kind not in ("", "text")]


def commands(page, heading=None):
    """All of a page, or those below one heading."""
    found = [command for block in blocks(page) if block.kind == "sh" and heading in (None, block.heading)
             for command in block.commands()]
    return found if heading else found + list(in_running_text(page))


def package_commands():
    """Those that tests/package/install.py carries out on clean roots: all of this section of README."""
    section = "Debian package"
    if section not in (SOURCE / "tests/package/install.py").read_text(encoding="utf-8"):
        raise AssertionError(f"tests/package/install.py does not read README's section {section!r}: who executes it?")
    return commands("README.md", section)


def markdown_blocks(page, text):
    heading, block = "", None
    for number, line in enumerate(text.splitlines(), 1):
        fence = re.match(r"\s*```(.*)", line)
        if fence and block is None:
            block = Block(page, number + 1, heading, fence[1].strip(), "")
        elif fence:
            yield block
            block = None
        elif block is not None:
            block.text += line + "\n"
        elif found := re.match(r"#+\s+(.*)", line):
            heading = found[1]


def in_running_text(page, program="sudo"):
    fenced = False
    for number, line in enumerate((SOURCE / page).read_text(encoding="utf-8").splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        for text in [] if fenced else re.findall(rf"`({program} [^`]+)`", line):
            yield Command(page, number, text)


def names_of_commands():
    """What running text calls a command of ours, without the arguments, as in `centipede path down PEER UPLINK`."""
    for page in documents():
        for command in in_running_text(page, "(?:sudo )?centipede"):
            command.text = re.match(r"(?:sudo )?(centipede(?: [a-z]+\b(?![./0-9_-]))+)", command.text)[1]
            yield command


def manual_blocks(page, text):
    """A block whose lines begin with the prompt "# " is commands for root, one that has a [section] a file."""
    heading, block = "", None
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith(".SH"):
            heading = line[4:]
        elif line == ".nf" and heading != "SYNOPSIS":
            block = Block(page, number + 1, heading, "", "")
        elif line == ".fi" and block is not None:
            block.kind = "toml" if "[interface]" in block.text else "sh"
            yield block
            block = None
        elif block is not None:
            block.text += plain(line) + "\n"


def plain(line):
    """What man prints; remarks, which are in italics, become comments and requests nothing."""
    if re.match(r"\.\w", line):
        return ""
    line = re.sub(r"\\fI(\(.*?\))\\fR", r"# \1", line)
    return re.sub(r"^# ", "", re.sub(r"\\f[BIRP]|\\&", "", line).replace("\\-", "-"))


def split(page, first, text):
    """A command ends where bash would take it as whole."""
    begun, begin = "", first
    for number, line in enumerate(text.splitlines(), first):
        if not begun:
            begin = number
            if not line.strip() or line.lstrip().startswith("#"):
                continue
        begun += line + "\n"
        if not line.endswith("\\") and whole(begun):
            yield Command(page, begin, re.sub(r"\s+#\s.*", "", begun).strip())
            begun = ""
    if begun:
        raise AssertionError(f"{page}:{begin}: this command does not end: {begun}")


def whole(text):
    simple = not re.search(r"[\"'`({]|<<|\b(for|while|until|if|case)\b", text)
    return simple or subprocess.run(["bash", "-n", "-c", text], capture_output=True, check=False).returncode == 0
