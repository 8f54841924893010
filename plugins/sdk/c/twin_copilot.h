// C bindings of twin:copilot@0.1 (canonical ABI, wasm32), small enough to read in one sitting.
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef struct { const char *ptr; uint32_t len; } tc_str;
typedef struct { double *ptr; uint32_t len; } tc_f64s;
#define TC_S(literal) ((tc_str){(literal), sizeof(literal) - 1})

enum { TC_DEBUG, TC_INFO, TC_WARN, TC_ERROR };
enum { TC_DENIED, TC_NOT_FOUND, TC_INVALID, TC_QUOTA, TC_DECLINED };

typedef struct { uint8_t code; tc_str message; } tc_fault;
typedef struct { tc_str name, version; } tc_descriptor;
typedef struct {
  tc_str site, run;
  double now_s, step_s;
  uint32_t steps, seed;
} tc_context;

// result<_, fault>, result<f64, fault>, result<list<f64>, fault>, result<string, fault>
typedef struct { uint8_t is_err; tc_fault err; } tc_done;
typedef struct { uint8_t is_err; union { double ok; tc_fault err; }; } tc_number;
typedef struct { uint8_t is_err; union { tc_f64s ok; tc_fault err; }; } tc_column;

// What the host offers. Every answer stays valid until the call of the plugin ends.
void tc_log(int32_t level, tc_str message);
double tc_now(void);
tc_number tc_latest(tc_str point);
tc_number tc_nameplate(tc_str name);
tc_column tc_history(tc_str point);
tc_column tc_forecast(tc_str point);
tc_column tc_limits(tc_str point);
tc_done tc_setpoints(tc_str point, tc_str unit, const double *values, uint32_t count);
tc_done tc_proposal(tc_str rationale, double confidence);

// What the plugin writes.
tc_descriptor plugin_describe(void);
tc_done plugin_propose(const tc_context *context);

// Memory that lasts until the call ends; traps when the limit is reached.
void *tc_alloc(size_t size, size_t align);
