#include "base/result.h"

#include <system_error>

namespace centipede {

Error system_error(std::string_view attempt, int code) {
  return Error{std::string(attempt) + ": " + std::generic_category().message(code), code};
}

}  // namespace centipede
