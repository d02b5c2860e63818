// The state file. First byte: which of
//   0  any text
//   1  a state of some peers as it is written, with a piece of the text replaced: a valid state or an error
#include "dataplane/state_file.h"

#include <limits>

#include "fuzz.h"

namespace centipede::fuzz {
namespace {

constexpr uint64_t latest_ns = std::numeric_limits<int64_t>::max();

void check_text(const std::string& text) {
  const auto state = parse_state(text, bob().public_key());
  if (!state) {
    const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
    promise(!state.error().text.empty() && std::ranges::none_of(state.error().text, control),
            "an error is one printable line");
    return;
  }
  promise(state->sent_limit_ns <= latest_ns, "timestamps leave room for what is added to them");
  for (size_t i = 0; i < state->peers.size(); ++i) {
    promise(state->peers[i].accepted_ns <= latest_ns, "timestamps leave room for what is added to them");
    promise(i == 0 || state->peers[i - 1].peer < state->peers[i].peer, "each peer stands once, in order");
  }
  promise(parse_state(format_state(*state, bob().public_key()), bob().public_key()).value() == *state,
          "a state survives writing and reading");
  promise(!parse_state(text, alice().public_key()), "a state of another identity is refused");
}

void check_written(Input& input) {
  SavedState state{.sent_limit_ns = input.number<uint64_t>(), .peers = {}};
  static const std::array<crypto::PublicKey, 3> keys{alice().public_key(), make_identity(0x55).public_key(),
                                                     make_identity(0x66).public_key()};
  for (size_t count = input.below(keys.size() + 1); count > 0; --count)
    state.peers.push_back({keys[count - 1], input.number<uint64_t>()});
  std::ranges::sort(state.peers, {}, &AcceptedTimestamp::peer);
  std::string text = format_state(state, bob().public_key());
  const auto in_range = [](const AcceptedTimestamp& row) { return row.accepted_ns <= latest_ns; };
  const auto read = parse_state(text, bob().public_key());
  promise(read.has_value() == (state.sent_limit_ns <= latest_ns && std::ranges::all_of(state.peers, in_range)),
          "timestamps that leave no room are refused, others are not");
  promise(!read || *read == state, "a written state is read as it was");
  const size_t from = input.number<uint16_t>() % (text.size() + 1);
  const size_t removed = input.number();
  const ConstBytes added = input.rest();
  text.replace(from, removed, std::string(added.begin(), added.end()));
  check_text(text);
}

}  // namespace
}  // namespace centipede::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace centipede::fuzz;
  Input input(data, size);
  if (input.flag()) {
    check_written(input);
  } else {
    check_text(std::string(input.rest().begin(), input.rest().end()));
  }
  return 0;
}
