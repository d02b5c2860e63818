#include "cli/command_tree.h"

namespace centipede::cli {
namespace {

void add_interface(CLI::App& command, std::string& interface) {
  command.add_option("-i,--interface", interface, "The tunnel's interface")
      ->type_name("INTERFACE")
      ->capture_default_str();
}

void add_json(CLI::App& command, bool& json) {
  command.add_flag("--json", json, "As JSON");
}

// A command that runs `run` when it is given.
CLI::App& add_command(CLI::App& app, Action& action, const char* name, const char* what, Action run) {
  CLI::App* command = app.add_subcommand(name, what);
  command->callback([&action, run = std::move(run)] { action = run; });
  return *command;
}

void add_peer_settings(CLI::App& command, PeerOptions& peer) {
  command.add_option("--name", peer.name, "For people (default: the first letters of the key)")->type_name("NAME");
  command.add_option("--allowed-ips", peer.allowed_ips, "Networks behind it, separated by commas, or none")
      ->type_name("NETWORKS")
      ->delimiter(',')
      ->allow_extra_args(false);
  command.add_option("--endpoint", peer.endpoints, "Where it can be reached, host:port; once for each, or none")
      ->type_name("ENDPOINT")
      ->delimiter(',')
      ->allow_extra_args(false);
  command.add_option("--policy", peer.policy, "How links are used")->check(CLI::IsMember({"redundant", "backup"}));
  command.add_option("--preshared-key-file", peer.preshared_key_file, "Holds a secret that both sides share")
      ->type_name("FILE");
}

void add_peer_commands(CLI::App& app, Host& host, PeerOptions& peer, Action& action) {
  CLI::App& all = *app.add_subcommand("peer", "Show and change the peers of a running tunnel");
  all.require_subcommand(1);
  CLI::App& list = add_command(all, action, "list", "A line for each", [&] { return peer_list(host, peer); });
  add_json(list, peer.json);
  CLI::App& show = add_command(all, action, "show", "All about one", [&] { return peer_show(host, peer); });
  show.add_option("PEER", peer.peer, "Its name or public key")->required();
  add_json(show, peer.json);
  CLI::App& add = add_command(all, action, "add", "One more", [&] { return peer_add(host, peer); });
  add.add_option("KEY", peer.peer, "Its public key")->required();
  add_peer_settings(add, peer);
  CLI::App& set = add_command(all, action, "set", "Change what is named", [&] { return peer_set(host, peer); });
  set.add_option("PEER", peer.peer, "Its name or public key")->required();
  add_peer_settings(set, peer);
  set.add_flag("--no-preshared-key", peer.no_preshared_key, "Without a preshared key from now on")
      ->excludes("--preshared-key-file");
  CLI::App& remove = add_command(all, action, "remove", "One less", [&] { return peer_remove(host, peer); });
  remove.add_option("PEER", peer.peer, "Its name or public key")->required();
  for (CLI::App* command : {&list, &show, &add, &set, &remove})
    add_interface(*command, peer.interface);
}

void add_path_commands(CLI::App& app, Host& host, PathOptions& path, Action& action) {
  CLI::App& all = *app.add_subcommand("path", "Show the paths to peers, and choose which carry data");
  all.require_subcommand(1);
  CLI::App& list = add_command(all, action, "list", "A line for each", [&] { return path_list(host, path); });
  list.add_option("PEER", path.peer, "Those to this peer alone, by name or public key");
  add_json(list, path.json);
  CLI::App& set = add_command(all, action, "set", "Change the priority", [&] { return path_set(host, path); });
  CLI::App& up = add_command(all, action, "up", "Let data go there", [&] { return path_enable(host, path, true); });
  CLI::App& down =
      add_command(all, action, "down", "Let only heartbeats go there", [&] { return path_enable(host, path, false); });
  for (CLI::App* command : {&set, &up, &down}) {
    command->add_option("PEER", path.peer, "Its name or public key")->required();
    command->add_option("UPLINK", path.uplink, "The device that the path begins at")->required();
  }
  set.add_option("--priority", path.priority, "Lower is preferred by policy backup; none: as the uplink's")
      ->type_name("NUMBER")
      ->required();
  for (CLI::App* command : {&list, &set, &up, &down})
    add_interface(*command, path.interface);
}

void add_uplink_settings(CLI::App& command, UplinkOptions& uplink) {
  command.add_option("--priority", uplink.priority, "Lower is preferred by policy backup; none: its place in the list")
      ->type_name("NUMBER");
  command.add_option("--metered", uplink.metered, "Volume costs money")->check(CLI::IsMember({"yes", "no"}));
  command.add_option("--rate", uplink.rate, "What it can carry, bits a second, as 20M; none: unknown")
      ->type_name("RATE");
}

void add_uplink_commands(CLI::App& app, Host& host, UplinkOptions& uplink, Action& action) {
  CLI::App& all = *app.add_subcommand("uplink", "Show and change the devices that a running tunnel sends over");
  all.require_subcommand(1);
  CLI::App& list = add_command(all, action, "list", "A line for each", [&] { return uplink_list(host, uplink); });
  add_json(list, uplink.json);
  CLI::App& add = add_command(all, action, "add", "One more", [&] { return uplink_add(host, uplink); });
  CLI::App& set = add_command(all, action, "set", "Change what is named", [&] { return uplink_set(host, uplink); });
  CLI::App& remove = add_command(all, action, "remove", "One less", [&] { return uplink_remove(host, uplink); });
  for (CLI::App* command : {&add, &set, &remove})
    command->add_option("UPLINK", uplink.name, "A device, or a pattern such as 'wl*'")->required();
  add_uplink_settings(add, uplink);
  add_uplink_settings(set, uplink);
  for (CLI::App* command : {&list, &add, &set, &remove})
    add_interface(*command, uplink.interface);
}

void add_watching_commands(CLI::App& app, Host& host, RunningArguments& arguments, Action& action) {
  CLI::App& watch = add_command(app, action, "events", "Print what happens to a running tunnel", [&] {
    arguments.events.follow = !arguments.no_follow;
    return events(host, arguments.events);
  });
  watch.add_option("--after", arguments.events.after, "Only those after the event of this number")->type_name("NUMBER");
  watch.add_flag("--no-follow", arguments.no_follow, "Print those that the daemon still has, and end");
  watch.add_flag("--json", arguments.events.json, "One JSON object a line");
  add_interface(watch, arguments.events.interface);
  PingOptions& options = arguments.ping;
  CLI::App& probe = add_command(app, action, "ping", "Measure the round trip to a peer over each path",
                                [&] { return ping(host, options); });
  probe.add_option("PEER", options.peer, "Its name or public key")->required();
  probe.add_option("-c,--count", options.count, "How often")
      ->type_name("NUMBER")
      ->check(CLI::Range(1U, 1'000'000U))
      ->capture_default_str();
  probe.add_option("--interval", options.interval_ms, "From one to the next")
      ->type_name("MS")
      ->check(CLI::Range(10U, 3'600'000U))
      ->capture_default_str();
  probe.add_option("--timeout", options.timeout_ms, "How long an answer may take")
      ->type_name("MS")
      ->check(CLI::Range(1U, 10'000U))
      ->capture_default_str();
  probe.add_flag("--json", options.json, "One JSON object a line");
  add_interface(probe, options.interface);
}

}  // namespace

void add_running_commands(CLI::App& app, Host& host, RunningArguments& arguments, Action& action) {
  add_peer_commands(app, host, arguments.peer, action);
  add_path_commands(app, host, arguments.path, action);
  add_uplink_commands(app, host, arguments.uplink, action);
  CLI::App& again = add_command(app, action, "reload", "Apply what has changed in the configuration file",
                                [&] { return reload(host, arguments.interface); });
  add_interface(again, arguments.interface);
  CLI::App& print = add_command(app, action, "export", "Print the settings in force as a configuration file",
                                [&] { return export_config(host, arguments.interface); });
  add_interface(print, arguments.interface);
  add_watching_commands(app, host, arguments, action);
  ImportOptions& options = arguments.import;
  CLI::App& import = add_command(app, action, "import", "Turn a WireGuard configuration into one of ours",
                                 [&] { return import_config(host, options); });
  import.add_option("FILE", options.input, "As wg-quick(8) reads it: wg0.conf")->required();
  import.add_option("-o,--output", options.output, "Write it into this new file (mode 0600)")->type_name("FILE");
}

}  // namespace centipede::cli
