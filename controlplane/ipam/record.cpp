#include "controlplane/ipam/record.hpp"

#include <nlohmann/json.hpp>

#include <utility>

namespace fairlead::control {

namespace {

using nlohmann::json;

json texts_of(const std::vector<core::IpAddress>& addresses) {
  json list = json::array();
  for (const core::IpAddress& address : addresses) list.push_back(address.text());
  return list;
}

struct Encoder {
  json operator()(const ReserveRecord& record) const {
    const Attachment& a = record.attachment;
    json object = {{"op", "reserve"},
                   {"container", a.who.key.container_id},
                   {"interface", a.who.key.interface},
                   {"namespace", a.who.pod_namespace},
                   {"pod", a.who.pod_name},
                   {"uid", a.who.pod_uid},
                   {"netns", a.who.netns},
                   {"endpoint", a.endpoint},
                   {"host_interface", a.host_interface},
                   {"mac", a.mac.text()},
                   {"addresses", texts_of(a.addresses)}};
    if (a.committed) object["committed"] = true;
    return object;
  }
  json operator()(const CommitRecord& record) const {
    return {{"op", "commit"}, {"container", record.key.container_id}, {"interface", record.key.interface}};
  }
  json operator()(const ReleaseRecord& record) const {
    return {{"op", "release"},
            {"container", record.key.container_id},
            {"interface", record.key.interface},
            {"boot", record.when.boot_id},
            {"at_ns", record.when.at_ns}};
  }
  json operator()(const QuarantineRecord& record) const {
    return {{"op", "quarantine"},
            {"address", record.address.text()},
            {"boot", record.since.boot_id},
            {"at_ns", record.since.at_ns}};
  }
  json operator()(const CursorRecord& record) const {
    return {{"op", "cursor"},
            {"addresses", texts_of(record.last_addresses)},
            {"endpoint", record.last_endpoint},
            {"boot", record.written.boot_id},
            {"at_ns", record.written.at_ns}};
  }
};

core::IpAddress address_at(const json& value) {
  const std::optional<core::IpAddress> address = core::IpAddress::parse(value.get<std::string>());
  if (!address) throw std::invalid_argument("no address: " + value.dump());
  return *address;
}

std::vector<core::IpAddress> addresses_at(const json& list) {
  std::vector<core::IpAddress> addresses;
  for (const json& value : list) addresses.push_back(address_at(value));
  return addresses;
}

AttachmentKey key_at(const json& object) {
  return {object.at("container").get<std::string>(), object.at("interface").get<std::string>()};
}

Attachment attachment_at(const json& object) {
  Attachment a;
  a.who.key = key_at(object);
  a.who.pod_namespace = object.at("namespace").get<std::string>();
  a.who.pod_name = object.at("pod").get<std::string>();
  a.who.pod_uid = object.at("uid").get<std::string>();
  a.who.netns = object.at("netns").get<std::string>();
  a.endpoint = object.at("endpoint").get<core::EndpointId>();
  a.host_interface = object.at("host_interface").get<std::string>();
  const std::optional<core::MacAddress> mac = core::MacAddress::parse(object.at("mac").get<std::string>());
  if (!mac) throw std::invalid_argument("no MAC: " + object.at("mac").dump());
  a.mac = *mac;
  a.addresses = addresses_at(object.at("addresses"));
  a.committed = object.value("committed", false);
  return a;
}

Moment moment_at(const json& object) {
  return {object.at("boot").get<std::string>(), object.at("at_ns").get<int64_t>()};
}

IpamRecord record_at(const json& object) {
  const std::string op = object.at("op").get<std::string>();
  if (op == "reserve") return ReserveRecord{attachment_at(object)};
  if (op == "commit") return CommitRecord{key_at(object)};
  if (op == "release") return ReleaseRecord{key_at(object), moment_at(object)};
  if (op == "quarantine") return QuarantineRecord{address_at(object.at("address")), moment_at(object)};
  if (op == "cursor")
    return CursorRecord{addresses_at(object.at("addresses")), object.at("endpoint").get<core::EndpointId>(),
                        moment_at(object)};
  throw std::invalid_argument("unknown op " + op);
}

}  // namespace

std::string encode(const IpamRecord& record) {
  // Invalid UTF-8 is refused at the door (CniService); `replace` only keeps dump() from throwing.
  return std::visit(Encoder{}, record).dump(-1, ' ', true, json::error_handler_t::replace);
}

Result<IpamRecord> decode(std::string_view payload) {
  try {
    return record_at(json::parse(payload));
  } catch (const std::exception& failure) {
    return Error{"FL4203",
                 "a record of the address journal cannot be read (" + std::string(failure.what()) +
                     "): " + std::string(payload.substr(0, 200)),
                 "run the version that wrote it, or drain this node's pods and move the file away"};
  }
}

}  // namespace fairlead::control
