#include "controlplane/cni/error.hpp"

#include "dataplane/base/error_codes.hpp"

#include <charconv>

namespace fairlead::control {

int cni_code(const Error& error) {
  constexpr int kTryAgainLater = 11, kReportedByAgent = 100;
  int number = 0;
  if (error.code.starts_with("FL"))
    std::from_chars(error.code.data() + 2, error.code.data() + error.code.size(), number);
  if (number > 4000 && number < 5000) return number - 4000;
  if (number >= 5000 && number < 6000) return kTryAgainLater;
  return kReportedByAgent;
}

nlohmann::json error_json(const Error& error, const std::string& cni_version) {
  const ErrorCode* known = find_error_code(error.code);
  std::string details = error.what + " (" + error.code + ")";
  if (!error.fix.empty()) details += "; fix: " + error.fix;
  return {{"cniVersion", cni_version},
          {"code", cni_code(error)},
          {"msg", known != nullptr ? std::string(known->title) : error.what},
          {"details", details}};
}

}  // namespace fairlead::control
