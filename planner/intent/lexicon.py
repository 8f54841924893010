"""The words of the grammar, by what they mean. Site words are in `vocabulary`."""

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any


class K(StrEnum):
    """What an item is."""

    MINIMISE = "minimise"
    MAXIMISE = "maximise"
    OBJECTIVE = "objective"  # a whole objective in a phrase: "as cheap as possible"
    QUANTITY = "quantity"
    WEIGHT = "weight"
    SPARE = "spare"
    LOW = "low"
    SUBJECT = "subject"  # assets; an empty tuple is a pronoun
    SIGNAL = "signal"  # one signal by id or label
    ATTRIBUTE = "attribute"
    KEEP = "keep"
    BELOW = "below"
    ABOVE = "above"
    AT_LEAST = "at least"
    AT_MOST = "at most"
    OUTSIDE = "outside"
    NOT = "not"  # value: "", "hard" (never) or "soft" (should not)
    HARD = "hard"
    SOFT = "soft"
    CHANCE = "chance"
    NUMBER = "number"
    RANGE = "range"
    STARTS = "starts"
    TIMES = "times"
    PER_DAY = "per day"
    PER_OTHER = "per other"
    OFF = "off"
    USE = "use"
    CHARGE = "charge"
    DISCHARGE = "discharge"
    IMPORT = "import"
    EXPORT = "export"
    SPEND = "spend"
    FIRST = "first"
    THEN = "then"
    MORE_IMPORTANT = "more important"
    LESS_IMPORTANT = "less important"
    PREFER = "prefer"
    TIME = "time"
    BREAK = "break"  # between clauses
    LET = "let"  # let, allow, may: a permission unless a `not` goes with it
    MOVE = "move"  # drop, rise, go
    HEAT = "heat"  # see heating_cooling
    COOL = "cool"
    FILLER = "filler"
    OR = "or"
    IF = "if"
    UNLESS = "unless"
    EXCEPT = "except"
    SOURCE = "source"  # what a condition reads: a price, carbon, the weather
    PER_TIME = "per time"  # value: hours
    PER_KWH = "per kwh"
    DURATION = "duration"  # value: seconds
    FACTOR = "factor"  # twice as important as; value: how many times
    UP = "up"
    DOWN = "down"
    RUN_TIME = "run time"  # value: on, off or same
    EACH_RUN = "each run"
    CHANGE = "change"
    RESERVE = "reserve"
    ONLY = "only"
    OTHERWISE = "otherwise"
    VAGUE = "vague"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Item:
    """A meaningful piece of the text: what it is, its value and its place."""

    kind: K
    value: Any
    start: int
    end: int


Phrase = tuple[str, ...]

_WORDS: tuple[tuple[K, Any, str], ...] = (
    (K.MINIMISE, None, "minimize the use of|use less|use as little|avoid wasting|minimise|minimize|"
     "minimising|minimizing|minimal|reduce|reducing|cut|cutting|lower|lowering|decrease|save|"
     "saving|least|lowest|as little|as few|as low as possible|keep down|bring down"),
    (K.MAXIMISE, None, "maximise|maximize|maximising|maximizing|improve|best|most|highest"),
    (K.OBJECTIVE, "cost", "as cheap as possible|as cheap as you can|as cheaply as you can|"
     "as cheap as we can|as cheaply as we can|cheapest possible|cheapest operation|"
     "cheap as possible|as cheap as it gets|lowest possible cost|lowest possible costs|"
     "as cheaply as possible|cheapest|cheaply|as inexpensive as possible|save money|"
     "for as little money as possible"),
    (K.OBJECTIVE, "cost", "min cost|min costs|min energy cost|minimal cost|lowest cost"),
    (K.OBJECTIVE, "emissions", "green|min emissions|min co2|min carbon|minimal emissions"),
    (K.OBJECTIVE, "energy", "min energy|minimal energy"),
    (K.OBJECTIVE, "peak", "min peak|minimal peak"),
    (K.OBJECTIVE, "emissions", "as green as possible|as green as you can|as clean as you can|"
     "lowest possible emissions|lowest carbon|as clean as possible|greenest|"
     "as climate friendly as possible"),
    (K.OBJECTIVE, "comfort", "max comfort|maximum comfort|best comfort|best possible comfort|"
     "as comfortable as possible|comfy|comfortable|cosy|cozy"),
    (K.OBJECTIVE, "energy", "as efficient as possible|as little electricity as you can|"
     "as little energy as you can|as little power as possible|as efficiently as you can|"
     "as efficiently as possible|as little energy as possible|as little electricity as possible"),
    (K.OBJECTIVE, "reliability", "as reliable as possible|as resilient as possible|"
     "as reliably as possible"),
    (K.OBJECTIVE, "throughput", "as much output as possible|as productive as possible"),
    (K.OBJECTIVE, "peak", "peak shaving|shave peaks|shave the peaks|shave the peak|"
     "flatten the peak"),
    (K.QUANTITY, "cost", "cost|power bill|power costs|grid cost|grid costs|running cost|"
     "running costs|costs|energy cost|energy costs|electricity cost|electricity costs|"
     "operating cost|operating costs|bill|bills|energy bill|electricity bill|money|expenses|"
     "price paid|spending"),
    (K.QUANTITY, "energy", "energy|electricity|energy use|energy consumption|energy usage|"
     "electricity use|electricity consumption|power consumption|consumption|grid energy"),
    (K.QUANTITY, "emissions", "emissions|emission|carbon|co2|co₂|carbon dioxide|carbon emissions|"
     "co2 emissions|co₂ emissions|carbon footprint|footprint|greenhouse gas|greenhouse gases"),
    (K.QUANTITY, "peak", "demand|grid demand|site demand|peak|peaks|peak demand|peak load|"
     "peak power|peak import|demand peak|demand peaks|load peak|load peaks|demand charge|"
     "demand charges|highest import"),
    (K.QUANTITY, "comfort", "comfort|people comfort|comfort of the people|comfort of people|"
     "comfort of the occupants|occupant comfort|thermal comfort"),
    (K.QUANTITY, "discomfort", "discomfort"),
    (K.QUANTITY, "reliability", "reliability|security of supply|supply security|resilience|"
     "backup power|outage protection"),
    (K.QUANTITY, "throughput", "throughput|production|output|production rate|yield|productivity"),
    (K.QUANTITY, "penalty", "sla penalty|sla penalties|penalties|penalty|sla|slas|service level|"
     "service levels|service level agreement|sla breaches|contract penalties|sla cost|sla costs|"
     "contractual penalties|sla violations"),
    (K.QUANTITY, "wear", "wear|wear and tear|ageing|aging|battery wear|battery ageing|"
     "battery aging|cycling"),
    (K.WEIGHT, None, "weight|weighted"),
    (K.SPARE, None, "spare|sparing|go easy on|be gentle with|be gentle to|treat gently|be kind to"),
    (K.LOW, None, "low|small|down|minimum possible"),
    (K.ATTRIBUTE, "temp", "temperature|temperatures|temp|temps"),
    (K.ATTRIBUTE, "soc", "soc|state of charge|charge level|charge state|level|full"),
    (K.ATTRIBUTE, "power", "power|electric power|electrical power"),
    (K.ATTRIBUTE, "voltage", "voltage|voltages"),
    (K.ATTRIBUTE, "heat", "heat output|thermal power|thermal output|heat power"),
    (K.ATTRIBUTE, "setpoint", "setpoint|setpoints|set point|set points|thermostat|thermostats"),
    (K.SUBJECT, (), "it|them|they|these|those"),
    (K.SUBJECT, ("others",), "others|the others|all others|all the others|the other rooms|"
     "other rooms|the rest of the rooms|the remaining rooms|remaining rooms|everywhere else|"
     "all other rooms|the other zones|other zones|all other zones"),
    (K.KEEP, None, "keep|keeping|kept|hold|holding|held|maintain|maintaining|stay|stays|staying|"
     "remain|remains|leave"),
    (K.BELOW, None, "cheaper than|slower than|below|under|beneath|less than|fewer than|lower than|"
     "smaller than|cooler than|colder than|<|undershoot"),
    (K.ABOVE, None, "dearer than|more expensive than|pricier than|costlier than|more quick than|"
     "more fast than|in excess of|beyond|above|over|more than|higher than|greater than|larger than|"
     "warmer than|hotter than|faster than|quicker than|exceed|exceeds|exceeding|>|overshoot"),
    (K.AT_LEAST, None, "at least|no less than|not less than|no fewer than|no lower than|"
     "not lower than|no colder than|no cooler than|minimum|minimum of|a minimum of|min|>=|≥|"
     "no shorter than|at a minimum|or more|or above|or higher|or warmer|at the very least|"
     "as a minimum|and above|and up|or over|minimal|not under|no under|floor of|a floor of|"
     "no smaller than|not smaller than"),
    (K.AT_MOST, None, "at most|at the very most|tops|as a maximum|at the outside|ceiling|or under|"
     "at maximum|a ceiling of|no bigger than|no greater than|not greater than|no larger than|"
     "maximal|upper limit|not to exceed|limit|cap|restrict|no more than|not more than|"
     "no higher than|not higher than|no warmer than|no hotter than|no faster than|not faster than|"
     "no quicker than|maximum|maximum of|a maximum of|max|<=|≤|up to|not exceeding|"
     "without exceeding|capped at|cap at|limited to|limit to|at the most|or less|or below|or lower|"
     "or fewer|or cooler|a budget of|budget of|budget"),
    (K.OUTSIDE, None, "outside|out of|outside of|leave the band|leave the range"),
    (K.NOT, "", "not|no|don't|do not|dont|doesn't|does not|without|isn't|aren't|is not|are not|"
     "won't|will not|avoid|avoiding"),
    (K.NOT, "hard", "never|must under no circumstances|should never|must not|mustn't|must never|"
     "cannot|can not|can't|may not|may never|shall not|shall never|under no circumstances|"
     "on no account|in no case|at no time"),
    (K.NOT, "soft", "should not|shouldn't|rather not|preferably not|try not to|if possible not"),
    (K.HARD, None, "must|always|strictly|strict|hard|at all times|absolutely|without exception|"
     "in any case|whatever happens|no matter what|binding|come what may|without fail|"
     "not even for a minute|not even once|not even briefly|at any time|at any cost|in all cases|"
     "under any condition|guarantee|guaranteed|guaranteeing|under all circumstances|all the time|"
     "under any circumstances|shall|mandatory"),
    (K.SOFT, None, "if possible|if it is possible|if you can|if you could|if at all possible|"
     "if feasible|if it can be done|if that is possible|if it's possible|wherever possible|"
     "it is preferred that|it would be nice if|it would be good if|would be nice|nice to have|"
     "best effort|preferably|ideally|should|try|try to|soft|where possible|when possible|"
     "as far as possible|as much as possible|about|around|roughly|approximately|mostly|usually"),
    (K.STARTS, None, "start|compressor start|cold starts|starts|starting|started|switch on|"
     "switch ons|switched on|cycles|heat pump starts|starts up|start ups|startups|"
     "compressor starts"),
    (K.TIMES, None, "times|time"),
    (K.PER_DAY, None, "a day|per day|each day|every day|per calendar day|each and every day|/ 24 h|"
     "daily|in a day|in one day|/ day"),
    (K.PER_OTHER, None, "a week|per week|weekly|each week|every week|a month|per month|monthly|"
     "every month|a year|per year"),
    (K.PER_TIME, 1.0, "in one hour|in 1 hour|per 1 hour|within 1 hour|an hr|each hr|an hour|"
     "per hour|hourly|each hour|every hour|/ h|/ hr|/ hour|per h|in an hour|within an hour|"
     "within one hour"),
    (K.PER_TIME, 1 / 60, "in a minute|in one minute|in 1 minute|within a minute|per 1 min|a minute|"
     "per minute|each minute|every minute|/ min|/ minute|per min"),
    (K.PER_TIME, 1 / 3600, "a second|per second|each second|every second|/ s|/ sec|/ second|per s|"
     "per sec|in a second|in one second"),
    (K.PER_KWH, None, "/ kwh|per kwh|a kwh|per kilowatt hour|a kilowatt hour|/ kilowatt hour|kwh"),
    (K.OTHERWISE, None, "otherwise|for the rest of the time|else|or else|if not|at all other times|"
     "at other times|in all other cases|the rest of the time"),
    (K.ONLY, None, "only|solely|exclusively"),
    (K.IF, None, "if|when|whenever|once|in case|in the event that|as soon as|if ever"),
    (K.UNLESS, None, "unless|except if|except when|except while|except whenever|but not if|"
     "but not when|but not while|other than when|save when"),
    (K.EXCEPT, None, "except|except for|except in|except on|except during|excluding|excepting|"
     "apart from|other than|with the exception of|save for|but not|just not|not counting|"
     "leaving out"),
    (K.SOURCE, "import_price", "price|power costs|electricity costs|energy costs|power cost|"
     "price per kwh|cost of power|cost of electricity|kwh price|market price|prices|"
     "electricity price|electricity prices|power price|power prices|energy price|energy prices|"
     "import price|import prices|spot price|grid price|price of electricity|price of power|"
     "price of energy|price of grid power|tariff|electricity tariff"),
    (K.SOURCE, "export_price", "export price|export prices|feed in price|feed in tariff|"
     "export tariff|selling price|price for export|price for exports"),
    (K.SOURCE, "carbon", "carbon intensity|grid carbon intensity|grid intensity|emission factor|"
     "carbon intensity of the grid|co2 intensity|grid carbon|emission intensity"),
    (K.SOURCE, "outdoor", "air temperature outside|outdoor temperature|outside temperature|"
     "temperature outside|temperature outdoors|ambient temperature|outside air|outdoor air|"
     "outdoor temp|outside temp|outside air temperature|outdoor air temperature"),
    (K.SOURCE, "pv", "pv production|solar production|pv output|solar output|pv power|solar power|"
     "solar generation|pv generation|production of the pv"),
    (K.UP, None, "heat up|heating up|warm up|warming up|raise|raising|increase|increasing|ramp up|"
     "ramping up|upwards|heated up"),
    (K.DOWN, None, "cool down|cooling down|ramp down|ramping down|downwards"),
    (K.RUN_TIME, "on", "running time|running times|run time|run times|runtime|runtimes|on time|"
     "up time|uptime|stay on|stays on|keep running|keeps running|stay running|keep it running|"
     "on times"),
    (K.RUN_TIME, "off", "off time|off times|downtime|down time|standing time|standstill|rest time|"
     "pause|pauses|rest|rests|idle time|break time|stand still|stands still"),
    (K.RUN_TIME, "same", "unchanged|constant|dwell|dwell time|dwell times|hold time|holding time"),
    (K.EACH_RUN, None, "at a time|in one go|each time|per run|once started|once on|when it starts|"
     "once it is on|once it runs|once it is running|whenever it runs|when it runs|in a row|"
     "after each start|after starting|after a start|after every start|once off|once stopped|"
     "after it stops|after stopping|after each stop|before the next start|before restarting|"
     "before it starts again|before starting again|before it restarts|every time it starts|"
     "at a stretch|without a break|once it has started|once it starts|once it is off|once it stops|"
     "after a stop|between runs|when running"),
    (K.CHANGE, None, "change|changes|changed|changing|adjust|adjusted|adjusting|vary|varies|ramp|"
     "ramping|ramps|ramp rate|rate of change|more often than|more frequently than"),
    (K.RESERVE, None, "reserve|in case the power goes out|if the power goes out|"
     "in case power goes out|in case of outages|if there is an outage|should the grid fail|"
     "in case of power failure|back for outages|back for an outage|back for emergencies|"
     "for power outages|for a power outage|for power failures|emergency power|in reserve|"
     "as a reserve|as reserve|for an outage|for outages|for a power cut|for power cuts|"
     "for a blackout|for blackouts|for an emergency|for blackout|for outage|for emergencies|"
     "as backup|for backup|as a backup|as back up|in case of an outage|in case the grid fails|"
     "in case of a power cut|in case the power fails|for grid failures|in case of a blackout|"
     "as an emergency reserve|for a grid failure|if the grid fails|backup|back up|"
     "for the case of an outage|in case of an emergency|emergency reserve|in case of outage|"
     "reserved|set aside|untouched"),
    (K.VAGUE, None, "a bit|a little|slightly|somewhat|a tad|a touch|too|reasonable|reasonably|"
     "sensible|sensibly|nice|nicely|decent|acceptable|good|fine|ok|okay|enough|soon|later|a while|"
     "plenty|as usual|the usual|normal|normally|warmer|colder|cooler|hotter|cold|warm enough|hot|"
     "cosier|lots|a lot|much|quite|fairly|sort of|kind of|some|careful|quickly|slowly|gently|"
     "moderate|moderately|appropriate|properly|optimal|optimise|optimize|better|smart|sometimes|"
     "occasionally|rarely|long|short|early|late|often"),
    (K.OFF, None, "off|out of use|in revision|under revision|in repair|being repaired|locked out|"
     "switched out|taken off|taken out|taken offline|isolated|stands idle|standing idle|"
     "not available|on standby|shutdown|decommissioned|idle|switched off|turned off|turn off|"
     "switch off|shut off|shut down|stopped|stop|disable|disabled|standing still|at standstill|"
     "in maintenance|under maintenance|on maintenance|maintenance|out of service|out of order|"
     "unavailable|serviced|being serviced|offline|broken|out of action|defective|faulty|"
     "under repair|out of operation"),
    (K.USE, None, "use|using|used|run|running|runs|operate|operating|touch|touching|turn on|"
     "switch it on|available"),
    (K.CHARGE, None, "charge|charging|charged"),
    (K.DISCHARGE, None, "discharge|give out|gives out|giving out|put out|discharging|discharged|"
     "drain|draining|deplete|empty|emptying|run down"),
    (K.IMPORT, None, "import|take|takes|taking|taken|pull|pulls|pulling|buys|bought|purchases|"
     "grid draw|grid consumption|import power|import from the grid|imports|importing|imported|draw|"
     "drawing|drawn|buy|buying|grid import|grid imports|grid power|purchase"),
    (K.EXPORT, None, "export|export power|feed back|sell back|infeed|feed in to the grid|exports|"
     "exporting|exported|feed in|feed into|feeding in|sell|selling|grid export|grid exports|"
     "inject"),
    (K.SPEND, None, "spend|pay|paying|consume|consuming|emit|emitting"),
    (K.FIRST, None, "first|number one|at first place|in first place|at first|first place|"
     "first of all|most important|top priority|highest priority|above all|comes first|come first|"
     "has priority|takes priority|have priority|take priority|is most important|most importantly"),
    (K.THEN, None, "then|after that|afterwards|next|only then"),
    (K.THEN, "rank", "second|comes second|come second|only second|only comes second|"
     "in second place|at second|at second place|second place|comes third|comes after that|secondly|"
     "third|thirdly"),
    (K.MORE_IMPORTANT, None, "more important than|more important to us than|"
     "matters more to us than|matter more to us than|counts more than|count more than|"
     "weighs more than|hurt more than|hurts more than|is worth more than|matters more than|"
     "matter more than|takes priority over|has priority over|take priority over|have priority over|"
     "goes before|comes before|come before|before|rather than|ahead of|outranks"),
    (K.LESS_IMPORTANT, None, "less important than|matters less than|matter less than|comes after|"
     "come after"),
    (K.PREFER, None, "prefer|prefers|preferring|favour|favor|prioritise|prioritize"),
    (K.BREAK, "while", "while|whilst|as long as|provided|provided that"),
    (K.BREAK, "with", "but|with|subject to|such that|so that|however|though|although|yet"),
    (K.BREAK, None, "and|plus|also|as well as|&"),
    (K.OR, None, "or|nor"),
    (K.LET, None, "let|letting|lets|allow|allowing|allowed|permit|permitted|may|can|could|might"),
    (K.MOVE, None, "float up|float down|slip|slips|go|goes|going|drop|drops|dropping|fall|falls|"
     "falling|sink|sinks|rise|rises|rising|climb|climbs|get|gets|getting|move|moves|drift|drifts|"
     "drifting|float|floats|slide|slides|relax|settle|cool off|drift down|drift up|go down|go up|"
     "come down|sag|dip"),
    (K.FILLER, None, ", that is|, i . e .|, ie|, namely|, meaning|the|see|sees|take care that|"
     "see to it that|in there|quick one|quick note|quick request|one more thing|one thing|"
     "small request|short note|just a note|ask you to|asks you to|us to|at present|for now|"
     "for the time being|at the moment|these days|left|then please|therefore|hence|thus|moreover|"
     "furthermore|additionally|independently of that|in addition|as well|up or down|"
     "in either direction|either way|in both directions|either direction|both ways|in total|"
     "together|altogether|everything|kindly|grateful|i would|you would|wish|wants us to|asks us to|"
     "asked us to|tells us to|told us to|requires us to|required to|it is|simply|basically|really|"
     "actually|again|however long|already|now please|the latter|applies|this applies|apply|"
     "effective immediately|with immediate effect|in general|is enough|are enough|is sufficient|"
     "suffices|will do|generally|thank you|i need|we need|i want|we want|i would like|"
     "we would like|a|an|of|in|on|at|please|to|is|are|be|been|being|we|i|you|want|wants|would|like|"
     "my|our|your|that|so|just|for|by|as|make|makes|sure|ensure|ensuring|its|their|me|us|need|"
     "needs|will|there|from|into|turn|turned|switch|shut|within|have|has|having|all|both|each|"
     "every|any|always within|hi|hello|thanks|thank|band|range|degrees of|our own|operation|during|"
     "goal|objective|target|aim|ever|i'd|we'd|this|than|possible|value|values|amount|total|overall|"
     "site|here|which|do|does|back|it's|has to|have to|got to|could you|can you|would you|let us|"
     "matter|matters|count|counts|good morning|good evening|good afternoon|hey|dear all|making|"
     "worth|last|lasts|equally|alike|in equal parts|give|giving|assign|for the meeting|"
     "for a meeting|for the visitors|for guests|for the guests|for the event|produces|produce|"
     "producing|generates|generate|delivers|deliver|let's|i'm|we're|currently|plan|schedule|case|"
     "level of|rate|rates|speed|use of"),
)  # fmt: skip

NUMBER_WORDS = {
    "zero": 0, "one": 1, "once": 1, "two": 2, "twice": 2, "three": 3, "four": 4, "five": 5,
    "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12,
    "fifteen": 15, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60,
    "hundred": 100,
}  # fmt: skip


@cache
def phrases() -> dict[Phrase, tuple[K, Any]]:
    """Every phrase of the grammar, with what it means."""
    found: dict[Phrase, tuple[K, Any]] = {}
    for kind, value, words in _WORDS:
        for phrase in words.split("|"):
            found.setdefault(tuple(phrase.split()), (kind, value))
    return found
