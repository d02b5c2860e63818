// What is under /sys/fs/bpf/centipede, and what a killed daemon leaves there.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "dataplane/bpffs.h"
#include "live_fixture.h"

namespace centipede::test {
namespace {

namespace fs = std::filesystem;

const XdpSettings small{.tunnel = "cp7", .window_words = 64, .max_sessions = 4, .xsk_slots = 4};
const fs::path pins = "/sys/fs/bpf/centipede/cp7";

class PinsTest : public LiveTest {};

TEST_F(PinsTest, maps_are_pinned_by_name_and_gone_with_the_program) {
  {
    const auto loaded = XdpProgram::load(small);
    ASSERT_TRUE(loaded) << loaded.error().text;
    EXPECT_EQ((*loaded)->pin_directory(), pins);
    EXPECT_EQ((*loaded)->pin_problem(), "");
    for (const char* name : {"uplinks", "addresses", "sessions", "windows", "xsks", "counters", "session_counters",
                             "calls", "sources", "unproven"})
      EXPECT_TRUE(fs::exists(pins / name)) << name;
    EXPECT_FALSE(fs::exists(pins / "shield")) << "it holds secrets";
  }
  EXPECT_FALSE(fs::exists(pins));
}

TEST_F(PinsTest, bpftool_prints_named_fields) {
  const auto loaded = XdpProgram::load(small);
  ASSERT_TRUE(loaded) << loaded.error().text;
  const cp_session session{.peer = 42, .first_word = 0, .lanes = 1, .words = 64, .counter_slot = 3};
  ASSERT_TRUE((*loaded)->put_session(sid, session));
  const fs::path dump = fs::temp_directory_path() / ("centipede-dump-" + std::to_string(getpid()));
  const auto printed = [&](const char* map) {
    const std::string command =
        "PATH=$PATH:/usr/sbin bpftool map dump pinned " + (pins / map).string() + " > " + dump.string();
    EXPECT_EQ(std::system(command.c_str()), 0);
    std::ifstream file(dump);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  ASSERT_TRUE((*loaded)->set_addresses(own_addresses()));
  (*loaded)->put_uplink(3, uplink_entry(77));
  EXPECT_NE(printed("uplinks").find("\"ifindex\": 77"), std::string::npos);
  EXPECT_NE(printed("addresses").find("\"bytes\""), std::string::npos);
  EXPECT_NE(printed("sessions").find("\"peer\": 42"), std::string::npos);
  EXPECT_NE(printed("counters").find("\"unknown_session\": 0"), std::string::npos);
  EXPECT_NE(printed("windows").find("\"generation\": 0"), std::string::npos);
  EXPECT_NE(printed("session_counters").find("\"too_old\": 0"), std::string::npos);
  fs::remove(dump);
}

TEST_F(PinsTest, without_bpffs_the_program_works_unpinned_and_says_why) {
  // A read-only /sys in which nothing can be mounted: the mount point itself is missing.
  ASSERT_EQ(mount("tmpfs", "/sys/fs", "tmpfs", 0, nullptr), 0);
  const auto loaded = XdpProgram::load(small);
  EXPECT_EQ(umount2("/sys/fs", MNT_DETACH), 0);
  ASSERT_TRUE(loaded) << loaded.error().text;
  EXPECT_EQ((*loaded)->pin_directory(), "");
  EXPECT_NE((*loaded)->pin_problem().find("mounting bpffs"), std::string::npos) << (*loaded)->pin_problem();
  auto attached = (*loaded)->attach(wire->ifindex());
  EXPECT_TRUE(attached) << attached.error().text;
}

TEST_F(PinsTest, a_tunnel_name_cannot_escape_its_directory) {
  for (const char* name : {"", "..", ".", "a/b"})
    EXPECT_FALSE(remove_leftovers(name)) << name;
  EXPECT_TRUE(remove_leftovers("never-existed"));
}

TEST_F(PinsTest, sizes_of_zero_are_an_error) {
  const auto loaded = XdpProgram::load({.tunnel = "cp7", .window_words = 0, .max_sessions = 1, .xsk_slots = 1});
  ASSERT_FALSE(loaded);
  EXPECT_NE(loaded.error().text.find("windows"), std::string::npos) << loaded.error().text;
}

// A daemon that attaches, says so, and waits for its death.
pid_t start_daemon(unsigned ifindex, int ready) {
  const pid_t child = fork();
  if (child != 0) return child;
  const auto loaded = XdpProgram::load(small);
  if (!loaded) _exit(1);
  const auto attached = (*loaded)->attach(ifindex);
  if (!attached || write(ready, "x", 1) != 1) _exit(2);
  for (;;)
    pause();
}

TEST_F(PinsTest, after_kill_9_the_next_daemon_starts_at_once_and_finds_nothing_in_its_way) {
  for (int round = 0; round < 5; ++round) {
    std::array<int, 2> ready{};
    ASSERT_EQ(pipe(ready.data()), 0);
    const FileDescriptor reader(ready[0]);
    FileDescriptor writer(ready[1]);
    const pid_t child = start_daemon(wire->ifindex(), writer.get());
    writer.reset();
    char byte = 0;
    ASSERT_EQ(read(reader.get(), &byte, 1), 1) << "the child attached";
    ASSERT_EQ(kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(fs::exists(pins / "sessions")) << "the leftovers this test is about";

    const auto loaded = XdpProgram::load(small);
    ASSERT_TRUE(loaded) << loaded.error().text;
    EXPECT_EQ((*loaded)->pin_problem(), "");
    const auto attached = (*loaded)->attach(wire->ifindex());
    ASSERT_TRUE(attached) << attached.error().text;
  }
  EXPECT_FALSE(fs::exists(pins));
  uint32_t left = 0;
  EXPECT_EQ(bpf_xdp_query_id(static_cast<int>(wire->ifindex()), 0, &left), 0);
  EXPECT_EQ(left, 0U) << "a program of one of the killed ones is still on the device";
}

TEST_F(PinsTest, removing_one_tunnels_leftovers_leaves_another_alone) {
  const auto live = XdpProgram::load(small);
  ASSERT_TRUE(live) << live.error().text;
  const auto attached = (*live)->attach(wire->ifindex());
  ASSERT_TRUE(attached) << attached.error().text;
  ASSERT_TRUE(remove_leftovers("cp8"));
  EXPECT_TRUE(fs::exists(pins / "sessions"));
  EXPECT_TRUE(attached->attached());
}

TEST_F(PinsTest, a_program_whose_pins_were_taken_over_does_not_remove_its_successors) {
  auto first = XdpProgram::load(small);
  ASSERT_TRUE(first) << first.error().text;
  const auto second = XdpProgram::load(small);
  ASSERT_TRUE(second) << second.error().text;
  first->reset();
  EXPECT_TRUE(fs::exists(pins / "sessions"));
}

}  // namespace
}  // namespace centipede::test
