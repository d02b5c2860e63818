// Aligned columns for terminals of 80 columns, and text measured as a terminal shows it. Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace centipede::cli {

// Columns on a terminal, of UTF-8: a character each. (East Asian ones take two; nothing of ours has them but names.)
[[nodiscard]] size_t display_width(std::string_view text);
// Cut to the width, with "…" where something is missing.
[[nodiscard]] std::string shortened(std::string_view text, size_t width);

class Table {
 public:
  enum class Align : bool { left, right };
  struct Column {
    std::string title;
    Align align = Align::left;
    size_t least = 0;  // above 0: gives way, down to this width, where the table would be too wide
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  [[nodiscard]] bool empty() const { return rows_.empty(); }
  // Lines with their ends; two spaces between columns, `indent` before the first.
  [[nodiscard]] std::string text(size_t width = 80, size_t indent = 0) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace centipede::cli
