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
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "base/time.h"
#include "control/forwarding.h"
#include "control/gate.h"
#include "control/settings.h"
#include "control/status.h"
#include "crypto/session.h"

namespace centipede::control {

class Randomness {
 public:
  virtual ~Randomness() = default;
  virtual void fill(Bytes out) = 0;
};

// Where preshared keys are kept that may change while we run.
class PresharedKeySource {
 public:
  virtual ~PresharedKeySource() = default;
  // The key in the file now; nothing when it cannot be read.
  [[nodiscard]] virtual std::optional<crypto::SecretKey> read(const std::string& path) = 0;
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
struct CallStarted {          // responses and cookies with this id are wanted from now on
  wire::SessionId sid;
};
struct CallEnded {
  wire::SessionId sid;
};
struct ShieldChanged {};      // ask shield() and publish it
struct TimestampsChanged {};  // ask timestamps() and keep them over a restart; before carrying out the next action if
                              // that can be had
struct Event {                // one line for the log, no secrets in it
  enum class Level : uint8_t { debug, info, warning } level = Level::info;
  const char* kind = "";  // what it is about, for programs: "path", "session", "handshake", "peer"
  std::string peer;       // its name
  std::string uplink;     // of the path; empty: about none
  std::string text;
};
using Action = std::variant<SendDatagram, SessionAdded, SessionRemoved, ForwardingChanged, CallStarted, CallEnded,
                            ShieldChanged, TimestampsChanged, Event>;

// What must outlive the process, so that neither a replay is believed nor a clock set back locks us out: given back in
// Settings::timestamp_floor_ns and Settings::accepted_timestamps_ns.
struct Timestamps {
  uint64_t sent_limit_ns = 0;  // no initiation has had a greater one; a minute ahead, so that it seldom changes
  std::vector<std::pair<crypto::PublicKey, uint64_t>> accepted{};  // also of peers that have been removed
};

// What set_peers() has done, by the peer's name.
struct PeerChange {
  std::string peer;
  std::string what;  // "added", "removed", "allowed_ips, policy changed"
};

// A peer whose names are to be resolved.
struct UnresolvedPeer {
  PeerId peer = 0;
  std::vector<HostEndpoint> hosts;
};

// A heartbeat that asked for an answer at once, on one path.
struct PathProbe {
  uint16_t path = 0;
  std::string uplink;
  Route route;
  bool sending = false;           // data goes there now
  uint32_t number = 0;            // of the heartbeat; 0: none could be sent
  std::optional<Duration> rtt{};  // of this very heartbeat
};

class Controller {
 public:
  // Both must outlive the controller. Without key files peers keep the preshared key of their settings. A peer with
  // a key file whose settings bring no key is refused while the file holds none.
  Controller(Settings settings, Randomness& randomness, PresharedKeySource* key_files = nullptr);
  ~Controller();
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;

  // Whether these can be all the peers there are: EINVAL, or EEXIST for what two of them have.
  [[nodiscard]] Result<void> check_peers(const std::vector<PeerSettings>& peers) const;
  // Makes these all the peers there are, or fails like check_peers() and changes nothing. Peers are told apart by their
  // public keys: one that is there before and after keeps its sessions and the paths that were validated. A new
  // preshared key counts from the next handshake.
  Result<std::vector<PeerChange>> set_peers(std::vector<PeerSettings> peers, Now now);
  // Their settings, in the order in which they were given last.
  [[nodiscard]] std::vector<PeerSettings> peers() const;
  // One more; one less (false: there is no such peer).
  Result<PeerId> add_peer(PeerSettings peer, Now now);
  bool remove_peer(PeerId peer, Now now);
  // By name or public key.
  [[nodiscard]] std::optional<PeerId> find_peer(std::string_view name_or_key) const;
  // Empty: there is no such peer.
  [[nodiscard]] std::string peer_name(PeerId peer) const;

  // The peers with host endpoints that have not been resolved since they were set, or with no path up: whose names are
  // worth a look. Costs nothing when there are none.
  [[nodiscard]] std::vector<UnresolvedPeer> unresolved() const;
  // What the names of a peer stand for now, instead of what they stood for before; not to be called when the names
  // could not be resolved. A path to an earlier address is kept as long as it is up. `hosts` are the names that were
  // looked up: nothing happens when the peer has others by now, or is gone.
  void set_resolved(PeerId peer, const std::vector<HostEndpoint>& hosts, std::vector<Endpoint> endpoints, Now now);

  // Where the peer was reached before this process began, to be called there until a path is up.
  void set_last_addresses(const crypto::PublicKey& peer, std::vector<Endpoint> endpoints, Now now);

  // A probe on every path of the peer; none: there is no such peer. answers() fills in what has come back since.
  std::vector<PathProbe> probe(PeerId peer, Now now);
  void answers(PeerId peer, std::vector<PathProbe>& probes) const;

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
  // What forwarding() returned before stays as it was. Costs what has changed, and a pointer for each 64 peers.
  [[nodiscard]] Forwarding forwarding() const;
  // All that receive, of all peers: what SessionAdded and SessionRemoved have come to.
  [[nodiscard]] std::vector<ReceiveSession> sessions() const;
  [[nodiscard]] const ShieldSecrets& shield() const;
  [[nodiscard]] Timestamps timestamps() const;
  // Timestamps::sent_limit_ns, without a look at every peer.
  [[nodiscard]] uint64_t sent_limit_ns() const;

  [[nodiscard]] std::vector<PeerStatus> status(Now now) const;
  [[nodiscard]] const ControlCounters& counters() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace centipede::control
