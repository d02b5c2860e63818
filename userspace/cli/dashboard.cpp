#include "cli/dashboard.h"

#include <csignal>
#include <ostream>

#include "api/paths.h"
#include "cli/dashboard_server.h"

namespace centipede::cli {

int dashboard(Host& host, const DashboardOptions& options) {
  if (!api::valid_interface_name(options.interface)) {
    return complain(host, wrong_usage, "\"" + options.interface + "\" is no name of an interface");
  }
  // Blocked here, hence in the server's threads, so that sigwait() gets them.
  sigset_t ends;
  sigset_t before;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ends, &before);
  const auto server = DashboardServer::start({options.interface, host.runtime_directory}, options.port);
  if (server) {
    host.err
        << "The dashboard of "
        << options.interface << ", for browsers on this machine. Whoever has the address may look. Ctrl-C ends it.\n"
        << std::flush;
    host.out << (*server)->url() << '\n' << std::flush;
    int arrived = 0;
    if (host.out) sigwait(&ends, &arrived);  // nobody could open an address that nobody has read
  }
  // The server's end may have to wait for a daemon that does not answer: a second signal ends us at once.
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (server) return done;
  const bool taken = server.error().code == EADDRINUSE;
  return complain(host, failed,
                  server.error().text + (taken ? "; choose another port: --port 0 takes a free one" : ""));
}

}  // namespace centipede::cli
