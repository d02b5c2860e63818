#!/bin/bash
# The test bed and the link emulator do what tests rely on, and leave nothing behind.
#   tests/netns/testbed_selftest.sh [PATH_OF_LINK_EMULATOR]          exit code 77: cannot run here (needs root)
set -euo pipefail

testbed=$(dirname "$(dirname "$(dirname "$(readlink -f "$0")")")")/tools/testbed
bed=selftest$$
[[ -z ${1:-} ]] || export CENTIPEDE_LINK_EMULATOR=$1
((EUID == 0)) || exit 77

failures=0
check() {
  local promise=$1
  shift
  if "$@"; then
    echo "ok: $promise"
  else
    echo "FAILED: $promise"
    failures=$((failures + 1))
  fi
}
not() { ! "$@"; }

bed_do() {
  local command=$1
  shift
  "$testbed" "$command" --bed "$bed" "$@"
}
on() { bed_do exec "$@"; }
reaches() { on laptop ping -q -c 2 -i 0.05 -W 1 "$1" >/dev/null; }
unreachable() { ! on laptop ping -q -c 1 -W 0.3 "$1" >/dev/null; }

# Mean round-trip time of ten pings in microseconds.
round_trip_us() {
  on laptop ping -q -c 10 -i 0.02 "$1" | awk -F '[/ ]' '/^rtt/ { printf "%d\n", $8 * 1000 }'
}
between() { echo "  measured: $1" && (($1 >= $2 && $1 <= $3)); }
answer_is() { [[ $1 == "$2" ]] || { echo "  answer: $1" && false; }; }

processes_of_bed() { pgrep -f "/run/centipede-testbed/$bed/" || true; }
# A process that has ended counts as gone even before its parent takes note of it.
gone() { [[ ! -e /proc/$1/exe ]]; }
nothing_left() {
  [[ -z $(compgen -G "/run/netns/$bed-*") && ! -e /run/centipede-testbed/$bed && -z $(processes_of_bed) ]] &&
    gone "$keeper" && gone "$inside"
}

trap '"$testbed" down --bed "$bed"' EXIT

started=$(date +%s%N)
"$testbed" up pair --bed "$bed"
check "up takes less than 2 s" between $((($(date +%s%N) - started) / 1000000)) 0 2000

for address in 10.1.0.2 fd01::2 10.2.0.2 fd02::2; do check "$address answers" reaches "$address"; done
check "a host has its own name" answer_is "$(on office hostname)" office
check "a host sees its own devices" answer_is "$(on office ls /sys/class/net | xargs)" "eth0 lo wlan0"
check "a host has its own bpffs" on office mountpoint -q /sys/fs/bpf
on office touch /run/centipede/mark
check "hosts do not share /run/centipede" not on laptop test -e /run/centipede/mark
check "exec passes input, output and exit code" answer_is \
  "$(echo in | on laptop bash -c 'cat; exit 7' || echo "code $?")" "$(printf 'in\ncode 7')"

bed_do link all set both delay=20ms
check "20 ms each way: at least 40 ms and below 60 ms there and back" between "$(round_trip_us 10.1.0.2)" 40000 59999
bed_do link eth0 set a2b loss=100%
check "all lost: silence" unreachable 10.1.0.2
check "the other link is unharmed" reaches fd02::2
check "bad settings are refused" not bed_do link eth0 set a2b loss=200% 2>/dev/null
check "and the running ones kept" grep -q '"settings":"delay=20ms loss=1"' <(bed_do link eth0 stats)
bed_do link eth0 set both clear
check "cleared: reachable again" reaches 10.1.0.2

# Sends a frame with the given tags and prints what arrives: "outer tag type and number, the rest from byte 12 on".
# The kernel takes an outer tag out of the frame at the receiver; auxiliary data tells it.
receive_script='
import socket, struct, sys
SOL_PACKET, PACKET_AUXDATA = 263, 8
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.bind(("eth0", 3)); s.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1); s.settimeout(5)
print("ready", flush=True)
while True:
    frame, extra, _, _ = s.recvmsg(2000, 100)
    if b"tagged" in frame: break
tci, tpid = struct.unpack("=IIIHHHH", extra[0][2][:20])[5:]
print("%04x %d %s" % (tpid, tci, frame[12:-6].hex()), flush=True)'
send_script='
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("eth0", 0)); s.send(b"\xff" * 12 + bytes.fromhex(sys.argv[1]) + b"tagged")'
tagged_arrives() {
  local line receiver
  exec {receiver}< <(exec "$testbed" exec --bed "$bed" office /usr/bin/python3 -c "$receive_script")
  read -r line <&"$receiver"
  on laptop /usr/bin/python3 -c "$send_script" "$1"
  read -r line <&"$receiver" || true
  exec {receiver}<&-
  answer_is "$line" "$2"
}
check "a VLAN tag crosses the link" tagged_arrives 8100000788b5 "8100 7 88b5"
check "two tags cross the link" tagged_arrives 88a800098100000788b5 "88a8 9 8100000788b5"

bed_do link wlan0 cut
check "cut: silence" unreachable fd02::2
check "cut: the carrier stays" answer_is "$(on laptop cat /sys/class/net/wlan0/carrier)" 1
bed_do link wlan0 restore
check "restored: reachable again" reaches fd02::2
bed_do link wlan0 carrier-down
check "carrier down" answer_is "$(on laptop cat /sys/class/net/wlan0/carrier)" 0
bed_do link wlan0 carrier-up
check "carrier up: reachable again" reaches 10.2.0.2

bed_do link eth0 unplug laptop
check "unplugged: the device is gone" not on laptop test -e /sys/class/net/eth0
bed_do link eth0 plug laptop 10.1.0.77/24
check "plugged with a new address: reachable again" reaches 10.1.0.2
check "from the new address" answer_is "$(on laptop ip -4 -o addr show eth0 | awk '{print $4}')" 10.1.0.77/24

keeper=$(bed_do pid office)
"$testbed" exec --bed "$bed" office sleep 1000 &
disown
until inside=$(ip netns pids "$bed-office" | grep -vx "$keeper"); do sleep 0.01; done
"$testbed" down --bed "$bed"
check "down leaves no namespace, file or process" nothing_left
check "down once more is no error" "$testbed" down --bed "$bed"

# What a killed run leaves: emulators without a state directory.
"$testbed" up pair1 --bed "$bed"
keeper=$(bed_do pid office)
inside=$keeper
rm -rf "/run/centipede-testbed/$bed"
"$testbed" down --bed "$bed"
check "down cleans up after a run that lost its state" nothing_left

"$testbed" up nat --bed "$bed"
check "nat: the office is reached through the router" reaches 10.1.0.2
check "nat: over IPv6 too" reaches fd02::2
check "nat: but does not reach the laptop" not on office ping -q -c 1 -W 0.3 192.168.1.2
# The laptop sends from one port; the office notes where the packets seem to come from.
seen_by_office() {
  on laptop /usr/bin/python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 7001)); s.settimeout(2); s.sendto(b"?", ("10.1.0.2", 7000)); print(s.recv(100).decode())'
}
"$testbed" exec --bed "$bed" office /usr/bin/python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 7000))
while True:
    data, source = s.recvfrom(100)
    s.sendto(("%s %d" % source).encode(), source)' &
disown
until on office ss -Hlun | grep -q :7000; do sleep 0.01; done
first=$(seen_by_office)
check "nat: the office sees the router's address" answer_is "${first% *}" 10.1.0.1
check "nat: a known connection keeps its port" answer_is "$(seen_by_office)" "$first"
bed_do nat flush
second=$(seen_by_office)
check "nat: a forgotten one gets another port" not answer_is "$second" "$first"
bed_do nat address wan0 10.1.0.9/24
third=$(seen_by_office)
check "nat: a new public address is seen" answer_is "${third% *}" 10.1.0.9
"$testbed" down --bed "$bed"

((failures == 0)) || { echo "$failures failed" && exit 1; }
echo "all passed"
