#include "link-emulator/bridge.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

namespace centipede::emulator {
namespace {

constexpr size_t receive_batch = 256;
constexpr size_t departure_batch = 256;
// A sleep may end this much late; the rest is spent spinning so that departures are on time.
constexpr Duration spin_time = microseconds(50);
// How long frames may flow without a look at the control socket, signals and link changes.
constexpr Duration longest_inattention = milliseconds(1);
constexpr Duration longest_sleep = seconds(3600);
constexpr std::array<const char*, 2> direction_names{"a2b", "b2a"};

Instant clock_now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return Instant(seconds(time.tv_sec) + nanoseconds(time.tv_nsec));
}

timespec to_timespec(Duration duration) {
  const auto whole = std::chrono::floor<seconds>(duration);
  return {whole.count(), (duration - whole).count()};
}

Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail_system("opening " + path);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (file.bad()) return fail_system("reading " + path);
  return text;
}

Result<FileDescriptor> watch_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  if (sigprocmask(SIG_BLOCK, &signals, nullptr) != 0) return fail_system("blocking signals");
  FileDescriptor watched(signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC));
  if (!watched) return fail_system("watching signals");
  return watched;
}

Result<FileDescriptor> watch_link_changes() {
  FileDescriptor socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK;
  if (!socket || bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return fail_system("watching link changes");
  return socket;
}

void discard_messages(int socket) {
  std::array<char, 8192> message;
  // Also ends on ENOBUFS (messages were missed): all devices are looked at again in any case.
  while (recv(socket, message.data(), message.size(), 0) > 0) {
  }
}

nlohmann::ordered_json to_json(const LinkCounters& c) {
  return {{"offered", c.offered},
          {"offered_bytes", c.offered_bytes},
          {"delivered", c.delivered},
          {"delivered_bytes", c.delivered_bytes},
          {"lost", c.lost},
          {"burst_lost", c.burst_lost},
          {"queue_drops", c.queue_drops},
          {"mtu_drops", c.mtu_drops},
          {"down_drops", c.down_drops},
          {"held_back", c.held_back},
          {"reordered", c.reordered},
          {"duplicated", c.duplicated},
          {"corrupted", c.corrupted},
          {"corrupt_copies", c.corrupt_copies}};
}

}  // namespace

Bridge::Bridge(std::string device_a, std::string device_b) : models_{LinkModel({}, 1), LinkModel({}, 2)} {
  sides_[0].device = std::move(device_a);
  sides_[1].device = std::move(device_b);
}

Result<Bridge> Bridge::create(std::string device_a, std::string device_b, const std::string& control_path) {
  Bridge bridge(std::move(device_a), std::move(device_b));
  auto signals = watch_signals();
  if (!signals) return std::unexpected(signals.error());
  bridge.signals_ = std::move(*signals);
  auto link_changes = watch_link_changes();
  if (!link_changes) return std::unexpected(link_changes.error());
  bridge.link_changes_ = std::move(*link_changes);
  bridge.join_devices();
  if (!control_path.empty()) {
    auto control = ControlServer::listen(control_path);
    if (!control) return std::unexpected(control.error());
    bridge.control_.emplace(std::move(*control));
  }
  return bridge;
}

void Bridge::join_devices() {
  for (Side& side : sides_) {
    if (side.port && side.port->matches(side.device)) continue;
    if (side.port) {
      side.receive_drops += side.port->take_receive_drops();
      side.port.reset();
    }
    auto port = PacketPort::open(side.device);
    if (port) {
      side.port.emplace(std::move(*port));
      side.last_problem.clear();
    } else if (side.last_problem != port.error().text) {
      side.last_problem = port.error().text;
      std::fprintf(stderr, "link-emulator: waiting for %s: %s\n", side.device.c_str(), side.last_problem.c_str());
    }
  }
}

bool Bridge::move_frames() {
  bool moved = false;
  for (size_t from = 0; from < sides_.size(); ++from) {
    LinkModel& model = models_[from];
    Side& source = sides_[from];
    Side& target = sides_[1 - from];
    const Instant now = clock_now();
    if (source.port) {
      const auto offer = [&model, now](ConstBytes frame) { model.offer(frame, now); };
      moved = source.port->receive(receive_batch, offer) != 0 || moved;
    }
    if (model.next_departure() > now) continue;
    moved = true;
    model.take_due(now, departures_, departure_batch);
    target.refused += target.port ? target.port->send(departures_) : departures_.size();
    model.recycle(departures_);
  }
  return moved;
}

Instant Bridge::next_departure() const {
  return std::min(models_[0].next_departure(), models_[1].next_departure());
}

Result<void> Bridge::run() {
  // Best effort: other work on the machine should not delay departures, nor should memory that was paged out.
  setpriority(PRIO_PROCESS, 0, -10);
  mlockall(MCL_CURRENT | MCL_FUTURE);
  Instant attended = Instant::min();
  while (!stopped_) {
    const bool moved = move_frames();
    const Instant now = clock_now();
    const Instant next = next_departure();
    Duration sleep = next == never ? longest_sleep : next - now - spin_time;
    if (moved || sleep <= Duration::zero()) {
      if (attended != Instant::min() && now - attended < longest_inattention) continue;
      sleep = Duration::zero();
    }
    if (auto waited = wait(std::min(sleep, longest_sleep)); !waited) return waited;
    attended = clock_now();
  }
  return {};
}

Result<void> Bridge::wait(Duration timeout) {
  waits_.clear();
  waits_.push_back({signals_.get(), POLLIN, 0});
  waits_.push_back({link_changes_.get(), POLLIN, 0});
  for (const Side& side : sides_)
    waits_.push_back({side.port ? side.port->fd() : -1, POLLIN, 0});
  const size_t control_waits = waits_.size();
  if (control_) control_->add_to(waits_);

  const timespec limit = to_timespec(timeout);
  const int ready = ppoll(waits_.data(), waits_.size(), &limit, nullptr);
  if (ready < 0 && errno != EINTR) return fail_system("waiting for frames");
  if (ready <= 0) return {};
  stopped_ = waits_[0].revents != 0;
  for (size_t i = 0; i < sides_.size(); ++i)
    if ((waits_[2 + i].revents & POLLERR) != 0) sides_[i].port->clear_error();
  if (waits_[1].revents != 0) {
    discard_messages(link_changes_.get());
    join_devices();
  }
  if (control_)
    control_->serve(std::span(waits_).subspan(control_waits), [this](std::string_view line) { return command(line); });
  return {};
}

std::string Bridge::command(std::string_view line) {
  std::istringstream stream{std::string(line)};
  std::vector<std::string> words{std::istream_iterator<std::string>(stream), {}};
  if (!words.empty() && words.front() == "set") words.erase(words.begin());
  if (words.size() == 1 && words.front() == "stats") return statistics();
  if (words.size() == 1 && words.front() == "reset") {
    for (LinkModel& model : models_)
      model.reset_counters();
    for (Side& side : sides_) {
      if (side.port) static_cast<void>(side.port->take_receive_drops());
      side.receive_drops = 0;
      side.refused = 0;
    }
    return "ok";
  }
  return set(words);
}

std::string Bridge::set(const std::vector<std::string>& words) {
  const auto is_direction = [](const std::string& word) { return word == "a2b" || word == "b2a" || word == "both"; };
  if (words.empty() || !is_direction(words.front())) return "error: expected a2b, b2a, both, stats or reset";
  std::array<LinkChange, 2> changes{LinkChange{models_[0].settings(), {}}, LinkChange{models_[1].settings(), {}}};
  for (auto word = words.begin(); word != words.end();) {
    const std::string& direction = *word;
    const auto end = std::find_if(word + 1, words.end(), is_direction);
    if (word + 1 == end) return "error: " + direction + ": no setting given";
    for (size_t i = 0; i < changes.size(); ++i) {
      if (direction != "both" && direction != direction_names[i]) continue;
      auto change = apply_words(changes[i].settings, std::span(word + 1, end), read_file);
      if (!change) return "error: " + change.error().text;
      // One seed given for both must still make two different sequences.
      if (change->seed) changes[i].seed = direction == "both" ? *change->seed + i : *change->seed;
      changes[i].settings = std::move(change->settings);
    }
    word = end;
  }
  const Instant now = clock_now();
  for (size_t i = 0; i < changes.size(); ++i) {
    models_[i].configure(std::move(changes[i].settings), now);
    if (changes[i].seed) models_[i].reseed(*changes[i].seed);
  }
  return "ok";
}

std::string Bridge::statistics() {
  nlohmann::ordered_json answer;
  for (size_t i = 0; i < models_.size(); ++i) {
    Side& from = sides_[i];
    const Side& to = sides_[1 - i];
    if (from.port) from.receive_drops += from.port->take_receive_drops();
    nlohmann::ordered_json& direction = answer[direction_names[i]];
    direction["from"] = from.device;
    direction["to"] = to.device;
    direction["joined"] = from.port.has_value() && to.port.has_value();
    direction["settings"] = describe(models_[i].settings());
    direction["on_the_way"] = models_[i].on_the_way();
    direction["counters"] = to_json(models_[i].counters());
    direction["counters"]["receive_drops"] = from.receive_drops;
    direction["counters"]["send_refused"] = to.refused;
  }
  return answer.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace centipede::emulator
