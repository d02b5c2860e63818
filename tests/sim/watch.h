// Looks at every datagram that leaves or reaches an honest host, from outside the controllers, and holds them to what
// docs/protocol.md promises:
// - a (key, nonce) pair is used for one datagram only, over all lanes, hosts and restarts
// - a host sends only on sessions it has, none older than reject_after, none that it answered and has not heard on
// - a response goes only to an initiation that a host made and this one received, always the same one, once for each
//   place it came from (of the last eight), not after the session was confirmed nor late, and never to a stranger's
// - a cookie reply goes only where an initiation came from, and there are no more of them
// - an address that has proven nothing gets at most three times what authentic datagrams came from it, and no data
// - a host calls a peer at most five times a second, with timestamps that only rise, over restarts too; a mac2 that it
//   sends was made with a cookie for the address it is sent from (where nobody can have carried it elsewhere), or is
//   used for one copy alone
// Threading: one thread.
#pragma once

#include <deque>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "control/controller.h"
#include "crypto/session.h"
#include "ledger.h"

namespace centipede::sim {

// 64-bit keys that are random already → 64-bit values; only grows. Ten times std::unordered_map at what is done most.
class HashTable {
 public:
  // The value kept for the key: `value` where there was none.
  uint64_t keep(uint64_t key, uint64_t value);
  // Null: there is none.
  [[nodiscard]] uint64_t* find(uint64_t key);

 private:
  struct Row {
    uint64_t key = 0;  // 0: free
    uint64_t value = 0;
  };
  [[nodiscard]] size_t place_of(uint64_t key) const;
  std::vector<Row> rows_ = std::vector<Row>(1U << 12);
  size_t used_ = 0;
};

class Watch {
 public:
  // Who the hosts are, and how old a session may get.
  Watch(Violations& violations, size_t hosts, Duration reject_after)
      : violations_(violations), reject_after_(reject_after), hosts_(hosts) {}

  // trusted: nobody can have carried a cookie from one route to another.
  void set_trusted(bool trusted) { trusted_ = trusted; }

  // A process comes up with what its disk has kept.
  void on_start(uint32_t host, const control::Timestamps& kept, Instant now);
  void on_cookie_secret(uint32_t host, const crypto::CookieSecret& secret);
  void on_session_added(uint32_t host, const std::shared_ptr<crypto::Session>& session, Instant now);
  void on_session_removed(uint32_t host, wire::SessionId local_sid);
  // unproven: `remote` belongs to nobody and hears nothing.
  void on_sent(uint32_t host, const control::Route& route, ConstBytes datagram, bool unproven, Instant now);
  void on_arrival(uint32_t host, const control::Route& at, ConstBytes datagram, bool unproven);
  // Of all initiations that the host has ever sent.
  [[nodiscard]] uint64_t newest_timestamp_ns(uint32_t host) { return view(host).newest_timestamp_ns; }

 private:
  // Key and initialisation vector of one direction, boiled down.
  struct Direction {
    uint64_t key = 0;
    uint64_t iv = 0;
    explicit Direction(const crypto::TrafficKey& of);
    [[nodiscard]] uint64_t with(uint64_t number) const;
  };
  struct Use {
    std::shared_ptr<crypto::Session> session;
    Direction sends;
    Direction receives;
    Instant born;
    bool may_send = false;  // ours, or heard on
  };
  struct Call {
    uint32_t host = 0;
    uint32_t callee = 0;
    uint64_t bytes = 0;  // hash of all before mac2
    uint64_t timestamp_ns = 0;
    Instant sent;
  };
  struct Answer {
    Instant first;
    uint64_t bytes = 0;
    std::vector<control::Route> to;
  };
  struct Balance {
    uint64_t received = 0;
    uint64_t sent = 0;
  };
  struct HostView {
    uint64_t newest_timestamp_ns = 0;
    std::unordered_map<uint32_t, uint64_t> called{};    // by callee: the newest timestamp
    std::unordered_map<uint32_t, uint64_t> accepted{};  // by caller: likewise
    Instant forgot = Instant::min();                    // which timestamps it had accepted
    std::vector<crypto::CookieSecret> cookie_secrets{};
    std::unordered_map<Endpoint, uint64_t> challengeable{};  // initiations that came, less cookies that went
    std::unordered_map<wire::SessionId, Use> sessions{};     // by our own id
    std::unordered_map<wire::SessionId, wire::SessionId> by_peer_sid{};  // → ours
    std::unordered_map<wire::SessionId, Answer> answers{};               // by the caller's
    std::unordered_set<wire::SessionId> asked{};                         // whose initiations came in
    std::unordered_map<Endpoint, Balance> unproven{};
    std::unordered_map<uint32_t, std::deque<Instant>> calls{};  // by callee; of the last second
  };

  // What the peer sealed under this number for a session that the host has, if it is exactly that; else null.
  struct Genuine {
    Use* use = nullptr;
    bool first = false;  // time that it comes
  };
  [[nodiscard]] Genuine genuine(HostView& host, ConstBytes datagram);
  HostView& view(uint32_t host) { return hosts_[host]; }
  void on_session_datagram(HostView& host, const std::string& who, ConstBytes datagram, Instant now);
  void on_initiation(HostView& from, uint32_t host, const control::Route& route, ConstBytes datagram, Instant now);
  void on_new_call(HostView& from, uint32_t host, wire::SessionId sid, ConstBytes datagram, Instant now);
  void check_mac2(const Call& call, const control::Route& route, ConstBytes datagram);
  void on_cookie_reply(HostView& from, const control::Route& route, ConstBytes datagram);
  void on_response(HostView& host, const std::string& who, const control::Route& route, ConstBytes datagram,
                   Instant now);
  void violation(const std::string& text, ConstBytes datagram) {
    violations_.push_back(text + " " + describe(datagram));
  }

  Violations& violations_;
  Duration reject_after_;
  bool trusted_ = false;
  std::vector<HostView> hosts_;
  HashTable sealed_;  // (key, nonce) → hash of the datagram, and in its lowest bit whether it has arrived
  std::unordered_map<wire::SessionId, Call> calls_;
  HashTable mac2s_;  // → the address, or the number of the copy, that it belongs to
  uint64_t unproven_copies_ = 0;
};

}  // namespace centipede::sim
