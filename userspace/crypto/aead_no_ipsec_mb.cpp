// In the place of aead_ipsec_mb.cpp where the library was not there when this was built.
#include "crypto/aead.h"

namespace centipede::crypto {

Result<std::unique_ptr<AeadProvider>> make_ipsec_mb_aead(IpsecMbCode) {
  return fail("this build has no ipsec-mb", ENOTSUP);
}

}  // namespace centipede::crypto
