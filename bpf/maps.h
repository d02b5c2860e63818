/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The maps of include/centipede/abi.h. User space sizes windows, sessions, xsks, session_counters and calls before the
 * object is loaded. Value types reach bpftool through BTF, so `bpftool map dump` prints named fields.
 */
#ifndef CENTIPEDE_BPF_MAPS_H
#define CENTIPEDE_BPF_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <centipede/abi.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cp_uplinks);
} uplinks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC); /* memory for the sessions there are, not for all there may be */
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, struct cp_session);
} sessions SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CP_MAX_ADDRESSES);
	__type(key, struct cp_address);
	__type(value, __u32);
} addresses SEC(".maps");

/*
 * BPF_F_RDONLY_PROG would have the kernel enforce that the program never writes here, but it also forbids the writable
 * memory mapping that the workers need; see READ-ONLY in centipede.bpf.c.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cp_window_word);
} windows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} xsks SEC(".maps");

/* One row an uplink, and a last one for devices that are none. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CP_MAX_UPLINKS + 1);
	__type(key, __u32);
	__type(value, struct cp_counters);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cp_session_counters);
} session_counters SEC(".maps");

/* Holds secrets: never pinned. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cp_shield);
} shield SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, __u32);
} calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CP_MAX_SOURCES);
	__type(key, struct cp_source);
	__type(value, __u64);
} sources SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} unproven SEC(".maps");

#endif
