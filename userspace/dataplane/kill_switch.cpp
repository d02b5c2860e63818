#include "dataplane/kill_switch.h"

#include <nftables/libnftables.h>

#include <algorithm>
#include <memory>

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

Result<void> run(const std::string& commands, const std::string& attempt) {
  const std::unique_ptr<nft_ctx, FreeContext> context(nft_ctx_new(NFT_CTX_DEFAULT));
  if (!context || nft_ctx_buffer_output(context.get()) != 0 || nft_ctx_buffer_error(context.get()) != 0) {
    return fail_system(attempt, ENOMEM);
  }
  if (nft_run_cmd_from_buffer(context.get(), commands.c_str()) == 0) return {};
  std::string why = nft_ctx_get_error_buffer(context.get());
  why.resize(std::min(why.find('\n'), why.size()));
  return fail(attempt + ": nftables: " + why);
}

// A set, and the rule that drops what goes there; nothing for no network.
struct Guarded {
  std::string set;
  std::string rule;
};

Guarded guard(const std::vector<Prefix>& networks, bool v4) {
  std::string elements;
  for (const Prefix& network : networks) {
    if (network.address.is_v4() == v4) elements += (elements.empty() ? "" : ", ") + network.network().text();
  }
  if (elements.empty()) return {};
  const std::string name = v4 ? "inside4" : "inside6";
  return {"  set " + name + " {\n    type " + (v4 ? "ipv4_addr" : "ipv6_addr") +
              "\n    flags interval\n    auto-merge\n    elements = { " + elements + " }\n  }\n",
          std::string("    ") + (v4 ? "ip" : "ip6") + " daddr @" + name + " counter drop\n"};
}

}  // namespace

std::string kill_switch_commands(std::string_view tunnel, const std::vector<Prefix>& networks) {
  const std::string table = "table " + table_of(tunnel);
  const std::string into_tunnel = "    oifname \"" + std::string(tunnel) + "\" accept\n";
  const Guarded v4 = guard(networks, true);
  const Guarded v6 = guard(networks, false);
  return table + "\ndelete " + table + "\n" + table + " {\n" + v4.set + v6.set +
         "  chain output {\n    type filter hook output priority filter\n    oifname \"lo\" accept\n" + into_tunnel +
         "    meta mark " + std::to_string(kill_switch_mark) +
         " accept\n"
         "    udp sport 68 udp dport 67 accept\n"
         "    udp sport 67 udp dport 68 accept\n"
         "    udp sport 546 udp dport 547 accept\n"
         "    udp sport 547 udp dport 546 accept\n"
         "    icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, "
         "mld-listener-report, mld-listener-done, mld2-listener-report } accept\n" +
         v4.rule + v6.rule + "  }\n  chain forward {\n    type filter hook forward priority filter\n" + into_tunnel +
         v4.rule + v6.rule + "  }\n}\n";
}

Result<void> set_kill_switch(std::string_view tunnel, const std::vector<Prefix>& networks) {
  const std::string name(tunnel);
  if (!plain(tunnel)) {
    return fail("kill_switch: nftables takes no table for a tunnel called " + name +
                    "; name the file with letters, digits, '-', '_' and '.' only",
                EINVAL);
  }
  auto done = run(kill_switch_commands(tunnel, networks), "setting the kill switch of " + name);
  if (!done) done.error().text += "; it needs nf_tables in the kernel (modprobe nf_tables) and CAP_NET_ADMIN";
  return done;
}

bool kill_switch_is_set(std::string_view tunnel) {
  return plain(tunnel) && run("list chain " + table_of(tunnel) + " output", "looking for the kill switch").has_value();
}

Result<void> remove_kill_switch(std::string_view tunnel) {
  if (!plain(tunnel)) return {};
  const std::string table = "table " + table_of(tunnel);
  return run(table + "\ndelete " + table + "\n",
             "removing the kill switch of " + std::string(tunnel) + " (nft delete " + table + ")");
}

}  // namespace centipede
