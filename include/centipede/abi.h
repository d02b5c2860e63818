/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the XDP program and user space share through BPF maps. Written once, compiled by both sides; each structure is
 * padded explicitly and its size asserted. All integers are in host order unless a name ends in _be.
 *
 * Who writes what: uplinks, addresses, sessions, calls and shield are written by the control thread, windows by the
 * workers alone (and only after a packet has authenticated), everything else by the XDP program alone.
 */
#ifndef CENTIPEDE_ABI_H
#define CENTIPEDE_ABI_H

#include <linux/types.h>

#ifdef __cplusplus
#define CP_ABI_ASSERT(what, text) static_assert(what, text)
#else
#define CP_ABI_ASSERT(what, text) _Static_assert(what, text)
#endif

#define CP_MAX_UPLINKS   16
#define CP_MAX_ADDRESSES 256
#define CP_MAX_QUEUES    64  /* receive queues of one uplink that can have sockets */
#define CP_MAX_WORKERS   126 /* also the number of data lanes a sender may use */

/*
 * Map `uplinks`: memory-mapped array of one, the table of all uplinks. Row i is uplink i, which has row i in counters
 * and session_counters and CP_MAX_QUEUES * workers slots in xsks, from cp_xsk_slot(i, 0, workers, 0) on. An entry is
 * read and replaced whole, as one 64-bit access.
 */
struct cp_uplink {
	__u32 ifindex; /* 0: no uplink */
	__u16 port_be; /* UDP destination port of the tunnel on this uplink, network order */
	__u8 queues;   /* with AF_XDP sockets; 0: it receives through its UDP sockets alone */
	__u8 workers;
};
CP_ABI_ASSERT(sizeof(struct cp_uplink) == 8, "cp_uplink is 8 bytes");
CP_ABI_ASSERT(CP_MAX_QUEUES < 256 && CP_MAX_WORKERS < 256, "queues and workers fit into cp_uplink");

struct cp_uplinks {
	struct cp_uplink rows[CP_MAX_UPLINKS];
};
CP_ABI_ASSERT(sizeof(struct cp_uplinks) == 128, "cp_uplinks is 128 bytes");

/* Map `xsks`: key of the AF_XDP socket of one worker on one queue. */
static inline __u32 cp_xsk_slot(__u32 uplink, __u32 queue, __u32 workers, __u32 worker)
{
	return (uplink * CP_MAX_QUEUES + queue) * workers + worker;
}

/*
 * Map `addresses`: hash, the uplinks' own addresses; the value is 0. What goes to any other is somebody else's and
 * passes, unless it belongs to a session of ours.
 */
struct cp_address {
	__u8 bytes[16]; /* IPv4 as IPv4-mapped IPv6 */
};
CP_ABI_ASSERT(sizeof(struct cp_address) == 16, "cp_address is 16 bytes");

/*
 * Which worker a data packet of a session is for: cp_worker() in the XDP program, the same from the same 16 bits in the
 * one that chooses among the UDP sockets, and the other way round in whoever sends: worker w sends on lane
 * (w - cp_first_worker(own sid)) % workers. So sessions of one lane spread over the workers, and what
 * comes back on the lane that a worker sent on comes back to this worker. (Were it another, the TUN device would move
 * the flow to that one's queue, and so on for ever, out of order.)
 */
static inline __u32 cp_first_worker(__u64 sid)
{
	return sid & 0xffff;
}
static inline __u32 cp_worker(__u64 sid, __u32 lane, __u32 workers)
{
	return (cp_first_worker(sid) + lane) % workers;
}

/* Map `sessions`: hash, key __u64 sid (host order). A receiving session. */
struct cp_session {
	__u32 peer;         /* number of the peer, for people who dump the map */
	__u32 first_word;   /* index into windows of lane 0's first word, or CP_NO_WINDOWS */
	__u32 lanes;        /* data lanes 0..lanes-1 have windows, one behind the other */
	__u32 words;        /* words of one lane's window, a power of two */
	__u32 counter_slot; /* session_counters key = counter_slot * CP_MAX_UPLINKS + row of the uplink, or
			       CP_NO_COUNTERS */
};
CP_ABI_ASSERT(sizeof(struct cp_session) == 20, "cp_session is 20 bytes");
/* Beyond the end of these maps, so that nothing is found there: every packet is steered, and none counted by session.
 */
#define CP_NO_WINDOWS  0x80000000U
#define CP_NO_COUNTERS 0x0fffffffU

/*
 * Map `windows`: memory-mapped array of these. The first half of the 64-bit word in memory is the bitmap, the second
 * the generation (little-endian: value = generation << 32 | bits). Bit b of generation g stands for counter g * 32 + b.
 * A word is read and replaced whole, as one 64-bit access.
 */
struct cp_window_word {
	__u32 bits;
	__u32 generation;
};
CP_ABI_ASSERT(sizeof(struct cp_window_word) == 8, "cp_window_word is 8 bytes");

/* Map `counters`: per-CPU array, a row an uplink (row CP_MAX_UPLINKS: frames from a device that is no uplink). */
struct cp_counters {
	__u64 redirected;     /* data packet steered into a worker's AF_XDP socket */
	__u64 duplicate;      /* dropped: a copy of this packet has already been authenticated */
	__u64 too_old;        /* dropped: older than the replay window */
	__u64 handshake;      /* passed to the UDP socket: handshake datagram that the shield let through */
	__u64 bad_mac1;       /* dropped: the sender of a handshake message does not know our public key */
	__u64 challenged;     /* answered from here with a cookie: initiation above the rate for unproven senders */
	__u64 source_limited; /* dropped: initiation above the rate of its (proven) source, or one not to be answered */
	__u64 uncalled;       /* dropped: response or cookie reply to a call that we are not making */
	__u64 control;        /* passed to the UDP socket: control lane (heartbeat, close) of a known session */
	__u64 unknown_session; /* dropped: session id not in the map, which holds all */
	__u64 unlisted;        /* passed to the UDP socket: session id not in the map, which does not hold all */
	__u64 no_socket;       /* passed to the UDP socket: no AF_XDP socket for this queue and worker */
	__u64 bad_lane;        /* dropped: lane beyond those of the session */
	__u64 bad_counter;     /* dropped: counter at or above CP_COUNTER_LIMIT */
	__u64 no_message;      /* dropped: our port, but no message of this protocol and version */
	__u64 malformed;       /* passed: our port, but of impossible lengths */
	__u64 fragment;        /* passed: IP fragment, which the kernel reassembles for the UDP socket */
	__u64 foreign;         /* passed: not UDP to our port and an address of ours */
};
CP_ABI_ASSERT(sizeof(struct cp_counters) == 144, "cp_counters is 144 bytes");

/* What the XDP program made of a frame: the members of struct cp_counters, in their order. */
enum cp_verdict {
	CP_VERDICT_REDIRECTED,
	CP_VERDICT_DUPLICATE,
	CP_VERDICT_TOO_OLD,
	CP_VERDICT_HANDSHAKE,
	CP_VERDICT_BAD_MAC1,
	CP_VERDICT_CHALLENGED,
	CP_VERDICT_SOURCE_LIMITED,
	CP_VERDICT_UNCALLED,
	CP_VERDICT_CONTROL,
	CP_VERDICT_UNKNOWN_SESSION,
	CP_VERDICT_UNLISTED,
	CP_VERDICT_NO_SOCKET,
	CP_VERDICT_BAD_LANE,
	CP_VERDICT_BAD_COUNTER,
	CP_VERDICT_NO_MESSAGE,
	CP_VERDICT_MALFORMED,
	CP_VERDICT_FRAGMENT,
	CP_VERDICT_FOREIGN,
	CP_VERDICTS,
};
CP_ABI_ASSERT(sizeof(struct cp_counters) == CP_VERDICTS * sizeof(__u64), "one counter a verdict");
CP_ABI_ASSERT(__builtin_offsetof(struct cp_counters, no_socket) == CP_VERDICT_NO_SOCKET * sizeof(__u64) &&
		  __builtin_offsetof(struct cp_counters, foreign) == CP_VERDICT_FOREIGN * sizeof(__u64),
	      "counters and verdicts have one order");

/* Map `session_counters`: per-CPU array, what each uplink was worth to each session. */
struct cp_session_counters {
	__u64 redirected;
	__u64 duplicate;
	__u64 too_old;
};
CP_ABI_ASSERT(sizeof(struct cp_session_counters) == 24, "cp_session_counters is 24 bytes");

/*
 * Map `shield`: array of one, never pinned. What the XDP program needs to judge handshake datagrams before a socket
 * sees them (docs/protocol.md, sections 2 and 6). All zero, as before the control thread has written it: everything
 * passes.
 *
 * Keys are SipHash keys: 16 bytes as two little-endian words. A source proves its address by a mac2 made with a cookie
 * that one of the two secrets gives for it; secrets[current] makes new cookies, the other is the one before.
 */
struct cp_rate {
	__u64 period_ns; /* one event for each period that passes */
	__u64 burst_ns;  /* period * events that may come at once */
};
struct cp_shield {
	__u64 mac1_key[2];
	__u64 cookie_key[2];
	__u64 secrets[2][2];
	struct cp_rate unproven; /* initiations without a valid mac2 that pass, for each CPU; above it: a cookie */
	struct cp_rate source;   /* initiations with a valid mac2 that pass, for each source prefix */
	__u32 current;
	__u32 flags; /* CP_SHIELD_* */
};
CP_ABI_ASSERT(sizeof(struct cp_shield) == 104, "cp_shield is 104 bytes");

#define CP_SHIELD_ON           1 /* the keys, secrets and rates are valid */
#define CP_SHIELD_ALL_SESSIONS 2 /* every receiving session is in `sessions` */
#define CP_SHIELD_ALL_CALLS    4 /* every call under way is in `calls` */

/* Map `calls`: hash, key __u64 sid (host order) of an initiation of ours that waits for its response; the value is 0.
 */

/*
 * Map `sources`: LRU hash of proven sources, value: the instant (bpf_ktime_get_ns) up to which the source has used its
 * rate. An IPv4 address is written as IPv4-mapped IPv6; of an IPv6 address only the first 64 bits count.
 */
struct cp_source {
	__u64 high; /* as the bytes lie in the header */
	__u64 low;
};
#define CP_MAX_SOURCES 16384

/* Map `unproven`: per-CPU array of one: the same instant for initiations of unproven senders. */

#endif
