// The known-answer transcript of one handshake and one data packet, frozen: a change here is a change of the protocol.
// Inputs: seeds of the identities 0x11 and 0x22, ephemeral secrets 0x33 and 0x44, preshared key 0x55 (each byte 32
// times; first the initiator's), cookie secret 0x99, mac2 of the copy that the cookie reply answers 0x66, and the
// numbers in handshake_test.cpp and cookie_test.cpp. transcript_check.py computes it a second time, sharing no code
// with this project or libsodium, and compares.
#pragma once

#include <string_view>

namespace centipede::crypto::transcript {

inline constexpr std::string_view initiator_public = "d04ab232742bb4ab3a1368bd4615e4e6d0224ab71a016baf8520a332c9778737";
inline constexpr std::string_view responder_public = "a09aa5f47a6759802ff955f8dc2d2a14a5c99d23be97f864127ff9383455a4f0";
inline constexpr std::string_view initiation =
    "810100000000000001020304050607087b0d47d93427f8311160781c7c733fd89f88970aef490d8aa0ee19a4cb8a1b142cc99c270d7cd574"
    "08dca72120d2b57b70c7ab1283dd9beaee8e9f4530cf1c8e19d61da84f46103b4e46a72feb8bf850fa1498e1c12d086eeeaa6db701b29538"
    "eeda7b165197757827bbe2f7baad7e12eb29c1b73b876b9e818078d2b9cce341077d6bd7fd07dd2b2d4d9df692fe75b50550e78682bf6ae8"
    "d1b6854fe1f1bd74bd1c5206d6d86c11364a675da2b2d321b25bb955d051d7a300000000000000000000000000000000";
inline constexpr std::string_view cookie = "6f3f41919dc3fc3bd7861a9a16557929";
inline constexpr std::string_view cookie_v6 = "6bd84b8aad91b613c5adb294594d584d";
inline constexpr std::string_view mac2 = "6bda4b7f8c78e4b05419319823775794";
inline constexpr std::string_view cookie_reply =
    "830100000000000001020304050607088899aabbccddeeff0221a2f5e2860ed1ef6070d3d326c424fa1c6a59e1507ba37b7bfe8e3568a98a";
inline constexpr std::string_view response =
    "82010000000000000102030405060708ff2ee45601ec1b67310c7790404585ae697331eee1c1f8cf2419731c1fff3e6b97c0f06fe1cedd36"
    "44706e03b1927c169d7ce2781530b812f9fe50a9f9076aa5c1c8887e2dcdd25b5eed9f175b86938f1ca3b79513d17977f0b325a2b1d0dc70"
    "0c4690b25d2778616a5abb372fb9392586678eacc55c211a7582c995f8d3ea211f4fc80bf7ccb3ddd593aaa6e343a2c2252012832e59572a"
    "00000000000000000000000000000000";
inline constexpr std::string_view key_ir = "31227f2274bf63c8def26e597e9f6e4bfa1f9a8f972330e2c8a16fe60777a661";
inline constexpr std::string_view iv_ir = "8c1a59a269c47789c07c6b08";
inline constexpr std::string_view key_ri = "1ac0f977457be7a31ed5de63159acad7bf9e51199ed771fd316fffb988a9840d";
inline constexpr std::string_view iv_ri = "6ef491ff75d5f0d216fcf1e0";
inline constexpr std::string_view exporter = "d1cc951d5cce680b845e91f077e61d9a8dced72c53d28d9cf1ecd1cf53900b5d";
inline constexpr std::string_view data_packet =
    "03000000000a0b0c1112131415161718cce954b8189555592451bee1f6e126aa2db66724963708e1d5c69239dd4fa4dd28a6334f9321";

}  // namespace centipede::crypto::transcript
