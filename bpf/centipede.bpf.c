// SPDX-License-Identifier: GPL-2.0-only
/*
 * The receiving half of the data plane: steers data packets of known sessions into the AF_XDP socket of the worker that
 * serves their lane, drops copies of packets that have already been authenticated and handshake datagrams that are not
 * worth a socket's time (shield.h), and passes everything else to the kernel untouched.
 *
 * READ-ONLY: the program only ever reads the replay window. Marking a packet here, before it is authenticated, would
 * let one hostile link kill genuine packets that come in on the honest ones; workers mark it after opening.
 *
 * judge() names what a frame is, centipede_xdp() counts that once and turns it into an action. Nothing else does
 * either.
 */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include <centipede/abi.h>
#include <centipede/frame.h>
#include <centipede/wire.h>

#include "maps.h"
#include "shield.h"
#include "socket_filter.h"
#include "uplink.h"
#include "window.h"

char LICENSE[] SEC("license") = "GPL";

/* Into the socket of the lane's worker on the queue the frame came in on. */
static __always_inline enum cp_verdict steer(const struct xdp_md *ctx, const struct found_uplink *uplink, __u64 sid,
					     __u32 lane)
{
	__u32 queue = ctx->rx_queue_index;
	__u32 workers = uplink->entry.workers;
	__u32 worker;

	if (queue >= uplink->entry.queues || !workers)
		return CP_VERDICT_NO_SOCKET;
	worker = cp_worker(sid, lane, workers);
	if (bpf_redirect_map(&xsks, cp_xsk_slot(uplink->row, queue, workers, worker), XDP_PASS) != XDP_REDIRECT)
		return CP_VERDICT_NO_SOCKET;
	return CP_VERDICT_REDIRECTED;
}

static __always_inline enum cp_verdict judge_data(const struct xdp_md *ctx, const struct found_uplink *uplink,
						  const struct cp_frame *frame, __u64 number, __u64 sid)
{
	__u32 lane = number >> CP_LANE_SHIFT;
	__u64 counter = number & CP_COUNTER_MASK;
	const struct cp_session *session;
	enum cp_verdict verdict;

	session = bpf_map_lookup_elem(&sessions, &sid);
	if (!session)
		return judge_unlisted(ctx, frame);
	if (lane == CP_CONTROL_LANE)
		return CP_VERDICT_CONTROL;
	if (counter >= CP_COUNTER_LIMIT)
		return CP_VERDICT_BAD_COUNTER;
	if (lane >= session->lanes)
		return CP_VERDICT_BAD_LANE;
	verdict = judge_counter(session, lane, counter);
	if (verdict == CP_VERDICT_REDIRECTED)
		verdict = steer(ctx, uplink, sid, lane);
	count_for_session(session, uplink->row, verdict);
	return verdict;
}

static __always_inline enum cp_verdict judge(const struct xdp_md *ctx, const struct found_uplink *uplink)
{
	const __u8 *data = (const __u8 *)(long)ctx->data;
	const __u8 *end = (const __u8 *)(long)ctx->data_end;
	struct cp_frame frame;
	enum cp_frame_kind kind;
	const __u8 *payload;

	kind = cp_parse_frame(data, end, &frame);
	if (kind == CP_KIND_FOREIGN)
		return CP_VERDICT_FOREIGN;
	if (kind == CP_KIND_FRAGMENT)
		return CP_VERDICT_FRAGMENT;
	if (frame.destination_port_be != uplink->entry.port_be)
		return CP_VERDICT_FOREIGN;
	if (kind == CP_KIND_MALFORMED)
		return CP_VERDICT_MALFORMED;
	if (frame.payload_length < CP_DATA_HEADER_SIZE)
		return is_for_us(ctx, frame.l3_offset, frame.family) ? CP_VERDICT_NO_MESSAGE : CP_VERDICT_FOREIGN;

	payload = data + frame.payload_offset;
	if (payload + CP_DATA_HEADER_SIZE > end)
		return CP_VERDICT_MALFORMED;
	if (payload[0] & CP_CONTROL_BIT) {
		/* A copy: frame itself can stay in registers then. */
		struct cp_frame handshake = frame;

		if (!is_for_us(ctx, frame.l3_offset, frame.family))
			return CP_VERDICT_FOREIGN;
		return judge_handshake(ctx, &handshake);
	}
	/* Volatile for the same reason as in cp_field16(). */
	return judge_data(ctx, uplink, &frame, bpf_be64_to_cpu(*(const volatile __u64 *)(payload + CP_OFFSET_NUMBER)),
			  bpf_be64_to_cpu(*(const volatile __u64 *)(payload + CP_OFFSET_SID)));
}

static __always_inline int action_of(enum cp_verdict verdict)
{
	switch (verdict) {
	case CP_VERDICT_REDIRECTED:
		return XDP_REDIRECT;
	case CP_VERDICT_CHALLENGED:
		return XDP_TX;
	case CP_VERDICT_DUPLICATE:
	case CP_VERDICT_TOO_OLD:
	case CP_VERDICT_BAD_MAC1:
	case CP_VERDICT_SOURCE_LIMITED:
	case CP_VERDICT_UNCALLED:
	case CP_VERDICT_UNKNOWN_SESSION:
	case CP_VERDICT_BAD_LANE:
	case CP_VERDICT_BAD_COUNTER:
	case CP_VERDICT_NO_MESSAGE:
		return XDP_DROP;
	default:
		return XDP_PASS;
	}
}

SEC("xdp")
int centipede_xdp(struct xdp_md *ctx)
{
	const struct found_uplink uplink = find_uplink(ctx->ingress_ifindex);
	enum cp_verdict verdict = CP_VERDICT_FOREIGN;
	__u32 row = uplink.row;
	__u64 *count;

	if (row < CP_MAX_UPLINKS)
		verdict = judge(ctx, &uplink);
	count = bpf_map_lookup_elem(&counters, &row);
	if (count && verdict < CP_VERDICTS)
		count[verdict]++;
	return action_of(verdict);
}
