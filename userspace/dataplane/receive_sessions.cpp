#include "dataplane/receive_sessions.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace centipede {
namespace {

// With fewer a lane's window would hold less than two words.
constexpr uint32_t min_words_per_lane = 2;

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

ReceiveSessions::ReceiveSessions(XdpProgram* program, WindowPool& pool, const Limits& limits)
    : program_(program), pool_(pool), limits_(limits) {
  for (uint32_t slot = limits.slots; slot > 0; --slot)
    free_slots_.push_back(slot - 1);
}

bool ReceiveSessions::add(control::PeerId peer, const std::shared_ptr<crypto::Session>& session) {
  const uint32_t lanes = session->peer_params().lanes;
  const uint32_t wanted = 1U << (session->local_params().window_bits - CP_WINDOW_WORD_SHIFT);
  // A peer that announces many lanes gets smaller windows, not its neighbours' memory.
  const uint32_t share = std::bit_floor(std::max(limits_.words_per_session / lanes, min_words_per_lane));
  std::shared_ptr<WindowRange> windows;
  for (uint32_t words = std::min(wanted, share); !windows && words >= min_words_per_lane; words /= 2) {
    windows = pool_.allocate(lanes, words);  // a smaller window is better than none
  }
  if (!windows) {
    waiting_.push_back({peer, session});
    return false;
  }

  Row row{.entry = {.sid = session->local_sid(), .peer = peer, .session = session, .windows = windows}};
  const wire::SessionId sid = row.entry.sid;
  if (program_ != nullptr && !free_slots_.empty()) {
    const uint32_t slot = free_slots_.back();
    const cp_session entry{.peer = peer,
                           .first_word = windows->first_word(),
                           .lanes = lanes,
                           .words = windows->words(),
                           .first_worker = cp_first_worker(sid),
                           .counter_slot = slot};
    if (program_->clear_session_counters(slot) && program_->put_session(sid, entry)) {
      row.slot = slot;
      free_slots_.pop_back();
    }
  }
  if (row.slot == no_slot) ++unlisted_;
  rows_.insert_or_assign(sid, std::move(row));
  return true;
}

bool ReceiveSessions::retry() {
  bool added = false;
  for (const control::ReceiveSession& one : std::exchange(waiting_, {}))
    added |= add(one.peer, one.session);
  return added;
}

void ReceiveSessions::remove(wire::SessionId sid) {
  std::erase_if(waiting_, [sid](const control::ReceiveSession& one) { return one.session->local_sid() == sid; });
  const auto found = rows_.find(sid);
  if (found == rows_.end()) return;
  if (found->second.slot != no_slot) {
    program_->erase_session(sid);
    free_slots_.push_back(found->second.slot);
  } else {
    --unlisted_;
  }
  rows_.erase(found);
}

std::vector<ReceiveEntry> ReceiveSessions::entries() const {
  std::vector<ReceiveEntry> entries;
  entries.reserve(rows_.size());
  for (const auto& [sid, row] : rows_)
    entries.push_back(row.entry);
  return entries;
}

void ReceiveSessions::collect_counters(const control::Forwarding& forwarding) {
  for (auto& [sid, row] : rows_) {
    if (row.slot != no_slot) collect(row, forwarding);
  }
}

void ReceiveSessions::collect(Row& row, const control::Forwarding& forwarding) {
  const control::PeerId id = row.entry.peer;
  const control::PeerForwarding* peer = id < forwarding.peers.size() ? forwarding.peers[id].get() : nullptr;
  if (peer == nullptr) return;
  for (uint32_t uplink = 0; uplink < CP_MAX_UPLINKS; ++uplink) {
    const control::DataPath* path = path_on(*peer, static_cast<control::UplinkId>(uplink));
    if (path == nullptr) continue;
    const auto counters = program_->session_counters(row.slot, uplink);
    if (!counters) continue;
    const uint64_t drops = counters->duplicate + counters->too_old;
    path->counters->dropped_early.fetch_add(drops - row.seen_drops[uplink], std::memory_order_relaxed);
    row.seen_drops[uplink] = drops;
  }
}

}  // namespace centipede
