#include "dataplane/plan.h"

#include <bit>
#include <utility>

namespace centipede {

SessionTable::SessionTable(std::vector<ReceiveEntry> entries) : entries_(std::move(entries)) {
  if (entries_.empty()) return;
  slots_.assign(std::bit_ceil(entries_.size() * 2), empty);
  for (uint32_t index = 0; index < entries_.size(); ++index) {
    size_t slot = entries_[index].sid & (slots_.size() - 1);
    while (slots_[slot] != empty)
      slot = (slot + 1) & (slots_.size() - 1);
    slots_[slot] = index;
  }
}

}  // namespace centipede
