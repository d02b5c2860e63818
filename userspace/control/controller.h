// The brain, and pure: events in → actions, forwarding and the next deadline out. It reads no clock and no randomness
// of its own and makes no system call, so that whole networks of controllers run in a deterministic simulation.
//
// It owns peers, their sessions and their paths: when to shake hands, when to rekey, where a peer is reachable, which
// paths carry data. Policy in words stands at the top of peer.h and path.h; the protocol in docs/protocol.md.
//
// Use: call an event, then carry out take_actions() in their order, then wait until next_deadline() and call
// on_timer(). Threading: one thread. Nothing that a remote sends throws; it ends in a counted reason.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "base/time.h"
#include "control/forwarding.h"
#include "control/settings.h"
#include "control/status.h"
#include "crypto/session.h"

namespace centipede::control {

class Randomness {
 public:
  virtual ~Randomness() = default;
  virtual void fill(Bytes out) = 0;
};

// Where a datagram came in, or shall go out. local may be none in an action: the kernel chooses the source address.
struct Route {
  UplinkId uplink = 0;
  IpAddress local;
  Endpoint remote;
  auto operator<=>(const Route&) const = default;
};

struct SendDatagram {
  Route route;
  std::vector<uint8_t> bytes;
};
struct SessionAdded {  // make it receivable (window, BPF map) before carrying out the next action
  PeerId peer;
  std::shared_ptr<crypto::Session> session;
};
struct SessionRemoved {
  wire::SessionId local_sid;
};
struct ForwardingChanged {};  // ask forwarding() and publish it
struct Event {                // one line for the log, no secrets in it
  enum class Level : uint8_t { debug, info, warning } level = Level::info;
  std::string text;
};
using Action = std::variant<SendDatagram, SessionAdded, SessionRemoved, ForwardingChanged, Event>;

class Controller {
 public:
  // randomness must outlive the controller.
  Controller(Settings settings, Randomness& randomness);
  ~Controller();
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;

  // Fails on a public key that is our own or already known, and on a network that another peer has.
  Result<PeerId> add_peer(PeerSettings peer, Now now);
  bool remove_peer(PeerId peer, Now now);

  // An uplink appeared, or its addresses or usability changed.
  void set_uplink(Uplink uplink, Now now);
  void remove_uplink(UplinkId uplink, Now now);

  // A handshake datagram or a control-lane packet. `at`: uplink and local address it arrived on, remote it came from.
  void on_datagram(const Route& at, ConstBytes datagram, Now now);
  void on_timer(Now now);
  // Tells every peer goodbye (close frames, to be sent three times by the actions) and forgets the sessions.
  void close(Now now);

  [[nodiscard]] std::vector<Action> take_actions();
  [[nodiscard]] Instant next_deadline() const;
  [[nodiscard]] Forwarding forwarding() const;

  [[nodiscard]] std::vector<PeerStatus> status(Now now) const;
  [[nodiscard]] const ControlCounters& counters() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace centipede::control
