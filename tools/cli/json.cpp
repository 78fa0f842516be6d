#include "tools/cli/json.hpp"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <cctype>
#include <string_view>

namespace fairlead::cli {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

std::string base64(const std::string& bytes) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j)
      group = group << 8 | (i + j < bytes.size() ? static_cast<uint8_t>(bytes[i + j]) : 0);
    for (size_t j = 0; j < 4; ++j) {
      text += i + j <= bytes.size() ? kDigits[group >> (18 - 6 * j) & 63] : '=';
    }
  }
  return text;
}

// One value: of a plain field with index < 0, else of a repeated one.
Json value_of(const Message& message, const FieldDescriptor* field, int index) {
  const Reflection* reflection = message.GetReflection();
  const bool one = index < 0;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return one ? reflection->GetBool(message, field) : reflection->GetRepeatedBool(message, field, index);
    case FieldDescriptor::CPPTYPE_INT32:
      return one ? reflection->GetInt32(message, field) : reflection->GetRepeatedInt32(message, field, index);
    case FieldDescriptor::CPPTYPE_INT64:
      return one ? reflection->GetInt64(message, field) : reflection->GetRepeatedInt64(message, field, index);
    case FieldDescriptor::CPPTYPE_UINT32:
      return one ? reflection->GetUInt32(message, field)
                 : reflection->GetRepeatedUInt32(message, field, index);
    case FieldDescriptor::CPPTYPE_UINT64:
      return one ? reflection->GetUInt64(message, field)
                 : reflection->GetRepeatedUInt64(message, field, index);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return one ? reflection->GetDouble(message, field)
                 : reflection->GetRepeatedDouble(message, field, index);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return one ? reflection->GetFloat(message, field) : reflection->GetRepeatedFloat(message, field, index);
    case FieldDescriptor::CPPTYPE_ENUM:
      return (one ? reflection->GetEnum(message, field) : reflection->GetRepeatedEnum(message, field, index))
          ->name();
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return to_json(one ? reflection->GetMessage(message, field)
                         : reflection->GetRepeatedMessage(message, field, index));
    case FieldDescriptor::CPPTYPE_STRING: {
      const std::string text =
          one ? reflection->GetString(message, field) : reflection->GetRepeatedString(message, field, index);
      return field->type() == FieldDescriptor::TYPE_BYTES ? base64(text) : text;
    }
  }
  return nullptr;
}

// May the text stand in YAML without quotes and be read back as this text by every reader?
bool is_plain(std::string_view text) {
  const auto letter = [](char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; };
  if (text.empty() || !letter(text.front())) return false;
  const bool safe = std::all_of(text.begin(), text.end(), [&](char c) {
    return letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == '/';
  });
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  constexpr std::string_view kWords[] = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"};
  return safe && std::find(std::begin(kWords), std::end(kWords), lower) == std::end(kWords);
}

void write_yaml(const Json& value, size_t indent, bool after_dash, std::string& into);

std::string scalar(const Json& value) {
  if (value.is_string() && is_plain(value.get_ref<const std::string&>())) return value.get<std::string>();
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void write_entry(const Json& value, size_t indent, std::string& into) {
  if (value.is_structured() && !value.empty()) {
    into += "\n";
    write_yaml(value, indent, false, into);
  } else {
    into += " " + scalar(value) + "\n";
  }
}

void write_yaml(const Json& value, size_t indent, bool after_dash, std::string& into) {
  bool first = true;
  const auto lead = [&] {
    if (!(first && after_dash)) into += std::string(indent, ' ');
    first = false;
  };
  if (value.is_object()) {
    for (const auto& [key, member] : value.items()) {
      lead();
      into += scalar(key) + ":";
      write_entry(member, indent + 2, into);
    }
    return;
  }
  for (const Json& item : value) {
    lead();
    if (item.is_structured() && !item.empty()) {
      into += "- ";
      write_yaml(item, indent + 2, true, into);
    } else {
      into += "- " + scalar(item) + "\n";
    }
  }
}

}  // namespace

Json to_json(const Message& message) {
  Json object = Json::object();
  const google::protobuf::Descriptor* type = message.GetDescriptor();
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    const Reflection* reflection = message.GetReflection();
    if (field->is_repeated()) {
      Json list = Json::array();
      for (int j = 0; j < reflection->FieldSize(message, field); ++j)
        list.push_back(value_of(message, field, j));
      object[field->json_name()] = std::move(list);
    } else if (!field->has_presence() || reflection->HasField(message, field)) {
      object[field->json_name()] = value_of(message, field, -1);
    }
  }
  return object;
}

std::string to_yaml(const Json& value) {
  if (!value.is_structured() || value.empty()) return scalar(value) + "\n";
  std::string text;
  write_yaml(value, 0, false, text);
  return text;
}

}  // namespace fairlead::cli
