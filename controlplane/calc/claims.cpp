#include "controlplane/calc/claims.hpp"

#include <algorithm>
#include <string_view>
#include <tuple>

namespace fairlead::control {

size_t ClaimIndex::Hash::operator()(const ClaimKey& key) const {
  const std::string_view bytes(reinterpret_cast<const char*>(key.address.bytes.data()),
                               key.address.bytes.size());
  const size_t rest = static_cast<size_t>(key.port) << 16 | static_cast<size_t>(key.protocol) << 8 |
                      static_cast<size_t>(key.address.family);
  return std::hash<std::string_view>{}(bytes) ^ rest * 0x9e3779b97f4a7c15;
}

bool ClaimIndex::is_stronger(const Row& a, const Row& b) {
  return std::tie(a.rank, a.claimant->created, a.claimant->key) <
         std::tie(b.rank, b.claimant->created, b.claimant->key);
}

void ClaimIndex::add(const ClaimKey& key, uint8_t rank, const Claimant& claimant) {
  std::vector<Row>& rows = rows_[key];
  const Row row{rank, &claimant};
  rows.insert(std::upper_bound(rows.begin(), rows.end(), row, is_stronger), row);
}

void ClaimIndex::remove(const ClaimKey& key, const Claimant& claimant) {
  const auto at = rows_.find(key);
  if (at == rows_.end()) return;
  std::erase_if(at->second, [&](const Row& row) { return row.claimant == &claimant; });
  if (at->second.empty()) rows_.erase(at);
}

const Claimant* ClaimIndex::winner(const ClaimKey& key) const {
  const auto at = rows_.find(key);
  return at == rows_.end() ? nullptr : at->second.front().claimant;
}

void ClaimIndex::each(const ClaimKey& key, const std::function<void(const Claimant&)>& each) const {
  const auto at = rows_.find(key);
  if (at == rows_.end()) return;
  for (const Row& row : at->second) each(*row.claimant);
}

}  // namespace fairlead::control
