#include "dataplane/core/snapshot_builder.hpp"

#include <algorithm>

// The next hop part of SnapshotBuilder: numbers, templates and their generations.

namespace fairlead::core {

uint32_t SnapshotBuilder::add_next_hop(Definition definition) {
  uint32_t index = static_cast<uint32_t>(definitions_.size());
  if (!free_next_hops_.empty()) {
    index = free_next_hops_.back();
    free_next_hops_.pop_back();
    definitions_[index] = std::move(definition);
  } else {
    definitions_.push_back(std::move(definition));
  }
  refresh(index, true);
  return index;
}

void SnapshotBuilder::remove_next_hop(uint32_t index) {
  Definition& definition = definitions_[index];
  if (definition.kind == NextHopKind::kNeighbour) next_.neighbours.erase(definition.neighbour);
  for (uint32_t id : definition.templates) {
    // The number may be used again; its generations go on from here, so flows of today never match it.
    Template gone;
    gone.generation = next_generation(next_.template_of(id).generation);
    next_.templates.set(id, gone);
    free_templates_.push_back(id);
  }
  depend(index, {});
  definition = Definition{};
  next_.next_hops.reset(index);
  free_next_hops_.push_back(index);
}

uint16_t SnapshotBuilder::next_generation(uint16_t generation) {
  return generation == UINT16_MAX ? 1 : static_cast<uint16_t>(generation + 1);
}

uint32_t SnapshotBuilder::new_template() {
  if (!free_templates_.empty()) {
    const uint32_t id = free_templates_.back();
    free_templates_.pop_back();
    return id;
  }
  return templates_used_ < decltype(next_.templates)::kCapacity ? templates_used_++ : 0;
}

void SnapshotBuilder::refresh(uint32_t index, bool judge_anew) {
  Definition& definition = definitions_[index];
  if (definition.kind == NextHopKind::kNone) return;
  const std::vector<Plan> plans = plan(definition);

  NextHop next_hop;
  next_hop.kind = definition.kind;
  next_hop.id = definition.id;
  std::set<NeighbourKey> needs;
  size_t used = 0;  // templates
  uint32_t weights = 0;
  for (const Plan& path : plans) weights += path.weight;
  for (const Plan& path : plans) {
    Path to;
    to.on_link_port = path.on_link_port;
    if (path.on_link_port == 0) {
      if (used == definition.templates.size()) {
        const uint32_t id = new_template();
        if (id == 0) break;  // full: the paths found so far carry the traffic
        definition.templates.push_back(id);
      }
      to.template_id = definition.templates[used++];
      Template content = path.content;
      content.owner = index;
      if (path.needs) needs.insert(*path.needs);
      if (content.kind == TemplateKind::kUnresolved) content.next_hop = adjacency(*path.needs, index);
      const Template& now = next_.template_of(to.template_id);
      content.generation =
          judge_anew || !now.same_fate(content) ? next_generation(now.generation) : now.generation;
      if (content.generation != now.generation || now.owner != content.owner) {
        next_.templates.set(to.template_id, content);
      }
    }
    // Few and small weights are exact; others become their share of kPathsMax, at least one.
    const uint32_t share =
        weights <= NextHop::kPathsMax ? path.weight : path.weight * NextHop::kPathsMax / weights;
    for (uint32_t copy = 0; copy < std::max(share, 1u) && next_hop.path_count < NextHop::kPathsMax; ++copy) {
      next_hop.paths[next_hop.path_count++] = to;
    }
  }
  while (definition.templates.size() > used) {
    const uint32_t id = definition.templates.back();
    Template gone;
    gone.generation = next_generation(next_.template_of(id).generation);
    next_.templates.set(id, gone);
    free_templates_.push_back(id);
    definition.templates.pop_back();
  }
  depend(index, std::move(needs));
  next_.next_hops.set(index, next_hop);
  if (definition.kind == NextHopKind::kNeighbour && used != 0) {
    next_.neighbours.set(definition.neighbour, definition.templates[0]);
  }
}

uint32_t SnapshotBuilder::adjacency(const NeighbourKey& neighbour, uint32_t next_hop) {
  Adjacency& adjacency = adjacencies_[neighbour];
  if (adjacency.number == 0) {
    if (free_adjacencies_.empty()) {
      adjacency.number = adjacencies_used_++;
    } else {
      adjacency.number = free_adjacencies_.back();
      free_adjacencies_.pop_back();
    }
  }
  adjacency.next_hops.insert(next_hop);
  return adjacency.number;
}

void SnapshotBuilder::depend(uint32_t index, std::set<NeighbourKey> needs) {
  Definition& definition = definitions_[index];
  for (const NeighbourKey& neighbour : needs) adjacency(neighbour, index);
  for (const NeighbourKey& neighbour : definition.needs) {
    if (needs.contains(neighbour)) continue;
    const auto at = adjacencies_.find(neighbour);
    at->second.next_hops.erase(index);
    if (at->second.next_hops.empty()) {
      free_adjacencies_.push_back(at->second.number);
      adjacencies_.erase(at);
    }
  }
  definition.needs = std::move(needs);
}

void SnapshotBuilder::judge_again(uint32_t index) {
  Definition& definition = definitions_[index];
  if (definition.judged_change == change_) return;
  definition.judged_change = change_;
  for (uint32_t id : definition.templates) {
    Template content = next_.template_of(id);
    content.generation = next_generation(content.generation);
    next_.templates.set(id, content);
  }
  if (definition.kind != NextHopKind::kGateway) return;
  // Flows over its on-link paths hold the templates of single neighbours.
  for (const UnderlayNextHop& path : definition.group) {
    if (path.gateway || path.port == 0) continue;
    for (auto at = neighbour_next_hops_.lower_bound({path.port, IpAddress{}});
         at != neighbour_next_hops_.end() && at->first.port == path.port; ++at) {
      judge_again(at->second);
    }
  }
}

void SnapshotBuilder::judge_all_again() {
  for (uint32_t index = kHostNextHop; index < definitions_.size(); ++index) judge_again(index);
}

}  // namespace fairlead::core
