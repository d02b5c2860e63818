// The counters of a status with their names, in the order in which they are shown: one table each, used for writing and
// reading JSON and for printing.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "dataplane/tunnel_status.h"

namespace centipede::api {

template <class Owner, class Number = uint64_t>
struct NamedCounter {
  std::string_view name;
  Number Owner::* member;
};

#define CENTIPEDE_COUNTER(owner, name)         \
  NamedCounter<owner, decltype(owner::name)> { \
    #name, &owner::name                        \
  }

inline constexpr std::array xdp_counters{
    CENTIPEDE_COUNTER(cp_counters, redirected),     CENTIPEDE_COUNTER(cp_counters, duplicate),
    CENTIPEDE_COUNTER(cp_counters, too_old),        CENTIPEDE_COUNTER(cp_counters, handshake),
    CENTIPEDE_COUNTER(cp_counters, bad_mac1),       CENTIPEDE_COUNTER(cp_counters, challenged),
    CENTIPEDE_COUNTER(cp_counters, source_limited), CENTIPEDE_COUNTER(cp_counters, uncalled),
    CENTIPEDE_COUNTER(cp_counters, control),        CENTIPEDE_COUNTER(cp_counters, unknown_session),
    CENTIPEDE_COUNTER(cp_counters, unlisted),       CENTIPEDE_COUNTER(cp_counters, no_socket),
    CENTIPEDE_COUNTER(cp_counters, bad_lane),       CENTIPEDE_COUNTER(cp_counters, bad_counter),
    CENTIPEDE_COUNTER(cp_counters, no_message),     CENTIPEDE_COUNTER(cp_counters, malformed),
    CENTIPEDE_COUNTER(cp_counters, fragment),       CENTIPEDE_COUNTER(cp_counters, foreign),
};
static_assert(xdp_counters.size() * sizeof(uint64_t) == sizeof(cp_counters), "a counter is missing here");

inline constexpr std::array worker_counters{
    CENTIPEDE_COUNTER(WorkerCounters, tun_read),     CENTIPEDE_COUNTER(WorkerCounters, tun_malformed),
    CENTIPEDE_COUNTER(WorkerCounters, no_route),     CENTIPEDE_COUNTER(WorkerCounters, no_session),
    CENTIPEDE_COUNTER(WorkerCounters, no_path),      CENTIPEDE_COUNTER(WorkerCounters, sealed),
    CENTIPEDE_COUNTER(WorkerCounters, sent),         CENTIPEDE_COUNTER(WorkerCounters, send_failed),
    CENTIPEDE_COUNTER(WorkerCounters, received_xdp), CENTIPEDE_COUNTER(WorkerCounters, received_udp),
    CENTIPEDE_COUNTER(WorkerCounters, opened),       CENTIPEDE_COUNTER(WorkerCounters, delivered),
    CENTIPEDE_COUNTER(WorkerCounters, malformed),    CENTIPEDE_COUNTER(WorkerCounters, unknown_session),
    CENTIPEDE_COUNTER(WorkerCounters, bad_lane),     CENTIPEDE_COUNTER(WorkerCounters, bad_counter),
    CENTIPEDE_COUNTER(WorkerCounters, duplicate),    CENTIPEDE_COUNTER(WorkerCounters, too_old),
    CENTIPEDE_COUNTER(WorkerCounters, bad_tag),      CENTIPEDE_COUNTER(WorkerCounters, not_ip),
    CENTIPEDE_COUNTER(WorkerCounters, bad_source),   CENTIPEDE_COUNTER(WorkerCounters, tun_write_failed),
};
static_assert(worker_counters.size() * sizeof(uint64_t) == sizeof(WorkerCounters), "a counter is missing here");

inline constexpr std::array control_counters{
    CENTIPEDE_COUNTER(control::ControlCounters, malformed),
    CENTIPEDE_COUNTER(control::ControlCounters, bad_mac1),
    CENTIPEDE_COUNTER(control::ControlCounters, bad_ephemeral),
    CENTIPEDE_COUNTER(control::ControlCounters, bad_box),
    CENTIPEDE_COUNTER(control::ControlCounters, bad_identity),
    CENTIPEDE_COUNTER(control::ControlCounters, bad_signature),
    CENTIPEDE_COUNTER(control::ControlCounters, unknown_peer),
    CENTIPEDE_COUNTER(control::ControlCounters, stale_timestamp),
    CENTIPEDE_COUNTER(control::ControlCounters, source_limited),
    CENTIPEDE_COUNTER(control::ControlCounters, rate_limited),
    CENTIPEDE_COUNTER(control::ControlCounters, unexpected_response),
    CENTIPEDE_COUNTER(control::ControlCounters, unexpected_cookie),
    CENTIPEDE_COUNTER(control::ControlCounters, bad_cookie),
    CENTIPEDE_COUNTER(control::ControlCounters, unknown_session),
    CENTIPEDE_COUNTER(control::ControlCounters, control_duplicate),
    CENTIPEDE_COUNTER(control::ControlCounters, control_too_old),
    CENTIPEDE_COUNTER(control::ControlCounters, control_bad_tag),
    CENTIPEDE_COUNTER(control::ControlCounters, bad_frame),
    CENTIPEDE_COUNTER(control::ControlCounters, stale_heartbeat),
    CENTIPEDE_COUNTER(control::ControlCounters, misaddressed),
    CENTIPEDE_COUNTER(control::ControlCounters, path_limit),
    CENTIPEDE_COUNTER(control::ControlCounters, initiations_sent),
    CENTIPEDE_COUNTER(control::ControlCounters, initiations_answered),
    CENTIPEDE_COUNTER(control::ControlCounters, responses_accepted),
    CENTIPEDE_COUNTER(control::ControlCounters, cookies_sent),
    CENTIPEDE_COUNTER(control::ControlCounters, cookies_accepted),
};
static_assert(control_counters.size() * sizeof(uint64_t) == sizeof(control::ControlCounters),
              "a counter is missing here");

#undef CENTIPEDE_COUNTER

}  // namespace centipede::api
