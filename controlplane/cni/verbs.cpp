#include "controlplane/cni/verbs.hpp"

#include "controlplane/cni/agent_call.hpp"
#include "controlplane/cni/del_queue.hpp"
#include "controlplane/cni/error.hpp"
#include "controlplane/cni/netconf.hpp"
#include "controlplane/cni/orphan_link.hpp"
#include "controlplane/cni/result.hpp"
#include "controlplane/cni/wire.hpp"

#include <nlohmann/json.hpp>

namespace fairlead::control {

namespace {

using nlohmann::json;
using std::chrono::milliseconds;

// The runtime gives up after two minutes; the agent itself after ten seconds.
constexpr milliseconds kAddTimeout{30'000}, kDelTimeout{15'000}, kCheckTimeout{10'000}, kGcTimeout{60'000},
    kStatusTimeout{2'000};

std::string text_of(const json& document) {
  return document.dump(4, ' ', false, json::error_handler_t::replace) + "\n";
}

Outcome failed(const Error& error, const std::string& cni_version) {
  return {1, text_of(error_json(error, cni_version)), error.text() + "\n"};
}

Outcome about() {
  std::string versions;
  for (const std::string& version : supported_cni_versions())
    versions += (versions.empty() ? "" : ", ") + version;
  return {0,
          {},
          "fairlead-cni: attaches pods to Fairlead; called by a container runtime\n"
          "CNI protocol versions supported: " +
              versions + "\n"};
}

// Needs no configuration; echoes the version of one that is there.
Outcome version(const std::function<Result<std::string>()>& standard_input) {
  std::string echoed = supported_cni_versions().back();
  if (const Result<std::string> text = standard_input(); text) {
    const json conf = json::parse(*text, nullptr, false);
    if (conf.is_object() && conf.contains("cniVersion") && conf["cniVersion"].is_string())
      echoed = conf["cniVersion"].get<std::string>();
  }
  return {0, text_of({{"cniVersion", echoed}, {"supportedVersions", supported_cni_versions()}}), {}};
}

Result<wire::Response> ask(const NetConf& conf, const std::string& request, milliseconds timeout,
                           wire::Response::Kind wanted) {
  Result<wire::Response> response = call_agent(conf.socket, request, timeout);
  if (!response) return response;
  if (response->kind == wire::Response::Kind::kError) return response->error;
  if (response->kind != wanted)
    return Error{"FL5055", "the agent answered something else than was asked",
                 "use plugin and agent of the same version"};
  return response;
}

AttachmentKey key_of(const CniEnvironment& environment) {
  return {environment.container_id, environment.interface};
}

Result<void> check_netns(const std::string& path) {
  switch (kind_of_netns(path.c_str())) {
    case NetnsKind::kOther:
      return {};
    case NetnsKind::kOwn:
      return Error{"FL4008", "CNI_NETNS " + path + " is the node's own network namespace",
                   "pods of the host network are not attached"};
    case NetnsKind::kNone:
      break;
  }
  return Error{"FL4008", "CNI_NETNS " + path + " is not a network namespace",
               "the sandbox may be gone already"};
}

Result<json> add(const CniEnvironment& environment, const NetConf& conf) {
  if (Result<void> fields = conf.check_fields(); !fields) return fields.error();
  if (Result<void> netns = check_netns(environment.netns); !netns) return netns.error();
  const std::string request =
      wire::add_request(key_of(environment), environment.netns, environment.pod_namespace,
                        environment.pod_name, environment.pod_uid, conf.cni_version);
  const Result<wire::Response> response = ask(conf, request, kAddTimeout, wire::Response::Kind::kAdd);
  if (!response) return response.error();
  return add_result(conf, response->add, environment.interface, environment.netns);
}

// Best effort: what cannot be told to the agent now is told to it later.
Result<json> del(const CniEnvironment& environment, const NetConf& conf, std::string& log) {
  const AttachmentKey key = key_of(environment);
  const Result<wire::Response> response = call_agent(conf.socket, wire::del_request(key), kDelTimeout);
  if (response && response->kind == wire::Response::Kind::kDone) return json();
  if (response && response->kind == wire::Response::Kind::kError) {
    // FL5xxx: the process at the socket cannot serve us now (starting, overloaded).
    if (!response->error.code.starts_with("FL5")) return response->error;
    log = response->error.text() + "\n";
  } else if (!response) {
    log = response.error().text() + "\n";
  }
  if (Result<void> queued = DelQueue(conf.state_dir).put(key); !queued) return queued.error();
  const bool is_removed = remove_orphan_link(key);
  log +=
      "DEL of " + key.text() + " is queued for the agent" + (is_removed ? "; its link is removed\n" : "\n");
  return json();
}

Result<json> check(const CniEnvironment& environment, const NetConf& conf) {
  if (Result<void> fields = conf.check_fields(); !fields) return fields.error();
  Result<std::vector<std::string>> addresses = previous_addresses(conf, environment.interface);
  if (!addresses) return addresses.error();
  if (Result<void> netns = check_netns(environment.netns); !netns) return netns.error();
  const std::string request = wire::check_request(key_of(environment), environment.netns, *addresses);
  const Result<wire::Response> response = ask(conf, request, kCheckTimeout, wire::Response::Kind::kDone);
  if (!response) return response.error();
  return json();
}

Result<json> collect_garbage(const NetConf& conf) {
  Result<NetConf::Valid> valid = conf.valid_attachments();
  if (!valid) return valid.error();
  if (!valid->is_given) return json();
  const Result<wire::Response> response =
      ask(conf, wire::gc_request(valid->attachments), kGcTimeout, wire::Response::Kind::kDone);
  if (!response) return response.error();
  return json();
}

Result<json> status(const NetConf& conf) {
  if (Result<void> fields = conf.check_fields(); !fields) return fields.error();
  const Result<wire::Response> response =
      ask(conf, wire::status_request(), kStatusTimeout, wire::Response::Kind::kStatus);
  if (!response) return Error{"FL4050", response.error().what, response.error().fix};
  const wire::StatusReply& found = response->status;
  if (!found.is_dataplane_connected)
    return Error{"FL4051", found.last_error.empty() ? "the agent has no dataplane" : found.last_error,
                 "start fairlead-dataplane (systemctl start fairlead-dataplane)"};
  if (found.pod_cidrs == 0)
    return Error{"FL4050", "this node has no pod CIDR yet", "set spec.podCIDRs of its Node object"};
  return json();
}

}  // namespace

Outcome run_plugin(const CniEnvironment::Get& get,
                   const std::function<Result<std::string>()>& standard_input) {
  const char* const command_value = get("CNI_COMMAND");
  const std::string command = command_value != nullptr ? command_value : "";
  if (command.empty()) return about();
  if (command == "VERSION") return version(standard_input);

  const std::string& newest = supported_cni_versions().back();
  const Result<CniEnvironment> environment = CniEnvironment::read(command, get);
  if (!environment) return failed(environment.error(), newest);
  const Result<std::string> text = standard_input();
  if (!text) return failed(text.error(), newest);
  const Result<NetConf> conf = NetConf::parse(*text);
  if (!conf) return failed(conf.error(), newest);
  if (Result<void> version_fits = conf->check_version(command); !version_fits)
    return failed(version_fits.error(), conf->cni_version);

  std::string log;
  const Result<json> result = command == "ADD"     ? add(*environment, *conf)
                              : command == "DEL"   ? del(*environment, *conf, log)
                              : command == "CHECK" ? check(*environment, *conf)
                              : command == "GC"    ? collect_garbage(*conf)
                              : command == "STATUS"
                                  ? status(*conf)
                                  : Result<json>(Error{"FL4004", "CNI_COMMAND " + command + " is unknown",
                                                       "use ADD, DEL, CHECK, GC, STATUS or VERSION"});
  if (!result) {
    Outcome outcome = failed(result.error(), conf->cni_version);
    outcome.log = log + outcome.log;
    return outcome;
  }
  return {0, result->is_null() ? std::string() : text_of(*result), log};
}

}  // namespace fairlead::control
