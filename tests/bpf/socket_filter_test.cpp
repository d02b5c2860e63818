// The early drop of the UDP sockets, buffer by buffer: one datagram, or a train that the kernel has coalesced.
#include <centipede/wire.h>

#include <string>

#include "program_fixture.h"

namespace centipede::test {
namespace {

constexpr size_t udp_header_bytes = 8;
constexpr size_t ethernet_header_bytes = 14;
constexpr size_t size = 48;  // of a datagram: a test run takes less than a page

using Datagram = std::vector<uint8_t>;

class SocketFilterTest : public ProgramTest {
 protected:
  // Numbers 0 to 99 of lane 1 have been taken, and with them everything a window before.
  void SetUp() override {
    ProgramTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    for (uint64_t number = first; number < first + 100; ++number) {
      const auto generation = static_cast<uint32_t>(number >> CP_WINDOW_WORD_SHIFT);
      uint64_t& word = lane_window(1)[generation % words];
      const auto bits = word >> 32 == generation ? static_cast<uint32_t>(word) : 0U;
      word = window_word(generation, bits | 1U << (number % CP_WINDOW_WORD_BITS));
    }
  }

  static Datagram seen(uint64_t offset = 0) { return data_packet(1, first + offset, sid, size); }
  static Datagram fresh() { return data_packet(1, first + 100, sid, size); }

  // Whether the buffer is queued. segment: UDP_GRO's size; 0: not coalesced.
  bool queued(const std::vector<Datagram>& train, uint32_t segment = size) {
    std::vector<uint8_t> data(ethernet_header_bytes + udp_header_bytes);
    data[12] = 0x88;  // an EtherType for experiments: the run is told where UDP begins
    data[13] = 0xb5;
    for (const Datagram& datagram : train)
      data.insert(data.end(), datagram.begin(), datagram.end());
    __sk_buff context{};
    context.gso_size = train.size() > 1 ? segment : 0;
    context.gso_segs = static_cast<uint32_t>(train.size());
    LIBBPF_OPTS(bpf_test_run_opts, options);
    options.data_in = data.data();
    options.data_size_in = static_cast<uint32_t>(data.size());
    options.ctx_in = &context;
    options.ctx_size_in = sizeof context;
    const int code = bpf_prog_test_run_opts(program->socket_filter_fd(), &options);
    EXPECT_EQ(code, 0) << std::strerror(-code);
    return options.retval != 0;
  }

  cp_session_counters session_row() { return program->session_counters(counter_slot, uplink_index).value(); }

  static constexpr uint64_t first = 100 * CP_WINDOW_WORD_BITS;
};

TEST_F(SocketFilterTest, a_copy_is_dropped_and_counted_for_its_session_and_uplink) {
  EXPECT_TRUE(queued({fresh()}));
  EXPECT_FALSE(queued({seen()}));
  EXPECT_FALSE(queued({data_packet(1, first - words * CP_WINDOW_WORD_BITS, sid, size)}));
  EXPECT_EQ(session_row().duplicate, 1U);
  EXPECT_EQ(session_row().too_old, 1U);
  const Counts row = counts();
  EXPECT_EQ(row[CP_VERDICT_DUPLICATE], 1U);
  EXPECT_EQ(row[CP_VERDICT_TOO_OLD], 1U);
}

TEST_F(SocketFilterTest, a_train_goes_only_when_all_of_it_are_copies) {
  for (const size_t count : {size_t{2}, size_t{7}, size_t{64}}) {
    std::vector<Datagram> train;
    for (size_t i = 0; i < count; ++i)
      train.push_back(seen(i));
    const uint64_t before = session_row().duplicate;
    EXPECT_FALSE(queued(train)) << count;
    EXPECT_EQ(session_row().duplicate, before + count);
    for (const size_t place : {size_t{0}, count / 2, count - 1}) {
      auto mixed = train;
      mixed[place] = fresh();
      EXPECT_TRUE(queued(mixed)) << place << " of " << count;
    }
    auto shorter = train;
    shorter.back().resize(CP_DATA_HEADER_SIZE);
    EXPECT_FALSE(queued(shorter)) << count;
    shorter.back().resize(10);
    EXPECT_TRUE(queued(shorter)) << count;
    EXPECT_EQ(session_row().duplicate, before + 2 * count);
  }
}

TEST_F(SocketFilterTest, a_train_longer_than_it_looks_at_is_queued) {
  std::vector<Datagram> train;
  for (size_t i = 0; i < 65; ++i)
    train.push_back(seen(i));
  EXPECT_TRUE(queued(train));
}

TEST_F(SocketFilterTest, whatever_else_comes_is_queued) {
  EXPECT_TRUE(queued({data_packet(1, first, sid + 1, size)})) << "another session";
  EXPECT_TRUE(queued({seen(), data_packet(1, first, sid + 1, size)})) << "two sessions in one train";
  EXPECT_TRUE(queued({data_packet(lanes, first, sid, size)})) << "a lane that there is not";
  EXPECT_TRUE(queued({data_packet(CP_CONTROL_LANE, first, sid, size)})) << "the control lane";
  EXPECT_TRUE(queued({data_packet(1, CP_COUNTER_LIMIT, sid, size)})) << "a number beyond the limit";
  EXPECT_TRUE(queued({Datagram(216, CP_CONTROL_BIT | CP_TYPE_INITIATION)})) << "a handshake";
  EXPECT_TRUE(queued({Datagram(15)})) << "less than a header";
  EXPECT_TRUE(queued({Datagram()})) << "nothing at all";
  EXPECT_EQ(session_row().duplicate, 0U);
}

TEST_F(SocketFilterTest, a_device_that_is_no_uplink_has_no_early_drop) {
  program->erase_uplink(uplink_index);
  EXPECT_TRUE(queued({seen()}));
}

TEST_F(SocketFilterTest, it_writes_no_window) {
  const std::vector<uint64_t> before(program->windows().begin(), program->windows().end());
  (void)queued({fresh()});
  (void)queued({seen(), seen(1), fresh()});
  EXPECT_TRUE(std::ranges::equal(before, program->windows()));
}

}  // namespace
}  // namespace centipede::test
