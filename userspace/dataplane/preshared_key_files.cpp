#include "dataplane/preshared_key_files.h"

#include "base/small_file.h"
#include "crypto/keys.h"

namespace centipede {

std::optional<crypto::SecretKey> read_preshared_key(const std::string& path) {
  constexpr size_t key_file_limit = 4096;
  const auto file = read_small_file(path, key_file_limit);
  if (!file) return std::nullopt;
  return crypto::secret_from_base64(file->content.trimmed());
}

}  // namespace centipede
