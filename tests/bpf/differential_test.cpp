// The program against models in C++: the replay window on random words and counters, and whole frames, made and mangled
// at random, through the same parser compiled for user space.
#include <centipede/frame.h>
#include <centipede/wire.h>

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

#include "crypto/window.h"
#include "shield_fixture.h"

namespace centipede::test {
namespace {

using Random = std::mt19937_64;

// Written from docs/protocol.md section 4 alone.
cp_verdict model_window(uint64_t word, uint64_t counter) {
  if (counter >= CP_COUNTER_LIMIT) return CP_VERDICT_BAD_COUNTER;
  const uint64_t generation = counter / 32;
  const uint64_t current = word >> 32;
  if (current > generation) return CP_VERDICT_TOO_OLD;
  if (current == generation && ((word >> (counter % 32)) & 1) == 1) return CP_VERDICT_DUPLICATE;
  return CP_VERDICT_NO_SOCKET;
}

crypto::WindowVerdict as_window_verdict(cp_verdict verdict) {
  switch (verdict) {
    case CP_VERDICT_TOO_OLD:
      return crypto::WindowVerdict::too_old;
    case CP_VERDICT_DUPLICATE:
      return crypto::WindowVerdict::duplicate;
    case CP_VERDICT_BAD_COUNTER:
      return crypto::WindowVerdict::beyond;
    default:
      return crypto::WindowVerdict::fresh;
  }
}

uint64_t random_counter(Random& random) {
  const uint64_t value = random();
  switch (random() % 4) {
    case 0:
      return value % 4096;
    case 1:
      return value % CP_COUNTER_LIMIT;
    case 2:
      return CP_COUNTER_LIMIT - 64 + value % 128;
    default:
      return value & CP_COUNTER_MASK;
  }
}

// Near the counter's own generation most of the time, where the decisions are.
uint64_t random_word(Random& random, uint64_t counter) {
  const auto bits = static_cast<uint32_t>(random());
  const auto generation = static_cast<uint32_t>(counter / 32);
  switch (random() % 6) {
    case 0:
      return random();
    case 1:
      return 0;
    case 2:
      return window_word(generation + words, bits);
    case 3:
      return window_word(generation - words, bits);
    default:
      return window_word(generation, bits);
  }
}

class DifferentialTest : public ShieldTest {};

TEST_F(DifferentialTest, window_verdicts_agree_with_the_model_and_with_crypto_window) {
  Random random(1);
  Frame frame = data_frame(0, 0);
  uint8_t* number = frame.data() + frame.size() - 64;
  Counts expected = counts();
  const uint64_t pairs = long_rounds(100'000);
  for (uint64_t i = 0; i < pairs; ++i) {
    const auto lane = static_cast<uint32_t>(random() % lanes);
    const uint64_t counter = random_counter(random);
    const size_t slot = (counter / 32) % words;
    lane_window(lane)[slot] = random_word(random, counter);
    const uint64_t word = lane_window(lane)[slot];
    store_be<uint64_t>(number, uint64_t{lane} << CP_LANE_SHIFT | counter);

    const cp_verdict verdict = model_window(word, counter);
    ++expected[verdict];
    ASSERT_EQ(run(frame), action_of(verdict)) << "word " << word << " counter " << counter;
    ASSERT_EQ(crypto::Window(lane_window(lane)).check(counter), as_window_verdict(verdict))
        << "word " << word << " counter " << counter;
    ASSERT_EQ(lane_window(lane)[slot], word) << "the program wrote to the window";
    if (i % 1000 == 999) {
      ASSERT_EQ(counts(), expected) << "after pair " << i;
    }
  }
  EXPECT_EQ(counts(), expected);
  EXPECT_GT(expected[CP_VERDICT_DUPLICATE], pairs / 20);
  EXPECT_GT(expected[CP_VERDICT_TOO_OLD], pairs / 20);
}

// The whole program, in user space.
cp_verdict model_frame(const Shield& shield, std::span<const uint8_t> bytes, std::span<const uint64_t> window) {
  cp_frame frame{};
  const cp_frame_kind kind = cp_parse_frame(bytes.data(), bytes.data() + bytes.size(), &frame);
  if (kind == CP_KIND_FOREIGN) return CP_VERDICT_FOREIGN;
  if (kind == CP_KIND_FRAGMENT) return CP_VERDICT_FRAGMENT;
  if (cp_host16(frame.destination_port_be) != tunnel_port) return CP_VERDICT_FOREIGN;
  if (kind == CP_KIND_MALFORMED) return CP_VERDICT_MALFORMED;
  const bool for_us = is_for_us(shield, bytes, frame);
  if (frame.payload_length < CP_DATA_HEADER_SIZE) return for_us ? CP_VERDICT_NO_MESSAGE : CP_VERDICT_FOREIGN;
  EXPECT_LE(size_t{frame.payload_offset} + frame.payload_length, bytes.size());
  const uint8_t* payload = bytes.data() + frame.payload_offset;
  if ((payload[0] & CP_CONTROL_BIT) != 0) return for_us ? handshake_verdict(shield, bytes, frame) : CP_VERDICT_FOREIGN;
  const auto number = load_be<uint64_t>(payload);
  const uint64_t lane = number >> CP_LANE_SHIFT;
  const uint64_t counter = number & CP_COUNTER_MASK;
  if (load_be<uint64_t>(payload + CP_OFFSET_SID) != sid) {
    if ((shield.flags & CP_SHIELD_ALL_SESSIONS) == 0) return CP_VERDICT_UNLISTED;
    return for_us ? CP_VERDICT_UNKNOWN_SESSION : CP_VERDICT_FOREIGN;
  }
  if (lane == CP_CONTROL_LANE) return CP_VERDICT_CONTROL;
  if (counter >= CP_COUNTER_LIMIT) return CP_VERDICT_BAD_COUNTER;
  if (lane >= lanes) return CP_VERDICT_BAD_LANE;
  return model_window(window[first_word + lane * words + (counter / 32) % words], counter);
}

constexpr uint64_t known_call = 0xca11;

// Two of each family, IPv4 first.
const std::array<std::vector<uint8_t>, 4> ours{{{192, 0, 2, 2},
                                                {10, 255, 255, 255},
                                                std::vector<uint8_t>(16, 0x20),
                                                {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 1, 0xfa, 0xf9, 0xf8, 2}}};

template <class T>
T pick(Random& random, std::initializer_list<T> from) {
  return from.begin()[random() % from.size()];
}

Shield random_shield(Random& random) {
  Shield shield;
  shield.calls = {known_call};
  for (const auto& bytes : ours)
    shield.addresses.insert(mapped(bytes));
  shield.flags =
      random() % 8 == 0 ? static_cast<uint32_t>(random() % 8) : CP_SHIELD_ON | static_cast<uint32_t>(random() % 8);
  shield.current = static_cast<uint32_t>(random() % 2);
  shield.unproven = pick(random, {never, never, without_limit});
  shield.source = pick(random, {never, without_limit});
  return shield;
}

Message random_handshake(Random& random, const Shield& shield) {
  const uint64_t call = pick<uint64_t>(random, {known_call, known_call, 9});
  Message out =
      pick(random, {initiation(shield, call), initiation(shield, call), response(shield, call), cookie_reply(call)});
  if (random() % 8 == 0) out[random() % out.size()] ^= static_cast<uint8_t>(1U << random() % 8);
  if (random() % 8 == 0) out.resize(random() % 240);
  if (!out.empty()) out[0] |= CP_CONTROL_BIT;
  return out;
}

// With a mac2 for the frame's own sender, most of the time.
void prove(Random& random, const Shield& shield, FrameSpec& spec) {
  if (spec.payload.size() != CP_INITIATION_SIZE || random() % 2 == 0) return;
  Sender sender = sender_of(build(spec));
  if (random() % 8 == 0) ++sender.port;
  if (random() % 8 == 0) sender.address[random() % 16] ^= 1;
  put_mac2(spec.payload, shield.cookie(sender.address, sender.port, static_cast<uint32_t>(random() % 2)));
}

void randomize_ends(Random& random, FrameSpec& spec) {
  spec.source.resize(spec.family == 4 ? 4 : 16);
  spec.destination.resize(spec.source.size());
  for (auto* address : {&spec.source, &spec.destination}) {
    for (uint8_t& byte : *address)
      byte = static_cast<uint8_t>(random());
    if (random() % 16 == 0) address->front() = pick<uint8_t>(random, {0, 1, 126, 127, 128, 223, 224, 239, 254, 255});
    if (random() % 32 == 0) std::fill_n(address->begin(), std::min<size_t>(8, address->size()), 0);
  }
  if (random() % 8 != 0) spec.destination = ours[random() % 2 + (spec.family == 4 ? 0 : 2)];
  if (random() % 16 == 0) spec.source_port = 0;
  if (random() % 16 == 0) pick(random, {&spec.source_mac, &spec.destination_mac})->front() |= 1;
}

FrameSpec random_spec(Random& random, const Shield& shield) {
  FrameSpec spec;
  for (uint64_t tags = random() % 4; tags > 0 && random() % 2 == 0; --tags)
    spec.tags.push_back(pick<uint16_t>(random, {0x8100, 0x88a8}));
  spec.family = pick(random, {4, 4, 6, 6, 0});
  spec.ipv4_header = pick(random, {20U, 20U, 24U, 60U, 16U});
  spec.fragment_field = pick<uint16_t>(random, {0, 0x4000, 0x4000, 0x2000, 1});
  for (uint64_t n = random() % 8; n > 0 && random() % 2 == 0; --n)
    spec.extensions.emplace_back(pick<uint8_t>(random, {0, 43, 60, 60, 44}), static_cast<uint8_t>(random() % 4));
  spec.protocol = pick<uint8_t>(random, {17, 17, 17, 17, 6});
  spec.port = pick<uint16_t>(random, {tunnel_port, tunnel_port, tunnel_port, 53});
  randomize_ends(random, spec);
  const auto lane = pick<uint8_t>(random, {0, 1, 2, 3, 126, 127, 255});
  spec.payload = data_packet(lane, random_counter(random), random() % 8 == 0 ? random() : sid, random() % 80);
  if (random() % 2 == 0) {
    spec.payload = random_handshake(random, shield);
    prove(random, shield, spec);
  }
  if (random() % 8 == 0) spec.udp_length = static_cast<uint16_t>(random() % 128);
  if (random() % 8 == 0) spec.ip_length = static_cast<uint16_t>(random() % 160);
  spec.padding = static_cast<unsigned>(random() % 4 == 0 ? random() % 20 : 0);
  return spec;
}

void mangle(Random& random, Frame& frame) {
  for (uint64_t n = random() % 5; n > 0; --n) {
    const size_t at = random() % std::min<size_t>(frame.size(), 80);
    if (random() % 2 == 0) continue;
    frame[at] =
        random() % 2 == 0 ? static_cast<uint8_t>(random()) : static_cast<uint8_t>(frame[at] ^ 1U << random() % 8);
  }
  if (random() % 8 == 0) frame.resize(14 + random() % (frame.size() - 13));
}

TEST_F(DifferentialTest, verdicts_on_random_and_mangled_frames_agree_with_the_model) {
  Random random(2);
  for (uint32_t lane = 0; lane < lanes; ++lane) {
    for (uint32_t slot = 0; slot < words; ++slot) {
      const auto generation = slot + words * static_cast<uint32_t>(random() % 3);
      lane_window(lane)[slot] = window_word(generation, static_cast<uint32_t>(random()));
    }
  }
  const std::vector<uint64_t> window(program->windows().begin(), program->windows().end());
  ASSERT_TRUE(program->put_call(known_call));
  std::set<IpAddress> listed;
  for (const auto& bytes : ours)
    listed.insert(bytes.size() == 4 ? IpAddress::v4(bytes.data()) : IpAddress::v6(bytes.data()));
  ASSERT_TRUE(program->set_addresses(listed));
  Counts expected = counts();
  const uint64_t frames = long_rounds(100'000);
  for (uint64_t i = 0; i < frames; ++i) {
    if (i % 1000 == 0) {
      ASSERT_EQ(counts(), expected) << "before frame " << i;
      shield = random_shield(random);
      put_shield();
    }
    Frame frame = build(random_spec(random, shield));
    mangle(random, frame);
    const cp_verdict verdict = model_frame(shield, frame, window);
    ++expected[verdict];
    Frame out;
    ASSERT_EQ(run(frame, 1, nullptr, &out), action_of(verdict))
        << "frame " << i << ": " << testing::PrintToString(frame) << " expected " << verdict_names[verdict];
    if (verdict == CP_VERDICT_CHALLENGED) {
      ASSERT_EQ(out, expected_reply(shield, frame, nonce_of(out))) << "to frame " << testing::PrintToString(frame);
    } else if (action_of(verdict) == XDP_PASS) {
      ASSERT_EQ(out, frame) << "passed, but not as it was";
    }
  }
  EXPECT_EQ(counts(), expected);
  for (size_t i = CP_VERDICT_REDIRECTED + 1; i < CP_VERDICTS; ++i)
    EXPECT_GT(expected[i], 10U) << "never tried: " << verdict_names[i];
  EXPECT_TRUE(std::equal(window.begin(), window.end(), program->windows().begin()))
      << "the program wrote to the windows";
}

TEST_F(DifferentialTest, the_parser_survives_every_cut_of_random_frames_in_user_space) {
  Random random(3);
  for (uint64_t i = 0; i < long_rounds(2000); ++i) {
    Frame frame = build(random_spec(random, shield));
    mangle(random, frame);
    for (size_t size = 0; size <= frame.size(); ++size) {
      // An exact allocation, so that the address sanitizer sees the first byte read beyond.
      const auto cut = std::make_unique<uint8_t[]>(size);
      std::copy_n(frame.begin(), size, cut.get());
      cp_frame parsed{};
      if (cp_parse_frame(cut.get(), cut.get() + size, &parsed) != CP_KIND_UDP) continue;
      ASSERT_LE(size_t{parsed.payload_offset} + parsed.payload_length, size);
    }
  }
}

TEST_F(DifferentialTest, windows_are_byte_identical_after_every_kind_of_packet) {
  Random random(4);
  for (uint64_t& word : program->windows())
    word = random();
  const std::vector<uint64_t> before(program->windows().begin(), program->windows().end());
  for (uint32_t lane = 0; lane <= lanes; ++lane)
    for (uint64_t counter = 0; counter < uint64_t{words} * 32; counter += 7)
      run(data_frame(static_cast<uint8_t>(lane), counter));
  EXPECT_TRUE(std::equal(before.begin(), before.end(), program->windows().begin()));
}

}  // namespace
}  // namespace centipede::test
