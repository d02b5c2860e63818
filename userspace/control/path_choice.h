// Which paths carry data.
//
// Policy
//   redundant  every active path, and the degraded ones too: a copy costs little and any one honest link may be the
//   only
//              one left.
//   backup     one path: the best active one by (not metered, priority, RTT). The one in use stays unless
//   another is
//              better by more than noise and has been active for 2 s; when the one in use degrades, the best active
//              one takes over at once.
//   Both: when nothing is active or degraded, all that were ever validated, so that data still has a chance; never a
//   path that has not been validated, and never one that the user disabled.
// Threading: one thread.
#pragma once

#include <memory>
#include <vector>

#include "control/path.h"

namespace centipede::control {

class PathChoice {
 public:
  using Paths = std::vector<std::unique_ptr<Path>>;

  // Sets chosen(); true when it changed.
  bool update(Policy policy, const Paths& paths, Instant now);
  // Ids, in the order of the paths.
  [[nodiscard]] const std::vector<uint16_t>& chosen() const { return chosen_; }
  [[nodiscard]] bool contains(const Path& path) const;
  // When update() may say something else though nothing happened: a better path has proved itself.
  [[nodiscard]] Instant next_change() const { return next_change_; }

 private:
  [[nodiscard]] const Path* pick_single(const Paths& paths, Instant now);

  std::vector<uint16_t> chosen_;
  Instant next_change_ = never;
};

}  // namespace centipede::control
