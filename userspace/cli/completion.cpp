#include "cli/completion.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>

#include "api/client.h"

namespace centipede::cli {
namespace {

using Words = std::vector<std::string>;

const CLI::App* find_subcommand(const CLI::App& app, const std::string& name) {
  const auto found = app.get_subcommands([&](const CLI::App* one) { return one->get_name() == name; });
  return found.empty() ? nullptr : found.front();
}

// "--json", "-i".
const CLI::Option* find_option(const CLI::App& app, const std::string& name) {
  return app.get_option_no_throw(name);
}

bool takes_value(const CLI::Option& option) {
  return option.get_items_expected_max() > 0;
}

// What a value of the option is: for a positional one its name, else that of its type.
std::string kind_of(const CLI::Option& option) {
  return option.get_positional() ? option.get_name(true) : option.get_type_name();
}

// The words in "TEXT:{redundant,backup}", as the parser describes a choice.
Words choices_in(const std::string& description) {
  Words words;
  const size_t begin = description.find('{');
  const size_t end = description.find('}');
  if (begin == std::string::npos || end == std::string::npos) return words;
  std::istringstream list(description.substr(begin + 1, end - begin - 1));
  for (std::string word; std::getline(list, word, ',');)
    words.push_back(word);
  return words;
}

// How far the words before the last lead.
struct Place {
  const CLI::App* command;
  const CLI::Option* pending = nullptr;  // whose value comes next
  size_t positionals = 0;
  bool options_over = false;  // by "--"
  std::string tunnel = "cp0";

  void step(const std::string& word) {
    if (word == "=") return;  // bash makes it a word of its own
    if (pending != nullptr) {
      take_value(*pending, word);
      pending = nullptr;
    } else if (!options_over && word == "--") {
      options_over = true;
    } else if (!options_over && word.size() > 1 && word.front() == '-') {
      const size_t equals = word.find('=');
      const CLI::Option* option = find_option(*command, word.substr(0, equals));
      if (option == nullptr || !takes_value(*option)) return;
      if (equals == std::string::npos) {
        pending = option;
      } else {
        take_value(*option, word.substr(equals + 1));
      }
    } else if (const CLI::App* inner = positionals == 0 ? find_subcommand(*command, word) : nullptr) {
      command = inner;
    } else {
      ++positionals;
    }
  }

 private:
  void take_value(const CLI::Option& option, const std::string& value) {
    if (kind_of(option) == "INTERFACE") tunnel = value;
  }
};

Words values_of(const CLI::Option& option, const Place& place, const CompletionSources& sources) {
  const std::string kind = kind_of(option);
  if (kind == "UPLINK") return sources.devices();
  if (kind == "INTERFACE") return sources.tunnels();
  if (kind == "PEER") return sources.peers(place.tunnel);
  if (kind == "FILE") return {std::string(complete_files)};
  return choices_in(option.get_type_name());
}

Words option_names(const CLI::App& command) {
  Words names;
  for (const CLI::Option* option : command.get_options()) {
    for (const auto& name : option->get_lnames())
      names.push_back("--" + name);
    if (option->get_lnames().empty() && !option->get_snames().empty())
      names.push_back("-" + option->get_snames().front());
  }
  return names;
}

Words words_for_position(const Place& place, const CompletionSources& sources) {
  Words words;
  if (place.positionals == 0) {
    for (const CLI::App* inner : place.command->get_subcommands([](const CLI::App*) { return true; }))
      words.push_back(inner->get_name());
  }
  const auto positional = place.command->get_options([](const CLI::Option* one) { return one->get_positional(); });
  size_t left = place.positionals;
  for (const CLI::Option* option : positional) {
    const auto room = static_cast<size_t>(option->get_items_expected_max());
    if (left < room) {
      const Words values = values_of(*option, place, sources);
      words.insert(words.end(), values.begin(), values.end());
      break;
    }
    left -= room;
  }
  return words;
}

}  // namespace

Words completions(const CLI::App& app, const Words& words, const CompletionSources& sources) {
  Place place{.command = &app};
  if (words.empty()) return {};
  for (size_t i = 0; i + 1 < words.size(); ++i)
    place.step(words[i]);
  std::string typed = words.back() == "=" ? "" : words.back();
  std::string before;  // stays in front of each candidate
  const size_t equals = typed.find('=');
  if (place.pending == nullptr && typed.starts_with("--") && equals != std::string::npos) {
    place.pending = find_option(*place.command, typed.substr(0, equals));
    if (place.pending == nullptr || !takes_value(*place.pending)) return {};
    before = typed.substr(0, equals + 1);
    typed.erase(0, equals + 1);
  }
  Words found;
  if (place.pending != nullptr) {
    found = values_of(*place.pending, place, sources);
  } else if (!place.options_over && typed.starts_with("-")) {
    found = option_names(*place.command);
  } else {
    found = words_for_position(place, sources);
  }
  if (found == Words{std::string(complete_files)}) return found;
  std::erase_if(found, [&](const std::string& word) { return !word.starts_with(typed); });
  for (auto& word : found)
    word.insert(0, before);
  return found;
}

CompletionSources completion_sources(const Host& host) {
  return {
      .devices =
          [&host] {
            Words names;
            std::error_code error;
            std::filesystem::directory_iterator entries(host.device_directory, error);
            for (; !error && entries != std::filesystem::directory_iterator{}; entries.increment(error)) {
              const std::string name = entries->path().filename().string();
              if (name != "lo") names.push_back(name);
            }
            std::ranges::sort(names);
            return names;
          },
      .tunnels = [&host] { return api::running_tunnels(host.runtime_directory); },
      .peers =
          [&host](const std::string& tunnel) {
            Words names;
            const auto settings = api::Client(api::socket_path(host.runtime_directory, tunnel)).settings();
            if (!settings) return names;
            for (const auto& peer : settings->settings.peers)
              names.push_back(peer.name);
            return names;
          },
  };
}

std::string_view completion_script(std::string_view shell) {
  if (shell == "bash") {
    return R"(# bash completion for centipede: source it, or put it into ~/.local/share/bash-completion/completions/centipede
_centipede() {
  local found word
  mapfile -t found < <("${COMP_WORDS[0]}" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  COMPREPLY=()
  if [[ ${found[0]-} == :files ]]; then
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
    return
  fi
  for word in "${found[@]}"; do
    printf -v word %q "$word"
    COMPREPLY+=("$word")
  done
}
complete -F _centipede centipede
)";
  }
  if (shell == "zsh") {
    return R"(#compdef centipede
# zsh completion for centipede: put it as _centipede into a folder of $fpath, or source it after compinit
_centipede() {
  local -a found
  found=("${(@f)$("${(Q)words[1]}" __complete "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ ${found[1]} == :files ]]; then
    _files
  elif [[ -n ${found[1]} ]]; then
    compadd -- "${found[@]}"
  fi
}
if [[ ${funcstack[1]} == _centipede ]]; then
  _centipede "$@"
else
  compdef _centipede centipede
fi
)";
  }
  if (shell == "fish") {
    return R"(# fish completion for centipede: put it into ~/.config/fish/completions/centipede.fish, or source it
function __centipede_complete
    set -l words (commandline -opc)
    set -l typed (commandline -ct)
    set -l found ($words[1] __complete $words[2..-1] "$typed" 2>/dev/null)
    if test "$found[1]" = :files
        __fish_complete_path $typed
    else
        printf '%s\n' $found
    end
end
complete -c centipede -f -a '(__centipede_complete)'
)";
  }
  return {};
}

}  // namespace centipede::cli
