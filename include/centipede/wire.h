/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The wire format in numbers: every size, offset and type of protocol version 1 (docs/protocol.md), in one place for
 * the BPF program and user space alike. Integers on the wire are big-endian. Plain C: compiled by clang for BPF and by
 * C++.
 */
#ifndef CENTIPEDE_WIRE_H
#define CENTIPEDE_WIRE_H

#include <linux/types.h>

#define CP_PROTOCOL_VERSION 1
#define CP_DEFAULT_PORT     5820

/*
 * Data packet: a header of 32 bytes, then the ciphertext.
 *   0  8  number: bit 63 = 0, bits 62-56 lane, bits 55-0 counter
 *   8  8  session id, chosen by the receiver
 *  16 16  Poly1305 tag
 * The first 16 bytes are the associated data.
 */
#define CP_DATA_HEADER_SIZE 32
#define CP_OFFSET_NUMBER    0
#define CP_OFFSET_SID       8
#define CP_OFFSET_TAG       16
#define CP_TAG_SIZE         16
#define CP_DATA_AAD_SIZE    16

#define CP_LANE_SHIFT   56
#define CP_COUNTER_MASK ((1ULL << CP_LANE_SHIFT) - 1)
#define CP_DATA_LANES   127 /* lanes 0..126 carry IP packets */
#define CP_CONTROL_LANE 127 /* frames: heartbeat, close */

/*
 * A counter stays below 2^37, so that the generation of a window word (counter >> 5) never wraps in its 32 bits and a
 * stale generation can never look current. A receiver refuses larger ones unopened; a sender rekeys long before.
 */
#define CP_COUNTER_LIMIT (1ULL << 37)

/* Handshake datagrams have the top bit of byte 0 set: 0x80 | type, version, 6 zero bytes. */
#define CP_CONTROL_BIT         0x80
#define CP_CONTROL_HEADER_SIZE 8
#define CP_TYPE_INITIATION     1
#define CP_TYPE_RESPONSE       2
#define CP_TYPE_COOKIE         3
#define CP_INITIATION_SIZE     216
#define CP_RESPONSE_SIZE       184
#define CP_COOKIE_SIZE         56

/* All three: the session id that the initiator has chosen. Initiation and response end in mac1 and mac2. */
#define CP_OFFSET_CALL_SID        8
#define CP_MAC_SIZE               16
#define CP_INITIATION_OFFSET_MAC1 (CP_INITIATION_SIZE - 2 * CP_MAC_SIZE)
#define CP_INITIATION_OFFSET_MAC2 (CP_INITIATION_SIZE - CP_MAC_SIZE)
#define CP_RESPONSE_OFFSET_MAC1   (CP_RESPONSE_SIZE - 2 * CP_MAC_SIZE)

/* Cookie reply: header 8, session id 8, nonce 8, sealed cookie 16, tag 16. */
#define CP_COOKIE_OFFSET_NONCE  16
#define CP_COOKIE_OFFSET_SEALED 24
#define CP_COOKIE_OFFSET_TAG    40

/* First byte of what SipHash takes in to seal a cookie and to make the tag of a cookie reply; 7 zero bytes follow. */
#define CP_COOKIE_LABEL_PAD 1
#define CP_COOKIE_LABEL_TAG 2

/* Plaintext of lane 127: a frame, told by its first byte 0, its second byte the type. */
#define CP_FRAME_HEARTBEAT 1
#define CP_FRAME_CLOSE     2
#define CP_HEARTBEAT_SIZE  64
#define CP_CLOSE_SIZE      16

/* Replay window: words of {generation 32 | bits 32}, a power of two of them for each (session, lane). */
#define CP_WINDOW_WORD_BITS    32
#define CP_WINDOW_WORD_SHIFT   5
#define CP_WINDOW_BITS_DEFAULT 15 /* log2 of the packets a lane's window holds */
#define CP_WINDOW_BITS_MIN     10
#define CP_WINDOW_BITS_MAX     20

#endif
