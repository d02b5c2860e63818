#include "link-emulator/control_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

namespace centipede::emulator {
namespace {

constexpr size_t longest_line = 4096;
constexpr size_t most_connections = 16;
constexpr size_t chunk_bytes = 4096;

Result<sockaddr_un> socket_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path)
    return fail("control socket '" + path + "': the path must have 1 to 107 bytes");
  path.copy(address.sun_path, path.size());
  return address;
}

Result<FileDescriptor> connect_to(const std::string& path) {
  const auto address = socket_address(path);
  if (!address) return std::unexpected(address.error());
  FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return fail_system("opening a UNIX socket");
  if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0)
    return fail_system("connecting to the emulator at " + path);
  return socket;
}

}  // namespace

Result<ControlServer> ControlServer::listen(const std::string& path) {
  const auto address = socket_address(path);
  if (!address) return std::unexpected(address.error());
  FileDescriptor listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!listener) return fail_system("opening a UNIX socket");
  struct stat status{};
  if (lstat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode)) {
    if (connect_to(path)) return fail("control socket " + path + ": another emulator answers there");
    unlink(path.c_str());
  }
  if (bind(listener.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0)
    return fail_system("creating the control socket " + path);
  ControlServer server(std::move(listener), path);
  if (::listen(server.listener_.get(), most_connections) != 0) return fail_system("listening on " + path);
  return server;
}

ControlServer::~ControlServer() {
  if (listener_) unlink(path_.c_str());
}

void ControlServer::add_to(std::vector<pollfd>& waits) const {
  waits.push_back({listener_.get(), POLLIN, 0});
  for (const Connection& connection : connections_)
    waits.push_back({connection.socket.get(), POLLIN, 0});
}

void ControlServer::serve(std::span<const pollfd> waits, const Handler& handler) {
  std::vector<Connection> kept;
  for (size_t i = 0; i < connections_.size(); ++i) {
    const bool ready = waits[i + 1].revents != 0;
    if (!ready || serve_connection(connections_[i], handler)) kept.push_back(std::move(connections_[i]));
  }
  connections_ = std::move(kept);
  if (waits[0].revents != 0) accept_all();
}

void ControlServer::accept_all() {
  while (true) {
    FileDescriptor socket(accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket) return;
    if (connections_.size() < most_connections) connections_.push_back({std::move(socket), {}});
  }
}

bool ControlServer::serve_connection(Connection& connection, const Handler& handler) {
  std::array<char, chunk_bytes> chunk;
  const ssize_t length = recv(connection.socket.get(), chunk.data(), chunk.size(), 0);
  if (length < 0) return errno == EAGAIN || errno == EINTR;
  if (length == 0) return false;
  connection.received.append(chunk.data(), static_cast<size_t>(length));
  size_t end = 0;
  while ((end = connection.received.find('\n')) != std::string::npos) {
    const std::string answer = handler(std::string_view(connection.received).substr(0, end)) + "\n";
    connection.received.erase(0, end + 1);
    const ssize_t sent = send(connection.socket.get(), answer.data(), answer.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(answer.size())) return false;
  }
  return connection.received.size() <= longest_line;
}

Result<std::string> ask(const std::string& path, const std::string& line) {
  auto socket = connect_to(path);
  if (!socket) return std::unexpected(socket.error());
  const std::string request = line + "\n";
  if (send(socket->get(), request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size()))
    return fail_system("sending to the emulator at " + path);
  std::string answer;
  std::array<char, chunk_bytes> chunk;
  while (answer.empty() || answer.back() != '\n') {
    const ssize_t length = recv(socket->get(), chunk.data(), chunk.size(), 0);
    if (length < 0 && errno == EINTR) continue;
    if (length < 0) return fail_system("reading the answer of the emulator at " + path);
    if (length == 0) return fail("the emulator at " + path + " closed the connection without an answer");
    answer.append(chunk.data(), static_cast<size_t>(length));
  }
  answer.pop_back();
  return answer;
}

}  // namespace centipede::emulator
