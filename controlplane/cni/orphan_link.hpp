#pragma once

#include "controlplane/ipam/attachment.hpp"

namespace fairlead::control {

// Removes the node's end of an attachment's veth pair, for when no agent is there to do it. Only a link that
// carries the attachment's alias is touched. True when one was removed; false when there was none or the
// kernel refused - the agent does it later.
bool remove_orphan_link(const AttachmentKey& key);

// CNI_NETNS is an open-able network namespace and not our own.
enum class NetnsKind { kOther, kOwn, kNone };
[[nodiscard]] NetnsKind kind_of_netns(const char* path);

}  // namespace fairlead::control
