#include "control/forwarding.h"

#include <algorithm>

namespace centipede::control {

void PeerTable::set(PeerId id, Row row) {
  size_ = std::max(size_, size_t{id} + 1);
  if (id / page_rows >= pages_.size()) pages_.resize(id / page_rows + 1, std::make_shared<const Page>());
  auto& page = pages_[id / page_rows];
  auto changed = std::make_shared<Page>(*page);
  (*changed)[id % page_rows] = std::move(row);
  page = std::move(changed);
}

}  // namespace centipede::control
