#pragma once

#include <nlohmann/json.hpp>

#include <string>

namespace google::protobuf {
class Message;
}

namespace fairlead::cli {

// Keys stay in the order of the schema, so that output can be compared.
using Json = nlohmann::ordered_json;

// protobuf's JSON form, with two differences that make it fit for jq: 64-bit numbers are numbers, and fields
// at their default are printed, too.
[[nodiscard]] Json to_json(const google::protobuf::Message& message);

// Block YAML of `value`, ending in a newline. Every text that could be read as something else is quoted.
[[nodiscard]] std::string to_yaml(const Json& value);

}  // namespace fairlead::cli
