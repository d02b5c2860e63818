#include "dataplane/kill_switch.h"

#include <nftables/libnftables.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <memory>
#include <vector>

namespace centipede {
namespace {

struct FreeContext {
  void operator()(nft_ctx* context) const { nft_ctx_free(context); }
};

std::string table_of(std::string_view tunnel) {
  return "inet centipede-" + std::string(tunnel);
}

// A name that needs neither quotes nor escapes.
bool plain(std::string_view tunnel) {
  return !tunnel.empty() && std::ranges::all_of(tunnel, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  });
}

// What they print.
Result<std::string> run(const std::string& commands, const std::string& attempt) {
  const std::unique_ptr<nft_ctx, FreeContext> context(nft_ctx_new(NFT_CTX_DEFAULT));
  if (!context || nft_ctx_buffer_output(context.get()) != 0 || nft_ctx_buffer_error(context.get()) != 0) {
    return fail_system(attempt, ENOMEM);
  }
  if (nft_run_cmd_from_buffer(context.get(), commands.c_str()) == 0) return nft_ctx_get_output_buffer(context.get());
  std::string why = nft_ctx_get_error_buffer(context.get());
  why.resize(std::min(why.find('\n'), why.size()));
  return fail(attempt + ": nftables: " + why);
}

// One hash set and one rule for each family and length of a network, so that the kernel takes single networks in and
// out, at a cost that is that of these alone: intervals are put together in user space, all of them for each change.
struct Kind {
  bool v4 = true;
  unsigned length = 0;
  auto operator<=>(const Kind&) const = default;

  [[nodiscard]] std::string set() const { return (v4 ? "inside4_" : "inside6_") + std::to_string(length); }
  [[nodiscard]] std::string rule() const {
    std::array<uint8_t, 16> ones{};
    ones.fill(0xff);
    const IpAddress all = v4 ? IpAddress::v4(ones.data()) : IpAddress::v6(ones.data());
    return std::string(v4 ? "ip" : "ip6") + " daddr & " + Prefix{all, length}.network().address.text() + " @" + set() +
           " counter drop";
  }
};
using Elements = std::map<Kind, std::string>;  // "10.1.0.0, 10.2.0.0"

// Those of the first that are not in the second.
Elements elements_of(const Networks& networks, const Networks& but) {
  std::vector<Prefix> different;
  std::ranges::set_difference(networks, but, std::back_inserter(different));
  Elements all;
  for (const Prefix& network : different) {
    std::string& list = all[{network.address.is_v4(), network.length}];
    list += (list.empty() ? "" : ", ") + network.network().address.text();
  }
  return all;
}

std::set<Kind> kinds_of(const Networks& networks) {
  std::set<Kind> kinds;
  for (const Prefix& network : networks)
    kinds.emplace(network.address.is_v4(), network.length);
  return kinds;
}

std::string sets_and_rules(const std::set<Kind>& kinds, const std::set<Kind>& known, const std::string& where) {
  std::string commands;
  for (const Kind& kind : kinds) {
    if (known.contains(kind)) continue;
    commands += "add set " + where + kind.set() + " { type " + (kind.v4 ? "ipv4_addr" : "ipv6_addr") + "; }\n";
  }
  for (const Kind& kind : kinds)
    commands += "add rule " + where + "inside " + kind.rule() + "\n";
  return commands;
}

std::string change_elements(const char* verb, const Elements& elements, const std::string& where) {
  std::string commands;
  for (const auto& [kind, list] : elements)
    commands.append(verb)
        .append(" element ")
        .append(where)
        .append(kind.set())
        .append(" { ")
        .append(list)
        .append(" }\n");
  return commands;
}

}  // namespace

std::string kill_switch_commands(std::string_view tunnel, const Networks& networks) {
  const std::string table = table_of(tunnel);
  const std::string into_tunnel = "    oifname \"" + std::string(tunnel) + "\" accept\n";
  return "table " + table + "\ndelete table " + table + "\ntable " + table +
         " {\n"
         "  chain inside {\n  }\n"
         "  chain output {\n    type filter hook output priority filter\n    oifname \"lo\" accept\n" +
         into_tunnel + "    meta mark " + std::to_string(kill_switch_mark) +
         " accept\n"
         "    udp sport 68 udp dport 67 accept\n"
         "    udp sport 67 udp dport 68 accept\n"
         "    udp sport 546 udp dport 547 accept\n"
         "    udp sport 547 udp dport 546 accept\n"
         "    icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, "
         "mld-listener-report, mld-listener-done, mld2-listener-report } accept\n"
         "    jump inside\n  }\n  chain forward {\n    type filter hook forward priority filter\n" +
         into_tunnel + "    jump inside\n  }\n}\n" + kill_switch_changes(tunnel, {}, networks);
}

std::string kill_switch_changes(std::string_view tunnel, const Networks& before, const Networks& after) {
  const std::string where = table_of(tunnel) + " ";
  const std::set<Kind> kinds_before = kinds_of(before);
  const std::set<Kind> kinds_after = kinds_of(after);
  const bool other_kinds = kinds_before != kinds_after;
  std::string commands;
  if (other_kinds) commands += "flush chain " + where + "inside\n" + sets_and_rules(kinds_after, kinds_before, where);
  commands += change_elements("add", elements_of(after, before), where);
  commands += change_elements("delete", elements_of(before, after), where);
  for (const Kind& kind : kinds_before)
    if (!kinds_after.contains(kind)) commands += "delete set " + where + kind.set() + "\n";
  return commands;
}

Result<void> set_kill_switch(std::string_view tunnel, const Networks& networks) {
  const std::string name(tunnel);
  if (!plain(tunnel)) {
    return fail("kill_switch: nftables takes no table for a tunnel called " + name +
                    "; name the file with letters, digits, '-', '_' and '.' only",
                EINVAL);
  }
  const auto done = run(kill_switch_commands(tunnel, networks), "setting the kill switch of " + name);
  if (done) return {};
  return fail(done.error().text + "; it needs nf_tables in the kernel (modprobe nf_tables) and CAP_NET_ADMIN");
}

Result<void> change_kill_switch(std::string_view tunnel, const Networks& before, const Networks& after) {
  const std::string name(tunnel);
  if (before == after) return {};
  if (plain(tunnel) && run(kill_switch_changes(tunnel, before, after), "changing the kill switch of " + name))
    return {};
  return set_kill_switch(tunnel, after);  // somebody else has changed it
}

// To list one chain, or the tables, libnftables reads every element of every set.
bool kill_switch_is_set(std::string_view tunnel) {
  if (!plain(tunnel)) return false;
  const auto chains = run("list chains inet", "looking for the kill switch");
  if (!chains) return false;
  const size_t table = chains->find("table " + table_of(tunnel) + " {\n");
  return table != std::string::npos && chains->find("\tchain output {\n", table) < chains->find("\n}", table);
}

Result<void> remove_kill_switch(std::string_view tunnel) {
  if (!plain(tunnel)) return {};
  const std::string table = "table " + table_of(tunnel);
  const auto done = run(table + "\ndelete " + table + "\n",
                        "removing the kill switch of " + std::string(tunnel) + " (nft delete " + table + ")");
  return done ? Result<void>() : std::unexpected(done.error());
}

}  // namespace centipede
