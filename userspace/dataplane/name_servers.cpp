#include "dataplane/name_servers.h"

#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "dataplane/run_program.h"
#include "dataplane/state_writer.h"

namespace centipede {
namespace {

bool exists(const std::string& path) {
  struct stat state{};
  return stat(path.c_str(), &state) == 0;
}

std::string note_path(std::string_view tunnel, const std::string& state_directory) {
  return state_directory + "/" + std::string(tunnel) + ".dns";
}

// Debian's resolvconf orders its records by the kind of interface in their names, and these come early.
std::string record_of(std::string_view tunnel, const ResolverPrograms& programs) {
  return (exists(programs.interface_order) ? "tun." : "") + std::string(tunnel);
}

Result<void> through_resolved(const std::string& tunnel, const NameServers& wanted) {
  std::vector<std::string> servers{"resolvectl", "dns", tunnel};
  for (const IpAddress& server : wanted.servers)
    servers.push_back(server.text());
  std::vector<std::string> domains{"resolvectl", "domain", tunnel};
  domains.insert(domains.end(), wanted.search.begin(), wanted.search.end());
  if (wanted.search.empty()) domains.emplace_back("~.");  // every name
  const std::vector<std::string> others{"resolvectl", "default-route", tunnel, wanted.search.empty() ? "yes" : "no"};
  for (const auto* command : {&std::as_const(servers), &std::as_const(domains), &others}) {
    if (auto done = run_program(*command); !done) return done;
  }
  return {};
}

// It knows no servers for some domains only, and orders those of several records as it likes: so these are asked
// instead of all others (-x), about every name.
Result<void> through_resolvconf(const std::string& record, const NameServers& wanted) {
  std::string text;
  for (const IpAddress& server : wanted.servers)
    text += "nameserver " + server.text() + "\n";
  if (!wanted.search.empty()) text += "search";
  for (const std::string& domain : wanted.search)
    text += " " + domain;
  if (!wanted.search.empty()) text += "\n";
  return run_program({"resolvconf", "-a", record, "-m", "0", "-x"}, text);
}

}  // namespace

Result<void> set_name_servers(std::string_view tunnel, const NameServers& wanted, const std::string& state_directory,
                              const ResolverPrograms& programs) {
  const std::string name(tunnel);
  if (exists(programs.resolved_runs)) return through_resolved(name, wanted);
  // The note first: a process that is killed in between has set nothing.
  const std::string record = record_of(tunnel, programs);
  if (auto noted = replace_file(note_path(tunnel, state_directory), record + "\n"); !noted) return noted;
  auto set = through_resolvconf(record, wanted);
  if (set) return set;
  if (set.error().code != ENOENT) return set;
  unlink(note_path(tunnel, state_directory).c_str());
  return fail(
      "neither systemd-resolved nor resolvconf is here to set name servers with: install one of them, or write "
      "`nameserver " +
          wanted.servers.front().text() + "` into /etc/resolv.conf yourself",
      ENOENT);
}

Result<bool> revert_name_servers(std::string_view tunnel, const std::string& state_directory,
                                 const ResolverPrograms& programs) {
  const std::string note = note_path(tunnel, state_directory);
  if (!exists(note)) return false;
  const auto reverted = run_program({"resolvconf", "-d", record_of(tunnel, programs)});
  if (!reverted) return std::unexpected(reverted.error());
  unlink(note.c_str());
  return true;
}

}  // namespace centipede
