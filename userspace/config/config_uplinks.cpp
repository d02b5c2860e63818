#include <centipede/abi.h>

#include <algorithm>

#include "api/paths.h"
#include "config/config_document.h"
#include "dataplane/setting_texts.h"
#include "dataplane/uplink_selection.h"

namespace centipede {
namespace {

constexpr std::array<std::string_view, 4> uplink_keys{"name", "priority", "metered", "rate"};
constexpr size_t most_in_a_list = max_uplink_entries;

// Of a list in which nothing else bounds the number.
std::vector<TextItem> bounded_texts(const Section& section, std::string_view key) {
  auto items = section.texts(key);
  if (items.size() > most_in_a_list) {
    section.source().mistake(items[most_in_a_list].at, "more than 256 entries in " + std::string(key),
                             "leave some out");
  }
  return items;
}

void check_name(const Source& source, const TextItem& item, const std::string& tunnel) {
  if (!api::valid_interface_name(item.text)) {
    source.mistake(item.at, in_quotes(item.text) + " is no name of a device", device_name_rule);
  }
  if (item.text == tunnel) {
    source.mistake(item.at, in_quotes(item.text) + " is the tunnel itself", "name the devices that it shall use");
  }
}

uint64_t read_rate(const Section& section) {
  constexpr const char* remedy =
      "write bits a second, such as 20000000, \"20M\" or \"1G\" (up to 1000G), or leave it out";
  const toml::node* value = section.node("rate");
  if (value == nullptr) return 0;
  std::string text;
  if (value->is_integer()) {
    text = std::to_string(value->as_integer()->get());
  } else if (value->is_string()) {
    text = value->as_string()->get();
  } else {
    section.wrong_type("rate", *value, "bits a second: 20000000, \"20M\" or \"1G\"");
  }
  const auto rate = parse_rate(text);
  if (!rate) section.source().mistake(value->source().begin, "rate = " + in_quotes(text) + " is no rate", remedy);
  return *rate;
}

}  // namespace

FoundUplinks read_uplinks(const Section& interface, toml::table& document, const std::string& tunnel) {
  Source& source = interface.source();
  FoundUplinks found;
  size_t exact = 0;
  const auto add = [&](const UplinkSettings& uplink, const toml::source_position& at) {
    if (!is_pattern(uplink.name) && ++exact > CP_MAX_UPLINKS) {
      source.mistake(at, "more than " + std::to_string(CP_MAX_UPLINKS) + " uplinks",
                     "leave some out, or name several by one pattern such as \"wl*\"");
    }
    if (found.uplinks.size() == max_uplink_entries) source.mistake(at, "more than 256 uplinks", "leave some out");
    found.uplinks.push_back(uplink);
  };
  for (const TextItem& item : interface.texts("uplinks")) {
    check_name(source, item, tunnel);
    if (std::ranges::find(found.uplinks, item.text, &UplinkSettings::name) != found.uplinks.end()) {
      source.mistake(item.at, "uplink " + in_quotes(item.text) + " is given twice", "keep one of them");
    }
    add({.name = item.text}, item.at);
  }
  std::set<std::string> sections;
  for (toml::table* row : tables_of(source, document, "uplink", "[[uplink]]")) {
    const Section section(source, *row, "[[uplink]]", uplink_keys);
    const auto name = section.text("name");
    if (!name) source.mistake(section.position(), "this uplink has no name", "add name = \"eth0\"");
    check_name(source, *name, tunnel);
    if (!sections.insert(name->text).second) {
      source.mistake(name->at, "there is an [[uplink]] for " + in_quotes(name->text) + " already", "keep one of them");
    }
    const UplinkSettings settings{name->text, read_priority(section), section.boolean("metered").value_or(false),
                                  read_rate(section)};
    const auto listed = std::ranges::find(found.uplinks, name->text, &UplinkSettings::name);
    if (listed != found.uplinks.end()) {
      *listed = settings;
    } else {
      add(settings, name->at);
    }
  }
  for (const TextItem& item : bounded_texts(interface, "exclude_uplinks")) {
    if (!api::valid_interface_name(item.text)) {
      source.mistake(item.at, in_quotes(item.text) + " is no name of a device", device_name_rule);
    }
    if (std::ranges::find(found.uplinks, item.text, &UplinkSettings::name) != found.uplinks.end()) {
      source.warn(item.at, in_quotes(item.text) + " is among the uplinks as well: keep it in one of the two lists");
    }
    if (std::ranges::find(found.excluded, item.text) != found.excluded.end()) {
      source.mistake(item.at, in_quotes(item.text) + " is excluded twice", "keep one of them");
    }
    found.excluded.push_back(item.text);
  }
  return found;
}

std::vector<IpAddress> read_name_servers(const Section& interface) {
  Source& source = interface.source();
  std::vector<IpAddress> servers;
  for (const TextItem& item : bounded_texts(interface, "dns")) {
    const auto address = IpAddress::parse(item.text);
    if (!address || !usable_remote(*address)) {
      source.mistake(item.at, in_quotes(item.text) + " is no address of a name server",
                     "write its address without a port, such as \"10.10.0.53\"");
    }
    if (std::ranges::find(servers, *address) != servers.end()) {
      source.mistake(item.at, address->text() + " is given twice", "keep one of them");
    }
    servers.push_back(*address);
  }
  return servers;
}

std::vector<std::string> read_search_domains(const Section& interface) {
  Source& source = interface.source();
  std::vector<std::string> domains;
  for (const TextItem& item : bounded_texts(interface, "dns_search")) {
    if (!valid_host_name(item.text)) {
      source.mistake(item.at, in_quotes(item.text) + " is no domain", "write a name such as \"corp.example\"");
    }
    if (std::ranges::find(domains, item.text) != domains.end()) {
      source.mistake(item.at, in_quotes(item.text) + " is given twice", "keep one of them");
    }
    domains.push_back(item.text);
  }
  if (!domains.empty() && !interface.has("dns")) {
    source.mistake(interface.position("dns_search"), "dns_search is given without dns",
                   "name the servers to ask: dns = [\"10.10.0.53\"]");
  }
  return domains;
}

}  // namespace centipede
