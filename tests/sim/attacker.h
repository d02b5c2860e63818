// Somebody who sits on some of the links, in either direction, and has no keys but one of his own that no host knows.
// He sees what passes there, remembers some of it for good, and: drops, delays and releases, repeats at once and much
// later, from other sources, to other hosts and over other links of his; reflects to the sender; flips bits, cuts off,
// adds; makes up data, heartbeats and handshakes around what he has seen, cookie replies for links that are not his,
// and initiations of a stranger. What he is keen on changes every few seconds. Threading: one thread.
#pragma once

#include <queue>

#include "sim_network.h"

namespace centipede::sim {

class Attacker final : public Eavesdropper {
 public:
  Attacker(SimNetwork& network, uint64_t seed) : network_(network), random_(seed) {}

  // May be called at any time: he gets this link.
  void own(LinkIndex link);
  // How many datagrams he has put onto a link.
  [[nodiscard]] uint64_t deeds() const { return deeds_; }

  bool on_datagram(LinkIndex link, const Envelope& envelope, ConstBytes datagram) override;
  void on_timer() override;
  [[nodiscard]] Instant next_deadline() const override;

 private:
  struct Record {
    LinkIndex link;
    Envelope envelope;
    std::vector<uint8_t> bytes;
  };
  struct Release {
    Instant at;
    uint64_t order;
    Record record;
  };
  struct Later {
    bool operator()(const Release& a, const Release& b) const { return a.at != b.at ? a.at > b.at : a.order > b.order; }
  };
  // In percent of the datagrams of a kind that pass.
  struct Mood {
    const char* name;
    unsigned drops_data;
    unsigned drops_control;
    unsigned drops_handshakes;
    unsigned holds;
    unsigned meddles;
    Duration makes_up_every;  // on average
  };

  [[nodiscard]] static const std::vector<Mood>& moods();
  void remember(const Record& record);
  void meddle(const Record& record);
  void make_up();
  [[nodiscard]] const Record* any_memory();

  // The deeds. Each puts something onto a link of his.
  void repeat(Record record);
  void from_elsewhere(Record record);
  void to_another_host(Record record);
  void under_another_path(Record record);
  void reflect(Record record);
  void damage(Record record);
  void resize(Record record);
  void forge_number(Record record);
  void forge_handshake(Record record);
  void forge_cookie(const Record& call);
  void forge_call(Record record);
  void send(const char* deed, const Record& record);

  [[nodiscard]] Endpoint any_source(const Envelope& envelope);
  [[nodiscard]] bool redirect(Record& record, LinkIndex link);

  SimNetwork& network_;
  SimRandom random_;
  std::vector<LinkIndex> links_;
  const Mood* mood_ = &moods().front();
  Instant mood_until_{};
  Instant makes_up_at_ = never;
  std::vector<Record> recent_;  // a ring
  size_t oldest_ = 0;
  std::vector<Record> handshakes_;  // kept for long, some for ever
  std::priority_queue<Release, std::vector<Release>, Later> held_;
  uint64_t order_ = 0;
  uint64_t deeds_ = 0;
};

}  // namespace centipede::sim
