/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The early drop for datagrams that come through the kernel's UDP sockets: a filter on the workers' sockets, which sees
 * a buffer before it is queued. A buffer holds one datagram, or a train that the kernel has coalesced (UDP_GRO): equal
 * pieces, the last perhaps shorter, behind one UDP header. It is dropped when every datagram in it is a copy of one
 * that has been authenticated, or too old. It reads the windows that the XDP program reads, and like it writes none.
 */
#ifndef CENTIPEDE_BPF_SOCKET_FILTER_H
#define CENTIPEDE_BPF_SOCKET_FILTER_H

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include <centipede/abi.h>
#include <centipede/wire.h>

#include "maps.h"
#include "uplink.h"
#include "window.h"

#define CP_UDP_HEADER 8
#define CP_MAX_TRAIN  64 /* the kernel joins no more */
#define CP_KEEP       0xffffffffU
#define CP_DROP       0

struct cp_data_head {
	__u64 number_be;
	__u64 sid_be;
};

static __always_inline void count_dropped(const struct cp_session *session, __u32 uplink_row, __u32 duplicate,
					  __u32 too_old)
{
	struct cp_session_counters *row = session_row(session, uplink_row);
	__u64 *count = bpf_map_lookup_elem(&counters, &uplink_row);

	if (row) {
		row->duplicate += duplicate;
		row->too_old += too_old;
	}
	if (count) {
		count[CP_VERDICT_DUPLICATE] += duplicate;
		count[CP_VERDICT_TOO_OLD] += too_old;
	}
}

SEC("socket")
int centipede_udp(struct __sk_buff *skb)
{
	const struct found_uplink uplink = find_uplink(skb->ifindex);
	const struct cp_session *session;
	__u32 length = skb->len;
	__u32 size = skb->gso_size;
	__u32 at = CP_UDP_HEADER;
	struct cp_data_head head;
	__u64 sid_be, sid;
	__u32 duplicate = 0, too_old = 0;
	__u32 i;

	if (uplink.row == CP_MAX_UPLINKS || bpf_skb_load_bytes(skb, at, &head, sizeof(head)))
		return CP_KEEP;
	sid_be = head.sid_be;
	sid = bpf_be64_to_cpu(sid_be);
	session = bpf_map_lookup_elem(&sessions, &sid);
	if (!session)
		return CP_KEEP;
	if (!size)
		size = length;
	for (i = 0; i < CP_MAX_TRAIN; i++) {
		__u64 number = bpf_be64_to_cpu(head.number_be);
		__u32 lane = number >> CP_LANE_SHIFT;
		__u64 counter = number & CP_COUNTER_MASK;
		enum cp_verdict verdict;

		/* Lanes that are none and the control lane included: workers count what is wrong with a packet. */
		if (head.sid_be != sid_be || lane >= session->lanes || counter >= CP_COUNTER_LIMIT)
			return CP_KEEP;
		verdict = judge_counter(session, lane, counter);
		if (verdict == CP_VERDICT_DUPLICATE)
			duplicate++;
		else if (verdict == CP_VERDICT_TOO_OLD)
			too_old++;
		else
			return CP_KEEP;
		at += size;
		if (at >= length)
			break;
		if (bpf_skb_load_bytes(skb, at, &head, sizeof(head)))
			return CP_KEEP;
	}
	if (at < length)
		return CP_KEEP;
	count_dropped(session, uplink.row, duplicate, too_old);
	return CP_DROP;
}

#endif
