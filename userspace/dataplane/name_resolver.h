// Resolves the names of servers on a thread of its own, so that name servers that are slow, silent or hostile hold up
// nothing else. Through c-ares and not getaddrinfo(), whose sockets cannot be told where to go: queries leave by the
// uplinks, never through the tunnel, and end at once when asked to.
//
// A name is looked up over every uplink at the same time, and what all of them say counts, each for an equal share: an
// uplink whose name servers lie cannot hide the true addresses. The hosts file comes first; search domains are not
// used. Name servers on a loopback address are asked as they are.
// Ownership: owns its thread. Threading: ask() and the destructor from one thread, `done` is called on the resolver's.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "control/settings.h"
#include "dataplane/resolver_files.h"

namespace centipede {

class NameResolver {
 public:
  static constexpr size_t max_addresses = 8;  // of one name
  // Peers whose names are looked up at a time: each takes a socket or two for every uplink. Where more wait, whoever
  // has had a fair share of time gives way, the longest-lasting one first, as if nobody had answered.
  static constexpr size_t at_once = 64;
  static constexpr std::chrono::milliseconds fair_share = std::chrono::seconds(1);
  static constexpr size_t max_waiting = 4096;

  struct Query {
    control::PeerId peer = 0;
    std::vector<control::HostEndpoint> hosts;
    std::vector<std::string> uplinks;  // devices that can send now
  };
  struct Answer {
    control::PeerId peer = 0;
    std::vector<control::HostEndpoint> hosts;  // of the question
    std::vector<Endpoint> endpoints;           // of all of them
    std::string problem;                       // when there are none: why, and what to do
  };
  struct Setup {
    std::function<void(Answer)> done;
    std::vector<IpAddress> inside;  // name servers that are behind the tunnel, which are not asked
    uint32_t mark = 0;              // of the queries' packets, for the kill switch; 0: none
    ResolverFiles files = {};
    std::chrono::milliseconds give_up_after = std::chrono::seconds(10);
  };

  static Result<std::unique_ptr<NameResolver>> start(Setup setup);
  // What is under way is dropped, `done` is not called any more.
  ~NameResolver();
  NameResolver(const NameResolver&) = delete;
  NameResolver& operator=(const NameResolver&) = delete;

  // Never blocks. False, and no answer will come, when too many wait.
  bool ask(Query query);

 private:
  class Impl;
  explicit NameResolver(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace centipede
