// The description of the API: the file openapi.json, which is part of the program.
#pragma once

#include <string_view>

namespace centipede::api {

[[nodiscard]] std::string_view openapi_text();

}  // namespace centipede::api
