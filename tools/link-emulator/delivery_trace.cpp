#include "link-emulator/delivery_trace.h"

#include <algorithm>
#include <charconv>
#include <string>

namespace centipede::emulator {
namespace {

constexpr uint64_t longest_ms = 7ULL * 24 * 3600 * 1000;

std::string_view without_line_end(std::string_view line) {
  while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '\t'))
    line.remove_suffix(1);
  return line;
}

}  // namespace

Result<DeliveryTrace> DeliveryTrace::parse(std::string_view text) {
  std::vector<uint64_t> times;
  size_t line_number = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = without_line_end(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    ++line_number;
    if (line.empty()) continue;
    uint64_t time = 0;
    const auto [rest, error] = std::from_chars(line.data(), line.data() + line.size(), time);
    const std::string where = "trace line " + std::to_string(line_number) + ": ";
    if (error != std::errc{} || rest != line.data() + line.size() || time > longest_ms)
      return fail(where + "not a time in milliseconds up to one week");
    if (!times.empty() && time < times.back()) return fail(where + "earlier than the line before");
    times.push_back(time);
  }
  if (times.empty()) return fail("trace: no delivery opportunity in it");
  if (times.back() == 0) return fail("trace: the last timestamp, which is the length of a round, must not be 0");
  return DeliveryTrace(std::move(times));
}

Duration DeliveryTrace::opportunity(uint64_t index) const {
  const uint64_t round = index / times_ms_.size();
  return milliseconds(static_cast<int64_t>(round * times_ms_.back() + times_ms_[index % times_ms_.size()]));
}

uint64_t DeliveryTrace::first_at(Duration elapsed) const {
  if (elapsed <= Duration::zero()) return 0;
  const auto elapsed_ms = static_cast<uint64_t>(std::chrono::ceil<milliseconds>(elapsed).count());
  // The end of a round and time 0 of the next coincide; the earlier opportunities come first.
  const uint64_t round = (elapsed_ms - 1) / times_ms_.back();
  const uint64_t within = elapsed_ms - round * times_ms_.back();
  const auto found = std::ranges::lower_bound(times_ms_, within);
  return round * times_ms_.size() + static_cast<uint64_t>(found - times_ms_.begin());
}

}  // namespace centipede::emulator
