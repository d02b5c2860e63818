#include "crypto/kdf.h"

#include <sodium.h>

#include <algorithm>

namespace centipede::crypto {
namespace {

// libsodium declares its pointers non-null, even those to nothing.
const uint8_t* pointer(ConstBytes bytes) {
  static constexpr uint8_t nothing = 0;
  return bytes.empty() ? &nothing : bytes.data();
}

void hmac_sha512_into(Secret<64>& out, ConstBytes key, std::initializer_list<ConstBytes> parts) {
  crypto_auth_hmacsha512_state state;
  crypto_auth_hmacsha512_init(&state, pointer(key), key.size());
  for (const ConstBytes part : parts)
    crypto_auth_hmacsha512_update(&state, pointer(part), part.size());
  crypto_auth_hmacsha512_final(&state, out.data());
  sodium_memzero(&state, sizeof state);
}

}  // namespace

Hash blake2b(std::initializer_list<ConstBytes> parts) {
  Hash hash;
  crypto_generichash_blake2b_state state;
  crypto_generichash_blake2b_init(&state, nullptr, 0, hash.size());
  for (const ConstBytes part : parts)
    crypto_generichash_blake2b_update(&state, pointer(part), part.size());
  crypto_generichash_blake2b_final(&state, hash.data(), hash.size());
  sodium_memzero(&state, sizeof state);
  return hash;
}

Secret<64> hkdf_extract(ConstBytes salt, ConstBytes input) {
  Secret<64> pseudo_random_key;
  hmac_sha512_into(pseudo_random_key, salt, {input});
  return pseudo_random_key;
}

void hkdf_expand(const Secret<64>& pseudo_random_key, std::string_view info, Bytes out) {
  const ConstBytes info_bytes(reinterpret_cast<const uint8_t*>(info.data()), info.size());
  Secret<64> block;
  ConstBytes previous;
  for (uint8_t number = 1; !out.empty(); ++number) {
    hmac_sha512_into(block, pseudo_random_key.view(), {previous, info_bytes, {&number, 1}});
    previous = block.view();
    const size_t taken = std::min(out.size(), block.size);
    std::copy_n(block.data(), taken, out.begin());
    out = out.subspan(taken);
  }
}

}  // namespace centipede::crypto
