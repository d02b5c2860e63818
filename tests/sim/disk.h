// What one host keeps over its restarts: its timestamps, on a disk that may write late, and its preshared keys in
// files. Threading: as its owner.
#pragma once

#include <map>
#include <optional>
#include <utility>

#include "control/controller.h"
#include "sim_random.h"

namespace centipede::sim {

class Disk {
 public:
  // percent: of the writes that come up to twenty seconds late, or never when the host dies before. A process waits for
  // its first one.
  void set_late(unsigned percent) { late_percent_ = percent; }

  // Peers that are not named, perhaps because they are not there yet, keep what is known of them.
  void write(control::Timestamps timestamps, Instant now, SimRandom& random) {
    settle(now);
    for (const auto& row : kept_.accepted)
      if (std::ranges::find(timestamps.accepted, row.first, first) == timestamps.accepted.end())
        timestamps.accepted.push_back(row);
    const bool late = !std::exchange(first_, false) && random.chance(late_percent_);
    pending_.emplace(Pending{now + (late ? random.up_to(seconds(20)) : Duration::zero()), std::move(timestamps)});
    settle(now);
  }
  void write_at_once(control::Timestamps timestamps) {
    kept_ = std::move(timestamps);
    pending_.reset();
  }
  // By a process that starts: what the one before has not written by now is lost.
  [[nodiscard]] const control::Timestamps& read(Instant now) {
    settle(now);
    pending_.reset();
    first_ = true;
    return kept_;
  }

 private:
  static const crypto::PublicKey& first(const std::pair<crypto::PublicKey, uint64_t>& row) { return row.first; }
  struct Pending {
    Instant at;
    control::Timestamps timestamps;
  };
  void settle(Instant now) {
    if (!pending_ || now < pending_->at) return;
    kept_ = std::move(pending_->timestamps);
    pending_.reset();
  }

  unsigned late_percent_ = 0;
  bool first_ = true;  // write of this process is still to come
  control::Timestamps kept_;
  std::optional<Pending> pending_;
};

// Each file holds a key made of one byte.
class KeyFiles final : public control::PresharedKeySource {
 public:
  std::optional<crypto::SecretKey> read(const std::string& path) override {
    const auto file = files.find(path);
    if (file == files.end()) return std::nullopt;
    crypto::SecretKey key;
    std::fill_n(key.data(), crypto::SecretKey::size, file->second);
    return key;
  }
  std::map<std::string, uint8_t> files;
};

}  // namespace centipede::sim
