// An adviser to start from: it lets the battery rest for the whole horizon.
// Its name and version come from manifest.json when it is built.
#include "twin_copilot.h"

tc_descriptor plugin_describe(void) {
  return (tc_descriptor){TC_S(PLUGIN_NAME), TC_S(PLUGIN_VERSION)};
}

tc_done plugin_propose(const tc_context *c) {
  // Reading: what manifest.json asks for under "telemetry". A fault is handed on as our own answer.
  tc_number soc = tc_latest(TC_S("battery.soc_pct"));
  if (soc.is_err) return (tc_done){1, soc.err};

  // Having nothing to offer is a good answer.
  if (soc.ok > 90) return (tc_done){1, {TC_DECLINED, TC_S("the battery is nearly full")}};

  // Proposing: one value a step for each point under "points", then the draft as a whole.
  double *kw = tc_alloc(c->steps * sizeof(double), 8);
  for (uint32_t k = 0; k < c->steps; k++) kw[k] = 0;
  tc_done done = tc_setpoints(TC_S("battery.power_set_kw"), TC_S("kW"), kw, c->steps);
  return done.is_err ? done : tc_proposal(TC_S("Let the battery rest."), 0.9);
}
