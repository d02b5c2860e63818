#include "api/config_json.h"
#include "api/json_text.h"
#include "api/resources.h"

namespace centipede::api {

Result<ApiAnswer> show_config(const Call& call) {
  const auto settings = call.context.tunnel.settings();
  if (!settings) return std::unexpected(settings.error());
  return text_answer(settings_json(*settings));
}

Result<ApiAnswer> replace_config(const Call& call) {
  auto body = parse_secret_json(call.request.body);
  if (!body) return std::unexpected(body.error());
  const auto given = settings_from_json(**body);
  if (!given) return std::unexpected(given.error());
  const auto changed =
      call.context.tunnel.change([&given](TunnelSettings& settings) { return replace(settings, *given); });
  if (!changed) return std::unexpected(changed.error());
  return done();
}

Result<ApiAnswer> reload_config(const Call& call) {
  if (!call.context.reload) {
    return fail("this tunnel was not started from a configuration file: there is nothing to read again", ENOTSUP);
  }
  const auto changes = call.context.reload();
  if (!changes) return std::unexpected(changes.error());
  return json_answer(nlohmann::json{{"changes", *changes}});
}

}  // namespace centipede::api
