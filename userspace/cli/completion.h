// What a shell may complete a command line with. The commands and options are those of the parser's own tree; the
// shells' scripts (`centipede completion bash|zsh|fish`) ask for them with `centipede __complete WORD...`, whose last
// word is the one being typed. Threading: one thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/host.h"

namespace CLI {
class App;
}

namespace centipede::cli {

// Where the words come from that are not in the tree.
struct CompletionSources {
  std::function<std::vector<std::string>()> devices;
  std::function<std::vector<std::string>()> tunnels;
  std::function<std::vector<std::string>(const std::string& tunnel)> peers;
};
// Of this machine and its running tunnels.
[[nodiscard]] CompletionSources completion_sources(const Host& host);

// Stands alone where the shell shall complete file names.
inline constexpr std::string_view complete_files = ":files";

[[nodiscard]] std::vector<std::string> completions(const CLI::App& app, const std::vector<std::string>& words,
                                                   const CompletionSources& sources);

// The script for a shell: "bash", "zsh" or "fish"; empty for others.
[[nodiscard]] std::string_view completion_script(std::string_view shell);

}  // namespace centipede::cli
