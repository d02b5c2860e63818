#include "dataplane/receive_sessions.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace centipede {
namespace {

// With fewer a lane's window would hold less than two words.
constexpr uint32_t min_words_per_lane = 2;

// The controller's limit: previous, current, next, unconfirmed ones.
constexpr uint64_t sessions_a_peer = 5;
constexpr uint64_t sessions_in_transit = 4;
constexpr uint64_t peers_added_live = 256;
constexpr uint64_t lanes_a_session = 16;
constexpr uint32_t lanes_when_crowded = 4;
constexpr uint64_t counted_min = 64;
constexpr uint64_t sessions_max = 1U << 22;
// For each of them the kernel keeps CP_MAX_UPLINKS rows on every CPU.
constexpr uint64_t counted_max = 1024;
constexpr uint64_t shared_words_min = 1U << 16;
constexpr uint64_t shared_words_max = 1U << 21;  // 16 MiB
constexpr uint64_t plain_words_max = 1U << 25;   // 256 MiB

// The program counts by uplink. Where several paths share one, the one we send on stands for them: it is the one that
// works.
const control::DataPath* path_on(const control::PeerForwarding& peer, control::UplinkId uplink) {
  for (const auto* paths : {&peer.send_paths, &peer.paths}) {
    const auto path = std::ranges::find(*paths, uplink, &control::DataPath::uplink);
    if (path != paths->end()) return &*path;
  }
  return nullptr;
}

}  // namespace

SessionCapacity session_capacity(size_t peers, unsigned window_bits) {
  // Beside those of the peers, some that are on their way out: workers let go of a session a moment after the
  // controller.
  const auto sessions_of = [](uint64_t count) { return count * sessions_a_peer + sessions_in_transit; };
  // What the kernel backs with memory at once is for the peers that are known; what costs address space alone, or a
  // bucket, also for those to come.
  const uint64_t known = sessions_of(std::max<uint64_t>(peers, 1));
  const uint64_t sessions = sessions_of(peers + peers_added_live);
  const uint64_t words_per_session = lanes_a_session << (window_bits - CP_WINDOW_WORD_SHIFT);
  // Twice of what all want, so that half of it is enough to reserve that.
  const uint64_t plain_words = std::min(2 * sessions * words_per_session, plain_words_max);
  return {
      .sessions = static_cast<uint32_t>(std::min(sessions, sessions_max)),
      .counted = static_cast<uint32_t>(std::clamp(known, counted_min, counted_max)),
      .shared_words = static_cast<uint32_t>(std::clamp(known * words_per_session, shared_words_min, shared_words_max)),
      .plain_words = static_cast<uint32_t>(plain_words),
      .words_per_session = static_cast<uint32_t>(words_per_session),
      .reserved_words = static_cast<uint32_t>(plain_words / 2 / sessions)};
}

ReceiveSessions::ReceiveSessions(XdpProgram* program, WindowPool* shared, WindowPool& plain,
                                 const SessionCapacity& capacity)
    : program_(program), shared_(shared), plain_(plain), capacity_(capacity) {
  if (program == nullptr) return;
  seen_drops_.resize(capacity.counted);
  for (uint32_t slot = capacity.counted; slot > 0; --slot)
    free_slots_.push_back(slot - 1);
}

ReceiveSessions::Added ReceiveSessions::add(control::PeerId peer, const std::shared_ptr<crypto::Session>& session) {
  Windows windows = windows_for(*session);
  if (!windows.range) {
    waiting_.push_back({peer, session});
    return Added::waiting;
  }
  if (windows.shrunk) ++shrunk_;
  ReceiveEntry entry{
      .sid = session->local_sid(), .peer = peer, .session = session, .windows = std::move(windows.range)};
  const Row row = list(entry);
  if (!row.listed) ++unlisted_;
  rows_.insert_or_assign(entry.sid, row);
  table_.insert(std::move(entry));
  return windows.shrunk ? Added::shrunk : Added::whole;
}

ReceiveSessions::Windows ReceiveSessions::windows_for(const crypto::Session& session) {
  const uint32_t lanes = session.peer_params().lanes;
  const uint32_t wanted = 1U << (session.local_params().window_bits - CP_WINDOW_WORD_SHIFT);
  // A peer that announces many lanes gets smaller windows.
  const auto within = [&](uint32_t share) {
    return std::min(wanted, std::bit_floor(std::max(share / lanes, min_words_per_lane)));
  };
  const uint32_t most = within(capacity_.words_per_session);
  // The second half of the array is for sessions of few lanes: a few peers of many lanes shall not have it all.
  if (shared_ != nullptr && (lanes <= lanes_when_crowded || shared_->used() < shared_->size() / 2))
    if (auto range = shared_->allocate(lanes, most)) return {.range = std::move(range)};
  const bool plenty = plain_.used() < plain_.size() / 2;
  Windows windows;
  for (uint32_t words = plenty ? most : within(capacity_.reserved_words); !windows.range && words >= min_words_per_lane;
       words /= 2) {
    windows = {.range = plain_.allocate(lanes, words), .shrunk = words < most};  // a smaller window is better than none
  }
  return windows;
}

ReceiveSessions::Row ReceiveSessions::list(const ReceiveEntry& entry) {
  Row row{.peer = entry.peer};
  if (program_ == nullptr) return row;
  if (!free_slots_.empty() && program_->clear_session_counters(free_slots_.back())) {
    row.slot = free_slots_.back();
    seen_drops_[row.slot] = {};
  }
  const bool in_sight = &entry.windows->pool() == shared_;
  row.listed = program_
                   ->put_session(entry.sid, {.peer = entry.peer,
                                             .first_word = in_sight ? entry.windows->first_word() : CP_NO_WINDOWS,
                                             .lanes = entry.windows->lanes(),
                                             .words = entry.windows->words(),
                                             .counter_slot = row.slot})
                   .has_value();
  if (!row.listed) row.slot = CP_NO_COUNTERS;
  if (row.slot != CP_NO_COUNTERS) free_slots_.pop_back();
  return row;
}

bool ReceiveSessions::retry() {
  bool added = false;
  for (const control::ReceiveSession& one : std::exchange(waiting_, {}))
    added |= add(one.peer, one.session) != Added::waiting;
  return added;
}

void ReceiveSessions::remove(wire::SessionId sid, const control::PeerTable& peers) {
  std::erase_if(waiting_, [sid](const control::ReceiveSession& one) { return one.session->local_sid() == sid; });
  const auto found = rows_.find(sid);
  if (found == rows_.end()) return;
  const Row row = found->second;
  rows_.erase(found);
  table_.erase(sid);
  if (!row.listed) {
    --unlisted_;
    return;
  }
  collect(row, peers);
  program_->erase_session(sid);
  if (row.slot != CP_NO_COUNTERS) free_slots_.push_back(row.slot);
}

void ReceiveSessions::collect_counters(const control::PeerTable& peers) {
  for (const auto& [sid, row] : rows_)
    collect(row, peers);
}

void ReceiveSessions::collect(const Row& row, const control::PeerTable& peers) {
  const control::PeerForwarding* peer = peers.find(row.peer);
  if (peer == nullptr || row.slot == CP_NO_COUNTERS) return;
  for (uint32_t uplink = 0; uplink < CP_MAX_UPLINKS; ++uplink) {
    const control::DataPath* path = path_on(*peer, static_cast<control::UplinkId>(uplink));
    if (path == nullptr) continue;
    const auto counters = program_->session_counters(row.slot, uplink);
    if (!counters) continue;
    const uint64_t drops = counters->duplicate + counters->too_old;
    uint64_t& seen = seen_drops_[row.slot][uplink];
    path->counters->dropped_early.fetch_add(drops - seen, std::memory_order_relaxed);
    seen = drops;
  }
}

}  // namespace centipede
