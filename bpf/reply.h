/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Answers an initiation with a cookie reply, in place of the frame that it came in. It goes back where that came from,
 * never to a group, and is shorter: nobody can be flooded with it. VLAN tags, IPv4 options and IPv6 extension headers
 * stay as they are.
 *
 * The frame keeps its size, the IP packet in it does not: what is left over is Ethernet padding, which the first
 * router or host cuts off. bpf_xdp_adjust_tail() would save it, but a program that calls it does not get into the
 * dispatcher of libxdp 1.3 on Linux 6.12 and so could not share a device (tests/bpf/attach_test.cpp).
 */
#ifndef CENTIPEDE_BPF_REPLY_H
#define CENTIPEDE_BPF_REPLY_H

#include <bpf/bpf_endian.h>

#include "cookie.h"

#define CP_COOKIE_WORDS     (CP_COOKIE_SIZE / CP_WORD_SIZE)
#define CP_REPLY_UDP_SIZE   (CP_UDP_SIZE + CP_COOKIE_SIZE)
#define CP_REPLY_HOP_LIMIT  64
#define CP_IPV4_WORDS32_MAX 15

/* False for groups, no address, loopback, and the reserved IPv6 addresses with 64 zero bits in front. */
static __always_inline bool is_unicast(__u8 family, const __u64 address[2])
{
	__u8 first;

	if (family == 6)
		return address[0] != 0 && (address[0] & 0xff) != 0xff;
	first = address[1] >> 32;
	return first != 0 && first != 127 && first < 224;
}

/* Groups on the link: the first bit on the wire of a MAC address. */
static __always_inline bool is_between_single_hosts(const __u8 *ethernet)
{
	return !((ethernet[0] | ethernet[6]) & 1);
}

/* Internet checksum (RFC 1071): sums of words in the order in which they lie in memory. */
static __always_inline __u64 add_words(__u64 sum, const __u64 *words, __u32 count)
{
	__u32 i;

#pragma unroll
	for (i = 0; i < count; i++)
		sum += (words[i] & 0xffffffff) + (words[i] >> 32);
	return sum;
}

/* Of a sum below 2^40. */
static __always_inline __u16 checksum_of(__u64 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static __always_inline void store16(__u8 *at, __u16 value)
{
	*(volatile __u16 *)at = value;
}

static __always_inline void turn_ethernet(__u8 *ethernet)
{
	int i;

#pragma unroll
	for (i = 0; i < 6; i += 2) {
		__u16 destination = cp_field16(ethernet + i);

		store16(ethernet + i, cp_field16(ethernet + 6 + i));
		store16(ethernet + 6 + i, destination);
	}
}

/* Options stay as they are, so the checksum covers them. */
static __always_inline bool turn_ipv4(__u8 *ip, const __u8 *end, __u32 header_size)
{
	__u64 sum = 0;
	__u32 source, i;

	if (ip + CP_IPV4_SIZE > end)
		return false;
	source = *(volatile __u32 *)(ip + CP_IPV4_SOURCE);
	*(volatile __u32 *)(ip + CP_IPV4_SOURCE) = *(volatile __u32 *)(ip + CP_IPV4_DESTINATION);
	*(volatile __u32 *)(ip + CP_IPV4_DESTINATION) = source;
	store16(ip + 2, bpf_htons(header_size + CP_REPLY_UDP_SIZE));
	ip[8] = CP_REPLY_HOP_LIMIT;
	store16(ip + 10, 0);
	for (i = 0; i < CP_IPV4_WORDS32_MAX && i * 4 < header_size; i++) {
		const __u8 *at = ip + i * 4;

		if (at + 4 > end)
			return false;
		sum += *(const volatile __u32 *)at;
	}
	store16(ip + 10, checksum_of(sum));
	return true;
}

/* headers_size: the fixed header and the extension headers, which stay as they are. */
static __always_inline bool turn_ipv6(__u8 *ip, const __u8 *end, __u32 headers_size)
{
	__u64 source[2], destination[2];

	if (ip + CP_IPV6_SIZE > end)
		return false;
	read_ipv6_address(ip + CP_IPV6_SOURCE, source);
	read_ipv6_address(ip + CP_IPV6_DESTINATION, destination);
	*(volatile __u64 *)(ip + CP_IPV6_SOURCE) = destination[0];
	*(volatile __u64 *)(ip + CP_IPV6_SOURCE + CP_WORD_SIZE) = destination[1];
	*(volatile __u64 *)(ip + CP_IPV6_DESTINATION) = source[0];
	*(volatile __u64 *)(ip + CP_IPV6_DESTINATION + CP_WORD_SIZE) = source[1];
	store16(ip + 4, bpf_htons(headers_size - CP_IPV6_SIZE + CP_REPLY_UDP_SIZE));
	ip[7] = CP_REPLY_HOP_LIMIT;
	return true;
}

/* Of the reply's datagram. An IPv4-mapped address adds 0xffff to what the pseudo header has, which changes nothing. */
static __always_inline __u16 udp_checksum(const struct cp_frame *frame, const struct cp_ends *ends,
					  const struct cp_reply *reply)
{
	__u64 sum = frame->source_port_be + frame->destination_port_be + bpf_htons(CP_PROTOCOL_UDP) +
		    2 * bpf_htons(CP_REPLY_UDP_SIZE);
	__u16 checksum;

	sum = add_words(sum, ends->sender.address, 2);
	sum = add_words(sum, ends->receiver, 2);
	sum = add_words(sum, &reply->header, CP_COOKIE_WORDS);
	checksum = checksum_of(sum);
	return checksum ? checksum : 0xffff;
}

static __always_inline void write_datagram(__u8 *udp, const struct cp_frame *frame, __u16 checksum,
					   const struct cp_reply *reply)
{
	volatile __u64 *payload = (volatile __u64 *)(udp + CP_UDP_SIZE);
	const __u64 *words = &reply->header;
	int i;

	store16(udp, frame->destination_port_be);
	store16(udp + 2, frame->source_port_be);
	store16(udp + 4, bpf_htons(CP_REPLY_UDP_SIZE));
	store16(udp + 6, checksum);
#pragma unroll
	for (i = 0; i < CP_COOKIE_WORDS; i++)
		payload[i] = words[i];
#pragma unroll
	for (; i < CP_INITIATION_SIZE / CP_WORD_SIZE; i++)
		payload[i] = 0;
}

/* False: the reply would go to a group or to nobody. The receiver is an address of ours. */
static __always_inline bool is_answerable(const __u8 *ethernet, const struct cp_frame *frame,
					  const struct cp_sender *sender)
{
	return is_between_single_hosts(ethernet) && frame->source_port_be && is_unicast(frame->family, sender->address);
}

/*
 * Turns the frame, a well-formed initiation with a valid mac1, into the cookie reply to it, ready for XDP_TX. False: it
 * must not be answered, or could not be; the frame may be half turned then and has to be dropped.
 */
static __noinline bool challenge(const struct xdp_md *ctx, const struct cp_frame *frame, const struct cp_shield *rules,
				 const struct cp_ends *ends)
{
	__u8 *data = (__u8 *)(long)ctx->data;
	const __u8 *end = (const __u8 *)(long)ctx->data_end;
	__u32 l3_offset = bounded(frame->l3_offset);
	__u32 udp_offset = bounded(frame->payload_offset - CP_UDP_SIZE);
	__u8 *ip = data + l3_offset;
	__u8 *udp = data + udp_offset;
	__u32 headers_size = udp_offset - l3_offset;
	struct cp_reply reply;

	if (data + CP_ETHERNET_SIZE > end || udp + CP_UDP_SIZE + CP_INITIATION_SIZE > end)
		return false;
	if (!is_answerable(data, frame, &ends->sender))
		return false;
	make_reply(rules, &ends->sender, (const volatile __u64 *)(udp + CP_UDP_SIZE), &reply);
	turn_ethernet(data);
	if (!(frame->family == 4 ? turn_ipv4(ip, end, headers_size) : turn_ipv6(ip, end, headers_size)))
		return false;
	write_datagram(udp, frame, udp_checksum(frame, ends, &reply), &reply);
	return true;
}

#endif
