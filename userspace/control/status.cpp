#include "control/status.h"

namespace centipede::control {

const char* text(PathState state) {
  switch (state) {
    case PathState::probing:
      return "probing";
    case PathState::active:
      return "active";
    case PathState::degraded:
      return "degraded";
    case PathState::down:
      return "down";
  }
  return "?";
}

}  // namespace centipede::control
