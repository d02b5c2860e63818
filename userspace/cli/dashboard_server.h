// The web server of `centipede dashboard`: a page that shows a running tunnel, on loopback alone.
//   GET /<token>/                       the page; /<token>/style.css and /<token>/script.js belong to it
//   GET /<token>/v1/status              what the tunnel's API answers (api/server.h)
//   GET /<token>/v1/events?after=<N>    likewise, at once and without following
// Nothing else is passed on, and nothing that changes the tunnel.
//
// Loopback is open to every user of the machine, and to every page in a browser on it. Who has not read the token,
// random and new at each start, gets 403. So does a request whose Host is no name of loopback: with its own name bound
// anew to 127.0.0.1, a foreign page could read answers as its own. Any port is accepted there, for `ssh -L`. The page's
// policy (CSP) lets it load and ask nothing but this server.
//
// Limits: 8 requests at a time (further ones wait in the listen queue), 2 seconds to send one, 5 to take the answer, no
// body. Ownership: owns its threads and sockets. Threading: start and destroy on one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"

namespace centipede::cli {

struct DashboardTunnel {
  std::string interface;
  std::string runtime_directory;
};

class DashboardServer {
 public:
  // Port 0: any that is free. EADDRINUSE when the port is taken.
  static Result<std::unique_ptr<DashboardServer>> start(const DashboardTunnel& tunnel, uint16_t port);
  ~DashboardServer();

  // With the token: whoever reads it may look.
  [[nodiscard]] const std::string& url() const;

 private:
  class Impl;
  explicit DashboardServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace centipede::cli
