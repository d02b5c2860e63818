// The log of `attach`: spdlog to standard error, one line an event. With a time stamp, unless the journal
// (JOURNAL_STREAM) or another keeper of time reads it.
#pragma once

namespace centipede::cli {

void start_log(bool verbose);

}  // namespace centipede::cli
