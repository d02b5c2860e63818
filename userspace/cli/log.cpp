#include "cli/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <mutex>

namespace centipede::cli {

namespace {

void set_default_logger(bool verbose) {
  auto logger = std::make_shared<spdlog::logger>("centipede", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  const bool journal = std::getenv("JOURNAL_STREAM") != nullptr;
  logger->set_pattern(journal ? "%l: %v" : "%Y-%m-%d %H:%M:%S.%e %l: %v");
  logger->set_level(verbose ? spdlog::level::debug : spdlog::level::info);
  logger->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace

void start_log(bool verbose) {
  // spdlog hands its default logger out unguarded, so it is replaced before there are threads and never again.
  static std::once_flag once;
  std::call_once(once, set_default_logger, verbose);
}

}  // namespace centipede::cli
