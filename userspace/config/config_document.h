// The parts of reading a configuration that know TOML but not what the keys mean: values with their places, and
// mistakes that name them. Only the sources of config/config.h include it. A mistake is thrown, and caught in
// parse_config().
#pragma once

#include <toml++/toml.h>

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/small_file.h"
#include "config/config.h"

namespace centipede {

struct Mistake {
  std::string text;
};

// The file: its name for messages and the warnings so far.
class Source {
 public:
  explicit Source(std::string path) : path_(std::move(path)) {}

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string folder() const;
  [[nodiscard]] std::string place(const toml::source_position& at) const;
  [[noreturn]] void mistake(const toml::source_position& at, const std::string& what, const std::string& remedy) const;
  void warn(const toml::source_position& at, const std::string& what);
  void warn_file(const std::string& file, const std::string& what);
  std::vector<std::string>& warnings() { return warnings_; }

 private:
  std::string path_;
  std::vector<std::string> warnings_;
};

struct TextItem {
  std::string text;
  toml::source_position at;
};

// One table: [interface] or a [[peer]]. Refuses keys that it does not know when it is made.
class Section {
 public:
  Section(Source& source, toml::table& table, std::string title, std::span<const std::string_view> known);

  [[nodiscard]] Source& source() const { return source_; }
  [[nodiscard]] toml::source_position position() const { return table_.source().begin; }
  // Where the key's value stands, or the section when it is absent.
  [[nodiscard]] toml::source_position position(std::string_view key) const;
  [[nodiscard]] bool has(std::string_view key) const { return table_.contains(key); }
  [[nodiscard]] std::optional<TextItem> text(std::string_view key) const;
  // As text(); the copy inside the document is wiped.
  [[nodiscard]] std::optional<SecretText> secret(std::string_view key);
  [[nodiscard]] std::optional<int64_t> number(std::string_view key, int64_t least, int64_t most) const;
  [[nodiscard]] std::optional<bool> boolean(std::string_view key) const;
  [[nodiscard]] std::vector<TextItem> texts(std::string_view key) const;
  // The tables of [[...key]] below this one.
  [[nodiscard]] std::vector<toml::table*> tables(std::string_view key) const;
  [[nodiscard]] toml::node* node(std::string_view key) const { return table_.get(key); }
  [[noreturn]] void wrong_type(std::string_view key, const toml::node& value, const char* wanted) const;

 private:
  Source& source_;
  toml::table& table_;
  std::string title_;
};

// Keys of `table` that are none of `known`: a mistake that suggests the nearest one.
void refuse_unknown_keys(const Source& source, const toml::table& table, const std::string& title,
                         std::span<const std::string_view> known);

// A text as it may stand in a message: with escapes for what is not printable; in_quotes() cuts it short, too.
[[nodiscard]] std::string printable(std::string_view text);
[[nodiscard]] std::string in_quotes(std::string_view text);

// [[peer]] sections into settings; `own` is our key, which no peer may have.
std::vector<control::PeerSettings> read_peers(Source& source, toml::table& document, const crypto::PublicKey& own,
                                              bool& holds_secret);

// `uplinks` and `exclude_uplinks` of [interface], and the [[uplink]] sections; `tunnel` is the interface, which is no
// uplink of itself.
struct FoundUplinks {
  std::vector<UplinkSettings> uplinks;
  std::vector<std::string> excluded;
};
FoundUplinks read_uplinks(const Section& interface, toml::table& document, const std::string& tunnel);

// `dns` and `dns_search` of [interface].
std::vector<IpAddress> read_name_servers(const Section& interface);
std::vector<std::string> read_search_domains(const Section& interface);

// The tables of [[key]]; `title` names them in messages.
std::vector<toml::table*> tables_of(const Source& source, toml::table& table, std::string_view key,
                                    const std::string& title);
std::optional<uint32_t> read_priority(const Section& section);
inline constexpr const char* device_name_rule =
    "use 1 to 15 visible characters without '/', ':' and '%', as `ip link` shows them";

struct FoundSecret {
  SecretText text;
  std::string file;  // absolute; empty when the secret stands in the configuration itself
};

// The value of `key`, or of the file that `key`_file names: 32 bytes in base64. Nothing when neither is there.
std::optional<FoundSecret> read_secret(Section& section, const std::string& key, bool& holds_secret);

}  // namespace centipede
