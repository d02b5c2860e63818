// The Grafana dashboard in packaging/ asks for nothing that GET /v1/metrics does not have.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "api/metrics.h"
#include "fake_tunnel.h"

namespace centipede::api {
namespace {

using nlohmann::json;

// Each metric with the names of its labels.
std::map<std::string, std::set<std::string>> served() {
  const ApiCounters counters;
  const std::string text = metrics_text(full_status(), 0, counters);
  const std::regex sample(R"(^(centipede_\w+)\{(.*)\} \S+$)", std::regex::multiline);
  const std::regex label(R"re((\w+)="(?:[^"\\]|\\.)*")re");
  std::map<std::string, std::set<std::string>> metrics;
  for (std::sregex_iterator row(text.begin(), text.end(), sample), end; row != end; ++row) {
    const std::string labels = (*row)[2];
    for (std::sregex_iterator name(labels.begin(), labels.end(), label); name != end; ++name)
      metrics[(*row)[1]].insert((*name)[1]);
  }
  return metrics;
}

// Every query of the dashboard, wherever it stands.
void collect_queries(const json& part, std::vector<std::string>& queries) {
  for (const auto& [key, value] : part.items()) {
    if (value.is_string() && (key == "expr" || key == "query" || key == "definition")) queries.push_back(value);
    if (value.is_structured()) collect_queries(value, queries);
  }
}

TEST(Grafana, every_metric_and_label_that_the_dashboard_asks_for_is_served) {
  std::ifstream file(CENTIPEDE_SOURCE "/packaging/grafana/centipede.json");
  const json dashboard = json::parse(file, nullptr, false);
  ASSERT_TRUE(dashboard.is_object());
  std::vector<std::string> queries;
  collect_queries(dashboard, queries);
  const auto metrics = served();
  ASSERT_GT(metrics.size(), 20U);
  const std::regex asked(R"((centipede_\w+)(?:\{([^}]*)\})?)");
  const std::regex matcher(R"((\w+)\s*(?:=~|!=|!~|=))");
  std::set<std::string> found;
  const std::sregex_iterator end;
  for (const std::string& query : queries) {
    for (std::sregex_iterator use(query.begin(), query.end(), asked); use != end; ++use) {
      const std::string name = (*use)[1];
      const std::string labels = (*use)[2];
      ASSERT_TRUE(metrics.contains(name)) << name << " in " << query;
      found.insert(name);
      for (std::sregex_iterator label(labels.begin(), labels.end(), matcher); label != end; ++label)
        EXPECT_TRUE(metrics.at(name).contains((*label)[1])) << (*label)[1] << " in " << query;
    }
  }
  EXPECT_GT(found.size(), 15U) << "the dashboard shows something";
}

TEST(Grafana, its_panels_have_numbers_of_their_own_and_do_not_overlap) {
  std::ifstream file(CENTIPEDE_SOURCE "/packaging/grafana/centipede.json");
  const json dashboard = json::parse(file, nullptr, false);
  std::set<int> numbers;
  std::set<std::pair<int, int>> taken;
  for (const json& panel : dashboard["panels"]) {
    EXPECT_TRUE(numbers.insert(panel["id"].get<int>()).second);
    const json& place = panel["gridPos"];
    for (int x = place["x"]; x < place["x"].get<int>() + place["w"].get<int>(); ++x) {
      for (int y = place["y"]; y < place["y"].get<int>() + place["h"].get<int>(); ++y)
        EXPECT_TRUE(x < 24 && taken.emplace(x, y).second) << panel["title"];
    }
  }
}

}  // namespace
}  // namespace centipede::api
