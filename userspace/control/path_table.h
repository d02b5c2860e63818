// The paths of one peer: which 4-tuples there are, at most 16.
//
// Policy
//   Candidates are each address of each usable uplink with each configured endpoint of its family (a link-local address
//   only with a link-local endpoint). They exist as long as the address does and are never dropped for silence.
//   Learned paths come from fresh authenticated heartbeats of an unknown 4-tuple: at most 8 that have not been
//   validated, of them 2 for each path of the peer, which also has a rate of its own: one new a second with a burst of
//   4. Who holds one link can repeat the heartbeats of the peer's paths over that link from made-up addresses, and must
//   not keep out the new address of a path over another. One that is not validated is dropped 10 s after its last
//   heartbeat, or earlier for a newer one when there is no room. When the peer has moved (the same path of the peer
//   validated from another address), the learned path that it left is dropped. One that has long been down goes when
//   another is active. With the address or the uplink, its paths vanish at once.
// Threading: one thread.
#pragma once

#include <memory>
#include <vector>

#include "control/context.h"
#include "control/path.h"

namespace centipede::control {

class PathTable {
 public:
  [[nodiscard]] const std::vector<std::unique_ptr<Path>>& all() const { return paths_; }
  [[nodiscard]] Path* find(const Route& route) const;
  // Whether its uplink is usable and has the local address.
  [[nodiscard]] static bool starts_here(const Context& context, const Route& route);

  struct Change {
    struct Line {
      std::string uplink;
      std::string text;
    };
    std::vector<Line> lines;  // for the log
    bool added = false;
    [[nodiscard]] bool any() const { return added || !lines.empty(); }
  };
  // Makes the candidates those of the uplinks and endpoints as they are now. A path to an endpoint that is gone is from
  // now on as one that was learned.
  [[nodiscard]] Change refresh(Context& context, const std::vector<Endpoint>& endpoints, Instant now);
  // peer_path_id: which of its paths the peer says it is. Null when a limit forbids it.
  [[nodiscard]] Path* learn(Context& context, const Route& route, uint16_t peer_path_id, Instant now);
  // `validated` has just become so: drops the learned paths that the same path of the peer has left.
  [[nodiscard]] Change drop_superseded(const Context& context, const Path& validated);
  [[nodiscard]] Change expire(const Context& context, Instant now, Duration long_down);
  [[nodiscard]] Instant next_expiry(Duration long_down) const;
  // Forgets where a peer without endpoints has been.
  void drop_learned();

  // Of all paths, also of those that are gone.
  [[nodiscard]] uint64_t copies() const;
  [[nodiscard]] bool any_up() const;
  [[nodiscard]] Duration largest_rtt() const;

 private:
  [[nodiscard]] bool make_room(Instant now);
  [[nodiscard]] TokenBucket& learning_rate(uint16_t peer_path_id);
  template <class Condition>
  [[nodiscard]] std::vector<std::unique_ptr<Path>>::iterator oldest(Condition condition);
  void remove(std::vector<std::unique_ptr<Path>>::iterator path);
  Path& add(Context& context, const Route& route, bool configured, Instant now);
  template <class Condition>
  Change drop_if(const Context& context, const char* why, Condition condition);

  void remember_lost(const Context& context);
  bool probe_lost(Context& context, Instant now);

  struct Place {
    UplinkId uplink;
    Endpoint remote;
    bool operator==(const Place&) const = default;
  };

  std::vector<std::unique_ptr<Path>> paths_;
  std::vector<Place> lost_;  // oldest first
  uint16_t last_id_ = 0;
  uint64_t former_copies_ = 0;  // of paths that are gone
  struct Learning {
    uint16_t peer_path_id = 0;
    TokenBucket rate{seconds(1), 4};
  };
  std::vector<Learning> learning_;  // oldest first, at most max_paths
};

[[nodiscard]] std::string uplink_name(const Context& context, UplinkId uplink);
// "eth0 10.1.0.1 → 10.1.0.2:5820"
[[nodiscard]] std::string describe(const Context& context, const Route& route);

}  // namespace centipede::control
