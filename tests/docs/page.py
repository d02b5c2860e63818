"""A page of the documents, carried out on the hosts of a test bed as it is written there.

A page's script says which command runs on which host, and checks what the page says one sees. When it ends, every
command of the page has been executed and every file written, or elsewhere.py says who else does it.
"""

import contextlib
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "netns"))
import blocks
from bed import BUILD, CENTIPEDE, SOURCE, check_quietly, wait_for
from elsewhere import ELSEWHERE, PACKAGE

PRIVATE = ("/usr/local", "/etc")  # what the pages' commands write to, beside what a bed's host has of its own


class Running:
    """A command that stays until Ctrl-C, on a terminal."""

    def __init__(self, host, words, text):
        self.text = text
        self.output = bytearray()
        terminal, end = pty.openpty()
        termios.tcsetwinsize(end, (50, 120))
        self.process = host.start(*words, stdin=end, stdout=end, stderr=end, start_new_session=True)
        os.close(end)
        threading.Thread(target=self.read, args=(terminal,), daemon=True).start()

    def read(self, terminal):
        with contextlib.suppress(OSError):  # the last one at the other end has gone
            while more := os.read(terminal, 65536):
                self.output += more
        os.close(terminal)

    def said(self):
        return self.output.decode(errors="replace")

    def says(self, what, seconds=10):
        deadline = time.monotonic() + seconds
        while what not in self.said():
            check_quietly(time.monotonic() < deadline and self.process.poll() is None,
                          f"{self.text}: has not printed {what!r} in {seconds} s, but: {self.said()}")
            time.sleep(0.02)

    def ends(self, code=0):
        check_quietly(self.process.wait(15) == code, f"{self.text}: exit code {self.process.returncode}: {self.said()}")

    def interrupt(self, code=0):
        """Ctrl-C: to the foreground's processes, of which there may be several."""
        os.killpg(self.process.pid, signal.SIGINT)
        self.ends(code)

    def kill(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(15)


class Page:
    def __init__(self, path):
        self.path = path
        self.blocks = blocks.blocks(path)
        self.commands = blocks.commands(path)
        self.executed = set()
        self.written = set()
        self.replaced = {}  # what stands in the page for a key or name that only the reader knows
        self.used = set()
        self.folders = {}
        self.scratch = None

    def __enter__(self):
        self.scratch = Path(tempfile.mkdtemp(prefix="centipede-docs-"))
        return self

    def __exit__(self, kind, error, trace):
        shutil.rmtree(self.scratch, ignore_errors=True)
        if error is None:
            self.complete()

    def dress(self, *hosts, install=True):
        """Gives hosts a home, a `sudo` that just runs, and folders of their own, with our program unless the page
        installs it."""
        for host in hosts:
            folder = self.scratch / host.name
            folder.mkdir()
            host.run("sh", "-ec", f"""
                mount -t tmpfs tmpfs {folder}
                mkdir {folder}/home
                for path in {' '.join(PRIVATE)}; do
                  mkdir -p {folder}/upper$path {folder}/work$path
                  mount -t overlay overlay -o lowerdir=$path,upperdir={folder}/upper$path,workdir={folder}/work$path $path
                done
                mount -t tmpfs tmpfs /etc/centipede
                rm -f /etc/resolv.conf
                touch /etc/resolv.conf
                mkdir -p /usr/local/bin /usr/local/sbin
                printf '#!/bin/sh\\nexec "$@"\\n' >/usr/local/bin/sudo
                chmod 755 /usr/local/bin/sudo
                ln -s {SOURCE}/tools {folder}/home/tools
                ln -s {BUILD.parent} {folder}/home/build
                {f'ln -s {CENTIPEDE} /usr/local/sbin/centipede' if install else ''}""")
            self.folders[host] = folder / "home"

    def replace(self, text):
        for placeholder, value in self.replaced.items():
            if placeholder in text:
                self.used.add(placeholder)
                text = text.replace(placeholder, value)
        return text

    def command(self, beginning):
        """The page's command that begins so; where the same one stands several times, each."""
        found = {command.text for command in self.commands if command.text.startswith(beginning)}
        exact = found & {beginning}
        if len(exact or found) != 1:
            raise AssertionError(f"{self.path}: {len(found)} commands begin with {beginning!r}: {sorted(found)}")
        (text,) = exact or found
        self.executed.add(text)
        return self.replace(text)

    def shell(self, host, text):
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return ["env", f"HOME={self.folders[host]}", f"PATH={path}", "TERM=dumb", "bash", "-c",
                'cd "$HOME" && eval "$1"', "bash", text]

    def run(self, host, beginning, code=0, seconds=30):
        """Carries one command out; what it printed, standard error after standard output."""
        return self.carry_out(host, self.command(beginning), code, seconds)

    def carry_out(self, host, text, code=0, seconds=30):
        done = host.run(*self.shell(host, text), check=False, timeout=seconds, stdin=subprocess.DEVNULL)
        check_quietly(done.returncode == code, f"{self.path}: on {host.name}: {text}: exit code {done.returncode}: "
                                               f"{done.stdout}{done.stderr}")
        print(f"  ok: {host.name}$ {text}", flush=True)
        return done.stdout + done.stderr

    def run_block(self, host, beginning, **options):
        """All commands of the block in which this one stands."""
        for block in self.blocks:
            texts = [command.text for command in block.commands()] if block.kind == "sh" else []
            if any(text.startswith(beginning) for text in texts):
                return [self.run(host, text, **options) for text in texts]
        raise AssertionError(f"{self.path}: no block has a command that begins with {beginning!r}")

    def start(self, host, beginning, until=None):
        """A command that stays in the foreground, until it has printed something."""
        text = self.command(beginning)
        running = self.start_words(host, text)
        if until:
            running.says(until)
        print(f"  ok: {host.name}$ {text} &", flush=True)
        return running

    def start_words(self, host, text):
        return Running(host, self.shell(host, text), f"{self.path}: on {host.name}: {text}")

    def attach(self, host, beginning="sudo centipede attach", tunnel="cp0"):
        running = self.start(host, beginning)
        wait_for(f"{running.text}: answers", lambda: self.answers(host, tunnel, running), 15)
        return running

    def service(self, host, tunnel="cp0"):
        """What systemd runs for the page's `systemctl enable --now`."""
        unit = (SOURCE / "packaging/systemd/centipede@.service").read_text(encoding="utf-8")
        running = self.start_words(host, re.search(r"^ExecStart=(.*)", unit, re.M)[1].replace("%i", tunnel))
        wait_for(f"{running.text}: answers", lambda: self.answers(host, tunnel, running), 15)
        return running

    @staticmethod
    def answers(host, tunnel, running):
        check_quietly(running.process.poll() is None, f"{running.text}: has ended: {running.said()}")
        return host.centipede("status", "-i", tunnel, check=False).returncode == 0

    def write(self, host, path, containing, mode=0o600):
        host.write(path, self.file(containing), mode)

    def file(self, containing):
        """The page's file in which this text stands."""
        found = [block for block in self.blocks if block.kind != "sh" and containing in block.text]
        if len(found) != 1:
            raise AssertionError(f"{self.path}: {len(found)} files contain {containing!r}")
        self.written.add(found[0].line)
        return self.replace(found[0].text)

    def complete(self):
        others = ELSEWHERE.get(self.path, {})
        left = [str(command) for command in self.commands
                if command.text not in self.executed and command.text not in others
                and command.text.removeprefix("sudo ") not in PACKAGE]
        left += [f"{block.page}:{block.line}: this file" for block in self.blocks
                 if block.kind != "sh" and block.line not in self.written and block.text.split("\n")[0] not in others]
        shown = {command.text for command in self.commands} | {
            block.text.split("\n")[0] for block in self.blocks if block.kind != "sh"}
        stale = [f"elsewhere.py: {self.path} does not show: {text}" for text in others if text not in shown]
        stale += [f"elsewhere.py: {self.path}: this is executed: {text}" for text in others if text in self.executed]
        stale += [f"{self.path} has no placeholder {text}" for text in self.replaced if text not in self.used]
        if left or stale:
            raise AssertionError("\n".join([*(f"{one}: no test executes it" for one in left), *stale]))
        if self.executed or self.written:
            print(f"  ok: {self.path}: {len(self.executed)} commands, {len(self.written)} file(s)", flush=True)
