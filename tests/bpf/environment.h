// Namespaces of their own for whoever loads the program: network, so that no device of the machine is touched; mounts,
// so that /sys shows those devices and /sys/fs/bpf is empty. bpffs itself is left to the code under test.
#pragma once

#include <string>

void isolate();
// Why the tests cannot run here; empty when they can.
const std::string& environment_problem();
