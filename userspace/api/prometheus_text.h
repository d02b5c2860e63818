// Metrics in Prometheus's text format, version 0.0.4: families of samples, each with HELP and TYPE.
// Threading: plain value.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace centipede::api {

class PrometheusText {
 public:
  using Labels = std::vector<std::pair<std::string_view, std::string>>;
  enum class Type : uint8_t { counter, gauge };

  // `always`: labels of every sample.
  explicit PrometheusText(const Labels& always) : always_(joined(always)) {}

  // Samples belong to the family begun last. One without samples is left out.
  void family(std::string_view name, Type type, std::string_view help);
  void sample(const Labels& labels, uint64_t value);
  void sample(const Labels& labels, double value);
  void sample(const Labels& labels, const std::optional<double>& value);  // none: no sample

  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  static std::string joined(const Labels& labels);
  void add(const Labels& labels, std::string_view value);

  std::string always_;
  std::string name_;
  std::string header_;  // of the family, until its first sample
  std::string text_;
};

}  // namespace centipede::api
