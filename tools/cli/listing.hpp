#pragma once

#include "tools/cli/session.hpp"
#include "tools/cli/table.hpp"

#include <map>
#include <string>
#include <vector>

namespace fairlead::cli {

// What `get` prints: rows of a table and the messages they were made from.
class Listing {
 public:
  Listing(Session& session, std::string kind, std::vector<Table::Column> columns)
      : session_(session),
        kind_(std::move(kind)),
        table_(std::move(columns), session.format() == Format::kWide) {}

  // `names`: by which the item may be asked for; the first is its full one.
  void add(const std::vector<std::string>& names, const google::protobuf::Message& message,
           std::vector<std::string> cells) {
    if (is_wanted(names)) put(names.front(), to_json(message), std::move(cells));
  }
  // The same for an item that was made of several messages.
  void add(const std::vector<std::string>& names, Json item, std::vector<std::string> cells) {
    if (is_wanted(names)) put(names.front(), std::move(item), std::move(cells));
  }
  [[nodiscard]] bool is_wanted(const std::vector<std::string>& names);

  Exit print(bool truncated = false);

 private:
  void put(const std::string& full_name, Json item, std::vector<std::string> cells) {
    items_.push_back(std::move(item));
    full_names_.push_back(full_name);
    table_.add(std::move(cells));
  }

  Session& session_;
  std::string kind_;
  Table table_;
  Json items_ = Json::array();
  std::vector<std::string> full_names_;
  std::map<std::string, bool> found_;
};

Exit get_services(Session& session);
Exit get_backends(Session& session);

}  // namespace fairlead::cli
