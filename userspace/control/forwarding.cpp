#include "control/forwarding.h"

#include <algorithm>

namespace centipede::control {

void PeerTable::set(PeerId id, Row row) {
  // Of peers that have come and gone only their place remains.
  static const auto empty = std::make_shared<const Page>();
  size_ = std::max(size_, size_t{id} + 1);
  if (id / page_rows >= pages_.size()) pages_.resize(id / page_rows + 1, empty);
  auto& page = pages_[id / page_rows];
  auto changed = std::make_shared<Page>(*page);
  (*changed)[id % page_rows] = std::move(row);
  page = std::ranges::all_of(*changed, [](const Row& one) { return one == nullptr; }) ? empty : std::move(changed);
}

}  // namespace centipede::control
