/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The one parser of received Ethernet frames: the XDP program decides by it, and the workers find source address,
 * source port and payload of the frames in their AF_XDP sockets with it. Reads nothing outside [data, end), keeps no
 * state.
 *
 *   Ethernet, up to two VLAN tags (802.1Q, 802.1ad)
 *     IPv4 with options (RFC 791) | IPv6 with hop-by-hop, routing and destination options (RFC 8200)
 *       UDP (RFC 768); the payload ends where the UDP length says, so Ethernet padding is left out
 *
 * Checksums are not looked at: what follows is authenticated. Offsets count from the start of the frame, in bytes.
 * Plain C: compiled by clang for BPF and by C++.
 */
#ifndef CENTIPEDE_FRAME_H
#define CENTIPEDE_FRAME_H

#include <linux/types.h>

#define CP_ETHERNET_SIZE       14
#define CP_VLAN_TAG_SIZE       4
#define CP_MAX_VLAN_TAGS       2
#define CP_MAX_IPV6_EXTENSIONS 6
#define CP_IPV4_SIZE           20
#define CP_IPV6_SIZE           40
#define CP_UDP_SIZE            8

#define CP_ETHERTYPE_IPV4   0x0800
#define CP_ETHERTYPE_IPV6   0x86dd
#define CP_ETHERTYPE_8021Q  0x8100
#define CP_ETHERTYPE_8021AD 0x88a8

#define CP_PROTOCOL_HOP_BY_HOP  0
#define CP_PROTOCOL_UDP         17
#define CP_PROTOCOL_ROUTING     43
#define CP_PROTOCOL_FRAGMENT    44
#define CP_PROTOCOL_DESTINATION 60

enum cp_frame_kind {
	CP_KIND_FOREIGN,   /* not UDP over IP, or too short to tell */
	CP_KIND_FRAGMENT,  /* a piece of a UDP datagram */
	CP_KIND_MALFORMED, /* UDP with its ports, but the lengths contradict each other or the frame's end */
	CP_KIND_UDP,       /* every field of struct cp_frame is set */
};

struct cp_frame {
	__u16 l3_offset;      /* of the IP header */
	__u16 payload_offset; /* of the UDP payload */
	__u16 payload_length;
	__u16 source_port_be;
	__u16 destination_port_be; /* set for CP_KIND_MALFORMED too */
	__u8 family;               /* 4 or 6 */
	__u8 pad;
};

/* Where the addresses are, relative to l3_offset. */
#define CP_IPV4_SOURCE      12
#define CP_IPV4_DESTINATION 16
#define CP_IPV6_SOURCE      8
#define CP_IPV6_DESTINATION 24

#define CP_FRAME_INLINE static inline __attribute__((always_inline))

/*
 * A 16-bit field as it lies in the frame. BPF loads are free to be unaligned; user space must not rely on that.
 * Volatile there keeps the load where it stands, next to the bounds check of the same pointer: moved down, it would be
 * made through a pointer computed anew, which the verifier does not know to be checked.
 */
CP_FRAME_INLINE __u16 cp_field16(const __u8 *at)
{
#ifdef __bpf__
	return *(const volatile __u16 *)at;
#else
	__u16 value;

	__builtin_memcpy(&value, at, sizeof(value));
	return value;
#endif
}

CP_FRAME_INLINE __u16 cp_host16(__u16 big_endian)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return __builtin_bswap16(big_endian);
#else
	return big_endian;
#endif
}

/* The UDP header at udp_offset, in an IP packet that ends (by its own account) at ip_end. */
CP_FRAME_INLINE enum cp_frame_kind cp_parse_udp(const __u8 *data, const __u8 *end, __u32 udp_offset, __u32 ip_end,
						struct cp_frame *frame)
{
	const __u8 *udp = data + udp_offset;
	__u32 length;

	if (udp + CP_UDP_SIZE > end)
		return CP_KIND_FOREIGN;
	frame->source_port_be = cp_field16(udp);
	frame->destination_port_be = cp_field16(udp + 2);
	length = cp_host16(cp_field16(udp + 4));
	if (length < CP_UDP_SIZE || udp_offset + length > ip_end || ip_end > (__u64)(end - data))
		return CP_KIND_MALFORMED;
	frame->payload_offset = (__u16)(udp_offset + CP_UDP_SIZE);
	frame->payload_length = (__u16)(length - CP_UDP_SIZE);
	return CP_KIND_UDP;
}

CP_FRAME_INLINE enum cp_frame_kind cp_parse_ipv4(const __u8 *data, const __u8 *end, __u32 offset,
						 struct cp_frame *frame)
{
	const __u8 *ip = data + offset;
	__u32 header_size;

	if (ip + CP_IPV4_SIZE > end)
		return CP_KIND_FOREIGN;
	if (ip[9] != CP_PROTOCOL_UDP || (ip[0] & 0xf0) != 0x40)
		return CP_KIND_FOREIGN;
	header_size = (ip[0] & 0x0fU) * 4;
	if (header_size < CP_IPV4_SIZE)
		return CP_KIND_FOREIGN;
	/* More-fragments flag or a fragment offset. */
	if (cp_host16(cp_field16(ip + 6)) & 0x3fff)
		return CP_KIND_FRAGMENT;
	frame->family = 4;
	return cp_parse_udp(data, end, offset + header_size, offset + cp_host16(cp_field16(ip + 2)), frame);
}

CP_FRAME_INLINE enum cp_frame_kind cp_parse_ipv6(const __u8 *data, const __u8 *end, __u32 offset,
						 struct cp_frame *frame)
{
	const __u8 *ip = data + offset;
	__u32 at = offset + CP_IPV6_SIZE;
	__u32 ip_end;
	__u8 next;
	int i;

	if (ip + CP_IPV6_SIZE > end || (ip[0] & 0xf0) != 0x60)
		return CP_KIND_FOREIGN;
	next = ip[6];
	ip_end = at + cp_host16(cp_field16(ip + 4));
	for (i = 0; i < CP_MAX_IPV6_EXTENSIONS && next != CP_PROTOCOL_UDP; i++) {
		const __u8 *extension = data + at;

		if (next != CP_PROTOCOL_HOP_BY_HOP && next != CP_PROTOCOL_ROUTING && next != CP_PROTOCOL_DESTINATION &&
		    next != CP_PROTOCOL_FRAGMENT)
			return CP_KIND_FOREIGN;
		if (extension + 8 > end)
			return CP_KIND_FOREIGN;
		if (next == CP_PROTOCOL_FRAGMENT)
			return CP_KIND_FRAGMENT;
		next = extension[0];
		at += (extension[1] + 1U) * 8;
	}
	if (next != CP_PROTOCOL_UDP)
		return CP_KIND_FOREIGN;
	frame->family = 6;
	return cp_parse_udp(data, end, at, ip_end, frame);
}

CP_FRAME_INLINE enum cp_frame_kind cp_parse_frame(const __u8 *data, const __u8 *end, struct cp_frame *frame)
{
	__u32 offset = CP_ETHERNET_SIZE;
	__u16 type;
	int i;

	if (data + CP_ETHERNET_SIZE > end)
		return CP_KIND_FOREIGN;
	type = cp_host16(cp_field16(data + 12));
	for (i = 0; i < CP_MAX_VLAN_TAGS; i++) {
		if (type != CP_ETHERTYPE_8021Q && type != CP_ETHERTYPE_8021AD)
			break;
		if (data + offset + CP_VLAN_TAG_SIZE > end)
			return CP_KIND_FOREIGN;
		type = cp_host16(cp_field16(data + offset + 2));
		offset += CP_VLAN_TAG_SIZE;
	}
	frame->l3_offset = (__u16)offset;
	if (type == CP_ETHERTYPE_IPV4)
		return cp_parse_ipv4(data, end, offset, frame);
	if (type == CP_ETHERTYPE_IPV6)
		return cp_parse_ipv6(data, end, offset, frame);
	return CP_KIND_FOREIGN;
}

#endif
