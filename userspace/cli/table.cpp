#include "cli/table.h"

#include <algorithm>
#include <numeric>

namespace centipede::cli {
namespace {

constexpr size_t gap = 2;

bool begins_character(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
}

}  // namespace

size_t display_width(std::string_view text) {
  return static_cast<size_t>(std::ranges::count_if(text, begins_character));
}

std::string shortened(std::string_view text, size_t width) {
  if (display_width(text) <= width) return std::string(text);
  if (width == 0) return {};
  size_t end = 0;
  for (size_t characters = 0; end < text.size(); ++end) {
    if (begins_character(text[end]) && ++characters == width) break;
  }
  return std::string(text.substr(0, end)) + "…";
}

std::string Table::text(size_t width, size_t indent) const {
  std::vector<size_t> widths;
  for (size_t i = 0; i < columns_.size(); ++i) {
    widths.push_back(display_width(columns_[i].title));
    for (const auto& row : rows_)
      widths[i] = std::max(widths[i], display_width(row[i]));
  }
  const size_t between = indent + gap * (columns_.size() - 1);
  size_t total = std::accumulate(widths.begin(), widths.end(), between);
  while (total > width) {
    // The widest of those that may give way gives one column at a time.
    size_t widest = columns_.size();
    for (size_t i = 0; i < columns_.size(); ++i) {
      const bool yields = columns_[i].least > 0 && widths[i] > columns_[i].least;
      if (yields && (widest == columns_.size() || widths[i] > widths[widest])) widest = i;
    }
    if (widest == columns_.size()) break;
    --widths[widest];
    --total;
  }
  std::string out;
  const auto add_line = [&](const auto& cell_of) {
    std::string line(indent, ' ');
    for (size_t i = 0; i < columns_.size(); ++i) {
      const std::string cell = shortened(cell_of(i), widths[i]);
      const std::string padding(widths[i] - display_width(cell), ' ');
      line += columns_[i].align == Align::left ? cell + padding : padding + cell;
      line.append(gap, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  };
  add_line([&](size_t i) { return columns_[i].title; });
  for (const auto& row : rows_)
    add_line([&](size_t i) { return row[i]; });
  return out;
}

}  // namespace centipede::cli
