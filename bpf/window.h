/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What both programs do with a data packet of a known session: look into its replay window, and count for the session.
 */
#ifndef CENTIPEDE_BPF_WINDOW_H
#define CENTIPEDE_BPF_WINDOW_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <centipede/abi.h>

#include "maps.h"

/* The replay window of one lane, as far as this program may judge it: everything not provably stale is fresh. */
static __always_inline enum cp_verdict judge_counter(const struct cp_session *session, __u32 lane, __u64 counter)
{
	__u32 generation = counter >> CP_WINDOW_WORD_SHIFT;
	__u32 key = session->first_word + lane * session->words + (generation & (session->words - 1));
	const volatile __u64 *at = bpf_map_lookup_elem(&windows, &key);
	__u32 current;
	__u64 word;

	/* Only a session entry that lies about the map's size gets here without a word; the worker decides then. */
	if (!at)
		return CP_VERDICT_REDIRECTED;
	/* One 64-bit load: bits and generation must be of the same moment. */
	word = *at;
	current = word >> 32;
	if (current > generation)
		return CP_VERDICT_TOO_OLD;
	if (current == generation && (word >> (counter % CP_WINDOW_WORD_BITS)) & 1)
		return CP_VERDICT_DUPLICATE;
	return CP_VERDICT_REDIRECTED;
}

static __always_inline struct cp_session_counters *session_row(const struct cp_session *session, __u32 uplink_row)
{
	__u32 key = session->counter_slot * CP_MAX_UPLINKS + uplink_row;

	return bpf_map_lookup_elem(&session_counters, &key);
}

static __always_inline void count_for_session(const struct cp_session *session, __u32 uplink_row,
					      enum cp_verdict verdict)
{
	struct cp_session_counters *row = session_row(session, uplink_row);

	if (!row)
		return;
	if (verdict == CP_VERDICT_REDIRECTED)
		row->redirected++;
	else if (verdict == CP_VERDICT_DUPLICATE)
		row->duplicate++;
	else if (verdict == CP_VERDICT_TOO_OLD)
		row->too_old++;
}

#endif
