#!/usr/bin/python3
"""Sends one router advertisement: router_advertisement.py DEVICE PREFIX/64 PREFERRED_S. Hosts on the link make addresses
of their own of the prefix; a preferred lifetime of 0 deprecates them.
"""

import ipaddress
import socket
import struct
import sys

ROUTER_ADVERTISEMENT = 134
PREFIX_INFORMATION = 3
ON_LINK_AND_AUTONOMOUS = 0xC0
VALID_S = 7200
ALL_NODES = "ff02::1"


def main():
    device, prefix, preferred = sys.argv[1:]
    network = ipaddress.ip_network(prefix)
    # No default route: router lifetime 0. The kernel fills in the checksum.
    head = struct.pack("!BBHBBHII", ROUTER_ADVERTISEMENT, 0, 0, 64, 0, 0, 0, 0)
    option = struct.pack("!BBBBIII", PREFIX_INFORMATION, 4, network.prefixlen, ON_LINK_AND_AUTONOMOUS, VALID_S,
                         int(preferred), 0) + network.network_address.packed
    sender = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    sender.sendto(head + option, (ALL_NODES, 0, 0, socket.if_nametoindex(device)))


if __name__ == "__main__":
    main()
