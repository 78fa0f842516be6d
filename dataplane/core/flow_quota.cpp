#include "dataplane/core/flow_quota.hpp"

#include <limits>

namespace fairlead::core {

FlowQuota::FlowQuota(uint32_t limit_per_endpoint)
    : limit_(limit_per_endpoint == 0 ? std::numeric_limits<uint32_t>::max() : limit_per_endpoint),
      memory_(MappedRegion::reserve(size_t{kEndpoints} * sizeof(std::atomic<uint32_t>))) {}

}  // namespace fairlead::core
