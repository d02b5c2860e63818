#include "cli/status_text.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "api/counter_names.h"
#include "api/status_json.h"
#include "dataplane/setting_texts.h"

namespace centipede::cli {
namespace {

constexpr size_t columns = 80;

// Adds items to a line, going on to a new, indented one where the next would not fit.
class Paragraph {
 public:
  Paragraph(std::string& out, std::string first, size_t indent)
      : out_(out), line_(std::move(first)), indent_(indent), empty_(true) {}
  void add(const std::string& item) {
    const std::string separator = empty_ ? " " : ", ";
    if (!empty_ && line_.size() + separator.size() + item.size() + 1 > columns) {
      out_ += line_ + ",\n";
      line_ = std::string(indent_, ' ') + item;
    } else {
      line_ += separator + item;
    }
    empty_ = false;
  }
  void end() {
    if (!empty_) out_ += line_ + "\n";
  }

 private:
  std::string& out_;
  std::string line_;
  size_t indent_;
  bool empty_;
};

std::string ago(const std::optional<Duration>& value) {
  return value ? short_duration(*value) + " ago" : "never";
}

std::string percent(const std::optional<double>& value) {
  return value ? fmt::format("{:.1f} %", *value * 100) : "?";
}

std::string round_trip(const control::PathStatus& path) {
  if (!path.rtt) return "rtt ?";
  const std::string variation = path.rtt_variation ? "±" + milliseconds_text(*path.rtt_variation) : "";
  return "rtt " + milliseconds_text(*path.rtt) + variation + " ms";
}

std::string mode_of(const TunnelStatus& status, const control::PathStatus& path) {
  const auto uplink = std::ranges::find(status.uplinks, path.uplink, &UplinkStatus::id);
  if (uplink == status.uplinks.end() || uplink->mode.empty()) return "-";
  return uplink->mode;
}

void add_path(std::string& out, const TunnelStatus& status, const control::PathStatus& path, bool colours) {
  const std::string sending = !path.enabled ? "switched off" : path.sending ? "sending" : "not sending";
  const std::string state = painted(path.state, api::state_name(path.state), colours);
  const std::string head =
      fmt::format("  path {} over {}: {}, {}, {}", path.id, path.uplink_name, state, sending, mode_of(status, path));
  const std::string local = "    " + path.local.text();
  const std::string remote = "-> " + path.remote.text();
  const bool one_line = local.size() + 1 + remote.size() <= columns;
  out += head + "\n" + local + (one_line ? " " : "\n      ") + remote + "\n";
  Paragraph quality(out, "   ", 6);
  quality.add(round_trip(path));
  quality.add("loss in " + percent(path.loss_in) + " out " + percent(path.loss_out));
  if (path.late) quality.add("late by " + milliseconds_text(*path.late) + " ms");
  quality.add("priority " + std::to_string(path.priority));
  quality.end();
  Paragraph counts(out, "    packets:", 6);
  counts.add("sent " + short_number(path.sent_packets) + " (" + short_number(path.sent_bytes) + "B)");
  if (path.send_errors != 0) counts.add("send errors " + short_number(path.send_errors));
  counts.add("first " + short_number(path.first_packets) + " (" + short_number(path.first_bytes) + "B)");
  counts.add("only here " + short_number(path.only_here));
  counts.end();
  out += fmt::format("    copies dropped: early {}, in worker {}\n", short_number(path.duplicates_early),
                     short_number(path.duplicates_worker));
}

void add_peer(std::string& out, const TunnelStatus& status, const control::PeerStatus& peer, bool colours) {
  out += "peer " + peer.name + "\n  public key " + peer.public_key.base64() + "\n";
  Paragraph session(out, " ", 4);
  session.add(api::policy_name(peer.policy));
  if (peer.preshared) session.add("preshared key");
  session.add("session " + (peer.session_age ? short_duration(*peer.session_age) + " old" : "none"));
  session.add("last handshake " + ago(peer.last_handshake) + fmt::format(" ({} in all)", peer.handshakes));
  session.end();
  Paragraph allowed(out, "  allowed", 4);
  for (const auto& network : peer.allowed_ips)
    allowed.add(network.text());
  allowed.end();
  Paragraph endpoints(out, "  endpoints", 4);
  for (const auto& endpoint : peer.endpoints)
    endpoints.add(endpoint);
  endpoints.end();
  if (peer.paths.empty()) out += "  no path yet\n";
  for (const auto& path : peer.paths)
    add_path(out, status, path, colours);
}

void add_uplink(std::string& out, const UplinkStatus& uplink, bool colours) {
  const auto state = uplink.usable ? control::PathState::active : control::PathState::down;
  out += fmt::format("  {}: {}, mode {}", uplink.name, painted(state, uplink.usable ? "usable" : "not usable", colours),
                     uplink.mode.empty() ? "-" : uplink.mode);
  out += (uplink.reason.empty() ? "" : " (" + uplink.reason + ")") + "\n";
  Paragraph settings(out, "    settings", 6);
  settings.add("priority " + std::to_string(uplink.priority));
  if (uplink.metered) settings.add("metered");
  if (uplink.rate_bps != 0) settings.add("rate " + rate_text(uplink.rate_bps));
  if (!uplink.pattern.empty()) settings.add("as " + uplink.pattern);
  settings.end();
  Paragraph addresses(out, "    addresses", 6);
  for (const auto& address : uplink.addresses)
    addresses.add(address.text());
  addresses.end();
  Paragraph verdicts(out, uplink.mode == "udp" ? "    socket filter:" : "    XDP:", 6);
  for (const auto& counter : api::xdp_counters) {
    const uint64_t value = uplink.xdp.*counter.member;
    if (value != 0) verdicts.add(std::string(counter.name) + " " + short_number(value));
  }
  if (uplink.xsk_dropped != 0) verdicts.add("xsk_dropped " + short_number(uplink.xsk_dropped));
  if (uplink.fill_ring_empty != 0) verdicts.add("fill_ring_empty " + short_number(uplink.fill_ring_empty));
  verdicts.end();
}

}  // namespace

std::string milliseconds_text(Duration value) {
  const double ms = std::chrono::duration<double, std::milli>(value).count();
  return fmt::format("{:.{}f}", ms, ms < 10 ? 2 : 1);
}

std::string short_number(uint64_t value) {
  if (value < 1000) return std::to_string(value);
  constexpr std::string_view prefixes = "kMGTPE";
  double scaled = static_cast<double>(value);
  size_t prefix = 0;
  for (scaled /= 1000; scaled >= 999.5 && prefix + 1 < prefixes.size(); ++prefix)
    scaled /= 1000;
  const int decimals = scaled < 9.995 ? 2 : scaled < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f} {}", scaled, decimals, prefixes[prefix]);
}

std::string short_duration(Duration value) {
  const auto whole = std::chrono::duration_cast<seconds>(value).count();
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  if (whole < 86400) return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
  return fmt::format("{} d {} h", whole / 86400, whole % 86400 / 3600);
}

std::string painted(control::PathState state, const std::string& text, bool colours) {
  constexpr const char* plain = "\x1b[0m";
  if (!colours) return text;
  switch (state) {
    case control::PathState::active:
      return "\x1b[32m" + text + plain;
    case control::PathState::down:
      return "\x1b[31m" + text + plain;
    default:
      return "\x1b[33m" + text + plain;
  }
}

std::string peer_text(const TunnelStatus& status, const control::PeerStatus& peer, bool colours) {
  std::string out;
  add_peer(out, status, peer, colours);
  return out;
}

std::string status_text(const TunnelStatus& status, bool colours) {
  std::string out;
  Paragraph head(out, status.name + ":", 4);
  head.add(fmt::format("port {}", status.listen_port));
  head.add(fmt::format("MTU {}", status.mtu));
  head.add("AEAD " + status.aead);
  head.add("up " + short_duration(status.uptime));
  head.add("version " + status.version);
  head.end();
  out += "  public key " + status.public_key.base64() + "\n";
  Paragraph addresses(out, "  addresses", 4);
  for (const auto& address : status.addresses)
    addresses.add(address.text());
  addresses.end();
  for (const auto& peer : status.peers)
    out += "\n" + peer_text(status, peer, colours);
  out += "\nuplinks\n";
  for (const auto& uplink : status.uplinks)
    add_uplink(out, uplink, colours);
  out += "\ncounters\n";
  Paragraph control(out, "  control:", 4);
  for (const auto& counter : api::control_counters) {
    const uint64_t value = status.control.*counter.member;
    if (value != 0) control.add(std::string(counter.name) + " " + short_number(value));
  }
  control.end();
  Paragraph data(out, "  data:", 4);
  for (const auto& counter : api::worker_counters) {
    const uint64_t value = status.total.*counter.member;
    if (value != 0) data.add(std::string(counter.name) + " " + short_number(value));
  }
  data.end();
  return out;
}

}  // namespace centipede::cli
