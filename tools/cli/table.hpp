#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fairlead::cli {

// Columns aligned for people: headers in capitals, two blanks between, no trailing blanks. Cells are UTF-8;
// control characters are shown as "?", so that a name cannot move the cursor.
class Table {
 public:
  struct Column {
    std::string header;
    bool right = false;      // numbers
    bool wide_only = false;  // -o wide
  };

  Table(std::vector<Column> columns, bool wide);
  // One cell per column, also of those not shown.
  void add(std::vector<std::string> cells);
  [[nodiscard]] std::string text() const;
  [[nodiscard]] bool empty() const { return rows_.empty(); }

 private:
  std::vector<Column> columns_;
  bool wide_;
  std::vector<std::vector<std::string>> rows_;
};

// Columns of a terminal that `text` takes: combining marks take none, wide East Asian letters two.
[[nodiscard]] size_t display_width(std::string_view text);

// For people: 1234567 -> "1,234,567"; 75 s -> "1m15s"; bytes -> "1.2 GiB".
[[nodiscard]] std::string grouped(uint64_t number);
[[nodiscard]] std::string duration_text(uint64_t seconds);
[[nodiscard]] std::string bytes_text(uint64_t bytes);

}  // namespace fairlead::cli
