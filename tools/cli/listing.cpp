#include "tools/cli/listing.hpp"

#include <algorithm>
#include <ostream>

namespace fairlead::cli {

Exit Listing::print(bool truncated) {
  for (size_t i = 1; i < session_.words(); ++i) {
    if (!found_.contains(session_.word(i))) {
      return session_.fail("there is no " + kind_ + " \"" + session_.word(i) + "\" on this node",
                           "fairlead get " + session_.word(0) + " lists them");
    }
  }
  if (session_.is_structured()) {
    Json list{{"kind", "List"}, {"items", items_}};
    if (truncated) list["truncated"] = true;
    session_.print(list);
  } else if (session_.format() == Format::kName) {
    for (const std::string& name : full_names_) session_.out() << kind_ << "/" << name << "\n";
  } else if (table_.empty()) {
    session_.err() << "no " << kind_ << "s\n";
  } else {
    session_.out() << table_.text();
    if (truncated)
      session_.err() << "more than these: raise --limit, or narrow it with --address, --port, --protocol\n";
  }
  return kOk;
}

bool Listing::is_wanted(const std::vector<std::string>& names) {
  if (session_.words() == 1) return true;
  bool wanted = false;
  for (size_t i = 1; i < session_.words(); ++i) {
    if (std::find(names.begin(), names.end(), session_.word(i)) == names.end()) continue;
    found_[session_.word(i)] = wanted = true;
  }
  return wanted;
}

}  // namespace fairlead::cli
