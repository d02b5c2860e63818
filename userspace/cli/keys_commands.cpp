#include "cli/keys_commands.h"

#include <sodium.h>

#include <array>
#include <istream>
#include <ostream>

#include "base/small_file.h"

namespace centipede::cli {
namespace {

constexpr size_t key_file_limit = 4096;

int deliver(Host& host, const SecretText& line, const std::string& output_path) {
  if (output_path.empty()) {
    host.out << line.text() << std::flush;
    return done;
  }
  const auto written = write_new_secret_file(output_path, line.text());
  if (written) return done;
  const char* remedy = written.error().code == EEXIST ? "; a key is never overwritten: move the file away first" : "";
  return complain(host, failed, written.error().text + remedy);
}

Result<SecretText> read_key(Host& host, const std::string& input_path) {
  if (!input_path.empty()) {
    auto file = read_small_file(input_path, key_file_limit);
    if (!file) return std::unexpected(file.error());
    return std::move(file->content);
  }
  std::string text(key_file_limit, '\0');
  host.in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(host.in.gcount()));
  return SecretText(std::move(text));
}

}  // namespace

int generate_private_key(Host& host, const std::string& output_path) {
  if (auto ready = crypto::initialise(); !ready) return complain(host, failed, ready.error().text);
  const crypto::Identity identity = crypto::Identity::generate();
  std::string line = identity.private_base64();
  line += '\n';
  const int code = deliver(host, SecretText(std::move(line)), output_path);
  // The private half went into the file: the public one is what the user needs next.
  if (code == done && !output_path.empty()) host.out << identity.public_key().base64() << '\n' << std::flush;
  return code;
}

int generate_preshared_key(Host& host, const std::string& output_path) {
  if (auto ready = crypto::initialise(); !ready) return complain(host, failed, ready.error().text);
  crypto::SecretKey key;
  randombytes_buf(key.data(), crypto::SecretKey::size);
  std::string line = crypto::to_base64(key.view());
  line += '\n';
  return deliver(host, SecretText(std::move(line)), output_path);
}

int print_public_key(Host& host, const std::string& input_path) {
  if (auto ready = crypto::initialise(); !ready) return complain(host, failed, ready.error().text);
  const auto text = read_key(host, input_path);
  if (!text) return complain(host, failed, text.error().text);
  const auto identity = crypto::Identity::from_base64(text->trimmed());
  if (!identity) {
    const std::string where = input_path.empty() ? "standard input" : input_path;
    return complain(
        host, wrong_usage,
        where + " holds no private key: give it the 44 characters of base64 that `centipede genkey` prints");
  }
  host.out << identity->public_key().base64() << '\n' << std::flush;
  return done;
}

}  // namespace centipede::cli
