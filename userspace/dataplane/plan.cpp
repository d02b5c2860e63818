#include "dataplane/plan.h"

#include <bit>
#include <utility>

namespace centipede {

SessionTable::SessionTable(const std::vector<ReceiveEntry>& entries) {
  for (const ReceiveEntry& entry : entries)
    insert(entry);
}

void SessionTable::insert(ReceiveEntry entry) {
  Shard& shard = shards_[shard_of(entry.sid)];
  std::vector<ReceiveEntry> entries = entries_of(shard);
  entries.push_back(std::move(entry));
  shard = made_of(std::move(entries));
  ++size_;
}

void SessionTable::erase(wire::SessionId sid) {
  Shard& shard = shards_[shard_of(sid)];
  std::vector<ReceiveEntry> entries = entries_of(shard);
  size_ -= std::erase_if(entries, [sid](const ReceiveEntry& entry) { return entry.sid == sid; });
  shard = made_of(std::move(entries));
}

std::vector<ReceiveEntry> SessionTable::entries_of(const Shard& shard) {
  std::vector<ReceiveEntry> entries;
  if (!shard) return entries;
  for (const ReceiveEntry& entry : *shard)
    if (entry.sid != 0) entries.push_back(entry);
  return entries;
}

SessionTable::Shard SessionTable::made_of(std::vector<ReceiveEntry> entries) {
  if (entries.empty()) return nullptr;
  auto slots = std::make_shared<Slots>(std::bit_ceil(entries.size() * 2));
  for (ReceiveEntry& entry : entries) {
    size_t slot = entry.sid & (slots->size() - 1);
    while ((*slots)[slot].sid != 0)
      slot = (slot + 1) & (slots->size() - 1);
    (*slots)[slot] = std::move(entry);
  }
  return slots;
}

}  // namespace centipede
