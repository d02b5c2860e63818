#include "config/config_document.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <numeric>

namespace centipede {
namespace {

// Levenshtein: how many letters to insert, delete or replace.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

std::string remedy_for(std::string_view key, std::span<const std::string_view> known) {
  const auto distance = [&](std::string_view candidate) { return edit_distance(key.substr(0, 64), candidate); };
  const auto nearest = std::ranges::min_element(known, {}, distance);
  if (nearest != known.end() && distance(*nearest) <= std::max<size_t>(2, key.size() / 3)) {
    return "did you mean \"" + std::string(*nearest) + "\"?";
  }
  std::string all = "known here:";
  for (const auto name : known)
    all += " " + std::string(name);
  return all;
}

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

}  // namespace

std::string printable(std::string_view text) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      out += c;
    } else {
      out += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
    }
  }
  return out;
}

std::string in_quotes(std::string_view text) {
  constexpr size_t shown = 60;
  return "\"" + printable(text.substr(0, shown)) + (text.size() > shown ? "...\"" : "\"");
}

std::string Source::folder() const {
  const std::string parent = std::filesystem::path(path_).parent_path().string();
  return parent.empty() ? "." : parent;
}

std::string Source::place(const toml::source_position& at) const {
  const bool known = at.line > 0;
  return path_ + ":" + std::to_string(known ? at.line : 1) + ":" + std::to_string(known ? at.column : 1);
}

void Source::mistake(const toml::source_position& at, const std::string& what, const std::string& remedy) const {
  throw Mistake{place(at) + ": " + what + "; " + remedy};
}

void Source::warn(const toml::source_position& at, const std::string& what) {
  warnings_.push_back(place(at) + ": " + what);
}

void Source::warn_file(const std::string& file, const std::string& what) {
  warnings_.push_back(file + ": " + what);
}

void refuse_unknown_keys(const Source& source, const toml::table& table, const std::string& title,
                         std::span<const std::string_view> known) {
  // Tables are sorted by key: report the one that stands first in the file.
  const toml::key* first = nullptr;
  for (const auto& [key, value] : table) {
    if (std::ranges::find(known, key.str()) != known.end()) continue;
    const auto at = key.source().begin;
    if (first == nullptr || at < first->source().begin) first = &key;
  }
  if (first == nullptr) return;
  source.mistake(first->source().begin, "unknown key " + in_quotes(first->str()) + " in " + title,
                 remedy_for(first->str(), known));
}

Section::Section(Source& source, toml::table& table, std::string title, std::span<const std::string_view> known)
    : source_(source), table_(table), title_(std::move(title)) {
  refuse_unknown_keys(source_, table_, title_, known);
}

toml::source_position Section::position(std::string_view key) const {
  const toml::node* value = table_.get(key);
  return value != nullptr ? value->source().begin : position();
}

void Section::wrong_type(std::string_view key, const toml::node& value, const char* wanted) const {
  source_.mistake(value.source().begin, std::string(key) + " in " + title_ + " has the wrong type",
                  std::string("write ") + wanted);
}

std::optional<TextItem> Section::text(std::string_view key) const {
  const toml::node* value = table_.get(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) wrong_type(key, *value, "a text in quotes");
  return TextItem{value->as_string()->get(), value->source().begin};
}

std::optional<SecretText> Section::secret(std::string_view key) {
  toml::node* value = table_.get(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) wrong_type(key, *value, "a text in quotes");
  return SecretText(std::move(value->as_string()->get()));
}

std::optional<int64_t> Section::number(std::string_view key, int64_t least, int64_t most) const {
  const toml::node* value = table_.get(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_integer()) wrong_type(key, *value, "a whole number without quotes");
  const int64_t number = value->as_integer()->get();
  if (number < least || number > most) {
    source_.mistake(value->source().begin, std::string(key) + " = " + std::to_string(number) + " is out of range",
                    "use " + std::to_string(least) + " to " + std::to_string(most));
  }
  return number;
}

std::optional<bool> Section::boolean(std::string_view key) const {
  const toml::node* value = table_.get(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) wrong_type(key, *value, "true or false, without quotes");
  return value->as_boolean()->get();
}

std::vector<TextItem> Section::texts(std::string_view key) const {
  const toml::node* value = table_.get(key);
  if (value == nullptr) return {};
  if (!value->is_array()) wrong_type(key, *value, "a list of texts: [\"...\", \"...\"]");
  std::vector<TextItem> items;
  for (const toml::node& item : *value->as_array()) {
    if (!item.is_string()) wrong_type(key, item, "a list of texts: [\"...\", \"...\"]");
    items.push_back({item.as_string()->get(), item.source().begin});
  }
  return items;
}

std::vector<toml::table*> Section::tables(std::string_view key) const {
  const std::string inner = "[[" + title_.substr(2, title_.size() - 4) + "." + std::string(key) + "]]";
  return tables_of(source_, table_, key, inner);
}

std::vector<toml::table*> tables_of(const Source& source, toml::table& table, std::string_view key,
                                    const std::string& title) {
  toml::node* node = table.get(key);
  if (node == nullptr) return {};
  toml::array* rows = node->as_array();
  if (rows == nullptr) {
    source.mistake(node->source().begin, std::string(key) + " is no list of tables",
                   "write " + title + " in double brackets");
  }
  std::vector<toml::table*> tables;
  for (toml::node& row : *rows) {
    if (!row.is_table()) {
      source.mistake(row.source().begin, "this " + std::string(key) + " is no table", "begin each with " + title);
    }
    tables.push_back(row.as_table());
  }
  return tables;
}

std::optional<uint32_t> read_priority(const Section& section) {
  const auto number = section.number("priority", 0, std::numeric_limits<uint32_t>::max());
  if (!number) return std::nullopt;
  return static_cast<uint32_t>(*number);
}

std::optional<FoundSecret> read_secret(Section& section, const std::string& key, bool& holds_secret) {
  constexpr size_t key_file_limit = 4096;
  Source& source = section.source();
  const std::string file_key = key + "_file";
  if (section.has(key) && section.has(file_key)) {
    source.mistake(section.position(file_key), "both " + key + " and " + file_key + " are given", "keep one of them");
  }
  if (auto inline_secret = section.secret(key)) {
    holds_secret = true;
    return FoundSecret{std::move(*inline_secret), {}};
  }
  const auto name = section.text(file_key);
  if (!name) return std::nullopt;
  if (name->text.empty() || std::ranges::any_of(name->text, is_control)) {
    source.mistake(name->at, file_key + " is no file name", "name the file that holds the key");
  }
  const std::string path = (std::filesystem::path(source.folder()) / name->text).string();
  auto file = read_small_file(path, key_file_limit);
  if (!file) source.mistake(name->at, file_key + ": " + file.error().text, "name a readable file that holds the key");
  if (file->open_to_others) {
    source.warn_file(path, "it holds a key and is open to other users: chmod 600 " + path);
  }
  std::error_code no_folder;  // of the process: the path stays as it is
  const auto absolute = std::filesystem::absolute(path, no_folder);
  return FoundSecret{SecretText(std::string(file->content.trimmed())), no_folder ? path : absolute.string()};
}

}  // namespace centipede
