// Whether the firewall lets the peers' datagrams in, as far as nftables tells: each filter chain that packets for this
// host go through is walked with the packet in question, as the kernel would. What a rule asks that is not known here
// (source addresses, sets, marks) makes it one that may match.
#include <nftables/libnftables.h>

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/doctor.h"

namespace centipede::cli {
namespace {

using nlohmann::json;

constexpr const char* what = "firewall";
constexpr unsigned deepest_jump = 16;  // as the kernel's

struct Packet {
  uint16_t port = 0;
  std::string device;      // empty: any
  bool is_answer = false;  // belongs to a connection that we began
};

enum class Match : uint8_t { no, maybe, yes };
enum class Verdict : uint8_t { none, accept, drop, leave };

// The member of a JSON object, or null.
const json& member(const json& object, const char* name) {
  static const json nothing;
  if (!object.is_object()) return nothing;
  const auto found = object.find(name);
  return found == object.end() ? nothing : *found;
}

std::string text(const json& value) {
  return value.is_string() ? value.get<std::string>() : "";
}

Match negated(Match match) {
  return match == Match::yes ? Match::no : match == Match::no ? Match::yes : Match::maybe;
}

Match either(Match a, Match b) {
  return std::max(a, b);
}

// `one` tells of a single value; sets and lists match when one of theirs does.
template <class One>
Match any_of(const json& right, One one) {
  if (const json& set = member(right, "set"); !set.is_null()) return any_of(set, one);
  if (!right.is_array()) return one(right);
  Match match = Match::no;
  for (const json& value : right)
    match = either(match, one(value));
  return match;
}

Match number_is(const json& right, uint16_t number) {
  return any_of(right, [number](const json& value) {
    if (value.is_number_integer()) return value.get<int64_t>() == number ? Match::yes : Match::no;
    const json& range = member(value, "range");
    if (!range.is_array() || range.size() != 2 || !range[0].is_number_integer() || !range[1].is_number_integer()) {
      return Match::maybe;  // a named set, or what is not known here
    }
    return range[0].get<int64_t>() <= number && number <= range[1].get<int64_t>() ? Match::yes : Match::no;
  });
}

Match text_is(const json& right, const std::string& wanted) {
  return any_of(right, [&wanted](const json& value) {
    const std::string given = text(value);
    if (given.empty() || given.starts_with('@')) return Match::maybe;
    if (given.ends_with('*')) return wanted.starts_with(given.substr(0, given.size() - 1)) ? Match::yes : Match::no;
    return given == wanted ? Match::yes : Match::no;
  });
}

Match payload_match(const json& payload, const json& right, const Packet& packet) {
  const std::string protocol = text(member(payload, "protocol"));
  const std::string field = text(member(payload, "field"));
  if (protocol == "udp" || protocol == "th") return field == "dport" ? number_is(right, packet.port) : Match::maybe;
  if ((protocol == "ip" && field == "protocol") || (protocol == "ip6" && field == "nexthdr")) {
    return text_is(right, "udp");
  }
  const bool below_ports = protocol == "ip" || protocol == "ip6" || protocol == "ether" || protocol.empty();
  return below_ports ? Match::maybe : Match::no;  // of TCP, ICMP and the like
}

Match compare(const json& expression, const Packet& packet) {
  const json& left = member(expression, "left");
  const json& right = member(expression, "right");
  if (const json& payload = member(left, "payload"); !payload.is_null()) return payload_match(payload, right, packet);
  const std::string meta = text(member(member(left, "meta"), "key"));
  if (meta == "l4proto") return text_is(right, "udp");
  if (meta == "iifname" || meta == "iif") {
    if (packet.device.empty()) return text_is(right, "lo") == Match::yes ? Match::no : Match::maybe;
    return text_is(right, packet.device);
  }
  if (text(member(member(left, "ct"), "key")) == "state")
    return text_is(right, packet.is_answer ? "established" : "new");
  return Match::maybe;
}

Match match_of(const json& expression, const Packet& packet) {
  const Match match = compare(expression, packet);
  return text(member(expression, "op")) == "!=" ? negated(match) : match;
}

class Ruleset {
 public:
  struct Chain {
    std::string name;  // "inet filter input"
    std::string hook;
    std::string type;
    bool drops_the_rest = false;
    std::vector<json> rules;
  };
  // What became of a packet in a chain.
  struct Outcome {
    Verdict verdict = Verdict::none;
    std::string by;             // the rule, or "its policy"
    std::string maybe_accepts;  // a rule that may have accepted it before
  };

  explicit Ruleset(const json& document) {
    for (const json& row : member(document, "nftables")) {
      if (const json& chain = member(row, "chain"); !chain.is_null()) {
        const std::string name = key(chain, text(member(chain, "name")));
        chains_[name] = {name,
                         text(member(chain, "hook")),
                         text(member(chain, "type")),
                         text(member(chain, "policy")) == "drop",
                         {}};
      }
      if (const json& rule = member(row, "rule"); !rule.is_null()) {
        const auto chain = chains_.find(key(rule, text(member(rule, "chain"))));
        if (chain != chains_.end()) chain->second.rules.push_back(rule);
      }
    }
  }

  [[nodiscard]] std::vector<const Chain*> for_this_host() const {
    std::vector<const Chain*> found;
    for (const auto& [name, chain] : chains_) {
      if (chain.type == "filter" && (chain.hook == "input" || chain.hook == "prerouting")) found.push_back(&chain);
    }
    return found;
  }

  [[nodiscard]] Outcome judge(const Chain& chain, const Packet& packet) const {
    Outcome outcome;
    walk(chain, packet, 0, outcome);
    if (outcome.verdict == Verdict::none) {
      outcome.verdict = chain.drops_the_rest ? Verdict::drop : Verdict::accept;
      outcome.by = "its policy";
    }
    return outcome;
  }

 private:
  static std::string key(const json& owner, const std::string& chain) {
    return text(member(owner, "family")) + " " + text(member(owner, "table")) + " " + chain;
  }

  // Sets the verdict where the chain has one.
  void walk(const Chain& chain, const Packet& packet, unsigned depth, Outcome& outcome) const {
    for (const json& rule : chain.rules) {
      Match match = Match::yes;
      for (const json& expression : member(rule, "expr")) {
        if (!expression.is_object() || expression.empty()) continue;
        const std::string kind = expression.begin().key();
        const json& content = expression.begin().value();
        if (kind == "match") {
          match = std::min(match, match_of(content, packet));
        } else if (kind == "limit" || kind == "xt") {
          match = std::min(match, Match::maybe);
        } else if (kind == "vmap") {
          take({state_verdict(content, packet), rule_name(rule, chain), ""}, match, outcome);
        } else if (kind == "jump" || kind == "goto") {
          if (match == Match::no || depth == deepest_jump) break;
          const auto next = chains_.find(key(rule, text(member(content, "target"))));
          if (next == chains_.end()) break;
          Outcome inner;
          walk(next->second, packet, depth + 1, inner);
          take(inner, match, outcome);
          if (outcome.verdict == Verdict::none && kind == "goto" && match == Match::yes) return;
        } else if (kind == "accept" || kind == "drop" || kind == "reject" || kind == "return") {
          const Verdict verdict = kind == "accept"   ? Verdict::accept
                                  : kind == "return" ? Verdict::leave
                                                     : Verdict::drop;
          take({verdict, rule_name(rule, chain), ""}, match, outcome);
        }
        if (match == Match::no || outcome.verdict != Verdict::none) break;
      }
      if (outcome.verdict == Verdict::leave) {
        outcome.verdict = Verdict::none;
        return;
      }
      if (outcome.verdict != Verdict::none) return;
    }
  }

  static std::string rule_name(const json& rule, const Chain& chain) {
    return "rule " + member(rule, "handle").dump() + " of " + chain.name;
  }

  // What a map from connection states to verdicts says; other maps are passed over.
  static Verdict state_verdict(const json& map, const Packet& packet) {
    if (text(member(member(member(map, "key"), "ct"), "key")) != "state") return Verdict::none;
    for (const json& row : member(member(map, "data"), "set")) {
      if (!row.is_array() || row.size() != 2) continue;
      if (text_is(row[0], packet.is_answer ? "established" : "new") != Match::yes) continue;
      return row[1].contains("accept") ? Verdict::accept : row[1].contains("drop") ? Verdict::drop : Verdict::none;
    }
    return Verdict::none;
  }

  static void take(const Outcome& found, Match match, Outcome& outcome) {
    if (!found.maybe_accepts.empty()) outcome.maybe_accepts = found.maybe_accepts;
    if (match == Match::yes) {
      outcome.verdict = found.verdict;
      outcome.by = found.by;
    } else if (match == Match::maybe && found.verdict == Verdict::accept) {
      outcome.maybe_accepts = found.by;
    }
  }

  std::map<std::string, Chain> chains_;
};

struct FreeContext {
  void operator()(nft_ctx* context) const { nft_ctx_free(context); }
};

// All rules of this network namespace as JSON text, or nothing.
std::optional<std::string> rules_in_force() {
  const std::unique_ptr<nft_ctx, FreeContext> context(nft_ctx_new(NFT_CTX_DEFAULT));
  if (!context || nft_ctx_buffer_output(context.get()) != 0 || nft_ctx_buffer_error(context.get()) != 0) {
    return std::nullopt;
  }
  nft_ctx_output_set_flags(context.get(), NFT_CTX_OUTPUT_JSON | NFT_CTX_OUTPUT_HANDLE);
  if (nft_run_cmd_from_buffer(context.get(), "list ruleset") != 0) return std::nullopt;
  return nft_ctx_get_output_buffer(context.get());
}

Finding judge(const Ruleset& ruleset, const Ruleset::Chain& chain, const Packet& packet, bool calls_all_peers) {
  const std::string subject =
      "UDP " + std::to_string(packet.port) + (packet.device.empty() ? std::string() : " on " + packet.device);
  const auto call = ruleset.judge(chain, packet);
  if (call.verdict == Verdict::accept) return {Level::ok, what, chain.name + " lets " + subject + " in", ""};
  if (!call.maybe_accepts.empty()) {
    return {Level::ok, what, chain.name + " lets " + subject + " in under conditions: " + call.maybe_accepts, ""};
  }
  Packet answer = packet;
  answer.is_answer = true;
  const bool takes_answers = ruleset.judge(chain, answer).verdict == Verdict::accept;
  if (takes_answers && calls_all_peers) {
    return {Level::ok, what,
            chain.name + " lets only answers to " + subject + " in, which is enough: this host calls all its peers",
            ""};
  }
  return {Level::warn, what, chain.name + " drops " + subject + " (" + call.by + "): peers cannot call this host",
          "nft insert rule " + chain.name + " udp dport " + std::to_string(packet.port) + " accept"};
}

}  // namespace

std::vector<Finding> judge_firewall(const std::string& ruleset_json, uint16_t port,
                                    const std::vector<std::string>& uplinks, bool calls_all_peers) {
  const json document = json::parse(ruleset_json, nullptr, false);
  if (!member(document, "nftables").is_array()) {
    return {{Level::warn, what, "the rules of nftables are not readable: not looked at", "see nft list ruleset"}};
  }
  const Ruleset ruleset(document);
  std::vector<Finding> findings;
  for (const auto* chain : ruleset.for_this_host()) {
    for (const std::string& uplink : uplinks.empty() ? std::vector<std::string>{""} : uplinks) {
      findings.push_back(judge(ruleset, *chain, {port, uplink, false}, calls_all_peers));
    }
  }
  if (findings.empty()) findings.push_back({Level::ok, what, "no rules of nftables stand in the way", ""});
  return findings;
}

std::vector<Finding> examine_firewall(uint16_t port, const std::vector<std::string>& uplinks, bool calls_all_peers) {
  const auto rules = rules_in_force();
  if (!rules) return {{Level::ok, what, "not looked at: this needs root, and nftables in the kernel", ""}};
  return judge_firewall(*rules, port, uplinks, calls_all_peers);
}

}  // namespace centipede::cli
