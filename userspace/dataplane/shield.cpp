#include "dataplane/shield.h"

#include <sodium.h>

#include <cstring>
#include <utility>

namespace centipede {
namespace {

cp_rate rate_of(Duration period, unsigned burst) {
  const auto ns = static_cast<uint64_t>(period.count());
  return {.period_ns = ns, .burst_ns = ns * burst};
}

}  // namespace

Shield::Shield(XdpProgram* program, const control::GateLimits& limits, Tell tell)
    : program_(program), tell_(std::move(tell)) {
  entry_.unproven = rate_of(limits.unproven_period, limits.unproven_burst);
  entry_.source = rate_of(limits.source_period, limits.source_burst);
  entry_.flags = CP_SHIELD_ALL_CALLS;
}

Shield::~Shield() {
  sodium_memzero(&entry_, sizeof entry_);
}

void Shield::set_secrets(const control::ShieldSecrets& secrets) {
  if (program_ == nullptr) return;
  static_assert(sizeof entry_.mac1_key == sizeof secrets.keys.mac1);
  std::memcpy(entry_.mac1_key, secrets.keys.mac1.data(), sizeof entry_.mac1_key);
  std::memcpy(entry_.cookie_key, secrets.keys.cookie.data(), sizeof entry_.cookie_key);
  for (size_t i = 0; i < secrets.secrets.size(); ++i)
    std::memcpy(entry_.secrets[i], secrets.secrets[i].data(), sizeof entry_.secrets[i]);
  entry_.current = secrets.current;
  entry_.flags |= CP_SHIELD_ON;
  publish();
}

void Shield::set_sessions_complete(bool complete) {
  set_flag(CP_SHIELD_ALL_SESSIONS, complete, "data of strangers");
}

void Shield::call_started(wire::SessionId sid) {
  if (program_ == nullptr || program_->put_call(sid)) return;
  unlisted_calls_.insert(sid);
  set_flag(CP_SHIELD_ALL_CALLS, false, "answers that nobody asked for");
}

void Shield::call_ended(wire::SessionId sid) {
  if (program_ == nullptr) return;
  if (unlisted_calls_.erase(sid) == 0) return program_->erase_call(sid);
  if (unlisted_calls_.empty()) set_flag(CP_SHIELD_ALL_CALLS, true, "answers that nobody asked for");
}

void Shield::set_flag(uint32_t flag, bool on, const char* what) {
  const uint32_t flags = on ? entry_.flags | flag : entry_.flags & ~flag;
  if (flags == entry_.flags) return;
  entry_.flags = flags;
  if ((entry_.flags & CP_SHIELD_ON) == 0 || program_ == nullptr) return;
  if (on && (missing_ & flag) != 0) {
    missing_ &= ~flag;
    tell_(TunnelEvent::Level::info, std::string("the XDP program drops ") + what + " again");
  } else if (!on) {
    missing_ |= flag;
    tell_(TunnelEvent::Level::warning,
          std::string("the XDP program lets ") + what + " through to us: there is no room in its maps");
  }
  publish();
}

void Shield::publish() {
  if (program_ == nullptr) return;
  const auto put = program_->put_shield(entry_);
  if (!put && written_) {
    tell_(TunnelEvent::Level::warning, "the XDP program judges handshakes as before: " + put.error().text);
  } else if (put && !written_) {
    tell_(TunnelEvent::Level::info, "the XDP program judges handshakes as it should again");
  }
  written_ = put.has_value();
}

}  // namespace centipede
