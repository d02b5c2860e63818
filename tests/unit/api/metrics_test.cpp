// The metrics: held to Prometheus's text format 0.0.4 by a reader of our own, which knows nothing of the writer.
#include "api/metrics.h"

#include <gmock/gmock.h>

#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "../control/network.h"
#include "api/prometheus_text.h"
#include "api_fixture.h"

namespace centipede::api {
namespace {

using testing::HasSubstr;

struct Family {
  std::string type;
  bool has_help = false;
  std::map<std::string, double> samples;  // by the labels, as they stand
};

// What `promtool check metrics` would find fault with; nothing when all is well.
class FormatReader {
 public:
  explicit FormatReader(const std::string& text) {
    if (!text.ends_with('\n')) complain("the last line has no end");
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line) && problem.empty();)
      read(line);
    for (const auto& [name, family] : families)
      if (family.type.empty() || !family.has_help) complain(name + " has no TYPE or no HELP");
  }
  std::map<std::string, Family> families;
  std::string problem;

 private:
  void complain(const std::string& what) {
    if (problem.empty()) problem = what;
  }
  // Lines of one family stand together.
  Family& family(const std::string& name) {
    if (name != current_ && families.contains(name)) complain(name + " comes in two places");
    current_ = name;
    return families[name];
  }
  void read(const std::string& line) {
    static const std::regex help(R"(# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+))");
    static const std::regex type(R"(# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge))");
    static const std::regex sample(R"(([a-zA-Z_:][a-zA-Z0-9_:]*)\{(.*)\} (\S+))");
    std::smatch found;
    if (std::regex_match(line, found, help)) {
      if (std::exchange(family(found[1]).has_help, true)) complain("two HELP lines: " + line);
    } else if (std::regex_match(line, found, type)) {
      Family& of = family(found[1]);
      if (!of.type.empty() || !of.samples.empty()) complain("TYPE twice or late: " + line);
      of.type = found[2];
    } else if (std::regex_match(line, found, sample)) {
      check_labels(found[2], line);
      size_t used = 0;
      const double value = std::stod(found[3], &used);
      if (used != found[3].str().size()) complain("no number: " + line);
      if (!family(found[1]).samples.emplace(found[2], value).second) complain("twice: " + line);
      if (families[found[1]].type.empty()) complain("before its TYPE: " + line);
    } else {
      complain("not understood: " + line);
    }
  }
  void check_labels(std::string labels, const std::string& line) {
    static const std::regex label(R"re(^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(,|$))re");
    std::set<std::string> names;
    std::smatch found;
    while (!labels.empty()) {
      if (!std::regex_search(labels, found, label)) return complain("bad labels: " + line);
      if (!names.insert(found[1]).second) complain("a label twice: " + line);
      const bool last = found[3].length() == 0;
      labels = found.suffix();
      if (last && !labels.empty()) complain("bad labels: " + line);
    }
  }
  std::string current_;
};

FormatReader metrics_of(const TunnelStatus& status) {
  const ApiCounters counters;
  return FormatReader(metrics_text(status, 77, counters));
}

TEST(Metrics, are_in_the_text_format) {
  const FormatReader read = metrics_of(full_status());
  EXPECT_EQ(read.problem, "");
  EXPECT_GT(read.families.size(), 30U);
}

TEST(Metrics, are_named_as_the_conventions_ask) {
  for (const auto& [name, family] : metrics_of(full_status()).families) {
    EXPECT_TRUE(name.starts_with("centipede_")) << name;
    EXPECT_EQ(family.type == "counter", name.ends_with("_total")) << name;
    for (const char* unit : {"_ms", "_us", "_kb", "_bits", "percent"})
      EXPECT_EQ(name.find(unit), std::string::npos) << name << " has no base unit";
    for (const auto& [labels, value] : family.samples)
      EXPECT_TRUE(labels.starts_with("interface=\"cp0\"")) << name << labels;
  }
}

TEST(Metrics, say_what_each_path_is_worth) {
  const auto families = metrics_of(full_status()).families;
  const control::PathStatus path = full_status().peers[0].paths[0];
  const std::string labels =
      R"(interface="cp0",peer="office",uplink="eth0",local="192.0.2.1",remote="203.0.113.5:5820")";
  const auto value = [&](const std::string& name, const std::string& more = "") {
    const auto& samples = families.at(name).samples;
    const auto found = samples.find(labels + more);
    return found == samples.end() ? -1.0 : found->second;
  };
  EXPECT_EQ(value("centipede_path_first_packets_total"), static_cast<double>(path.first_packets));
  EXPECT_EQ(value("centipede_path_first_bytes_total"), static_cast<double>(path.first_bytes));
  EXPECT_EQ(value("centipede_path_only_here_packets"), static_cast<double>(path.only_here));
  EXPECT_EQ(value("centipede_path_sent_packets_total"), static_cast<double>(path.sent_packets));
  EXPECT_EQ(value("centipede_path_sent_bytes_total"), static_cast<double>(path.sent_bytes));
  EXPECT_EQ(value("centipede_path_send_errors_total"), static_cast<double>(path.send_errors));
  EXPECT_EQ(value("centipede_path_duplicate_packets_total", R"(,stage="early")"),
            static_cast<double>(path.duplicates_early));
  EXPECT_EQ(value("centipede_path_duplicate_packets_total", R"(,stage="worker")"),
            static_cast<double>(path.duplicates_worker));
  EXPECT_EQ(value("centipede_path_late_seconds"), 0.002345);
  EXPECT_EQ(value("centipede_path_rtt_seconds"), 0.012345);
  EXPECT_EQ(value("centipede_path_loss_ratio", R"(,direction="in")"), 0.25);
  EXPECT_EQ(value("centipede_path_loss_ratio", R"(,direction="out")"), 0.0);
  EXPECT_EQ(value("centipede_path_state", R"(,state="active")"), 1);
  EXPECT_EQ(value("centipede_path_state", R"(,state="down")"), 0);
  EXPECT_EQ(value("centipede_path_sending"), 1);
  // What is not known has no sample: the other path.
  EXPECT_EQ(families.at("centipede_path_rtt_seconds").samples.size(), 1U);
  EXPECT_EQ(families.at("centipede_path_sending").samples.size(), 2U);
}

// Prometheus takes every fall of a counter for a restart, and rate() invents packets.
TEST(Metrics, what_is_called_a_counter_never_falls) {
  control::test::Network network;
  for (size_t host = 0; host < 2; ++host) {
    network.add_host();
    for (control::UplinkId link = 1; link <= 3; ++link)
      network.set_uplink(host, link, {"10." + std::to_string(link) + ".0." + std::to_string(host + 1)});
  }
  using control::test::at;
  network.on_packet = control::test::same_link;
  network.add_peer(1, 0, {});
  network.add_peer(0, 1, {at("10.1.0.2"), at("10.2.0.2"), at("10.3.0.2")});
  network.run_for(seconds(2));
  const auto paths = network.peer(0)->send_paths;
  ASSERT_EQ(paths.size(), 3U);
  const auto scrape = [&] {
    TunnelStatus status;
    status.peers = {network.status(0)};
    return metrics_of(status).families;
  };
  const auto only_here = [](const auto& families) {
    double most = 0;
    for (const auto& [labels, value] : families.at("centipede_path_only_here_packets").samples)
      most = std::max(most, value);
    return most;
  };
  // The first path's packets are there before their copies.
  control::add_relaxed(paths[0].counters->row(0).first_packets, 100);
  const auto before = scrape();
  EXPECT_EQ(only_here(before), 100);
  control::add_relaxed(paths[1].counters->row(0).duplicate_packets, 100);
  paths[2].counters->dropped_early.store(70);
  const auto after = scrape();
  EXPECT_EQ(only_here(after), 0);
  for (const auto& [name, family] : before) {
    if (family.type != "counter") continue;
    for (const auto& [labels, value] : family.samples)
      EXPECT_GE(after.at(name).samples.at(labels), value) << name << labels;
  }
  // A path that goes takes back nothing that it has shown of the others.
  network.remove_uplink(0, paths[1].uplink);
  ASSERT_EQ(std::ranges::count(network.status(0).paths, paths[1].id, &control::PathStatus::id), 0);
  EXPECT_EQ(only_here(scrape()), 0);
}

TEST(Metrics, every_counter_of_the_status_is_there) {
  const auto families = metrics_of(full_status()).families;
  EXPECT_EQ(families.at("centipede_control_datagrams_total").samples.size(), control_counters.size());
  EXPECT_EQ(families.at("centipede_data_packets_total").samples.size(), 2 * worker_counters.size());
  EXPECT_EQ(families.at("centipede_uplink_xdp_packets_total").samples.size(), 2 * xdp_counters.size());
  EXPECT_EQ(families.at("centipede_events_total").samples.begin()->second, 77);
  EXPECT_EQ(families.at("centipede_windows_shrunk_total").samples.begin()->second, 4000);
  EXPECT_EQ(families.at("centipede_sessions_waiting").samples.begin()->second, 5000);
  EXPECT_EQ(families.at("centipede_peer_up").samples.at(R"(interface="cp0",peer="office")"), 1);
  EXPECT_EQ(families.at("centipede_peer_up").samples.at(R"(interface="cp0",peer="phone")"), 0);
}

TEST(Metrics, names_of_any_kind_are_escaped) {
  TunnelStatus status = full_status();
  status.peers[0].name = "a\"} 1\n\\ <b>";
  const FormatReader read = metrics_of(status);
  EXPECT_EQ(read.problem, "");
  EXPECT_TRUE(read.families.at("centipede_peer_up").samples.contains(R"(interface="cp0",peer="a\"} 1\n\\ <b>")"));
}

TEST(Metrics, without_peers_there_are_no_empty_families) {
  TunnelStatus status = full_status();
  status.peers.clear();
  const FormatReader read = metrics_of(status);
  EXPECT_EQ(read.problem, "");
  EXPECT_FALSE(read.families.contains("centipede_peer_up"));
}

TEST(Metrics, the_reader_of_this_test_sees_mistakes) {
  const std::string good = "# HELP a_total Text.\n# TYPE a_total counter\na_total{x=\"1\"} 1\n";
  EXPECT_EQ(FormatReader(good).problem, "");
  for (const char* bad :
       {"a_total{x=\"1\"} 1\n", "# HELP a b\n# TYPE a counter\na{x=\"1\"} 1\na{x=\"1\"} 2\n",
        "# HELP a b\n# TYPE a counter\na{x=\"1\",x=\"2\"} 1\n", "# HELP a b\n# TYPE a counter\na{x=\"\"\"} 1\n",
        "# HELP a b\n# TYPE a counter\na{} one\n", "# HELP a b\n# TYPE a counter\na{} 1", "# HELP a b\n",
        "# HELP a b\n# TYPE a gauge\na{} 1\n# HELP b b\n# TYPE b gauge\na{y=\"\"} 1\n"}) {
    std::string problem;
    try {
      problem = FormatReader(bad).problem;
    } catch (const std::exception& error) {
      problem = error.what();
    }
    EXPECT_NE(problem, "") << bad;
  }
}

using MetricsResource = ApiTest;
TEST_F(MetricsResource, is_plain_text) {
  const ApiAnswer answer = ask("GET", "/v1/metrics");
  EXPECT_EQ(answer.content_type, "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_THAT(answer.body, HasSubstr("# TYPE centipede_path_rtt_seconds gauge\n"));
}

}  // namespace
}  // namespace centipede::api
