#!/usr/bin/env python3
"""check-layers accepts a tree that keeps the rules and finds each kind of violation planted in it."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

CHECKER = pathlib.Path(__file__).resolve().parent / "check-layers"

CLEAN = {
    "userspace/base/result.h": "#include <expected>\nnamespace centipede {}\n",
    "userspace/base/address.cpp": '#include "base/result.h"\n#include <arpa/inet.h>\n',
    "userspace/base/file_descriptor.cpp": "#include <unistd.h>\n",
    "userspace/wire/message.h": '#include <centipede/wire.h>\n#include "base/result.h"\n',
    "userspace/crypto/keys.cpp": '#include <sodium.h>\nvoid f() { randombytes_buf(nullptr, 0); }\n',
    "userspace/control/controller.cpp":
        '#include "crypto/keys.h"\n// std::chrono::steady_clock::now() is for others\n'
        'const char* text = "printf(system_clock)";\nconstexpr int many = 10\'000; constexpr char c = \'"\';\n',
    "userspace/control/CMakeLists.txt": "centipede_layer(control SOURCES controller.cpp DEPENDS centipede_crypto)\n",
    "userspace/dataplane/xdp.cpp":
        '#include <bpf/libbpf.h>\n#include <linux/if_xdp.h>\n#include <centipede.skel.h>\n'
        "auto now() { return std::chrono::steady_clock::now(); }\n",
    "userspace/config/config.cpp": '#include <toml++/toml.h>\n#include "dataplane/tunnel_config.h"\n',
    "userspace/cli/main.cpp": '#include <CLI/CLI.hpp>\n#include "dataplane/xdp.h"\n'
                              "using namespace std;\n",
    "include/centipede/wire.h": "#include <linux/types.h>\n",
    "bpf/maps.h": "#include <bpf/bpf_helpers.h>\n",
    "bpf/centipede.bpf.c": '#include <linux/bpf.h>\n#include <centipede/wire.h>\n#include "maps.h"\n',
}

# What is planted, and a piece of the complaint that must come.
VIOLATIONS = {
    "include of a higher layer": ("userspace/wire/bad.h", '#include "crypto/keys.h"\n', "higher layer crypto"),
    "higher layer in angle brackets": ("userspace/base/bad.h", "#include <control/peer.h>\n", "higher layer control"),
    "path not from userspace/": ("userspace/wire/bad.h", '#include "message.h"\n', "not written from userspace/"),
    "path upwards": ("userspace/wire/bad.h", '#include "../base/result.h"\n', "not written from userspace/"),
    "folder that is no layer": ("userspace/utils/bad.h", "int x;\n", "is in no layer"),
    "link to a higher layer":
        ("userspace/wire/CMakeLists.txt", "centipede_layer(wire DEPENDS centipede_control)\n", "links centipede_control"),
    "steady clock in control":
        ("userspace/control/bad.cpp", "auto t = std::chrono::steady_clock::now();\n", "reads a clock"),
    "clock_gettime in crypto": ("userspace/crypto/bad.cpp", "clock_gettime(0, &t);\n", "reads a clock"),
    "clock behind a string":
        ("userspace/control/bad.cpp", 'f("//"); auto t = std::chrono::system_clock::now();\n', "reads a clock"),
    "ctime in control": ("userspace/control/bad.cpp", "#include <ctime>\n", "includes <ctime>"),
    "time.h in wire": ("userspace/wire/bad.cpp", "#include <time.h>\n", "includes <time.h>"),
    "unistd.h elsewhere in base": ("userspace/base/bad.cpp", "#include <unistd.h>\n", "includes <unistd.h>"),
    "sockets in control": ("userspace/control/bad.cpp", "#include <sys/socket.h>\n", "includes <sys/socket.h>"),
    "iostream in control": ("userspace/control/bad.cpp", "#include <iostream>\n", "includes <iostream>"),
    "printf in base": ("userspace/base/bad.cpp", 'void f() { printf("x"); }\n', "does input or output"),
    "random_device in control": ("userspace/control/bad.cpp", "std::random_device device;\n", "makes randomness"),
    "randombytes in control": ("userspace/control/bad.cpp", "randombytes_buf(p, 8);\n", "makes randomness"),
    "randombytes in a session": ("userspace/crypto/session.cpp", "randombytes_buf(p, 8);\n", "makes randomness"),
    "thread in control": ("userspace/control/bad.cpp", "#include <thread>\n", "includes <thread>"),
    "libbpf in control": ("userspace/control/bad.cpp", "#include <bpf/libbpf.h>\n", "kernel interfaces"),
    "io_uring in cli": ("userspace/cli/bad.cpp", "#include <liburing.h>\n", "kernel interfaces"),
    "netlink in cli": ("userspace/cli/bad.cpp", "#include <netlink/route/link.h>\n", "kernel interfaces"),
    "CLI11 in dataplane": ("userspace/dataplane/bad.cpp", "#include <CLI/CLI.hpp>\n", "belongs to cli"),
    "toml++ in dataplane": ("userspace/dataplane/bad.cpp", "#include <toml++/toml.h>\n", "belongs to config"),
    "HTTP in dataplane": ("userspace/dataplane/bad.cpp", "#include <httplib.h>\n", "the HTTP interface"),
    "BPF skeleton in cli": ("userspace/cli/bad.cpp", '#include <centipede.skel.h>\n', "the BPF program"),
    "user space in bpf": ("bpf/bad.c", '#include "../userspace/base/bytes.h"\n', "not for the BPF program"),
    "libc in bpf": ("bpf/bad.c", "#include <string.h>\n", "not for the BPF program"),
    "libbpf in include": ("include/centipede/bad.h", "#include <bpf/bpf_helpers.h>\n", "not for the BPF program"),
    "using namespace in a header": ("userspace/cli/bad.h", "using namespace std;\n", "`using namespace` in a header"),
    "using namespace in a test's header": ("tests/unit/bad.h", "using  namespace std;\n", "`using namespace` in a header"),
}


def run_checker(files: dict[str, str]) -> subprocess.CompletedProcess:
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = pathlib.Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return subprocess.run([sys.executable, CHECKER, folder], capture_output=True, text=True, check=False)


class CheckLayers(unittest.TestCase):
    def test_accepts_a_tree_that_keeps_the_rules(self):
        result = run_checker(CLEAN)
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_refuses_an_empty_tree(self):
        self.assertEqual(run_checker({}).returncode, 1)

    def test_finds_each_planted_violation(self):
        for name, (path, text, complaint) in VIOLATIONS.items():
            with self.subTest(name):
                result = run_checker({**CLEAN, path: text})
                self.assertEqual(result.returncode, 1, "not found")
                self.assertIn(complaint, result.stderr)
                self.assertIn(f"{path}:1:", result.stderr)


if __name__ == "__main__":
    unittest.main()
