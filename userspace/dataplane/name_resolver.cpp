#include "dataplane/name_resolver.h"

#include <ares.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <deque>
#include <list>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/time.h"
#include "dataplane/setting_texts.h"
#include "dataplane/uring.h"

namespace centipede {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t max_servers = 8;
constexpr size_t hosts_file = 0;  // the channel that reads it
constexpr int server_timeout_ms = 1500;
constexpr int server_tries = 2;
// For the other uplinks' answers, once there is one.
constexpr auto patience_for_more = std::chrono::seconds(1);

struct DestroyChannel {
  void operator()(ares_channeldata* channel) const { ares_destroy(channel); }
};
using RawChannel = std::unique_ptr<ares_channeldata, DestroyChannel>;

// One way to ask. At a fixed address: c-ares keeps a pointer to it.
struct Channel {
  std::string device;  // that its sockets are bound to; empty: to none
  uint32_t mark = 0;
  RawChannel raw;
};

// A query that could leave by another way than it is meant to is not sent.
int prepare_socket(ares_socket_t socket, int, void* data) {
  const auto& channel = *static_cast<const Channel*>(data);
  if (channel.mark != 0 && ::setsockopt(socket, SOL_SOCKET, SO_MARK, &channel.mark, sizeof channel.mark) != 0)
    return -1;
  if (channel.device.empty()) return 0;
  return ::setsockopt(socket, SOL_SOCKET, SO_BINDTODEVICE, channel.device.data(),
                      static_cast<socklen_t>(channel.device.size()));
}

// `lookups`: "f" the hosts file, "b" name servers.
std::unique_ptr<Channel> make_channel(const char* lookups, const std::vector<IpAddress>& servers,
                                      const std::string& device, uint32_t mark) {
  auto channel = std::make_unique<Channel>(Channel{.device = device, .mark = mark, .raw = nullptr});
  std::string kinds = lookups;
  ares_options options{};
  options.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES;
  options.timeout = server_timeout_ms;
  options.tries = server_tries;
  options.lookups = kinds.data();
  ares_channel raw = nullptr;
  if (ares_init_options(&raw, &options, ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS) !=
      ARES_SUCCESS)
    return nullptr;
  channel->raw.reset(raw);
  std::string list;
  for (const IpAddress& server : servers)
    list += (list.empty() ? "" : ",") + server.text();
  if (!list.empty() && ares_set_servers_csv(raw, list.c_str()) != ARES_SUCCESS) return nullptr;
  ares_set_socket_configure_callback(raw, prepare_socket, channel.get());
  return channel;
}

std::vector<IpAddress> addresses_of(const ares_addrinfo* answer) {
  std::vector<IpAddress> all;
  for (const ares_addrinfo_node* node = answer->nodes; node != nullptr; node = node->ai_next) {
    const auto endpoint = Endpoint::from_sockaddr(node->ai_addr);
    if (!endpoint || !usable_remote(endpoint->address) || is_loopback(endpoint->address)) continue;
    if (std::ranges::find(all, endpoint->address) == all.end()) all.push_back(endpoint->address);
  }
  return all;
}

// All names of one peer, over all channels.
class Lookup {
 public:
  Lookup(NameResolver::Query query, const NameResolver::Setup& setup);

  [[nodiscard]] Clock::time_point started() const { return started_; }
  [[nodiscard]] bool done() const { return pending_ == 0 || Clock::now() >= deadline_; }
  [[nodiscard]] NameResolver::Answer answer() const;
  void append_descriptors(std::vector<pollfd>& descriptors, Clock::time_point& wake_at) const;
  void process(const std::vector<pollfd>& descriptors);

 private:
  struct Name {
    std::string host;
    uint16_t port = 0;
    std::vector<std::vector<IpAddress>> answers;  // one list a channel
    std::string problem;

    [[nodiscard]] bool found() const {
      return std::ranges::any_of(answers, [](const auto& list) { return !list.empty(); });
    }
    [[nodiscard]] std::vector<IpAddress> merged() const;
  };
  // What c-ares carries from the question to its answer. At a fixed address.
  struct Request {
    Lookup* lookup;
    Name* name;
    size_t channel;
  };

  void add_channel(std::unique_ptr<Channel> channel) {
    if (channel)
      channels_.push_back(std::move(channel));
    else
      problem_ = "no memory or no file descriptors left";
  }
  void ask(Name& name, size_t channel);
  void take(const Request& request, int status, const ares_addrinfo* found);

  control::PeerId peer_;
  std::vector<control::HostEndpoint> hosts_;
  Clock::time_point started_ = Clock::now();
  Clock::time_point hard_deadline_;
  Clock::time_point deadline_;
  std::string problem_;  // why there is nobody to ask
  size_t pending_ = 0;
  std::deque<Name> names_;
  std::deque<Request> requests_;
  std::vector<std::unique_ptr<Channel>> channels_;  // goes first: c-ares answers all that is open when it ends
};

Lookup::Lookup(NameResolver::Query query, const NameResolver::Setup& setup)
    : peer_(query.peer),
      hosts_(std::move(query.hosts)),
      hard_deadline_(started_ + setup.give_up_after),
      deadline_(hard_deadline_) {
  std::vector<IpAddress> servers = outside_name_servers(setup.files, setup.inside);
  if (servers.size() > max_servers) servers.resize(max_servers);
  const auto far = std::ranges::stable_partition(servers, is_loopback);
  const std::vector<IpAddress> here(servers.begin(), far.begin());
  const std::vector<IpAddress> elsewhere(far.begin(), far.end());
  add_channel(make_channel("f", {}, "", 0));
  if (!here.empty()) add_channel(make_channel("b", here, "", setup.mark));
  for (const std::string& uplink : query.uplinks) {
    if (!elsewhere.empty()) add_channel(make_channel("b", elsewhere, uplink, setup.mark));
  }
  if (!problem_.empty()) {
    channels_.clear();
  } else if (servers.empty()) {
    problem_ = "no name server outside of the tunnel is known: name one in " + setup.files.resolv_conf;
  } else if (channels_.size() == hosts_file + 1) {
    problem_ = "no uplink can send yet";
  }
  for (const control::HostEndpoint& host : hosts_) {
    Name& name = names_.emplace_back(host.host, host.port);
    name.answers.resize(channels_.size());
    for (size_t channel = 0; channel < channels_.size(); ++channel) {
      // The hosts file answers at once, and overrules name servers.
      if (channel == hosts_file + 1 && name.found()) break;
      ask(name, channel);
    }
  }
}

void Lookup::ask(Name& name, size_t channel) {
  Request& request = requests_.emplace_back(this, &name, channel);
  ares_addrinfo_hints hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_DGRAM;
  hints.ai_flags = ARES_AI_NOSORT;
  ++pending_;
  const auto answered = [](void* argument, int status, int, ares_addrinfo* found) {
    const auto& its = *static_cast<Request*>(argument);
    its.lookup->take(its, status, found);
    if (found != nullptr) ares_freeaddrinfo(found);
  };
  ares_getaddrinfo(channels_[channel]->raw.get(), name.host.c_str(), nullptr, &hints, answered, &request);
}

void Lookup::take(const Request& request, int status, const ares_addrinfo* found) {
  --pending_;
  if (status != ARES_SUCCESS || found == nullptr) {
    if (request.channel != hosts_file) request.name->problem = ares_strerror(status);
    return;
  }
  const bool first = !request.name->found();
  std::vector<IpAddress>& list = request.name->answers[request.channel];
  list = addresses_of(found);
  if (list.empty()) request.name->problem = "none of its addresses can be a server's";
  if (first && !list.empty()) deadline_ = std::min(hard_deadline_, Clock::now() + patience_for_more);
}

// In turn from each channel's list, so that none crowds out the others.
std::vector<IpAddress> Lookup::Name::merged() const {
  std::vector<IpAddress> all;
  for (size_t i = 0; i < NameResolver::max_addresses; ++i) {
    for (const auto& list : answers) {
      if (i >= list.size() || all.size() == NameResolver::max_addresses) continue;
      if (std::ranges::find(all, list[i]) == all.end()) all.push_back(list[i]);
    }
  }
  return all;
}

NameResolver::Answer Lookup::answer() const {
  NameResolver::Answer answer{.peer = peer_, .hosts = hosts_, .endpoints = {}, .problem = {}};
  for (const Name& name : names_) {
    for (const IpAddress& address : name.merged())
      answer.endpoints.push_back({address, name.port});
    if (name.found() || !answer.problem.empty()) continue;
    answer.problem = "resolving " + name.host + ": " +
                     (!problem_.empty()      ? problem_
                      : name.problem.empty() ? "the name servers do not answer"
                                             : name.problem);
  }
  return answer;
}

void Lookup::append_descriptors(std::vector<pollfd>& descriptors, Clock::time_point& wake_at) const {
  wake_at = std::min(wake_at, deadline_);
  for (const auto& channel : channels_) {
    std::array<ares_socket_t, ARES_GETSOCK_MAXNUM> sockets{};
    const auto bits = static_cast<unsigned>(ares_getsock(channel->raw.get(), sockets.data(), sockets.size()));
    for (unsigned i = 0; i < sockets.size(); ++i) {
      const bool readable = ARES_GETSOCK_READABLE(bits, i) != 0;
      const bool writable = ARES_GETSOCK_WRITABLE(bits, i) != 0;
      if (!readable && !writable) continue;
      descriptors.push_back({sockets[i], static_cast<short>((readable ? POLLIN : 0) | (writable ? POLLOUT : 0)), 0});
    }
    timeval left{};
    if (ares_timeout(channel->raw.get(), nullptr, &left) != nullptr) {
      wake_at = std::min(wake_at, Clock::now() + seconds(left.tv_sec) + microseconds(left.tv_usec));
    }
  }
}

// A channel looks at the descriptors that are its own; with none it looks at its timeouts.
void Lookup::process(const std::vector<pollfd>& descriptors) {
  for (const auto& channel : channels_) {
    for (const pollfd& one : descriptors) {
      if (one.revents == 0) continue;
      const bool writable = (one.revents & POLLOUT) != 0;
      const bool readable = (one.revents & ~POLLOUT) != 0;
      ares_process_fd(channel->raw.get(), readable ? one.fd : ARES_SOCKET_BAD, writable ? one.fd : ARES_SOCKET_BAD);
    }
    ares_process_fd(channel->raw.get(), ARES_SOCKET_BAD, ARES_SOCKET_BAD);
  }
}

}  // namespace

class NameResolver::Impl {
 public:
  Impl(Setup setup, WakeUp wake) : setup_(std::move(setup)), wake_(std::move(wake)), thread_([this] { run(); }) {}
  ~Impl() {
    stopping_.store(true, std::memory_order_release);
    wake_.wake();
    thread_.join();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  bool ask(Query query) {
    {
      const std::scoped_lock lock(mutex_);
      if (waiting_.size() >= max_waiting) return false;
      waiting_.push_back(std::move(query));
    }
    wake_.wake();
    return true;
  }

 private:
  void run();
  void start_lookups();
  [[nodiscard]] bool anybody_waits();
  [[nodiscard]] bool make_room();
  void wait();

  const Setup setup_;
  WakeUp wake_;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::deque<Query> waiting_;
  std::list<Lookup> lookups_;  // of the thread, at fixed addresses; the longest-lasting one first
  bool crowded_ = false;       // somebody waits for one of them to end
  std::thread thread_;
};

void NameResolver::Impl::run() {
  while (!stopping_.load(std::memory_order_acquire)) {
    start_lookups();
    wait();
    for (auto lookup = lookups_.begin(); lookup != lookups_.end();) {
      if (!lookup->done()) {
        ++lookup;
        continue;
      }
      setup_.done(lookup->answer());
      lookup = lookups_.erase(lookup);
    }
  }
}

void NameResolver::Impl::start_lookups() {
  crowded_ = false;
  while (anybody_waits()) {
    crowded_ = !make_room();
    if (crowded_) return;
    std::optional<Query> next;
    {
      const std::scoped_lock lock(mutex_);
      next = std::move(waiting_.front());
      waiting_.pop_front();
    }
    lookups_.emplace_back(std::move(*next), setup_);
  }
}

bool NameResolver::Impl::anybody_waits() {
  const std::scoped_lock lock(mutex_);
  return !waiting_.empty();
}

bool NameResolver::Impl::make_room() {
  if (lookups_.size() < at_once) return true;
  if (Clock::now() < lookups_.front().started() + fair_share) return false;
  setup_.done(lookups_.front().answer());
  lookups_.pop_front();
  return true;
}

void NameResolver::Impl::wait() {
  std::vector<pollfd> descriptors{{wake_.fd(), POLLIN, 0}};
  Clock::time_point wake_at = crowded_ ? lookups_.front().started() + fair_share : Clock::time_point::max();
  for (const Lookup& lookup : lookups_) {
    if (lookup.done()) wake_at = Clock::now();
    lookup.append_descriptors(descriptors, wake_at);
  }
  const auto left = std::chrono::ceil<milliseconds>(wake_at - Clock::now()).count();
  const int timeout = wake_at == Clock::time_point::max() ? -1 : static_cast<int>(std::clamp<int64_t>(left, 0, 60'000));
  if (::poll(descriptors.data(), descriptors.size(), timeout) < 0) return;  // interrupted
  (void)wake_.drain();
  descriptors.erase(descriptors.begin());
  for (Lookup& lookup : lookups_)
    lookup.process(descriptors);
}

Result<std::unique_ptr<NameResolver>> NameResolver::start(Setup setup) {
  static const int ready = ares_library_init(ARES_LIB_INIT_ALL);
  if (ready != ARES_SUCCESS) return fail(std::string("starting the name resolver: ") + ares_strerror(ready));
  auto wake = WakeUp::create();
  if (!wake) return std::unexpected(wake.error());
  return std::unique_ptr<NameResolver>(new NameResolver(std::make_unique<Impl>(std::move(setup), std::move(*wake))));
}

NameResolver::NameResolver(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
NameResolver::~NameResolver() = default;

bool NameResolver::ask(Query query) {
  return impl_->ask(std::move(query));
}

}  // namespace centipede
