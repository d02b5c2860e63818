// What a verdict costs. Printed, not judged: it depends on the machine.
#include "shield_fixture.h"

namespace centipede::test {
namespace {

class CostTest : public ShieldTest {
 protected:
  void print_cost(const char* what, std::span<const uint8_t> frame) {
    uint32_t ns = 0;
    EXPECT_GE(run(frame, 1'000'000, &ns), 0);
    std::printf("%-26s %u ns\n", what, ns);
    RecordProperty(what, static_cast<int>(ns));
  }

  Frame with_wrong_mac1() const {
    Message message = initiation(shield, 7);
    ++message[20];
    return build({.payload = message});
  }

  uint64_t single_runs(const Frame& frame, int action) {
    constexpr uint64_t runs = 20'000;
    const uint64_t before = run_time();
    for (uint64_t i = 0; i < runs; ++i)
      EXPECT_EQ(run(frame), action);
    return (run_time() - before) / runs;
  }

 private:
  uint64_t run_time() const {
    bpf_prog_info info{};
    uint32_t size = sizeof info;
    EXPECT_EQ(bpf_obj_get_info_by_fd(program->program_fd(), &info, &size), 0);
    return info.run_time_ns;
  }
};

// What BPF_PROG_TEST_RUN itself costs a run.
int run_empty_program(std::span<const uint8_t> frame, int repeat, uint32_t* ns) {
  const std::array<bpf_insn, 2> code{
      {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = XDP_PASS},
       {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}}};
  const FileDescriptor fd(bpf_prog_load(BPF_PROG_TYPE_XDP, "pass", "GPL", code.data(), code.size(), nullptr));
  LIBBPF_OPTS(bpf_test_run_opts, options);
  options.data_in = frame.data();
  options.data_size_in = static_cast<uint32_t>(frame.size());
  options.repeat = repeat;
  if (const int error = bpf_prog_test_run_opts(fd.get(), &options); error != 0) return error;
  *ns = options.duration;
  return static_cast<int>(options.retval);
}

TEST_F(CostTest, nanoseconds_per_verdict_are_printed) {
  lane_window(0)[0] = window_word(0, 1U << 5);
  const std::vector<std::pair<const char*, Frame>> cases{
      {"foreign, TCP", build({.protocol = 6, .payload = data_packet(0, 5, sid)})},
      {"foreign, other port", build({.port = 53, .payload = data_packet(0, 5, sid)})},
      {"duplicate", data_frame(0, 5)},
      {"no socket", data_frame(0, 6)},
      {"duplicate, IPv6", build({.family = 6, .payload = data_packet(0, 5, sid)})},
      {"unknown session", data_frame(0, 5, sid + 1)},
      {"uncalled", build({.payload = response(shield, 7)})},
      {"bad mac1", with_wrong_mac1()},
      {"valid mac1 and mac2", proven({}, shield.current)},
      {"mac2 of the secret before", proven({}, 1 - shield.current)},
  };
  uint32_t empty = 0;
  EXPECT_EQ(run_empty_program(cases.front().second, 1'000'000, &empty), XDP_PASS);
  std::printf("%-26s %u ns\n", "a program that passes", empty);
  for (const auto& [what, frame] : cases)
    print_cost(what, frame);
  shield.unproven = without_limit;
  put_shield();
  print_cost("mac2 that proves nothing", build({.payload = initiation(shield, 7)}));
}

// Each of them turns the frame into something else, so they cannot be repeated; single runs, by the kernel's account.
TEST_F(CostTest, nanoseconds_of_a_challenge_are_printed) {
  const FileDescriptor statistics(bpf_enable_stats(BPF_STATS_RUN_TIME));
  ASSERT_TRUE(statistics);
  const uint64_t bad = single_runs(with_wrong_mac1(), XDP_DROP);
  const uint64_t challenged = single_runs(build({.payload = initiation(shield, 7)}), XDP_TX);
  std::printf("%-26s %lu ns, of which up to mac1 %lu ns\n", "challenged, in single runs", challenged, bad);
  RecordProperty("challenged", static_cast<int>(challenged));
}

}  // namespace
}  // namespace centipede::test
