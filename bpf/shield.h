/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The shield: handshake datagrams are judged here before a socket sees them (docs/protocol.md, section 2), so that a
 * flood of them costs a few hashes each and no handshake. Nothing is remembered of a sender that has not proved its
 * address. What is passed is judged again, in full, by the controller.
 */
#ifndef CENTIPEDE_BPF_SHIELD_H
#define CENTIPEDE_BPF_SHIELD_H

#include <bpf/bpf_endian.h>

#include "cookie.h"
#include "maps.h"
#include "reply.h"

/*
 * Whether a packet is for an address of ours. To others, this machine may be a router or a bridge: their port of the
 * same number is none of our business. Asked only where a frame would be dropped or answered otherwise.
 */
static __always_inline bool is_for_us(const struct xdp_md *ctx, __u32 l3_offset, __u32 family)
{
	const __u8 *ip = (const __u8 *)(long)ctx->data + bounded(l3_offset);
	const __u8 *end = (const __u8 *)(long)ctx->data_end;
	__u64 address[2];

	if (family == 4) {
		if (ip + CP_IPV4_SIZE > end)
			return false;
		read_ipv4_address(ip + CP_IPV4_DESTINATION, address);
	} else {
		if (ip + CP_IPV6_SIZE > end)
			return false;
		read_ipv6_address(ip + CP_IPV6_DESTINATION, address);
	}
	return bpf_map_lookup_elem(&addresses, address);
}

/*
 * GCRA: *used is the instant up to which the rate has been used. Two CPUs that read the same instant of a source at
 * once both let their initiation pass: the rate is exceeded by no more than the number of CPUs.
 */
static __always_inline bool is_within_rate(const struct cp_rate *rate, __u64 now, __u64 *used)
{
	__u64 earliest = now > rate->burst_ns ? now - rate->burst_ns : 0;
	__u64 next = (*used > earliest ? *used : earliest) + rate->period_ns;

	if (next > now)
		return false;
	*used = next;
	return true;
}

static __always_inline bool is_unproven_within_rate(const struct cp_shield *rules)
{
	__u32 row = 0;
	__u64 *used = bpf_map_lookup_elem(&unproven, &row);

	return used && is_within_rate(&rules->unproven, bpf_ktime_get_ns(), used);
}

static __always_inline bool is_source_within_rate(const struct cp_shield *rules, __u8 family,
						  const struct cp_sender *sender)
{
	struct cp_source prefix = {
	    .high = sender->address[0],
	    .low = family == 4 ? sender->address[1] : 0,
	};
	__u64 *used = bpf_map_lookup_elem(&sources, &prefix);
	__u64 now = bpf_ktime_get_ns();
	__u64 first = 0;

	if (used)
		return is_within_rate(&rules->source, now, used);
	return is_within_rate(&rules->source, now, &first) &&
	       bpf_map_update_elem(&sources, &prefix, &first, BPF_ANY) == 0;
}

/* Whether mac2 was made with a cookie that one of the two secrets gives for this sender. */
static __noinline bool is_proven(const struct cp_shield *rules, const struct cp_sender *sender,
				 const volatile __u64 *initiation)
{
	const volatile __u64 *mac2 = initiation + CP_INITIATION_OFFSET_MAC2 / CP_WORD_SIZE;
	struct cp_mac cookie, expected;
	__u32 i;

	for (i = 0; i < 2; i++) {
		make_cookie(rules->secrets[(rules->current + i) & 1], sender, &cookie);
		cp_siphash(cookie.words, initiation, CP_INITIATION_OFFSET_MAC2 / CP_WORD_SIZE, &expected);
		if (is_mac(&expected, mac2))
			return true;
	}
	return false;
}

static __always_inline bool has_valid_mac1(const struct cp_shield *rules, const volatile __u64 *message, __u32 offset)
{
	struct cp_mac expected;

	cp_siphash(rules->mac1_key, message, offset / CP_WORD_SIZE, &expected);
	return is_mac(&expected, message + offset / CP_WORD_SIZE);
}

static __always_inline enum cp_verdict judge_initiation(const struct xdp_md *ctx, const struct cp_frame *frame,
							const struct cp_shield *rules, const volatile __u64 *message)
{
	const __u8 *ip = (const __u8 *)(long)ctx->data + bounded(frame->l3_offset);
	const __u8 *end = (const __u8 *)(long)ctx->data_end;
	struct cp_ends ends;

	if (!has_valid_mac1(rules, message, CP_INITIATION_OFFSET_MAC1))
		return CP_VERDICT_BAD_MAC1;
	if (!read_ends(ip, end, frame, &ends))
		return CP_VERDICT_MALFORMED;
	if (is_proven(rules, &ends.sender, message))
		return is_source_within_rate(rules, frame->family, &ends.sender) ? CP_VERDICT_HANDSHAKE
										 : CP_VERDICT_SOURCE_LIMITED;
	if (is_unproven_within_rate(rules))
		return CP_VERDICT_HANDSHAKE;
	return challenge(ctx, frame, rules, &ends) ? CP_VERDICT_CHALLENGED : CP_VERDICT_SOURCE_LIMITED;
}

/* Whether a response or cookie reply belongs to a call that we are making, as far as the map can tell. */
static __always_inline bool is_called(const struct cp_shield *rules, const volatile __u64 *message)
{
	__u64 sid = bpf_be64_to_cpu(message[CP_OFFSET_CALL_SID / CP_WORD_SIZE]);

	return bpf_map_lookup_elem(&calls, &sid) || !(rules->flags & CP_SHIELD_ALL_CALLS);
}

/* A datagram for us, of at least CP_DATA_HEADER_SIZE bytes with CP_CONTROL_BIT set. */
static __noinline enum cp_verdict judge_handshake(const struct xdp_md *ctx, const struct cp_frame *frame)
{
	const __u8 *end = (const __u8 *)(long)ctx->data_end;
	const volatile __u64 *message =
	    (const volatile __u64 *)((const __u8 *)(long)ctx->data + bounded(frame->payload_offset));
	__u32 row = 0;
	const struct cp_shield *rules = bpf_map_lookup_elem(&shield, &row);

	if (!rules || !(rules->flags & CP_SHIELD_ON))
		return CP_VERDICT_HANDSHAKE;
	switch (frame->payload_length) {
	case CP_INITIATION_SIZE:
		if ((const __u8 *)message + CP_INITIATION_SIZE > end ||
		    message[0] != CP_HEADER_WORD(CP_TYPE_INITIATION))
			return CP_VERDICT_NO_MESSAGE;
		return judge_initiation(ctx, frame, rules, message);
	case CP_RESPONSE_SIZE:
		if ((const __u8 *)message + CP_RESPONSE_SIZE > end || message[0] != CP_HEADER_WORD(CP_TYPE_RESPONSE))
			return CP_VERDICT_NO_MESSAGE;
		/* The lookup first: it costs a fraction of the hash. */
		if (!is_called(rules, message))
			return CP_VERDICT_UNCALLED;
		return has_valid_mac1(rules, message, CP_RESPONSE_OFFSET_MAC1) ? CP_VERDICT_HANDSHAKE
									       : CP_VERDICT_BAD_MAC1;
	case CP_COOKIE_SIZE:
		if ((const __u8 *)message + CP_COOKIE_SIZE > end || message[0] != CP_HEADER_WORD(CP_TYPE_COOKIE))
			return CP_VERDICT_NO_MESSAGE;
		return is_called(rules, message) ? CP_VERDICT_HANDSHAKE : CP_VERDICT_UNCALLED;
	default:
		return CP_VERDICT_NO_MESSAGE;
	}
}

/* A packet of a session that is not in the map. */
static __always_inline enum cp_verdict judge_unlisted(const struct xdp_md *ctx, const struct cp_frame *frame)
{
	__u32 row = 0;
	const struct cp_shield *rules = bpf_map_lookup_elem(&shield, &row);

	if (!rules || !(rules->flags & CP_SHIELD_ALL_SESSIONS))
		return CP_VERDICT_UNLISTED;
	return is_for_us(ctx, frame->l3_offset, frame->family) ? CP_VERDICT_UNKNOWN_SESSION : CP_VERDICT_FOREIGN;
}

#endif
