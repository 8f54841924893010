/* Small models behind the FMI 2.0 or the FMI 3.0 interface, model exchange and co-simulation.
   Compiled by tests/fmu_factory.py with -DFMI=2 or 3 and -DMODEL_...; all variables are reals, a
   value reference is a place in v[]. Co-simulation integrates with classical Runge-Kutta. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if FMI == 2
#include "fmi2FunctionTypes.h"
typedef fmi2Status Status;
typedef fmi2Boolean Flag;
typedef fmi2ValueReference Ref;
#define DISCARD fmi2Discard
#define ERROR fmi2Error
#define API(name) fmi2##name
#else
#include "fmi3FunctionTypes.h"
typedef fmi3Status Status;
typedef fmi3Boolean Flag;
typedef fmi3ValueReference Ref;
#define DISCARD fmi3Discard
#define ERROR fmi3Error
#define API(name) fmi3##name
#endif
#define OK 0
#define EXPORT __attribute__((visibility("default")))
#define NEVER INFINITY

typedef struct {
    double t, next, v[8];
} Unit;

/* --- the models: start values, right-hand side and outputs, events ------------------------- */

#if defined(MODEL_UPPER) /* a tank that is fed and drained: q_feed q_out area h der(h) */
static const double START[8] = {0, 0, 2, 1, 0};
static const int NX = 1, X[] = {3}, DX[] = {4}, NZ = 0;
static void evaluate(Unit *u) { u->v[4] = (u->v[0] - u->v[1]) / u->v[2]; }

#elif defined(MODEL_LOWER) /* the tank below it: h_up area k k_out h der(h) q */
static const double START[8] = {0, 1, 0.02, 0.01, 0.5, 0, 0};
static const int NX = 1, X[] = {4}, DX[] = {5}, NZ = 0;
static void evaluate(Unit *u) {
    u->v[6] = u->v[2] * (u->v[0] - u->v[4]);
    u->v[5] = (u->v[6] - u->v[3] * u->v[4]) / u->v[1];
}

#elif defined(MODEL_VANDERPOL) /* mu x0 der(x0) x1 der(x1) */
static const double START[8] = {1, 2, 0, 0, 0};
static const int NX = 2, X[] = {1, 3}, DX[] = {2, 4}, NZ = 0;
static void evaluate(Unit *u) {
    u->v[2] = u->v[3];
    u->v[4] = u->v[0] * (1 - u->v[1] * u->v[1]) * u->v[3] - u->v[1];
}

#elif defined(MODEL_BALL) /* h der(h) v der(v) e bounces ticks: a bouncing ball and a clock */
static const double START[8] = {1, 0, 0, -9.81, 0.7, 0, 0};
static const int NX = 2, X[] = {0, 2}, DX[] = {1, 3}, NZ = 1;
static void evaluate(Unit *u) {
    u->v[1] = u->v[2];
    u->v[3] = -9.81;
}

#elif defined(MODEL_GAIN) /* u y: an algebraic block, y = 0.5 u + 1 */
static const double START[8] = {0, 1};
static const int NX = 0, X[] = {0}, DX[] = {0}, NZ = 0;
static void evaluate(Unit *u) { u->v[1] = 0.5 * u->v[0] + 1; }

#elif defined(MODEL_ROGUE) /* mode u y: what mode does is in misbehave() */
static const double START[8] = {0, 0, 0};
static const int NX = 0, X[] = {0}, DX[] = {0}, NZ = 0;
static void evaluate(Unit *u) { u->v[2] = u->v[0] == 6 ? NAN : u->v[1]; }
#endif

static void misbehave(Unit *u, double h, Status *status) {
#ifdef MODEL_ROGUE
    static char *volatile nowhere = NULL;
    volatile int spinning = 1;
    if (u->v[1] < 1) return; /* it behaves until its input says otherwise */
    switch ((int)u->v[0]) {
    case 1: while (spinning) {} break;
    case 2: *nowhere = 1; break;
    case 3: _exit(7);
    case 4: for (;;) { fputs("the same line over and over\n", stdout); fflush(stdout); } break;
    case 5: for (;;) *(volatile char *)malloc(1 << 26) = 1; break;
    case 7: if (h > 0.1) *status = DISCARD; break;
    case 8: *status = ERROR; break;
    case 10: for (int fd = 3; fd < 16; fd++) if (write(fd, "{\"ok\": [1, 2, 3]}", 17) < 0) {} break;
    case 9: fputs("I give up, says the model\n", stderr); abort();
    }
#else
    (void)u, (void)h, (void)status;
#endif
}

static int indicate(const Unit *u, double *z) {
#ifdef MODEL_BALL
    z[0] = u->v[0];
#else
    (void)u, (void)z;
#endif
    return OK;
}

static void event(Unit *u) {
#ifdef MODEL_BALL
    if (u->v[0] <= 0 && u->v[2] < 0) {
        u->v[0] = 0;
        u->v[2] *= -u->v[4];
        u->v[5] += 1;
    }
    if (u->t >= u->next) {
        u->v[6] += 1;
        u->next += 0.25;
    }
#else
    (void)u;
#endif
}

/* --- what both interfaces share ------------------------------------------------------------- */

static Unit *fresh(void) {
    Unit *u = calloc(1, sizeof(Unit));
    memcpy(u->v, START, sizeof START);
    u->next = NEVER;
#ifdef MODEL_BALL
    u->next = 0.25;
#endif
    return u;
}

static void shift(Unit *u, const double *x, const double *k, double h) {
    for (int i = 0; i < NX; i++) u->v[X[i]] = x[i] + h * k[i];
    evaluate(u);
}

static void slope(const Unit *u, double *k) {
    for (int i = 0; i < NX; i++) k[i] = u->v[DX[i]];
}

static Status advance(Unit *u, double t, double h) {
    enum { SUBSTEPS = 8 };
    double x[4], k1[4], k2[4], k3[4], k4[4], d = h / SUBSTEPS;
    Status status = OK;
    misbehave(u, h, &status);
    for (int s = 0; s < SUBSTEPS && status == OK; s++) {
        evaluate(u);
        for (int i = 0; i < NX; i++) x[i] = u->v[X[i]];
        slope(u, k1);
        shift(u, x, k1, d / 2), slope(u, k2);
        shift(u, x, k2, d / 2), slope(u, k3);
        shift(u, x, k3, d), slope(u, k4);
        for (int i = 0; i < NX; i++) k1[i] = (k1[i] + 2 * k2[i] + 2 * k3[i] + k4[i]) / 6;
        shift(u, x, k1, d);
    }
    u->t = t + h;
    return status;
}

static Status get(Unit *u, const Ref vr[], size_t n, double value[]) {
    evaluate(u);
    for (size_t i = 0; i < n; i++) value[i] = u->v[vr[i]];
    return OK;
}

static Status set(Unit *u, const Ref vr[], size_t n, const double value[]) {
    for (size_t i = 0; i < n; i++) u->v[vr[i]] = value[i];
    return OK;
}

#define STUB(name) EXPORT int API(name)(void) { return ERROR; }
#define DONE(name) EXPORT Status API(name)(Unit *u) { (void)u; return OK; }

EXPORT const char *API(GetVersion)(void) { return FMI == 2 ? "2.0" : "3.0"; }
EXPORT void API(FreeInstance)(Unit *u) { free(u); }
EXPORT Status API(Reset)(Unit *u) { Unit *f = fresh(); *u = *f; free(f); return OK; }
DONE(ExitInitializationMode)
DONE(EnterEventMode)
DONE(EnterContinuousTimeMode)
DONE(Terminate)
EXPORT Status API(SetTime)(Unit *u, double t) { u->t = t; return OK; }
EXPORT Status API(SetContinuousStates)(Unit *u, const double x[], size_t n) {
    for (size_t i = 0; i < n; i++) u->v[X[i]] = x[i];
    return OK;
}
EXPORT Status API(GetContinuousStates)(Unit *u, double x[], size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = u->v[X[i]];
    return OK;
}
static Status derivatives(Unit *u, double dx[], size_t n) {
    evaluate(u);
    for (size_t i = 0; i < n; i++) dx[i] = u->v[DX[i]];
    return OK;
}
EXPORT Status API(GetEventIndicators)(Unit *u, double z[], size_t n) {
    return n ? indicate(u, z) : OK;
}
EXPORT Status API(GetNominalsOfContinuousStates)(Unit *u, double x[], size_t n) {
    (void)u;
    for (size_t i = 0; i < n; i++) x[i] = 1;
    return OK;
}
EXPORT Status API(CompletedIntegratorStep)(Unit *u, Flag final, Flag *enter, Flag *end) {
    (void)u, (void)final;
    *enter = *end = 0;
    return OK;
}
static Status copy_out(Unit *u, void **state) {
    *state = memcpy(*state ? *state : malloc(sizeof(Unit)), u, sizeof(Unit));
    return OK;
}
static Status bytes_of(void *state, void *bytes) { memcpy(bytes, state, sizeof(Unit)); return OK; }
static Status from_bytes(const void *bytes, size_t n, void **state) {
    if (n != sizeof(Unit)) return ERROR;
    return copy_out((Unit *)bytes, state);
}

/* --- FMI 2.0 -------------------------------------------------------------------------------- */
#if FMI == 2
EXPORT void *fmi2Instantiate(const char *name, int type, const char *guid, const char *where,
                             const fmi2CallbackFunctions *f, int visible, int logging) {
    (void)name, (void)type, (void)where, (void)f, (void)visible, (void)logging;
    return strcmp(guid, TOKEN) ? NULL : fresh();
}
EXPORT const char *fmi2GetTypesPlatform(void) { return "default"; }
EXPORT Status fmi2SetupExperiment(Unit *u, int has, double tol, double t, int stops, double stop) {
    (void)has, (void)tol, (void)stops, (void)stop;
    u->t = t;
    return OK;
}
DONE(EnterInitializationMode)
EXPORT Status fmi2GetReal(Unit *u, const Ref vr[], size_t n, double x[]) { return get(u, vr, n, x); }
EXPORT Status fmi2SetReal(Unit *u, const Ref vr[], size_t n, const double x[]) {
    return set(u, vr, n, x);
}
EXPORT Status fmi2GetDerivatives(Unit *u, double dx[], size_t n) { return derivatives(u, dx, n); }
EXPORT Status fmi2GetFMUstate(Unit *u, void **state) { return copy_out(u, state); }
EXPORT Status fmi2SetFMUstate(Unit *u, void *state) { return bytes_of(state, u); }
EXPORT Status fmi2FreeFMUstate(Unit *u, void **state) { (void)u; free(*state); *state = NULL; return OK; }
EXPORT Status fmi2SerializedFMUstateSize(Unit *u, void *s, size_t *n) {
    (void)u, (void)s;
    *n = sizeof(Unit);
    return OK;
}
EXPORT Status fmi2SerializeFMUstate(Unit *u, void *s, char b[], size_t n) {
    (void)u, (void)n;
    return bytes_of(s, b);
}
EXPORT Status fmi2DeSerializeFMUstate(Unit *u, const char b[], size_t n, void **s) {
    (void)u;
    return from_bytes(b, n, s);
}
EXPORT Status fmi2DoStep(Unit *u, double t, double h, int final) { (void)final; return advance(u, t, h); }
EXPORT Status fmi2NewDiscreteStates(Unit *u, fmi2EventInfo *info) {
    memset(info, 0, sizeof *info);
    event(u);
    info->nextEventTimeDefined = isfinite(u->next);
    info->nextEventTime = u->next;
    return OK;
}
STUB(SetDebugLogging) STUB(GetInteger) STUB(GetBoolean) STUB(GetString) STUB(SetInteger)
STUB(SetBoolean) STUB(SetString) STUB(GetDirectionalDerivative) STUB(SetRealInputDerivatives)
STUB(GetRealOutputDerivatives) STUB(CancelStep) STUB(GetStatus) STUB(GetRealStatus)
STUB(GetIntegerStatus) STUB(GetBooleanStatus) STUB(GetStringStatus)

/* --- FMI 3.0 -------------------------------------------------------------------------------- */
#else
EXPORT void *fmi3InstantiateModelExchange(const char *name, const char *token, const char *where,
                                          bool visible, bool logging, void *env, void *log) {
    (void)name, (void)where, (void)visible, (void)logging, (void)env, (void)log;
    return strcmp(token, TOKEN) ? NULL : fresh();
}
EXPORT void *fmi3InstantiateCoSimulation(const char *name, const char *token, const char *where,
                                         bool visible, bool logging, bool events, bool early,
                                         const Ref vr[], size_t n, void *env, void *log, void *cb) {
    (void)events, (void)early, (void)vr, (void)n, (void)cb;
    return fmi3InstantiateModelExchange(name, token, where, visible, logging, env, log);
}
EXPORT Status fmi3EnterInitializationMode(Unit *u, bool has, double tol, double t, bool stops,
                                          double stop) {
    (void)has, (void)tol, (void)stops, (void)stop;
    u->t = t;
    return OK;
}
EXPORT Status fmi3GetFloat64(Unit *u, const Ref vr[], size_t n, double x[], size_t nx) {
    (void)nx;
    return get(u, vr, n, x);
}
EXPORT Status fmi3SetFloat64(Unit *u, const Ref vr[], size_t n, const double x[], size_t nx) {
    (void)nx;
    return set(u, vr, n, x);
}
EXPORT Status fmi3GetContinuousStateDerivatives(Unit *u, double dx[], size_t n) {
    return derivatives(u, dx, n);
}
EXPORT Status fmi3GetNumberOfContinuousStates(Unit *u, size_t *n) { (void)u; *n = NX; return OK; }
EXPORT Status fmi3GetNumberOfEventIndicators(Unit *u, size_t *n) { (void)u; *n = NZ; return OK; }
EXPORT Status fmi3GetFMUState(Unit *u, void **state) { return copy_out(u, state); }
EXPORT Status fmi3SetFMUState(Unit *u, void *state) { return bytes_of(state, u); }
EXPORT Status fmi3FreeFMUState(Unit *u, void **state) { (void)u; free(*state); *state = NULL; return OK; }
EXPORT Status fmi3SerializedFMUStateSize(Unit *u, void *s, size_t *n) {
    (void)u, (void)s;
    *n = sizeof(Unit);
    return OK;
}
EXPORT Status fmi3SerializeFMUState(Unit *u, void *s, fmi3Byte b[], size_t n) {
    (void)u, (void)n;
    return bytes_of(s, b);
}
EXPORT Status fmi3DeserializeFMUState(Unit *u, const fmi3Byte b[], size_t n, void **s) {
    (void)u;
    return from_bytes(b, n, s);
}
EXPORT Status fmi3DoStep(Unit *u, double t, double h, bool final, bool *event_needed, bool *end,
                         bool *early, double *last) {
    (void)final;
    *event_needed = *end = *early = false;
    *last = t + h;
    return advance(u, t, h);
}
EXPORT Status fmi3UpdateDiscreteStates(Unit *u, bool *again, bool *end, bool *nominals,
                                       bool *values, bool *has_next, double *next) {
    *again = *end = *nominals = *values = false;
    event(u);
    *has_next = isfinite(u->next);
    *next = u->next;
    return OK;
}
STUB(SetDebugLogging) STUB(InstantiateScheduledExecution) STUB(EnterStepMode)
STUB(GetFloat32) STUB(GetInt8) STUB(GetUInt8) STUB(GetInt16) STUB(GetUInt16) STUB(GetInt32)
STUB(GetUInt32) STUB(GetInt64) STUB(GetUInt64) STUB(GetBoolean) STUB(GetString) STUB(GetBinary)
STUB(GetClock) STUB(SetFloat32) STUB(SetInt8) STUB(SetUInt8) STUB(SetInt16) STUB(SetUInt16)
STUB(SetInt32) STUB(SetUInt32) STUB(SetInt64) STUB(SetUInt64) STUB(SetBoolean) STUB(SetString)
STUB(SetBinary) STUB(SetClock) STUB(GetNumberOfVariableDependencies) STUB(GetVariableDependencies)
STUB(GetDirectionalDerivative) STUB(GetAdjointDerivative) STUB(EnterConfigurationMode)
STUB(ExitConfigurationMode) STUB(GetIntervalDecimal) STUB(GetIntervalFraction)
STUB(GetShiftDecimal) STUB(GetShiftFraction) STUB(SetIntervalDecimal) STUB(SetIntervalFraction)
STUB(SetShiftDecimal) STUB(SetShiftFraction) STUB(EvaluateDiscreteStates)
STUB(GetOutputDerivatives) STUB(ActivateModelPartition)
#endif
