/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * SipHash-2-4 with a 128-bit result (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012, and its 128-bit
 * variant) over whole 64-bit words, which is all that Centipede's messages need. For the XDP program, which has no
 * library; user space takes libsodium's crypto_shorthash_siphashx24, and the tests hold the two to each other.
 *
 * Words are the message's bytes in little-endian order. Plain C.
 */
#ifndef CENTIPEDE_SIPHASH_H
#define CENTIPEDE_SIPHASH_H

#include <linux/types.h>

#define CP_SIPHASH_INLINE static inline __attribute__((always_inline))

struct cp_siphash {
	__u64 v0, v1, v2, v3;
};

CP_SIPHASH_INLINE __u64 cp_rotate64(__u64 value, unsigned int by)
{
	return value << by | value >> (64 - by);
}

CP_SIPHASH_INLINE void cp_siphash_round(struct cp_siphash *s)
{
	s->v0 += s->v1;
	s->v2 += s->v3;
	s->v1 = cp_rotate64(s->v1, 13) ^ s->v0;
	s->v3 = cp_rotate64(s->v3, 16) ^ s->v2;
	s->v0 = cp_rotate64(s->v0, 32);
	s->v2 += s->v1;
	s->v0 += s->v3;
	s->v1 = cp_rotate64(s->v1, 17) ^ s->v2;
	s->v3 = cp_rotate64(s->v3, 21) ^ s->v0;
	s->v2 = cp_rotate64(s->v2, 32);
}

CP_SIPHASH_INLINE void cp_siphash_start(struct cp_siphash *s, const __u64 key[2])
{
	s->v0 = key[0] ^ 0x736f6d6570736575ULL;
	s->v1 = key[1] ^ 0x646f72616e646f6dULL ^ 0xee;
	s->v2 = key[0] ^ 0x6c7967656e657261ULL;
	s->v3 = key[1] ^ 0x7465646279746573ULL;
}

CP_SIPHASH_INLINE void cp_siphash_word(struct cp_siphash *s, __u64 word)
{
	s->v3 ^= word;
	cp_siphash_round(s);
	cp_siphash_round(s);
	s->v0 ^= word;
}

CP_SIPHASH_INLINE __u64 cp_siphash_half(struct cp_siphash *s)
{
	cp_siphash_round(s);
	cp_siphash_round(s);
	cp_siphash_round(s);
	cp_siphash_round(s);
	return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

/* length: of all words together, in bytes; a multiple of 8. */
CP_SIPHASH_INLINE void cp_siphash_finish(struct cp_siphash *s, __u64 length, __u64 result[2])
{
	cp_siphash_word(s, length << 56);
	s->v2 ^= 0xee;
	result[0] = cp_siphash_half(s);
	s->v1 ^= 0xdd;
	result[1] = cp_siphash_half(s);
}

#endif
