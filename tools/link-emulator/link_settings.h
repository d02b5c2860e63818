// What one direction of an emulated link does to frames, as a value and as text. Every default means "do nothing", so
// that a default link is a plain wire. Probabilities are 0 to 1, sizes are bytes of the whole Ethernet frame (header
// included, preamble and checksum not). The text form is words:
//
//   delay=20ms jitter=2ms jitter_shape=uniform|normal allow_reorder=yes|no     times: ns us ms s
//   loss=1% burst_enter=0.5% burst_leave=20% burst_loss=100%                   probabilities: 1% or 0.01
//   reorder=5% reorder_delay=10ms duplicate=1%
//   corrupt=1% corrupt_offset=62 corrupt_checksum=broken|repaired corrupt_copy=yes|no
//   rate=50mbit queue_packets=1000 queue_bytes=64kb                            bit kbit mbit gbit; b kb mb
//   trace=FILE|none mtu=1500 seed=7 up down clear
//
// `clear` goes back to the defaults; words after it apply on top. rate=0, mtu=0, queue_*=0 mean "no limit".
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "link-emulator/delivery_trace.h"

namespace centipede::emulator {

enum class JitterShape : uint8_t { uniform, normal };

// Gilbert-Elliott: a good state that loses nothing and a bad one, with one possible change of state a packet.
struct BurstLoss {
  double enter = 0;     // good → bad
  double leave = 0.25;  // bad → good
  double loss = 1;      // in the bad state

  bool operator==(const BurstLoss&) const = default;
};

struct LinkSettings {
  // Jitter adds a value within ±jitter (uniform) or with that deviation (normal) to the delay, never making it
  // negative. Unless allow_reorder is set, a packet then leaves no earlier than those before it.
  Duration delay{0};
  Duration jitter{0};
  JitterShape jitter_shape = JitterShape::uniform;
  bool allow_reorder = false;

  double loss = 0;
  BurstLoss burst{};

  // A packet chosen for reordering leaves reorder_delay later, and those behind it do not wait for it.
  double reorder = 0;
  Duration reorder_delay = milliseconds(10);

  double duplicate = 0;

  // Damage flips one bit at or behind corrupt_offset; frames that end before it stay whole.
  double corrupt = 0;
  size_t corrupt_offset = 42;
  bool repair_checksum = false;  // of UDP, so that the receiving kernel does not already discard the damaged packet
  // An attacker beside the path: for each UDP packet a damaged copy with a true UDP checksum leaves at once, before
  // delay, queue and loss.
  bool corrupt_copy = false;

  // The bottleneck: a rate or a trace, not both. The queue bounds count all that has not been sent in full.
  uint64_t rate_bits_per_s = 0;
  std::shared_ptr<const DeliveryTrace> trace{};
  std::string trace_name{};
  size_t queue_packets = 1000;
  size_t queue_bytes = 0;

  size_t mtu = 0;  // frames longer than this + 14 (+ 4 for each VLAN tag) are dropped
  bool down = false;

  [[nodiscard]] bool has_bottleneck() const { return rate_bits_per_s != 0 || trace != nullptr; }
  bool operator==(const LinkSettings&) const = default;
};

struct LinkChange {
  LinkSettings settings;
  std::optional<uint64_t> seed;
};

// Reads a file whole; handed in, so that this layer does no I/O.
using FileReader = std::function<Result<std::string>(const std::string& path)>;

// `current` with the words applied. Nothing is changed on error; the error names the word.
[[nodiscard]] Result<LinkChange> apply_words(const LinkSettings& current, std::span<const std::string> words,
                                             const FileReader& read_file);
// The words that lead from the defaults to `settings`.
[[nodiscard]] std::string describe(const LinkSettings& settings);

}  // namespace centipede::emulator
