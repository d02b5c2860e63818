/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the XDP program and user space share through BPF maps. Written once, compiled by both sides; each structure is
 * padded explicitly and its size asserted. All integers are in host order unless a name ends in _be.
 *
 * Who writes what: uplinks and sessions are written by the control thread, windows by the workers alone (and only after
 * a packet has authenticated), counters and session_counters by the XDP program alone.
 */
#ifndef CENTIPEDE_ABI_H
#define CENTIPEDE_ABI_H

#include <linux/types.h>

#ifdef __cplusplus
#define CP_ABI_ASSERT(what, text) static_assert(what, text)
#else
#define CP_ABI_ASSERT(what, text) _Static_assert(what, text)
#endif

#define CP_MAX_UPLINKS 16
#define CP_MAX_QUEUES  64  /* receive queues of one uplink that can have sockets */
#define CP_MAX_WORKERS 126 /* also the number of data lanes a sender may use */

/* Map `uplinks`: hash, key __u32 ifindex. Present only while the uplink receives through XDP. */
struct cp_uplink {
	__u32 index;     /* 0..CP_MAX_UPLINKS-1, the uplink's row in counters and session_counters */
	__u32 first_xsk; /* xsks key of (queue q, worker w) = first_xsk + q * workers + w */
	__u32 queues;
	__u32 workers;
	__u16 port_be; /* UDP destination port of the tunnel on this uplink, network order */
	__u16 flags;   /* none defined */
	__u32 pad;
};
CP_ABI_ASSERT(sizeof(struct cp_uplink) == 24, "cp_uplink is 24 bytes");

/* Map `sessions`: hash, key __u64 sid (host order). A receiving session. */
struct cp_session {
	__u32 peer;         /* number of the peer, for people who dump the map */
	__u32 first_word;   /* index into windows of lane 0's first word */
	__u32 lanes;        /* data lanes 0..lanes-1 have windows, one behind the other */
	__u32 words;        /* words of one lane's window, a power of two */
	__u32 first_worker; /* worker of a lane = (first_worker + lane) % uplink workers */
	__u32 counter_slot; /* session_counters key = counter_slot * CP_MAX_UPLINKS + uplink index */
};
CP_ABI_ASSERT(sizeof(struct cp_session) == 24, "cp_session is 24 bytes");

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

/* Map `counters`: per-CPU array, key uplink index (row CP_MAX_UPLINKS: frames from a device that is no uplink). */
struct cp_counters {
	__u64 redirected;      /* data packet steered into a worker's AF_XDP socket */
	__u64 duplicate;       /* dropped: a copy of this packet has already been authenticated */
	__u64 too_old;         /* dropped: older than the replay window */
	__u64 handshake;       /* passed to the UDP socket: handshake datagram */
	__u64 control;         /* passed to the UDP socket: control lane (heartbeat, close) */
	__u64 unknown_session; /* passed to the UDP socket: session id not in the map */
	__u64 no_socket;       /* passed to the UDP socket: no AF_XDP socket for this queue and worker */
	__u64 bad_lane;        /* dropped: lane beyond those of the session */
	__u64 bad_counter;     /* dropped: counter at or above CP_COUNTER_LIMIT */
	__u64 malformed;       /* passed: our port, but too short or of impossible lengths */
	__u64 fragment;        /* passed: IP fragment, which the kernel reassembles for the UDP socket */
	__u64 foreign;         /* passed: not UDP to our port */
};
CP_ABI_ASSERT(sizeof(struct cp_counters) == 96, "cp_counters is 96 bytes");

/* What the XDP program made of a frame: the members of struct cp_counters, in their order. */
enum cp_verdict {
	CP_VERDICT_REDIRECTED,
	CP_VERDICT_DUPLICATE,
	CP_VERDICT_TOO_OLD,
	CP_VERDICT_HANDSHAKE,
	CP_VERDICT_CONTROL,
	CP_VERDICT_UNKNOWN_SESSION,
	CP_VERDICT_NO_SOCKET,
	CP_VERDICT_BAD_LANE,
	CP_VERDICT_BAD_COUNTER,
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

#endif
