// One direction of an emulated link as a pure, deterministic function of (settings, seed, packets offered and when):
//
//   offer → down? → too long? ─┬→ bottleneck queue → loss → damage → delay, jitter, reordering → duplicate → take_due
//                              └→ corrupt_copy: a damaged copy leaves at once
//
// No clock, no I/O: time comes in as an argument and the next deadline is an answer, so the same model serves the
// emulator program and simulations in made-up time. `now` must not go backwards between calls; how often take_due() is
// called changes nothing. Changed settings hold for what has not yet passed the stage they are about: a new rate for
// all that waits in the queue, a new delay for what leaves the queue from then on; `down` destroys all that is on the
// way. Nothing overtakes unless reordering is asked for, even when the delay is lowered: a shorter delay takes hold
// once what was sent before has left.
//
// Owns copies of the frames on the way. Threading: none of its own, one caller at a time. Memory is bounded by what is
// offered within one delay, and by the queue bounds in front of a bottleneck. No errors: every packet is counted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "link-emulator/link_settings.h"
#include "link-emulator/random.h"

namespace centipede::emulator {

// Once nothing is on the way: offered + duplicated + corrupt_copies =
//   delivered + lost + burst_lost + queue_drops + mtu_drops + down_drops.
struct LinkCounters {
  uint64_t offered = 0;
  uint64_t offered_bytes = 0;
  uint64_t delivered = 0;  // duplicates and damaged packets included
  uint64_t delivered_bytes = 0;
  uint64_t lost = 0;        // by `loss`
  uint64_t burst_lost = 0;  // in the bad state
  uint64_t queue_drops = 0;
  uint64_t mtu_drops = 0;
  uint64_t down_drops = 0;
  uint64_t held_back = 0;  // chosen for reordering
  uint64_t reordered = 0;  // left behind a packet that was offered later, for whatever reason
  uint64_t duplicated = 0;
  uint64_t corrupted = 0;       // damaged in place
  uint64_t corrupt_copies = 0;  // extra damaged copies

  bool operator==(const LinkCounters&) const = default;
};

enum class DepartureKind : uint8_t { genuine, duplicate, corrupt_copy };

struct Departure {
  Instant at;
  uint64_t order = 0;   // breaks ties of `at`
  uint64_t number = 0;  // of the packet offered, from 1
  DepartureKind kind = DepartureKind::genuine;
  bool damaged = false;
  std::vector<uint8_t> frame;
};

class LinkModel {
 public:
  explicit LinkModel(LinkSettings settings = {}, uint64_t seed = 1);

  [[nodiscard]] const LinkSettings& settings() const { return settings_; }
  void configure(LinkSettings settings, Instant now);
  // Starts the random sequence anew.
  void reseed(uint64_t seed);

  void offer(ConstBytes frame, Instant now);

  // When to call take_due() next: a departure, or the end of a sending whose packet may then prove lost or delayed.
  // `never` while nothing is on the way.
  [[nodiscard]] Instant next_departure() const;
  // What has left by `now`, in order of departure. The second form appends at most `limit` to `out`.
  [[nodiscard]] std::vector<Departure> take_due(Instant now);
  size_t take_due(Instant now, std::vector<Departure>& out, size_t limit);
  // Optional: takes the buffers back for later packets and empties the vector, so that a steady flow allocates nothing.
  void recycle(std::vector<Departure>& departures);

  [[nodiscard]] size_t on_the_way() const { return queue_.size() + in_flight_.size(); }
  [[nodiscard]] const LinkCounters& counters() const { return counters_; }
  void reset_counters() { counters_ = {}; }

 private:
  struct Queued {
    uint64_t number;
    std::vector<uint8_t> frame;
  };

  bool enqueue(ConstBytes frame, Instant now);
  void send_queued(Instant now);
  void send_head(Instant sent);
  [[nodiscard]] Instant sent_time(size_t bytes, Instant start);
  [[nodiscard]] Instant sent_by_rate(size_t bytes, Instant start);
  [[nodiscard]] Instant sent_by_trace(size_t bytes, Instant start);
  void destroy_all();

  void cross(std::vector<uint8_t> frame, uint64_t number, Instant sent);
  [[nodiscard]] bool lost_on_the_way();
  [[nodiscard]] Instant departure_of(Instant sent);
  void damage(std::vector<uint8_t>& frame, bool repair_checksum);
  void launch(Departure departure);

  [[nodiscard]] std::vector<uint8_t> copy_of(ConstBytes frame);
  void take_back(std::vector<uint8_t> buffer);

  LinkSettings settings_;
  Random random_;
  LinkCounters counters_;
  std::vector<std::vector<uint8_t>> spare_buffers_;
  uint64_t next_number_ = 0;

  // Stage 1: the bottleneck. Everything not yet sent in full; head_sent_ is when the first of it will be.
  std::deque<Queued> queue_;
  size_t queued_bytes_ = 0;
  Instant head_sent_ = never;
  Instant line_free_ = Instant::min();
  uint64_t line_remainder_ = 0;     // fraction of a nanosecond beyond line_free_, in units of 1 / rate
  Instant trace_start_ = never;     // set by the first packet
  uint64_t trace_opportunity_ = 0;  // the one being filled
  size_t trace_bytes_left_ = 0;     // in it

  // Stage 2: the way. A heap, the earliest departure in front.
  std::vector<Departure> in_flight_;
  uint64_t next_order_ = 0;
  Instant last_departure_ = Instant::min();
  uint64_t highest_departed_ = 0;
  bool burst_ = false;
};

}  // namespace centipede::emulator
