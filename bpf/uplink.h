/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which uplink a frame came in on. The table is scanned: uplinks are few, and a hash look-up would cost every frame
 * more than all else that is asked of it.
 */
#ifndef CENTIPEDE_BPF_UPLINK_H
#define CENTIPEDE_BPF_UPLINK_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <centipede/abi.h>

#include "maps.h"

struct found_uplink {
	__u32 row; /* CP_MAX_UPLINKS: the device is none */
	struct cp_uplink entry;
};

static __always_inline struct found_uplink find_uplink(__u32 ifindex)
{
	struct found_uplink found = {.row = CP_MAX_UPLINKS};
	__u32 key = 0;
	const volatile __u64 *words = bpf_map_lookup_elem(&uplinks, &key);
	union {
		__u64 word;
		struct cp_uplink entry;
	} row;
	__u32 i;

	if (!words || !ifindex)
		return found;
#pragma unroll
	for (i = 0; i < CP_MAX_UPLINKS; i++) {
		/* One 64-bit load: the entry must be of one moment. */
		row.word = words[i];
		if (row.entry.ifindex == ifindex) {
			found.row = i;
			found.entry = row.entry;
			break;
		}
	}
	return found;
}

#endif
