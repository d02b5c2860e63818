#include "cli/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>

#include "cli/log_writer.h"

namespace centipede::cli {

namespace {

int priority(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::critical:
      return LOG_CRIT;
    case spdlog::level::err:
      return LOG_ERR;
    case spdlog::level::warn:
      return LOG_WARNING;
    case spdlog::level::info:
      return LOG_INFO;
    default:
      return LOG_DEBUG;
  }
}

// "<4>" for a warning: sd-daemon(3), which the journal takes for the line's priority.
class Priority final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&, spdlog::memory_buf_t& line) override {
    const std::string prefix = "<" + std::to_string(priority(message.level)) + ">";
    line.append(prefix.data(), prefix.data() + prefix.size());
  }
  [[nodiscard]] std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<Priority>(); }
};

// JOURNAL_STREAM is handed on to what a service starts, whose standard error may be another: systemd.exec(5).
bool journal_reads() {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat here{};
  if (stream == nullptr || fstat(STDERR_FILENO, &here) != 0) return false;
  return stream == std::to_string(here.st_dev) + ":" + std::to_string(here.st_ino);
}

std::unique_ptr<spdlog::formatter> line_format() {
  auto format = std::make_unique<spdlog::pattern_formatter>();
  format->add_flag<Priority>('N').set_pattern(journal_reads() ? "%N%v" : "%Y-%m-%d %H:%M:%S.%e %l: %v");
  return format;
}

// Never waits for who reads standard error: what is left out meanwhile is counted, and told once there is room again.
class StandardError final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  // All of it is written.
  bool drain() {
    const std::scoped_lock lock(mutex_);
    return tell_left_out() && writer_.drain();
  }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    if (!tell_left_out() || !take(message)) ++left_out_;
  }
  void flush_() override {}

  bool take(const spdlog::details::log_msg& message) {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    return writer_.take({line.data(), line.size()});
  }
  bool tell_left_out() {
    if (left_out_ == 0) return true;
    const std::string text =
        "lines of the log left out because nobody read standard error: " + std::to_string(left_out_);
    if (!take({"", spdlog::level::warn, text})) return false;
    left_out_ = 0;
    return true;
  }

  LogWriter writer_{STDERR_FILENO};
  uint64_t left_out_ = 0;
};

std::atomic<StandardError*> standard_error = nullptr;  // spdlog's default logger owns it

void set_default_logger(bool verbose) {
  auto sink = std::make_shared<StandardError>();
  standard_error = sink.get();
  auto logger = std::make_shared<spdlog::logger>("centipede", std::move(sink));
  logger->set_formatter(line_format());
  logger->set_level(verbose ? spdlog::level::debug : spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace

std::string error_prefix() {
  return journal_reads() ? "<" + std::to_string(LOG_ERR) + ">" : "";
}

void start_log(bool verbose) {
  // spdlog hands its default logger out unguarded, so it is replaced before there are threads and never again.
  static std::once_flag once;
  std::call_once(once, set_default_logger, verbose);
}

bool drain_log() {
  StandardError* const sink = standard_error;
  return sink == nullptr || sink->drain();
}

}  // namespace centipede::cli
