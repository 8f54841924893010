#include "twin_copilot.h"

#define IMPORT(interface, name) \
  __attribute__((import_module("cm32p2|twin:copilot/" interface "@0.1"), import_name(name)))
#define EXPORT(name) __attribute__((export_name("cm32p2|twin:copilot/plugin@0.1|" name)))

// The linker drops every import that the plugin does not use, so it asks for no more than it needs.
IMPORT("log", "emit") void raw_emit(int32_t, const char *, uint32_t);
IMPORT("clock", "now") double raw_now(void);
IMPORT("telemetry", "latest") void raw_latest(const char *, uint32_t, tc_number *);
IMPORT("telemetry", "nameplate") void raw_nameplate(const char *, uint32_t, tc_number *);
IMPORT("telemetry", "history") void raw_history(const char *, uint32_t, tc_column *);
IMPORT("telemetry", "forecast") void raw_forecast(const char *, uint32_t, tc_column *);
IMPORT("telemetry", "limits") void raw_limits(const char *, uint32_t, tc_column *);
IMPORT("submit", "setpoints")
void raw_setpoints(const char *, uint32_t, const char *, uint32_t, const double *, uint32_t, tc_done *);
IMPORT("submit", "proposal") void raw_proposal(const char *, uint32_t, double, tc_done *);

void tc_log(int32_t level, tc_str m) { raw_emit(level, m.ptr, m.len); }
double tc_now(void) { return raw_now(); }
tc_number tc_latest(tc_str p) { tc_number r; raw_latest(p.ptr, p.len, &r); return r; }
tc_number tc_nameplate(tc_str p) { tc_number r; raw_nameplate(p.ptr, p.len, &r); return r; }
tc_column tc_history(tc_str p) { tc_column r; raw_history(p.ptr, p.len, &r); return r; }
tc_column tc_forecast(tc_str p) { tc_column r; raw_forecast(p.ptr, p.len, &r); return r; }
tc_column tc_limits(tc_str p) { tc_column r; raw_limits(p.ptr, p.len, &r); return r; }
tc_done tc_setpoints(tc_str p, tc_str u, const double *v, uint32_t n) {
  tc_done r;
  raw_setpoints(p.ptr, p.len, u.ptr, u.len, v, n, &r);
  return r;
}
tc_done tc_proposal(tc_str t, double c) { tc_done r; raw_proposal(t.ptr, t.len, c, &r); return r; }

// A bump allocator: each call gets a fresh instance, so nothing is ever given back.
extern unsigned char __heap_base;
static uintptr_t top;
void *tc_alloc(size_t size, size_t align) {
  if (!top) top = (uintptr_t)&__heap_base;
  uintptr_t start = (top + align - 1) & ~(uintptr_t)(align - 1);
  uintptr_t end = start + size, have = __builtin_wasm_memory_size(0) * 65536ul;
  if (end < start) __builtin_trap();
  if (end > have && __builtin_wasm_memory_grow(0, (end - have + 65535) / 65536) == (size_t)-1)
    __builtin_trap();
  top = end;
  return (void *)start;
}
__attribute__((export_name("cm32p2_realloc")))
void *tc_realloc(void *old, size_t old_size, size_t align, size_t size) {
  char *to = tc_alloc(size, align);
  for (size_t i = 0; i < old_size && i < size; i++) to[i] = ((char *)old)[i];
  return to;
}

EXPORT("describe") tc_descriptor *export_describe(void) {
  static tc_descriptor answer;
  answer = plugin_describe();
  return &answer;
}
EXPORT("propose")
tc_done *export_propose(const char *site, uint32_t site_len, const char *run, uint32_t run_len,
                        double now_s, double step_s, uint32_t steps, uint32_t seed) {
  static tc_done answer;
  tc_context c = {{site, site_len}, {run, run_len}, now_s, step_s, steps, seed};
  answer = plugin_propose(&c);
  return &answer;
}
