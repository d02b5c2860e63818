// The lines of a WireGuard configuration: sections, and keys with their values. Pure functions; input may be anything.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace centipede {

struct WireGuardLine {
  unsigned number = 0;       // from 1
  bool well_formed = false;  // else it is neither a section nor Key = value
  std::string section;       // "interface", in lower case; else a key:
  std::string key;           // as it is written, printable
  std::string lower_key;
  std::string value;

  // What is separated by commas.
  [[nodiscard]] std::vector<std::string> values() const;
};

// Without empty lines and comments.
[[nodiscard]] std::vector<WireGuardLine> wireguard_lines(std::string_view text);

}  // namespace centipede
