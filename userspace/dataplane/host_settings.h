// What a tunnel changes on its host beside its own interface: the kill switch and the system's name servers, both only
// where the configuration asks for them. An orderly end takes both back. A process that is killed leaves them: the kill
// switch is meant to stay, and either goes with the next orderly end of a tunnel of the same name, or with
// `centipede detach` (clear_host_settings()).
// Threading: the control thread.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "dataplane/tunnel_config.h"

namespace centipede {

class HostSettings {
 public:
  // Borrows the configuration. `warn` takes lines for the log.
  HostSettings(const TunnelConfig& config, std::function<void(std::string)> warn);

  // The kill switch, before anything else of the tunnel is there; what an earlier process left is replaced or taken
  // away. Fails where a kill switch is asked for and cannot be had.
  Result<void> protect(std::set<Prefix> networks);
  // The networks of all peers change. The kill switch guards new ones before there is a route to them (widen()), and
  // old ones until there is none. When it fails, what was in force is.
  Result<void> widen(const std::set<Prefix>& networks);
  Result<void> change_networks(const std::set<Prefix>& networks);
  // The name servers, once the interface is up. What fails is a warning: the tunnel runs without.
  void set_name_servers();

  // SO_MARK for what may pass the kill switch; 0: there is none.
  [[nodiscard]] uint32_t mark() const;

  // The end. Not an orderly one: the kill switch stays.
  void revert(bool orderly);
  // start() has failed: settle_failed_start().
  void start_failed();
  // Now and then while it runs: sets the kill switch again when others have removed it.
  void keep_watch();

 private:
  void warn_of_gaps(const std::set<Prefix>& networks) const;
  void revert_names() const;
  void warn_if_failed(const Result<void>& outcome) const;

  const TunnelConfig& config_;
  std::function<void(std::string)> warn_;
  std::set<Prefix> networks_;
};

// The networks of all peers.
[[nodiscard]] std::set<Prefix> inside_networks(const std::vector<control::PeerSettings>& peers);

// A start of this tunnel has failed, or its configuration was too wrong for one: takes back the name servers that an
// earlier process left. The kill switch stays: somebody tries again, and nothing may leave in between. Returns what is
// to be said of that. Nobody may be running it.
std::vector<std::string> settle_failed_start(const std::string& tunnel, const std::string& state_directory);

// What a killed process of this tunnel left; returns what has been taken away, in words. Nobody may be running it.
Result<std::vector<std::string>> clear_host_settings(const std::string& tunnel, const std::string& state_directory);

}  // namespace centipede
