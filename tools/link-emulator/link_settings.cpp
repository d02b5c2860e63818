#include "link-emulator/link_settings.h"

#include <array>
#include <charconv>
#include <cmath>
#include <utility>
#include <vector>

namespace centipede::emulator {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};

constexpr std::array<Unit, 4> time_units{{{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}}};
constexpr std::array<Unit, 4> rate_units{{{"bit", 1}, {"kbit", 1e3}, {"mbit", 1e6}, {"gbit", 1e9}}};
constexpr std::array<Unit, 4> size_units{{{"", 1}, {"b", 1}, {"kb", 1e3}, {"mb", 1e6}}};
constexpr std::array<Unit, 1> no_units{{{"", 1}}};
constexpr std::array<Unit, 2> probability_units{{{"", 1}, {"%", 0.01}}};

constexpr double longest_delay_ns = 3600e9;
constexpr double highest_rate = 1e12;
constexpr double largest_size = 1e9;

std::string quoted(std::string_view text) {
  return std::string("'").append(text).append("'");
}

// A number with one of the units, between 0 and `most`; a bare 0 needs no unit.
std::optional<double> parse_number(std::string_view text, std::span<const Unit> units, double most) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc{} || !std::isfinite(value) || std::signbit(value)) return std::nullopt;
  const std::string_view suffix = text.substr(static_cast<size_t>(end - text.data()));
  if (suffix.empty() && value == 0) return 0.0;
  for (const Unit& unit : units) {
    if (unit.name != suffix) continue;
    const double scaled = value * unit.factor;
    return scaled <= most ? std::optional(scaled) : std::nullopt;
  }
  return std::nullopt;
}

// Each setter takes the value's text and says whether it could be understood.
bool set_time(Duration& to, std::string_view text) {
  const auto value = parse_number(text, time_units, longest_delay_ns);
  if (value) to = Duration(std::llround(*value));
  return value.has_value();
}

bool set_probability(double& to, std::string_view text) {
  const auto value = parse_number(text, probability_units, 1);
  if (value) to = *value;
  return value.has_value();
}

template <class T>
bool set_count(T& to, std::string_view text, std::span<const Unit> units, double most) {
  const auto value = parse_number(text, units, most);
  if (value) to = static_cast<T>(std::llround(*value));
  return value.has_value();
}

template <class T>
bool set_choice(T& to, std::string_view text, std::span<const std::pair<std::string_view, T>> choices) {
  for (const auto& [name, value] : choices) {
    if (name != text) continue;
    to = value;
    return true;
  }
  return false;
}

constexpr std::array<std::pair<std::string_view, bool>, 2> yes_no{{{"yes", true}, {"no", false}}};
constexpr std::array<std::pair<std::string_view, bool>, 2> checksums{{{"repaired", true}, {"broken", false}}};
constexpr std::array<std::pair<std::string_view, JitterShape>, 2> shapes{
    {{"uniform", JitterShape::uniform}, {"normal", JitterShape::normal}}};

using Setter = bool (*)(LinkChange&, std::string_view);
struct Key {
  std::string_view name;
  std::string_view expects;
  Setter set;
};

constexpr std::string_view a_time = "a time up to one hour such as 20ms";
constexpr std::string_view a_probability = "a probability such as 1% or 0.01";
constexpr std::string_view a_size = "a number of bytes such as 64kb";

constexpr std::array keys{
    Key{"delay", a_time, [](LinkChange& c, std::string_view v) { return set_time(c.settings.delay, v); }},
    Key{"jitter", a_time, [](LinkChange& c, std::string_view v) { return set_time(c.settings.jitter, v); }},
    Key{"jitter_shape", "uniform or normal",
        [](LinkChange& c, std::string_view v) { return set_choice<JitterShape>(c.settings.jitter_shape, v, shapes); }},
    Key{"allow_reorder", "yes or no",
        [](LinkChange& c, std::string_view v) { return set_choice<bool>(c.settings.allow_reorder, v, yes_no); }},
    Key{"loss", a_probability, [](LinkChange& c, std::string_view v) { return set_probability(c.settings.loss, v); }},
    Key{"burst_enter", a_probability,
        [](LinkChange& c, std::string_view v) { return set_probability(c.settings.burst.enter, v); }},
    Key{"burst_leave", a_probability,
        [](LinkChange& c, std::string_view v) { return set_probability(c.settings.burst.leave, v); }},
    Key{"burst_loss", a_probability,
        [](LinkChange& c, std::string_view v) { return set_probability(c.settings.burst.loss, v); }},
    Key{"reorder", a_probability,
        [](LinkChange& c, std::string_view v) { return set_probability(c.settings.reorder, v); }},
    Key{"reorder_delay", a_time,
        [](LinkChange& c, std::string_view v) { return set_time(c.settings.reorder_delay, v); }},
    Key{"duplicate", a_probability,
        [](LinkChange& c, std::string_view v) { return set_probability(c.settings.duplicate, v); }},
    Key{"corrupt", a_probability,
        [](LinkChange& c, std::string_view v) { return set_probability(c.settings.corrupt, v); }},
    Key{"corrupt_offset", a_size,
        [](LinkChange& c, std::string_view v) {
          return set_count(c.settings.corrupt_offset, v, size_units, largest_size);
        }},
    Key{"corrupt_checksum", "broken or repaired",
        [](LinkChange& c, std::string_view v) { return set_choice<bool>(c.settings.repair_checksum, v, checksums); }},
    Key{"corrupt_copy", "yes or no",
        [](LinkChange& c, std::string_view v) { return set_choice<bool>(c.settings.corrupt_copy, v, yes_no); }},
    Key{"rate", "a rate such as 50mbit (0: unlimited)",
        [](LinkChange& c, std::string_view v) {
          return set_count(c.settings.rate_bits_per_s, v, rate_units, highest_rate);
        }},
    Key{"queue_packets", "a number of packets",
        [](LinkChange& c, std::string_view v) {
          return set_count(c.settings.queue_packets, v, no_units, largest_size);
        }},
    Key{"queue_bytes", a_size,
        [](LinkChange& c, std::string_view v) {
          return set_count(c.settings.queue_bytes, v, size_units, largest_size);
        }},
    Key{"mtu", "a number of bytes (0: not checked)",
        [](LinkChange& c, std::string_view v) { return set_count(c.settings.mtu, v, no_units, 65535); }},
    Key{"seed", "a whole number",
        [](LinkChange& c, std::string_view v) {
          uint64_t seed = 0;
          const auto [end, error] = std::from_chars(v.data(), v.data() + v.size(), seed);
          if (error != std::errc{} || end != v.data() + v.size()) return false;
          c.seed = seed;
          return true;
        }},
};

Result<void> set_trace(LinkSettings& settings, std::string_view value, const FileReader& read_file) {
  if (value == "none") {
    settings.trace = nullptr;
    settings.trace_name.clear();
    return {};
  }
  const std::string path(value);
  const auto text = read_file(path);
  if (!text) return fail(quoted("trace=" + path) + ": " + text.error().text, text.error().code);
  auto trace = DeliveryTrace::parse(*text);
  if (!trace) return fail(quoted("trace=" + path) + ": " + trace.error().text);
  settings.trace = std::make_shared<const DeliveryTrace>(std::move(*trace));
  settings.trace_name = path;
  return {};
}

Result<void> apply_word(LinkChange& change, std::string_view word, const FileReader& read_file) {
  if (word == "up" || word == "down") {
    change.settings.down = word == "down";
    return {};
  }
  if (word == "clear") {
    change.settings = LinkSettings{};
    return {};
  }
  const size_t equals = word.find('=');
  if (equals == std::string_view::npos) return fail("unknown word " + quoted(word));
  const std::string_view name = word.substr(0, equals);
  const std::string_view value = word.substr(equals + 1);
  if (name == "trace") return set_trace(change.settings, value, read_file);
  for (const Key& key : keys) {
    if (key.name != name) continue;
    if (key.set(change, value)) return {};
    return fail(quoted(word) + ": " + std::string(name) + " takes " + std::string(key.expects));
  }
  return fail("unknown setting " + quoted(name));
}

std::string number(double value) {
  std::array<char, 64> text{};
  const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  return error == std::errc{} ? std::string(text.data(), end) : "0";
}

std::string time_text(Duration value) {
  if (value % milliseconds(1) == Duration::zero()) return std::to_string(value / milliseconds(1)) + "ms";
  return std::to_string(value.count()) + "ns";
}

}  // namespace

Result<LinkChange> apply_words(const LinkSettings& current, std::span<const std::string> words,
                               const FileReader& read_file) {
  LinkChange change{current, std::nullopt};
  for (const std::string& word : words)
    if (auto applied = apply_word(change, word, read_file); !applied) return std::unexpected(applied.error());
  if (change.settings.rate_bits_per_s != 0 && change.settings.trace)
    return fail("rate and trace exclude each other: set rate=0 or trace=none with the other");
  return change;
}

std::string describe(const LinkSettings& settings) {
  const LinkSettings defaults;
  std::vector<std::string> words;
  const auto add = [&words](bool differs, std::string_view name, const std::string& value) {
    if (differs) words.push_back(std::string(name) + "=" + value);
  };
  const auto yes = [](bool value) -> std::string { return value ? "yes" : "no"; };
  const auto& s = settings;
  const auto& d = defaults;
  add(s.delay != d.delay, "delay", time_text(s.delay));
  add(s.jitter != d.jitter, "jitter", time_text(s.jitter));
  add(s.jitter_shape != d.jitter_shape, "jitter_shape", "normal");
  add(s.allow_reorder != d.allow_reorder, "allow_reorder", yes(s.allow_reorder));
  add(s.loss != d.loss, "loss", number(s.loss));
  add(s.burst.enter != d.burst.enter, "burst_enter", number(s.burst.enter));
  add(s.burst.leave != d.burst.leave, "burst_leave", number(s.burst.leave));
  add(s.burst.loss != d.burst.loss, "burst_loss", number(s.burst.loss));
  add(s.reorder != d.reorder, "reorder", number(s.reorder));
  add(s.reorder_delay != d.reorder_delay, "reorder_delay", time_text(s.reorder_delay));
  add(s.duplicate != d.duplicate, "duplicate", number(s.duplicate));
  add(s.corrupt != d.corrupt, "corrupt", number(s.corrupt));
  add(s.corrupt_offset != d.corrupt_offset, "corrupt_offset", std::to_string(s.corrupt_offset));
  add(s.repair_checksum != d.repair_checksum, "corrupt_checksum", "repaired");
  add(s.corrupt_copy != d.corrupt_copy, "corrupt_copy", yes(s.corrupt_copy));
  add(s.rate_bits_per_s != d.rate_bits_per_s, "rate", std::to_string(s.rate_bits_per_s) + "bit");
  add(s.trace != d.trace, "trace", s.trace_name);
  add(s.queue_packets != d.queue_packets, "queue_packets", std::to_string(s.queue_packets));
  add(s.queue_bytes != d.queue_bytes, "queue_bytes", std::to_string(s.queue_bytes));
  add(s.mtu != d.mtu, "mtu", std::to_string(s.mtu));
  if (s.down) words.emplace_back("down");
  std::string text;
  for (const std::string& word : words)
    text += (text.empty() ? "" : " ") + word;
  return text;
}

}  // namespace centipede::emulator
