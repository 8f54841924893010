# The office's own rules, on top of the core pack. See safety/policies/core.rego for the form.
# A rule with a `bound` is also handed to the planner, so that plans keep it from the start.
package pilothouse.site

rules := {
	"deadband": {
		"hard": true,
		"text": "in each zone the heating setpoint stays at least 1 K below the cooling setpoint",
		"would_pass": "move the two setpoints of a zone apart",
	},
	"empty_house": {
		"hard": false,
		"text": "nobody heats an empty house: heating setpoints stay at or below 19 degC between 20:00 and 04:00 local time",
		"would_pass": "heat up after 04:00",
		"bound": {
			"signal": "*.heating_setpoint_degc", "unit": "degC", "maximum_milli": 19000,
			"daily_from": "20:00", "daily_to": "04:00",
		},
	},
	"connection_reserve": {
		"hard": false,
		"text": "import stays at or below 220 kW in 19 of 20 futures; the connection is protected at 250 kW",
		"would_pass": "heat and cool fewer floors at once",
		"bound": {"signal": "grid.power_kw", "unit": "kW", "maximum_milli": 220000},
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

# --- deadband ----------------------------------------------------------------------------------

heating := {trim_suffix(s.point, ".heating_setpoint_degc"): s.held_milli |
	some s in input.schedules
	endswith(s.point, ".heating_setpoint_degc")
}

cooling := {trim_suffix(s.point, ".cooling_setpoint_degc"): s.held_milli |
	some s in input.schedules
	endswith(s.point, ".cooling_setpoint_degc")
}

# A zone of which one setpoint alone is scheduled keeps its deadband at the plant.
pairs := [{"zone": zone, "heating": heating[zone], "cooling": held} |
	held := cooling[zone]
]

default deadband := "fail"

deadband := "pass" if {
	below(0, count(input.steps))
	below(0, count(input.schedules))
	every pair in pairs {
		apart_throughout(pair.heating, pair.cooling)
	}
}

apart_throughout(heating, cooling) if {
	count(heating) == count(input.steps)
	count(cooling) == count(input.steps)
	every k, value in heating {
		apart(value, cooling[k])
	}
}

apart(heating, cooling) if {
	is_number(heating)
	is_number(cooling)
	heating + 1000 <= cooling
}

crossed(heating, cooling) if {
	is_number(heating)
	is_number(cooling)
	cooling < heating + 1000
}

violations contains {"rule": "deadband", "text": sprintf("%s: heating to %d, cooling to %d thousandths of a degree", [pair.zone, pair.heating[k], pair.cooling[k]])} if {
	some pair in pairs
	some k, _ in input.steps
	crossed(pair.heating[k], pair.cooling[k])
}

# --- empty house -------------------------------------------------------------------------------

night(minute) if at_most(1200, minute)

night(minute) if {
	at_most(0, minute)
	below(minute, 240)
}

low_or_day(_, value) if at_most(value, 19000)

low_or_day(step, value) if {
	is_number(value)
	is_number(step.from_minute)
	not night(step.from_minute)
}

default empty_house := "fail"

empty_house := "pass" if {
	below(0, count(input.steps))
	below(0, count(input.schedules))
	every _, held in heating {
		low_at_night(held)
	}
}

low_at_night(held) if {
	count(held) == count(input.steps)
	every k, step in input.steps {
		low_or_day(step, held[k])
	}
}

violations contains {"rule": "empty_house", "text": sprintf("heating to %d thousandths of a degree at %02d:%02d local time", [held[k], floor(step.from_minute / 60), step.from_minute % 60])} if {
	some _, held in heating
	some k, step in input.steps
	is_number(held[k])
	not low_or_day(step, held[k])
}

# --- connection --------------------------------------------------------------------------------

default connection_reserve := "fail"

connection_reserve := "pass" if {
	high := input.traces["grid.power_kw"].q95_milli
	below(0, count(high))
	at_most(max(high), 220000)
}

violations contains {"rule": "connection_reserve", "text": sprintf("one future in twenty imports %d W or more", [max(high)])} if {
	high := input.traces["grid.power_kw"].q95_milli
	below(220000, max(high))
}
