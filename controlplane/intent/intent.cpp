#include "controlplane/intent/intent.hpp"

namespace fairlead::control {
namespace {

template <typename Map, typename Key, typename Value>
bool upsert(Map& map, const Key& key, const Value& value) {
  const auto [at, is_new] = map.try_emplace(key, value);
  if (is_new) return true;
  if (at->second == value) return false;
  at->second = value;
  return true;
}

template <typename Value>
bool replace(Value& current, const Value& value) {
  if (current == value) return false;
  current = value;
  return true;
}

struct Apply {
  Intent& intent;

  bool operator()(const NodeUpserted& event) const {
    return upsert(intent.nodes, event.node.name, event.node);
  }
  bool operator()(const NodeDeleted& event) const { return intent.nodes.erase(event.name) > 0; }
  bool operator()(const PodUpserted& event) const {
    return upsert(intent.pods, event.pod.pod_namespace + "/" + event.pod.name, event.pod);
  }
  bool operator()(const PodDeleted& event) const { return intent.pods.erase(event.key) > 0; }
  bool operator()(const NetworkChanged& event) const { return replace(intent.network, event.network); }
  bool operator()(const HostChanged& event) const { return replace(intent.host, event.host); }
  bool operator()(const EndpointAttached& event) const {
    return upsert(intent.endpoints, event.endpoint.id, event.endpoint);
  }
  bool operator()(const EndpointDetached& event) const { return intent.endpoints.erase(event.id) > 0; }
  bool operator()(const ServiceUpserted& event) const {
    return upsert(intent.services, key_of(event.service), event.service);
  }
  bool operator()(const ServiceDeleted& event) const { return intent.services.erase(event.key) > 0; }
  bool operator()(const EndpointSliceUpserted& event) const {
    return upsert(intent.slices, key_of(event.slice), event.slice);
  }
  bool operator()(const EndpointSliceDeleted& event) const { return intent.slices.erase(event.key) > 0; }
};

}  // namespace

bool apply(Intent& intent, const Event& event) {
  return std::visit(Apply{intent}, event);
}

}  // namespace fairlead::control
