// Peer: handshakes, and what the beginning and the end of a session mean.
#include <algorithm>

#include "control/peer.h"

namespace centipede::control {
namespace {

constexpr Duration hold_back = seconds(2);
constexpr Duration call_after_close = seconds(2);
constexpr double rekey_jitter = 0.025;

}  // namespace

const crypto::SecretKey& Peer::preshared_key() {
  if (settings_.preshared_key_file.empty() || context_.key_files == nullptr) return preshared_key_;
  auto key = context_.key_files->read(settings_.preshared_key_file);
  if (key) {
    preshared_key_ = std::move(*key);
  } else if (!key_file_unreadable_) {
    report("handshake", settings_.preshared_key_file + " holds no readable key now; the last one stays in force", {},
           Event::Level::warning);
  }
  key_file_unreadable_ = !key;
  return preshared_key_;
}

void Peer::send_initiation(Call::Attempt& attempt, const Route& route, Instant now) {
  ++context_.counters.initiations_sent;
  const auto cookie = cookies_.take(route, context_.settings.gate.cookie_life, now);
  context_.send(route, cookie ? attempt.copy_with(*cookie) : attempt.copy_without(route, context_.randomness));
}

// The newest attempt goes out again, whichever one was answered: the cookie proves our address, not the attempt.
void Peer::on_cookie(wire::SessionId sid, ConstBytes datagram, const Route& at, Now now) {
  Call::Attempt* attempt = call_.find(sid);
  const auto copy = attempt == nullptr ? std::nullopt : attempt->unanswered_copy(at);
  if (!copy) {
    ++context_.counters.unexpected_cookie;
    return;
  }
  const auto cookie = crypto::open_cookie(peer_keys_, *copy, datagram);
  if (!cookie) {
    ++context_.counters.bad_cookie;
    return;
  }
  ++context_.counters.cookies_accepted;
  attempt->answered(at);
  if (!cookies_.remember(at, *cookie, now.monotonic)) return;  // the answer to an earlier attempt came already
  ++context_.counters.initiations_sent;
  context_.send(at, call_.newest()->copy_with(*cookie));
}

void Peer::on_initiation(crypto::OpenedInitiation& claimed, ConstBytes datagram, const Route& at, Now now) {
  expire(now.monotonic);
  if (claimed.claimed_timestamp_ns() > crypto::greatest_timestamp_ns) {
    ++context_.counters.malformed;
  } else if (!answers_.is_newer(claimed.claimed_timestamp_ns())) {
    answer_copy(claimed, datagram, at);
  } else if (const auto verified = claimed.verify(context_.settings.identity, settings_.public_key); !verified) {
    context_.count(verified.error());
  } else if (!answers_.within_rate(now.monotonic)) {
    ++context_.counters.rate_limited;
    answers_.overtake(claimed.claimed_timestamp_ns());
  } else {
    answers_.accept(claimed.claimed_timestamp_ns(), now.monotonic);
    context_.actions.emplace_back(TimestampsChanged{});
    install_answer(claimed, datagram, at, now.monotonic);
  }
  run(now);
}

void Peer::answer_copy(crypto::OpenedInitiation& claimed, ConstBytes datagram, const Route& at) {
  const crypto::ResponseBytes* response = nullptr;
  // A confirmed session needs no further answer: its initiator has had one.
  const SessionSlot* answered = sessions_.find(answers_.sid());
  if (answered != nullptr && !answered->confirmed)
    response = answers_.answer_to_copy(claimed.claimed_timestamp_ns(), datagram, at);
  if (response == nullptr) {
    ++context_.counters.stale_timestamp;
    return;
  }
  context_.send(at, *response);
  ++context_.counters.initiations_answered;
}

void Peer::install_answer(const crypto::OpenedInitiation& initiation, ConstBytes datagram, const Route& at,
                          Instant now) {
  const wire::SessionId sid = context_.take_sid(id_);
  // It has been verified, so there is a response.
  auto [message, established] =
      initiation
          .respond(context_.settings.identity, preshared_key(), sid, context_.settings.params, context_.random_secret())
          .value();
  if (!sessions_.has_unconfirmed() && (!held_back_at_ || now >= *held_back_at_ + 2 * hold_back)) {
    held_back_at_ = now;
    call_.postpone(now + hold_back);
  }
  const Timing& timing = context_.settings.timing;
  const Duration takeover = timing.rekey_after + (timing.reject_after - timing.rekey_after) / 3;
  install({.session = std::make_shared<crypto::Session>(sid, context_.settings.params, std::move(established)),
           .timestamp_ns = initiation.claimed_timestamp_ns(),
           .initiator = settings_.public_key,
           .handshake_begin = now,
           .handshake_end = now,
           .born = now,
           .rekey_at = now + context_.jittered(takeover, rekey_jitter)},
          now);
  answers_.remember(datagram, message, sid, at);
  context_.send(at, message);
  ++context_.counters.initiations_answered;
}

void Peer::on_response(wire::SessionId sid, ConstBytes datagram, Now now) {
  expire(now.monotonic);
  const Call::Attempt* attempt = call_.find(sid);
  if (attempt == nullptr) {
    ++context_.counters.unexpected_response;
    run(now);
    return;
  }
  // The key file is read for nobody who does not know us.
  if (!crypto::mac1_is_valid(context_.settings.identity.receiver_keys(), datagram)) {
    ++context_.counters.bad_mac1;
    run(now);
    return;
  }
  auto established = attempt->initiator.finish(context_.settings.identity, preshared_key(), datagram);
  if (!established) {
    context_.count(established.error());
    run(now);
    return;
  }
  ++context_.counters.responses_accepted;
  unanswered_calls_ = 0;
  ++handshakes_;
  last_handshake_ = last_contact_ = now.monotonic;
  wiped_ = false;
  handshake_rtt_ = now.monotonic - attempt->sent;
  const Duration rekey_after = context_.settings.timing.rekey_after;
  // Never later than rekey_after: the jitter only takes away.
  const Duration rekey_in =
      context_.jittered(rekey_after, rekey_jitter) -
      Duration(static_cast<Duration::rep>(static_cast<double>(rekey_after.count()) * rekey_jitter));
  SessionSlot slot{.session = std::make_shared<crypto::Session>(sid, context_.settings.params, std::move(*established)),
                   .initiated_by_us = true,
                   .confirmed = true,
                   .timestamp_ns = attempt->initiator.timestamp_ns(),
                   .initiator = context_.settings.identity.public_key(),
                   .handshake_begin = attempt->sent,
                   .handshake_end = now.monotonic,
                   .born = now.monotonic,
                   .rekey_at = now.monotonic + rekey_in};
  call_.completed(context_, sid);
  SessionSlot& installed = install(std::move(slot), now.monotonic);
  if (sessions_.current() == &installed) became_current(installed, now.monotonic);
  // Even a session that another one beat to it is confirmed, so that the peer can decide alike.
  greet(installed, now.monotonic);
  run(now);
}

SessionSlot& Peer::install(SessionSlot slot, Instant now) {
  changed_ = true;
  const std::shared_ptr<crypto::Session> session = slot.session;
  SessionTable::Removed removed;
  SessionSlot& installed = sessions_.add(std::move(slot), now, removed);
  remove_sessions(removed);  // first, so that its window memory is there for the new one
  context_.actions.emplace_back(SessionAdded{id_, session});
  return installed;
}

void Peer::remove_sessions(const SessionTable::Removed& sids) {
  for (const wire::SessionId sid : sids) {
    context_.release_sid(sid);
    context_.actions.emplace_back(SessionRemoved{sid});
    changed_ = true;
  }
}

void Peer::became_current(const SessionSlot& slot, Instant now) {
  alive_at_ = now;
  changed_ = true;
  report("session", slot.initiated_by_us ? "session from our call in use" : "session from the peer's call in use");
}

void Peer::on_control(wire::SessionId sid, ConstBytes datagram, const Route& at, Now now) {
  expire(now.monotonic);
  using Failure = crypto::Session::ControlFailure;
  ControlCounters& counters = context_.counters;
  SessionSlot* slot = sessions_.find(sid);
  if (slot == nullptr) {
    ++counters.unknown_session;
    run(now);
    return;
  }
  const auto plaintext = slot->session->open_control(context_.aead, datagram);
  if (!plaintext) {
    switch (plaintext.error()) {
      case Failure::malformed:
        ++counters.malformed;
        break;
      case Failure::duplicate:
        ++counters.control_duplicate;
        break;
      case Failure::too_old:
        ++counters.control_too_old;
        break;
      case Failure::bad_tag:
        ++counters.control_bad_tag;
        break;
    }
    run(now);
    return;
  }
  last_contact_ = now.monotonic;
  wiped_ = false;
  if (!slot->confirmed) {
    ++handshakes_;
    last_handshake_ = now.monotonic;
    // Whatever the peer has answered to our own calls until now is superseded: responses to them were held back.
    call_.forget(context_);
  }
  if (sessions_.confirm(*slot, now.monotonic)) {
    became_current(*slot, now.monotonic);
    const Pace at_pace = pace();
    for (const auto& path : paths_.all())
      if (!path->is_up()) path->probe_soon(now.monotonic, at_pace);
  }
  const auto frame = wire::read_frame(*plaintext);
  if (!frame)
    ++counters.bad_frame;
  else if (const auto* heartbeat = std::get_if<wire::Heartbeat>(&*frame))
    on_heartbeat(*slot, *heartbeat, datagram.size(), at, now.monotonic);
  else
    on_close(*slot, now.monotonic);
  run(now);
}

void Peer::on_close(const SessionSlot& slot, Instant now) {
  remove_sessions(sessions_.remove_up_to(slot.sid()));
  if (sessions_.current() != nullptr) return;
  report("session", "closed by the peer");
  session_lost(now, !has_endpoints());
  call_.start_over(now + call_after_close, call_after_close);
}

void Peer::session_lost(Instant now, bool forget_validation) {
  changed_ = true;
  for (const auto& path : paths_.all())
    path->restart(context_.random(), now, forget_validation);
  call_.hurry(now);
}

void Peer::say_goodbye(Instant now) {
  if (SessionSlot* current = sessions_.current()) {
    std::array<uint8_t, CP_CLOSE_SIZE> frame{};
    wire::write_frame(wire::Close{}, frame.data());
    for (int copy = 0; copy < 3; ++copy) {
      const std::vector<uint8_t> datagram = current->session->seal_control(context_.aead, frame);
      if (datagram.empty()) break;
      for (const auto& path : paths_.all()) {
        if (!path->may_send(datagram.size())) continue;
        context_.send(path->route(), datagram);
        path->on_sent(datagram.size());
      }
    }
  }
  remove_sessions(sessions_.clear());
  call_.forget(context_);
  for (const auto& path : paths_.all())
    path->restart(context_.random(), now, true);
  (void)choice_.update(settings_.policy, paths_.all(), now);
  changed_ = true;
  deadline_ = never;
}

}  // namespace centipede::control
