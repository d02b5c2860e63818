#include "dataplane/receive_mode.h"

#include <gtest/gtest.h>

namespace centipede {
namespace {

struct Row {
  ReceiveMode mode;
  bool hardware;
  bool try_xdp;
  bool has_reason;
};

TEST(ReceiveMode, auto_tries_xdp_on_hardware_alone_and_says_so_on_software) {
  for (const Row& row :
       {Row{ReceiveMode::automatic, true, true, false}, Row{ReceiveMode::automatic, false, false, true},
        Row{ReceiveMode::xdp, true, true, false}, Row{ReceiveMode::xdp, false, true, false},
        Row{ReceiveMode::udp, true, false, false}, Row{ReceiveMode::udp, false, false, false}}) {
    const ReceiveChoice choice = choose_receive(row.mode, row.hardware);
    const std::string what =
        "mode " + std::to_string(static_cast<int>(row.mode)) + (row.hardware ? ", hardware" : ", software");
    EXPECT_EQ(choice.try_xdp, row.try_xdp) << what;
    EXPECT_EQ(!choice.reason.empty(), row.has_reason) << what;
  }
  EXPECT_NE(choose_receive(ReceiveMode::automatic, false).reason.find("software"), std::string_view::npos);
}

}  // namespace
}  // namespace centipede
