# The microgrid's own rules, on top of the core pack. See safety/policies/core.rego for the form.
# A rule with a `bound` is also handed to the planner, so that plans keep it from the start.
package pilothouse.site

rules := {
	"night_noise": {
		"hard": false,
		"text": "the heat pump stays at or below 9 kW between 22:00 and 06:00 local time",
		"would_pass": "at most 9 kW at night",
		"bound": {"signal": "hp.power_kw", "unit": "kW", "maximum_milli": 9000, "daily_from": "22:00", "daily_to": "06:00"},
	},
	"reserve": {
		"hard": false,
		"text": "the battery ends above 15 % in 19 of 20 futures",
		"would_pass": "a state of charge of at least 15 % at the end",
		"bound": {"signal": "battery.soc_pct", "unit": "%", "minimum_milli": 15000, "last_steps": 1},
	},
	"export_limit": {
		"hard": true,
		"text": "the connection exports at most 40 kW in 19 of 20 futures",
		"would_pass": "charge, shift load or curtail where the export peaks",
	},
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

heat_pump := [s.held_milli | some s in input.schedules; s.point == "hp.power_set_kw"]

night(minute) if at_most(1320, minute)

night(minute) if {
	at_most(0, minute)
	below(minute, 360)
}

at_night(step) if night(step.from_minute)

at_night(step) if night(step.to_minute)

quiet(step, value) if {
	at_most(value, 9000)
	is_number(step.from_minute)
}

quiet(step, value) if {
	is_number(value)
	is_number(step.from_minute)
	is_number(step.to_minute)
	not at_night(step)
}

default night_noise := "fail"

night_noise := "pass" if {
	below(0, count(input.steps))
	below(0, count(input.schedules))
	every held in heat_pump {
		quiet_throughout(held)
	}
}

quiet_throughout(held) if {
	count(held) == count(input.steps)
	every k, step in input.steps {
		quiet(step, held[k])
	}
}

violations contains {"rule": "night_noise", "text": sprintf("%d W at %02d:%02d local time", [held[k], floor(step.from_minute / 60), step.from_minute % 60])} if {
	some held in heat_pump
	some k, step in input.steps
	not quiet(step, held[k])
}

default reserve := "fail"

reserve := "pass" if {
	low := input.traces["battery.soc_pct"].q05_milli
	below(0, count(low))
	at_most(15000, low[count(low) - 1])
}

violations contains {"rule": "reserve", "text": sprintf("one future in twenty ends at or below %d thousandths of a percent", [low[count(low) - 1]])} if {
	low := input.traces["battery.soc_pct"].q05_milli
	below(0, count(low))
	below(low[count(low) - 1], 15000)
}

default export_limit := "fail"

export_limit := "pass" if {
	low := input.traces["grid.power_kw"].q05_milli
	below(0, count(low))
	at_most(-40000, min(low))
}

violations contains {"rule": "export_limit", "text": sprintf("one future in twenty exports %d W or more", [0 - min(low)])} if {
	low := input.traces["grid.power_kw"].q05_milli
	below(min(low), -40000)
}
