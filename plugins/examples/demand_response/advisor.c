// Demand response: lower the heat pump and discharge the battery while power is dear, charge while
// it is cheap. It sees the same frozen image as everyone else; the sandbox decides if it helps.
#include "twin_copilot.h"

#define BATTERY TC_S("battery.power_set_kw")
#define HEAT_PUMP TC_S("hp.power_set_kw")
#define RESERVE_PCT 10.0      // above the battery's own floor, so that forecast errors do no harm
#define FLAT_SHARE 0.05       // prices closer together than this are not worth shifting for
#define IDLE_KW 0.5           // a heat pump below this on average has no heat to shift

typedef struct { double *price; uint32_t steps; double hours, dear_from, cheap_to; } market;

static double least(double a, double b) { return a < b ? a : b; }
static double most(double a, double b) { return a > b ? a : b; }
static double rounded(double v) {  // to 0.1 kW
  return (double)(int64_t)(v * 10.0 + (v < 0 ? -0.5 : 0.5)) / 10.0;
}
static tc_done decline(tc_str why) { return (tc_done){1, {TC_DECLINED, why}}; }
static int dear(const market *m, uint32_t k) { return m->price[k] >= m->dear_from; }
static int cheap(const market *m, uint32_t k) { return m->price[k] <= m->cheap_to; }

// Dear is the upper half of the span above the mean, cheap the lower half of the span below it.
static market read_market(const tc_context *c, tc_column price) {
  double sum = 0, low = price.ok.ptr[0], high = low;
  for (uint32_t k = 0; k < c->steps; k++) {
    sum += price.ok.ptr[k];
    low = least(low, price.ok.ptr[k]);
    high = most(high, price.ok.ptr[k]);
  }
  double mean = sum / c->steps;
  market m = {price.ok.ptr, c->steps, c->step_s / 3600.0, (mean + high) / 2, (mean + low) / 2};
  if (high - low < FLAT_SHARE * mean) m.steps = 0;
  return m;
}

// Even discharge over each dear stretch, never beyond the site's own need, so nothing is exported.
static tc_done battery(const market *m, const double *need_kw, double import_kw) {
  tc_column limits = tc_limits(BATTERY);
  tc_number soc = tc_latest(TC_S("battery.soc_pct"));
  tc_number size = tc_nameplate(TC_S("battery.capacity_kwh"));
  tc_number floor_pct = tc_nameplate(TC_S("battery.soc_min_pct"));
  tc_number ceiling_pct = tc_nameplate(TC_S("battery.soc_max_pct"));
  if (limits.is_err) return (tc_done){1, limits.err};
  if (soc.is_err) return (tc_done){1, soc.err};
  if (size.is_err || floor_pct.is_err || ceiling_pct.is_err) return decline(TC_S("no nameplate"));
  double low = (floor_pct.ok + RESERVE_PCT) / 100 * size.ok, high = ceiling_pct.ok / 100 * size.ok;
  double stored = soc.ok / 100 * size.ok;
  double *kw = tc_alloc(m->steps * sizeof(double), 8);
  for (uint32_t k = 0; k < m->steps; k++) {
    double power = 0;
    if (dear(m, k)) {
      uint32_t left = 1;
      while (k + left < m->steps && dear(m, k + left)) left++;
      double even = most(stored - low, 0) / (left * m->hours);
      power = -least(even, least(-limits.ok.ptr[0], most(need_kw[k], 0)));
    } else if (cheap(m, k)) {
      double room = most(high - stored, 0) / m->hours;
      power = least(room, least(limits.ok.ptr[1] / 2, most(import_kw - need_kw[k], 0) / 2));
    }
    kw[k] = rounded(power);
    stored += kw[k] * m->hours;
  }
  return tc_setpoints(BATTERY, TC_S("kW"), kw, m->steps);
}

// Stand still while power is dear and make the same heat in the other steps.
static tc_done heat_pump(const market *m, double typical_kw) {
  tc_column limits = tc_limits(HEAT_PUMP);
  if (limits.is_err) return (tc_done){1, limits.err};
  uint32_t off = 0;
  for (uint32_t k = 0; k < m->steps; k++) off += dear(m, k);
  double level = typical_kw * m->steps / (m->steps - off);
  level = rounded(least(most(level, limits.ok.ptr[2]), limits.ok.ptr[1]));
  double *kw = tc_alloc(m->steps * sizeof(double), 8);
  for (uint32_t k = 0; k < m->steps; k++) kw[k] = dear(m, k) ? 0 : level;
  return tc_setpoints(HEAT_PUMP, TC_S("kW"), kw, m->steps);
}

static double mean_of(tc_column column) {
  double sum = 0;
  uint32_t count = 0;
  for (uint32_t k = 0; !column.is_err && k < column.ok.len; k++)
    if (column.ok.ptr[k] == column.ok.ptr[k]) sum += column.ok.ptr[k], count++;  // skips NaN
  return count ? sum / count : 0;
}

tc_descriptor plugin_describe(void) {
  return (tc_descriptor){TC_S("demand-response"), TC_S("0.1.0")};
}

tc_done plugin_propose(const tc_context *c) {
  tc_column price = tc_forecast(TC_S("tariff.import_price"));
  tc_column load = tc_forecast(TC_S("building.power_kw"));
  tc_column pv = tc_forecast(TC_S("pv.power_kw"));
  tc_number import_kw = tc_nameplate(TC_S("grid.import_limit_kw"));
  if (price.is_err) return (tc_done){1, price.err};
  if (load.is_err) return (tc_done){1, load.err};
  if (import_kw.is_err) return (tc_done){1, import_kw.err};
  market m = read_market(c, price);
  if (!m.steps) return decline(TC_S("prices hardly differ over the horizon"));
  double typical_kw = mean_of(tc_history(TC_S("hp.power_kw")));
  int shift_heat = typical_kw >= IDLE_KW;
  double *need_kw = tc_alloc(m.steps * sizeof(double), 8);
  for (uint32_t k = 0; k < m.steps; k++) {
    double heat = shift_heat && dear(&m, k) ? 0 : typical_kw;
    need_kw[k] = load.ok.ptr[k] - (pv.is_err ? 0 : pv.ok.ptr[k]) + heat;
  }
  tc_done done = battery(&m, need_kw, import_kw.ok);
  if (done.is_err) return done;
  if (shift_heat) done = heat_pump(&m, typical_kw);
  else tc_log(TC_INFO, TC_S("the heat pump hardly ran: left to its local law"));
  if (done.is_err) return done;
  return tc_proposal(TC_S("The battery covers the dearest hours and charges in the cheapest; "
                          "the heat pump stands still while power is dear."), 0.6);
}
