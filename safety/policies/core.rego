# The core pack: what every proposal on every site must prove.
#
# A rule is "pass" only where its whole body is proven; anything undefined (a missing field, a text
# where a number belongs, an unknown mode) leaves the default, "fail". `violations` explains, it
# decides nothing in favour: a rule with a violation fails whatever its verdict.
# Numbers are integers: values in thousandths, ramps in millionths a second, probabilities in parts
# per million, times in milliseconds. Relations that look fine and are not (an `every` over nothing
# is true) are guarded by a count. An `every` inside an `every` does not see the outer variable in
# this engine, so it stands in a function of its own; functions get the parts that they look at,
# because their arguments are copied.
package pilothouse.core

rules := {
	"range": {"hard": true, "text": "every scheduled value lies inside its envelope and the site's own range", "would_pass": "keep every value inside the signal's range"},
	"rate": {"hard": true, "text": "no step is faster than the point's ramp", "would_pass": "spread the change over more steps"},
	"dwell": {"hard": true, "text": "changes of a point are at least its dwell time apart", "would_pass": "hold each value at least for the dwell time"},
	"hard_constraints": {"hard": true, "text": "no hard constraint breaks more often than without the proposal, and each has a known bound", "would_pass": "a candidate that breaks no hard constraint that doing nothing would keep"},
	"sandbox_passed": {"hard": true, "text": "shadow and canary passed", "would_pass": "a candidate that passes both in the twin"},
	"solver_usable": {"hard": true, "text": "the plan rests on a solve that reached its gap, without slack", "would_pass": "a solve that ends optimal or within its gap"},
	"rollback_tested": {"hard": true, "text": "the rollback was exercised in the twin, restored every point, and is the one proposed", "would_pass": "exercise this very rollback in the canary"},
	"lease": {"hard": true, "text": "every write is leased for at most an hour", "would_pass": "a lease of at most 3600 s"},
	"expiry": {"hard": true, "text": "the proposal is decided before it expires, and expires in time", "would_pass": "a validity no longer than the site allows, starting before it ends"},
	"holds_respected": {"hard": true, "text": "no scheduled point is held by an operator", "would_pass": "leave out the held points, or have them handed back"},
	"autonomy_mode": {"hard": true, "text": "the loop's mode allows a proposal", "would_pass": "put the loop into advise or approve; automatic mode needs low risk, a standing authorisation and a watchdog"},
	"starts": {"hard": true, "text": "starts stay below their limits and are marked as irreversible for the approver's consent", "would_pass": "fewer starts, and name each started point under what cannot be undone"},
	"quorum": {"hard": true, "text": "the risk level fits the sandbox's figures and asks for the roles and persons that the site demands", "would_pass": "ask for the site's roles and persons of the level that the figures give"},
	"explained": {"hard": true, "text": "every link of the because-chain was checked by intervening, or says what else it rests on", "would_pass": "check the link in the sandbox, or drop it"},
}

# Comparisons of numbers only: this engine calls a text smaller than every number.
at_most(a, b) if {
	is_number(a)
	is_number(b)
	a <= b
}

below(a, b) if {
	is_number(a)
	is_number(b)
	a < b
}

# --- range, rate, dwell ------------------------------------------------------------------------

# The host hands over each schedule's extremes beside its values: walking them here took a second.

default range := "fail"

range := "pass" if {
	below(0, count(input.schedules))
	every s in input.schedules {
		range_kept(s.extremes, s.bounds)
	}
}

range_kept(x, b) if {
	at_most(b.site_min_milli, b.min_milli)
	at_most(b.max_milli, b.site_max_milli)
	at_most(b.min_milli, x.least_milli)
	at_most(x.greatest_milli, b.max_milli)
	zero_or_above(x, b)
}

zero_or_above(_, b) if b.zero_or_above_milli == null

zero_or_above(x, _) if x.least_above_zero_milli == null

zero_or_above(x, b) if at_most(b.zero_or_above_milli, x.least_above_zero_milli)

violations contains {"rule": "range", "text": sprintf("%s: values %d..%d, allowed %d..%d (thousandths of %s)", [s.point, s.extremes.least_milli, s.extremes.greatest_milli, s.bounds.min_milli, s.bounds.max_milli, s.unit])} if {
	some s in input.schedules
	not range_kept(s.extremes, s.bounds)
}

default rate := "fail"

# The first value is reached from the live one by the gate, which ramps there by itself.
rate := "pass" if {
	below(0, count(input.schedules))
	every s in input.schedules {
		rate_kept(s.extremes, s.bounds)
	}
}

rate_kept(_, b) if b.ramp_micro_per_s == null

rate_kept(x, b) if at_most(x.fastest_micro_per_s, b.ramp_micro_per_s)

violations contains {"rule": "rate", "text": sprintf("%s: changes by %d millionths a second, allowed %d", [s.point, s.extremes.fastest_micro_per_s, s.bounds.ramp_micro_per_s])} if {
	some s in input.schedules
	not rate_kept(s.extremes, s.bounds)
}

default dwell := "fail"

dwell := "pass" if {
	below(0, count(input.schedules))
	every s in input.schedules {
		dwell_kept(s.extremes, s.bounds)
	}
}

dwell_kept(x, b) if {
	x.shortest_hold_ms == null
	is_number(b.dwell_ms)
}

dwell_kept(x, b) if at_most(b.dwell_ms, x.shortest_hold_ms)

violations contains {"rule": "dwell", "text": sprintf("%s: two changes %d ms apart, %d ms asked for", [s.point, s.extremes.shortest_hold_ms, s.bounds.dwell_ms])} if {
	some s in input.schedules
	not dwell_kept(s.extremes, s.bounds)
}

# --- sandbox -----------------------------------------------------------------------------------

default hard_constraints := "fail"

hard_constraints := "pass" if {
	hard := [c | some c in input.shadow.constraints; c.hard == true]
	below(0, count(hard))
	every c in hard {
		constraint_kept(c)
	}
}

constraint_kept(c) if {
	at_most(c.probability_ppm, c.upper_ppm)
	at_most(c.upper_ppm, 1000000)
	at_most(0, c.probability_ppm)
	at_most(c.probability_ppm, c.baseline_ppm)
}

violations contains {"rule": "hard_constraints", "text": sprintf("%s breaks in %d of a million futures, %d when nothing is done", [c.label, c.probability_ppm, c.baseline_ppm])} if {
	some c in input.shadow.constraints
	c.hard == true
	not constraint_kept(c)
}

default sandbox_passed := "fail"

sandbox_passed := "pass" if {
	input.shadow.passed == true
	at_most(1, input.shadow.futures)
	input.canary.passed == true
}

violations contains {"rule": "sandbox_passed", "text": sprintf("shadow: %s", [reason])} if {
	input.shadow.passed == false
	some reason in input.shadow.reasons
}

violations contains {"rule": "sandbox_passed", "text": sprintf("canary: %s", [reason])} if {
	input.canary.passed == false
	some reason in input.canary.reasons
}

default solver_usable := "fail"

solver_usable := "pass" if {
	input.solve.status in {"optimal", "within_gap"}
	input.solve.hard_slack == false
}

violations contains {"rule": "solver_usable", "text": sprintf("the solve ended %s", [input.solve.status])} if {
	not input.solve.status in {"optimal", "within_gap"}
}

default rollback_tested := "fail"

rollback_tested := "pass" if {
	input.canary.rollback_exercised == true
	input.canary.rollback_restored == true
	input.rollback.tested_digest == input.canary.rollback_digest
	startswith(input.rollback.tested_digest, "sha256:")
	below(0, input.rollback.steps)
}

violations contains {"rule": "rollback_tested", "text": "the proposed rollback is not the one that the canary exercised"} if {
	input.rollback.tested_digest != input.canary.rollback_digest
}

# --- time --------------------------------------------------------------------------------------

default lease := "fail"

lease := "pass" if {
	below(0, count(input.schedules))
	every s in input.schedules {
		leased(s.ttl_ms)
	}
}

leased(ttl) if {
	below(0, ttl)
	at_most(ttl, 3600000)
}

violations contains {"rule": "lease", "text": sprintf("%s: a lease of %d ms", [s.point, s.ttl_ms])} if {
	some s in input.schedules
	not leased(s.ttl_ms)
}

default expiry := "fail"

expiry := "pass" if {
	below(input.now_ms, input.expires_ms)
	below(input.not_before_ms, input.expires_ms)
	at_most(input.expires_ms - input.not_before_ms, input.site.max_valid_ms)
	at_most(input.decide_by_ms, input.expires_ms)
	below(input.now_ms, input.decide_by_ms)
}

violations contains {"rule": "expiry", "text": sprintf("valid for %d ms, the site allows %d", [input.expires_ms - input.not_before_ms, input.site.max_valid_ms])} if {
	below(input.site.max_valid_ms, input.expires_ms - input.not_before_ms)
}

violations contains {"rule": "expiry", "text": "it has expired"} if input.expires_ms <= input.now_ms

violations contains {"rule": "expiry", "text": "its decision deadline has passed"} if input.decide_by_ms <= input.now_ms

# --- people ------------------------------------------------------------------------------------

default holds_respected := "fail"

holds_respected := "pass" if {
	is_array(input.holds)
	below(0, count(input.schedules))
	count(held) == 0
}

held contains s.point if {
	some s in input.schedules
	s.point in input.holds
}

violations contains {"rule": "holds_respected", "text": sprintf("%s is held by an operator", [point])} if some point in held

default autonomy_mode := "fail"

autonomy_mode := "pass" if input.mode in {"shadow", "advise", "approve"}

autonomy_mode := "pass" if {
	input.mode == "auto"
	input.risk.level == "low"
	input.standing == true
	input.plant.watchdog == true
	input.plant.remote_allowed == true
}

violations contains {"rule": "autonomy_mode", "text": sprintf("the mode is %s", [input.mode])} if autonomy_mode == "fail"

default starts := "fail"

starts := "pass" if {
	is_array(input.starts)
	every s in input.starts {
		starts_kept(s)
	}
}

starts_kept(s) if {
	at_most(s.most_in_a_day, s.limit)
	consented(s)
}

consented(s) if s.planned == 0

consented(s) if {
	below(0, s.planned)
	s.marked == true
	at_most(1, input.quorum.min_persons)
}

violations contains {"rule": "starts", "text": sprintf("%s: %d starts in a day, %d allowed", [s.point, s.most_in_a_day, s.limit])} if {
	some s in input.starts
	below(s.limit, s.most_in_a_day)
}

violations contains {"rule": "starts", "text": sprintf("%s: its starts are not marked as irreversible", [s.point])} if {
	some s in input.starts
	not consented(s)
}

default quorum := "fail"

quorum := "pass" if {
	some wanted in input.site.risk_rules
	wanted.level == input.risk.level
	level_fits(wanted)
	at_most(wanted.min_persons, input.quorum.min_persons)
	below(0, count(wanted.roles))
	every role in wanted.roles {
		role in input.quorum.roles
	}
}

level_fits(wanted) if at_most(input.risk.upper_ppm, wanted.max_ppm)

# Past the last level's bound nothing fits: the greatest level stands for all beyond it.
level_fits(wanted) if {
	wanted.greatest == true
	is_number(input.risk.upper_ppm)
}

violations contains {"rule": "quorum", "text": asked(wanted)} if {
	quorum == "fail"
	some wanted in input.site.risk_rules
	wanted.level == input.risk.level
}

# concat throughout: a computed text inside sprintf comes out unquoted in this engine.
asked(wanted) := concat("", [
	wanted.level, " risk asks for ", concat(", ", wanted.roles), " and ",
	format_int(wanted.min_persons, 10), " person(s), the proposal for ",
	concat(", ", input.quorum.roles), " and ", format_int(input.quorum.min_persons, 10),
])

default explained := "fail"

explained := "pass" if {
	below(0, count(input.because))
	every link in input.because {
		link_stands(link)
	}
}

link_stands(link) if {
	link.checked == true
	link.text != ""
}

link_stands(link) if {
	link.checked == false
	link.source in {"solve", "topology"}
	link.text != ""
}

violations contains {"rule": "explained", "text": sprintf("unchecked: %s", [link.text])} if {
	some link in input.because
	not link_stands(link)
}
