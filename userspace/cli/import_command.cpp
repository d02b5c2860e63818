#include "cli/import_command.h"

#include <filesystem>
#include <ostream>

#include "base/small_file.h"
#include "config/wireguard_import.h"

namespace centipede::cli {

int import_config(Host& host, const ImportOptions& options) {
  constexpr size_t file_limit = size_t{1} << 20;
  const std::string tunnel = options.output.empty() ? "cp0" : std::filesystem::path(options.output).stem().string();
  if (!api::valid_interface_name(tunnel)) {
    return complain(
        host, wrong_usage,
        options.output + ": the file's name gives the interface's; use 1 to 15 visible characters, then .toml");
  }
  const auto file = read_small_file(options.input, file_limit);
  if (!file) return complain(host, failed, file.error().text + "; name a readable WireGuard configuration");
  if (auto ready = crypto::initialise(); !ready) return complain(host, failed, ready.error().text);
  auto imported = import_wireguard(file->content.text(), options.input, tunnel);
  if (!imported) return complain(host, wrong_usage, imported.error().text);
  const SecretText config(std::move(imported->config));
  if (options.output.empty()) {
    host.out << config.text() << std::flush;
  } else if (const auto written = write_new_secret_file(options.output, config.text()); !written) {
    return complain(host, failed,
                    written.error().text + "; a file that is there is not overwritten: move it away first");
  }
  for (const auto& note : imported->notes)
    host.err << note << '\n';
  host.err << std::flush;
  return done;
}

}  // namespace centipede::cli
