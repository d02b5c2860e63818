#include "cli/command_line.h"

#include <CLI/CLI.hpp>
#include <ostream>

#include "cli/command_tree.h"
#include "cli/completion.h"
#include "cli/dashboard.h"
#include "cli/doctor.h"
#include "cli/keys_commands.h"
#include "cli/log.h"
#include "cli/tunnel_commands.h"
#include "dataplane/setting_texts.h"

namespace centipede::cli {
namespace {

constexpr const char* introduction =
    "A VPN over several links at once: each packet goes out on every chosen link, the first copy that arrives counts.";

constexpr const char* first_steps = R"(First steps:
  centipede genkey -o /etc/centipede/cp0.key     make a key and print its public half, for the other side
  man centipede.toml                             write /etc/centipede/cp0.toml
  centipede doctor eth0 wlan0                    does everything fit?
  centipede attach eth0 wlan0                    run the tunnel cp0 over these links
  centipede status                               in another terminal
)";

// The options of every command; CLI11 writes into them.
struct Arguments {
  std::string key_output;
  std::string key_input;
  AttachOptions attach;
  DetachOptions detach;
  StatusOptions status;
  DoctorOptions doctor;
  RunningArguments running;
  std::string shell;
  DashboardOptions dashboard;
};

void add_key_commands(CLI::App& app, Host& host, Arguments& arguments, Action& action) {
  auto* genkey = app.add_subcommand("genkey", "Make a private key and print it");
  genkey
      ->add_option("-o,--output", arguments.key_output,
                   "Write it into this new file (mode 0600) and print the public key")
      ->type_name("FILE");
  genkey->callback([&] { action = [&] { return generate_private_key(host, arguments.key_output); }; });
  auto* pubkey = app.add_subcommand("pubkey", "Print the public key of a private key");
  pubkey->add_option("FILE", arguments.key_input, "Holds the private key (default: standard input)");
  pubkey->callback([&] { action = [&] { return print_public_key(host, arguments.key_input); }; });
  auto* genpsk = app.add_subcommand("genpsk", "Make a preshared key, a second secret that two peers share");
  genpsk->add_option("-o,--output", arguments.key_output, "Write it into this new file (mode 0600) instead")
      ->type_name("FILE");
  genpsk->callback([&] { action = [&] { return generate_preshared_key(host, arguments.key_output); }; });
}

void add_tunnel_commands(CLI::App& app, Host& host, Arguments& arguments, Action& action) {
  auto* attach_command =
      app.add_subcommand("attach", "Run a tunnel in the foreground, or add uplinks to one that runs");
  attach_command->add_option("UPLINK", arguments.attach.uplinks, "Devices to send over (default: the configuration's)");
  attach_command->add_option("-i,--interface", arguments.attach.interface, "The tunnel's interface (default: cp0)")
      ->type_name("INTERFACE");
  attach_command
      ->add_option("-c,--config", arguments.attach.config_path,
                   "Configuration (default: /etc/centipede/<interface>.toml)")
      ->type_name("FILE");
  attach_command->add_flag("-v,--verbose", arguments.attach.verbose, "Log more");
  attach_command->add_flag("--allow-keylog", arguments.attach.allow_keylog,
                           "Let root take the session keys out (see keylog); off by default");
  attach_command->callback([&] { action = [&] { return attach(host, arguments.attach); }; });
  auto* detach_command = app.add_subcommand("detach", "Take uplinks out of a running tunnel, or stop it");
  detach_command->add_option("UPLINK", arguments.detach.uplinks, "Devices to take out (default: stop the tunnel)");
  detach_command->add_option("-i,--interface", arguments.detach.interface, "The tunnel's interface")
      ->type_name("INTERFACE")
      ->capture_default_str();
  detach_command->callback([&] { action = [&] { return detach(host, arguments.detach); }; });
  auto* status_command = app.add_subcommand("status", "Show the peers, paths and uplinks of running tunnels");
  status_command->add_option("-i,--interface", arguments.status.interface, "One tunnel (default: all that run)")
      ->type_name("INTERFACE");
  status_command->add_flag("--json", arguments.status.json, "One JSON object a tunnel and line");
  status_command->add_flag("--watch", arguments.status.watch, "Again every second, until interrupted");
  status_command->callback([&] { action = [&] { return status(host, arguments.status); }; });
  auto* doctor_command = app.add_subcommand("doctor", "Say what this system allows and what to do about it");
  doctor_command->add_option("UPLINK", arguments.doctor.uplinks, "Devices to look at (default: the configuration's)");
  doctor_command->add_option("-i,--interface", arguments.doctor.interface, "The tunnel's interface (default: cp0)")
      ->type_name("INTERFACE");
  doctor_command
      ->add_option("-c,--config", arguments.doctor.config_path,
                   "Configuration (default: /etc/centipede/<interface>.toml)")
      ->type_name("FILE");
  doctor_command->add_flag("--json", arguments.doctor.json, "A list of {level, what, finding, advice}");
  doctor_command->callback([&] { action = [&] { return doctor(host, arguments.doctor); }; });
  auto* dashboard_command = app.add_subcommand("dashboard", "Serve a page that shows the running tunnel, on loopback");
  dashboard_command->add_option("-i,--interface", arguments.dashboard.interface, "The tunnel's interface")
      ->capture_default_str();
  dashboard_command->add_option("--port", arguments.dashboard.port, "TCP port to serve it on; 0: any that is free")
      ->capture_default_str();
  dashboard_command->callback([&] { action = [&] { return dashboard(host, arguments.dashboard); }; });
}

void add_completion(CLI::App& app, Host& host, std::string& shell, Action& action) {
  auto* completion = app.add_subcommand("completion", "Print the script that completes these commands in a shell");
  completion->add_option("SHELL", shell, "Which")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
  completion->callback([&] {
    action = [&] {
      host.out << completion_script(shell) << std::flush;
      return done;
    };
  });
}

// What the scripts ask: the words so far, the last one being typed. Anything but candidates is silence.
int complete(Host& host, const CLI::App& app, const std::vector<std::string>& words) {
  for (const auto& word : completions(app, words, completion_sources(host)))
    host.out << word << '\n';
  host.out << std::flush;
  return done;
}

}  // namespace

int complain(const Host& host, int code, const std::string& what) {
  if (!drain_log()) return code;  // nobody reads, and this would wait for that
  host.err << error_prefix() << "centipede: " << printable_utf8(what) << '\n' << std::flush;
  return code;
}

int run_command_line(Host& host, int argc, const char* const* argv) {
  CLI::App app(introduction, "centipede");
  Arguments arguments;
  Action action;
  app.set_version_flag("--version", "centipede " CENTIPEDE_VERSION);
  app.require_subcommand(1);
  app.footer(first_steps);
  add_key_commands(app, host, arguments, action);
  add_tunnel_commands(app, host, arguments, action);
  add_running_commands(app, host, arguments.running, action);
  add_completion(app, host, arguments.shell, action);
  if (argc > 1 && std::string_view(argv[1]) == "__complete") return complete(host, app, {argv + 2, argv + argc});
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {  // --help, --version
    app.exit(asked, host.out, host.err);
    return done;
  } catch (const CLI::ParseError& error) {
    const auto unknown = app.remaining();
    if (app.get_subcommands().empty() && !unknown.empty()) {
      return complain(host, wrong_usage,
                      "there is no command \"" + unknown.front() + "\" (centipede --help lists them)");
    }
    return complain(host, wrong_usage, std::string(error.what()) + " (centipede --help says more)");
  }
  return action();
}

}  // namespace centipede::cli
