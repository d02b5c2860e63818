#include "api/prometheus_text.h"

#include <array>
#include <charconv>

namespace centipede::api {
namespace {

std::string escaped(std::string_view text, bool quotes) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && quotes) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

std::string PrometheusText::joined(const Labels& labels) {
  std::string out;
  for (const auto& [name, value] : labels)
    out += (out.empty() ? "" : ",") + std::string(name) + "=\"" + escaped(value, true) + '"';
  return out;
}

void PrometheusText::family(std::string_view name, Type type, std::string_view help) {
  name_ = name;
  header_ = "# HELP " + name_ + ' ' + escaped(help, false) + "\n# TYPE " + name_ +
            (type == Type::counter ? " counter\n" : " gauge\n");
}

void PrometheusText::add(const Labels& labels, std::string_view value) {
  text_ += std::exchange(header_, {});
  text_ += name_;
  text_ += '{';
  text_ += always_;
  if (!always_.empty() && !labels.empty()) text_ += ',';
  text_ += joined(labels);
  text_ += "} ";
  text_ += value;
  text_ += '\n';
}

void PrometheusText::sample(const Labels& labels, uint64_t value) {
  add(labels, std::to_string(value));
}

void PrometheusText::sample(const Labels& labels, double value) {
  std::array<char, 32> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  add(labels, {digits.data(), static_cast<size_t>(end - digits.data())});
}

void PrometheusText::sample(const Labels& labels, const std::optional<double>& value) {
  if (value) sample(labels, *value);
}

}  // namespace centipede::api
