// A recorded link in the packet-delivery format of Mahimahi (Netravali et al., USENIX ATC 2015): a text of
// milliseconds, one a line, never decreasing; each is an opportunity to deliver 1,504 bytes. After the last line the
// trace starts again, its zero being that last timestamp. Immutable after parsing and so shared freely.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace centipede::emulator {

class DeliveryTrace {
 public:
  static constexpr size_t opportunity_bytes = 1504;

  // Errors name the line.
  [[nodiscard]] static Result<DeliveryTrace> parse(std::string_view text);

  // Time of opportunity `index` (counted over all rounds) after the start of the trace.
  [[nodiscard]] Duration opportunity(uint64_t index) const;
  // The first opportunity at or after `elapsed`.
  [[nodiscard]] uint64_t first_at(Duration elapsed) const;

 private:
  explicit DeliveryTrace(std::vector<uint64_t> times) : times_ms_(std::move(times)) {}

  std::vector<uint64_t> times_ms_;
};

}  // namespace centipede::emulator
