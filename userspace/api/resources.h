// The resources of the API, a function for each method of each: what it answers, or why it is refused. The error's code
// decides about the answer's status (router.cpp). Each change is one edit of the settings, so that it is carried out
// whole or not at all. Threading: any, several at once.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "api/router.h"

namespace centipede::api {

struct Call {
  const ApiContext& context;
  const ApiRequest& request;
  std::vector<std::string> names;            // what stands for {peer} and {uplink} in the path
  std::map<std::string, std::string> query;  // "?after=7"
};
using Resource = Result<ApiAnswer>(const Call&);

[[nodiscard]] ApiAnswer text_answer(std::string json);
[[nodiscard]] ApiAnswer done();  // where there is nothing to say
[[nodiscard]] ApiAnswer json_answer(const nlohmann::json& value);

Resource show_status, show_interface, show_sessions, show_statistics, show_policies;  // status_resources.cpp
Resource show_config, replace_config, reload_config;                                  // config_resources.cpp
Resource list_uplinks, add_uplink, show_uplink, patch_uplink, remove_uplink;          // uplink_resources.cpp
Resource list_peers, add_peer, show_peer, patch_peer, remove_peer;                    // peer_resources.cpp
Resource list_paths, patch_path, ping_peer;                                           // path_resources.cpp
Resource show_events, show_metrics, show_openapi, stop_tunnel;                        // other_resources.cpp

// What several of them need: the peer of this name or, failing that, public key; ENOENT.
[[nodiscard]] Result<control::PeerSettings*> find_peer(TunnelSettings& settings, const std::string& name_or_key);

}  // namespace centipede::api
