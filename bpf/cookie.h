/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Cookies (docs/protocol.md, section 2): what a sender proves its address with, and the bytes of the reply that carries
 * one to it.
 *
 * A word is 8 bytes of the wire in little-endian order, as SipHash takes them.
 */
#ifndef CENTIPEDE_BPF_COOKIE_H
#define CENTIPEDE_BPF_COOKIE_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <centipede/abi.h>
#include <centipede/frame.h>
#include <centipede/siphash.h>
#include <centipede/wire.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "words are loaded and stored without conversion here"
#endif

/* The compiler's <stdbool.h> is not a header that this program may have. */
typedef _Bool bool;
enum { false, true };

#define CP_WORD_SIZE 8

/* The first word of a handshake message. */
#define CP_HEADER_WORD(type) (CP_CONTROL_BIT | (type) | CP_PROTOCOL_VERSION << 8)

/* Byte for byte what a cookie is made from: IPv4 as IPv4-mapped IPv6, then the port as on the wire, then zeros. */
struct cp_sender {
	__u64 address[2];
	__u64 port;
};
#define CP_SENDER_WORDS 3

struct cp_ends {
	struct cp_sender sender;
	__u64 receiver[2];
};

struct cp_mac {
	__u64 words[2];
};

/* Not inlined: one copy of the rounds for all messages, those in packets and those on the stack. */
static __noinline void cp_siphash(const __u64 *key, const volatile __u64 *at, __u32 words, struct cp_mac *result)
{
	struct cp_siphash state;
	__u32 i;

	cp_siphash_start(&state, key);
	for (i = 0; i < words; i++)
		cp_siphash_word(&state, at[i]);
	cp_siphash_finish(&state, words * CP_WORD_SIZE, result->words);
}

static __always_inline bool is_mac(const struct cp_mac *expected, const volatile __u64 *at)
{
	return ((expected->words[0] ^ at[0]) | (expected->words[1] ^ at[1])) == 0;
}

/*
 * Offsets in a struct cp_frame are below 2^14: two VLAN tags and six extension headers of 2048 bytes make the largest.
 * The verifier, which has lost sight of that where a frame comes by pointer, reads it off the mask.
 */
static __always_inline __u32 bounded(__u32 offset)
{
	return offset & 0x3fff;
}

/* An address in the IP header at ip; the caller has checked that the header lies in the frame. */
static __always_inline void read_ipv4_address(const __u8 *at, __u64 words[2])
{
	words[0] = 0;
	words[1] = 0xffff0000 | (__u64) * (const volatile __u32 *)at << 32;
}

static __always_inline void read_ipv6_address(const __u8 *at, __u64 words[2])
{
	words[0] = *(const volatile __u64 *)at;
	words[1] = *(const volatile __u64 *)(at + CP_WORD_SIZE);
}

static __always_inline bool read_ends(const __u8 *ip, const __u8 *end, const struct cp_frame *frame,
				      struct cp_ends *ends)
{
	ends->sender.port = frame->source_port_be;
	if (frame->family == 4) {
		if (ip + CP_IPV4_SIZE > end)
			return false;
		read_ipv4_address(ip + CP_IPV4_SOURCE, ends->sender.address);
		read_ipv4_address(ip + CP_IPV4_DESTINATION, ends->receiver);
		return true;
	}
	if (ip + CP_IPV6_SIZE > end)
		return false;
	read_ipv6_address(ip + CP_IPV6_SOURCE, ends->sender.address);
	read_ipv6_address(ip + CP_IPV6_DESTINATION, ends->receiver);
	return true;
}

static __always_inline void make_cookie(const __u64 *secret, const struct cp_sender *sender, struct cp_mac *cookie)
{
	cp_siphash(secret, (const __u64 *)sender, CP_SENDER_WORDS, cookie);
}

/* What the tag of a cookie reply is made from, byte for byte; from `header` on, the reply itself. */
struct cp_reply {
	__u64 label;
	__u64 macs[4]; /* mac1 and mac2 of the copy that is answered */
	__u64 header;
	__u64 sid;
	__u64 nonce;
	struct cp_mac sealed;
	struct cp_mac tag;
};
#define CP_REPLY_TAGGED_WORDS (__builtin_offsetof(struct cp_reply, tag) / CP_WORD_SIZE)
_Static_assert(sizeof(struct cp_reply) - __builtin_offsetof(struct cp_reply, header) == CP_COOKIE_SIZE,
	       "a whole cookie reply");

static __always_inline void make_reply(const struct cp_shield *rules, const struct cp_sender *sender,
				       const volatile __u64 *initiation, struct cp_reply *reply)
{
	const volatile __u64 *macs = initiation + CP_INITIATION_OFFSET_MAC1 / CP_WORD_SIZE;
	__u64 nonce = (__u64)bpf_get_prandom_u32() << 32 | bpf_get_prandom_u32();
	__u64 padded[6] = {CP_COOKIE_LABEL_PAD, nonce, macs[0], macs[1], macs[2], macs[3]};
	struct cp_mac *pad = &reply->tag; /* stack is scarce */

	reply->label = CP_COOKIE_LABEL_TAG;
	__builtin_memcpy(reply->macs, padded + 2, sizeof(reply->macs));
	reply->header = CP_HEADER_WORD(CP_TYPE_COOKIE);
	reply->sid = initiation[CP_OFFSET_CALL_SID / CP_WORD_SIZE];
	reply->nonce = nonce;
	make_cookie(rules->secrets[rules->current & 1], sender, &reply->sealed);
	cp_siphash(rules->cookie_key, padded, 6, pad);
	reply->sealed.words[0] ^= pad->words[0];
	reply->sealed.words[1] ^= pad->words[1];
	cp_siphash(rules->cookie_key, (const __u64 *)reply, CP_REPLY_TAGGED_WORDS, &reply->tag);
}

#endif
