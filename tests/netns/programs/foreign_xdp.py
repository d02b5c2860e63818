#!/usr/bin/python3
"""Puts somebody else's XDP program on a device: foreign_xdp.py DEVICE [drop]. It passes everything, or drops it. `ip
link set DEVICE xdp off` takes it off again."""

import ctypes
import os
import platform
import struct
import subprocess
import sys

SYS_BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]
BPF_PROG_LOAD, BPF_OBJ_PIN, XDP_PROGRAM = 5, 6, 6
XDP_DROP, XDP_PASS = 1, 2
PIN = b"/sys/fs/bpf/somebody_elses"


def bpf(command, attribute):
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(attribute, len(attribute))
    result = libc.syscall(SYS_BPF, command, buffer, len(attribute))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"bpf({command})")
    return result


def main():
    action = XDP_DROP if sys.argv[2:] == ["drop"] else XDP_PASS
    instructions = struct.pack("<BBhi", 0xB7, 0, 0, action) + struct.pack("<BBhi", 0x95, 0, 0, 0)  # r0 = action; exit
    code = ctypes.create_string_buffer(instructions, len(instructions))
    license_name = ctypes.create_string_buffer(b"GPL")
    name = b"somebody_elses".ljust(16, b"\0")
    attribute = struct.pack("=IIQQIIQII16s", XDP_PROGRAM, len(instructions) // 8, ctypes.addressof(code),
                            ctypes.addressof(license_name), 0, 0, 0, 0, 0, name)
    program = bpf(BPF_PROG_LOAD, attribute)
    path = ctypes.create_string_buffer(PIN)
    bpf(BPF_OBJ_PIN, struct.pack("=QI", ctypes.addressof(path), program))
    subprocess.run(["ip", "link", "set", "dev", sys.argv[1], "xdp", "pinned", PIN.decode()], check=True)
    os.unlink(PIN)


if __name__ == "__main__":
    main()
