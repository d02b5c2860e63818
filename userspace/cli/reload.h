// The configuration file read again while its tunnel runs, for `centipede reload` and SIGHUP: afterwards the tunnel has
// the settings that the same `centipede attach` would start it with now. Uplinks and peers change in one step; a file
// with a mistake, or with another value of what cannot change, changes nothing.
// Ownership: the tunnel must outlive it. Threading: any; one reload at a time.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "cli/settings_changes.h"
#include "dataplane/tunnel_control.h"

namespace centipede::cli {

// What `attach` was called with, for doing the same again.
struct StartedFrom {
  std::string interface;
  std::string config_path;
  std::vector<std::string> uplinks;  // named on the command line: instead of the file's
};
// The file's configuration, with these in it, and warnings. EINVAL when it cannot run.
Result<TunnelConfig> load_as_started(const StartedFrom& from, std::vector<std::string>& warnings);

class Reloader {
 public:
  Reloader(TunnelControl& tunnel, StartedFrom from, std::vector<FixedKey> fixed);
  ~Reloader();

  // What has changed, a line each (cli/settings_changes.h). EINVAL: the file is wrong, or needs a new start.
  Result<std::vector<std::string>> reload();
  // The same on a thread of its own, with the outcome in the log. Returns at once.
  void request();

 private:
  void serve();

  TunnelControl& tunnel_;
  StartedFrom from_;
  std::vector<FixedKey> fixed_;
  std::mutex reloading_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool requested_ = false;
  bool ended_ = false;
  std::thread thread_;
};

}  // namespace centipede::cli
