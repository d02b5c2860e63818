"""What the pages show and tests/docs does not execute: who does, or why nobody can. An entry that no page shows, or that
is executed after all, makes the test fail. Files go by their first line.
"""

import blocks

# tests/package/install.py carries these out on clean roots, whichever page shows them.
PACKAGE = {command.text.removeprefix("sudo ") for command in blocks.package_commands()}

CI = "every run of continuous integration is this"
BUILD = "would configure the build anew that is being tested; tools/test and tests/package/install.py build"
RESTART = "systemd's: tests/package/service.py does so to the installed service"
ENGINE = "needs Docker; tests/docs/pages/container.py runs the same program with the same capabilities and folders"
MACHINE = "would change the kernel or the clock of the machine that runs the test"
BENCH = "by hand: takes minutes, and its figures mean something on an idle machine alone"

# What performance.md calls two of those that it compares.
NOT_OURS = {"centipede udp", "centipede xdp"}

ELSEWHERE = {
    "README.md": {
        "sudo tools/demo": "by hand: builds by itself; tests/netns/link_cut.py holds what it shows",
        "sudo tools/test": CI,
        "sudo tools/install-dependencies build": CI,
        "cmake --preset release -DBUILD_TESTING=OFF": BUILD,
        "cmake --build --preset release --target centipede": BUILD,
        "sudo tools/bench": BENCH,
    },
    "docs/architecture.md": {
        "sudo tools/test": CI,
        "sudo tools/test --quick -L unit": CI,
        "sudo tools/testbed up pair": "every network scenario begins so, in a bed of its own name",
    },
    "docs/howto/container.md": {
        **{command.text: ENGINE for command in blocks.commands("docs/howto/container.md")
           if command.text.startswith("docker ")},
    },
    "docs/howto/from-wireguard.md": {
        "sudo systemctl restart centipede@cp0": RESTART,
        "sudo systemctl disable wg-quick@wg0": "systemd's and WireGuard's",
    },
    "docs/howto/phone-tethered-laptop.md": {
        "sudo systemctl restart centipede@cp0": RESTART,
        "sudo systemctl stop centipede@cp0": RESTART,
    },
    "docs/performance.md": {
        "sudo tools/bench": BENCH,
        "sudo tools/bench --quick": BENCH,
        "sudo tools/bench --curves": BENCH,
        "sudo tools/bench --only '^centipede.*/tcp'": BENCH,
        "sudo tools/bench --contender my-vpn.toml": BENCH,
        'name = "socat"': BENCH,
        "sudo tools/bench --curves --only '^peers (1|1000|10000),' --rounds 3 --seconds 2": BENCH,
        "sudo build/release/tests/bench/bench_stages": BENCH,
        "sudo build/release/tests/bench/bench_xsk": BENCH,
        "sudo build/release/tests/bench/bench_verdict": BENCH,
        "sudo tests/bench/change_cost.py": BENCH,
        "build/release/tests/bench/bench_handshake": BENCH,
        "build/release/tests/bench/bench_peers": BENCH,
    },
    "docs/security.md": {
        "sudo tools/test --all": CI,
    },
    "docs/troubleshooting.md": {
        "sudo sysctl -w net.core.bpf_jit_enable=1": MACHINE,
        "sudo sysctl -w kernel.io_uring_disabled=0": MACHINE,
        "sudo modprobe tun": MACHINE,
        "sudo modprobe nf_tables": MACHINE,
        "sudo timedatectl set-ntp true": MACHINE,
    },
    "docs/man/centipede.8": {
        "ssh -L 8420:127.0.0.1:8420 HOST": "by hand: needs a server of SSH",
    },
}
