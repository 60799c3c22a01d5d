# METADATA
# title: Quantities of Kubernetes
# description: |
#   Reads amounts of memory and processor time in the notation of Kubernetes: `2Gi`, `2G`, `2e9`,
#   `2048000Ki`, `0.002Ti`, `500m`, `2`. A text with another unit, or with a space or a sign in
#   front, is not a quantity.
#
#   - `at_most(value, limit)`, `at_least(value, limit)`: exact comparisons. Undefined if one of the
#     two is not a quantity.
#   - `bytes(value)`, `milli(value)`: a whole number, rounded up as Kubernetes does. Undefined if
#     the value is not a quantity, or if the number is above 9007199254740991 (2^53 - 1), the
#     largest exact number of JSON.
#
#   Test the permitted case: `not quantity.at_most(change.value, "1Gi")` denies both a larger value
#   and a text that is not a quantity. `quantity.bytes(change.value) > 1073741824` would permit the
#   second.
package cofferdam.quantity

import future.keywords.not

# True if the value is at most the limit. Both are texts or numbers.
at_most(value, limit) if {
	a := parts(value)
	b := parts(limit)
	a.above * b.below <= b.above * a.below
}

# True if the value is at least the limit.
at_least(value, limit) if at_most(limit, value)

# The number of bytes of memory.
bytes(value) := number if {
	amount := parts(value)
	number := whole(amount.above, amount.below)
}

# The number of thousandths: of a core, for processor time.
milli(value) := number if {
	amount := parts(value)
	number := whole(amount.above * 1000, amount.below)
}

# Rounds up. Uses only exact divisions: the interpreter and the module print others differently.
whole(above, below) := number if {
	rest := above % below
	number := ((above - rest) / below) + more(rest)
	number <= 9007199254740991
}

more(rest) := 0 if rest == 0

more(rest) := 1 if rest != 0

# A quantity as a fraction of two whole numbers, `above / below`.
parts(value) := {"above": amount * scale[0], "below": fine * scale[1]} if {
	unsigned := trim_prefix(text(value), "+")
	suffix := trim_left(unsigned, "0123456789.")
	halves := split(trim_suffix(unsigned, suffix), ".")
	count(halves) <= 2
	amount := natural(concat("", halves))
	fine := power(count(concat("", array.slice(halves, 1, 2))))
	scale := multiple(suffix)
}

text(value) := value if is_string(value)

text(value) := json.marshal(value) if is_number(value)

# The largest number of digits that stays exact with the largest unit.
natural(digits) := number if {
	digits != ""
	count(digits) <= 18
	trim(digits, "0123456789") == ""
	number := to_number(significant(digits))
}

significant(digits) := "0" if trim_left(digits, "0") == ""

significant(digits) := trim_left(digits, "0") if trim_left(digits, "0") != ""

# Ten to the power of an exponent from 0 to 18.
power(exponent) := to_number(concat("", ["1", substring("000000000000000000", 0, exponent)])) if exponent <= 18

multiple(suffix) := units[suffix]

multiple(suffix) := [power(exponent(suffix)), 1] if {
	not startswith(sign(suffix), "-")
	exponent(suffix) >= 0
}

multiple(suffix) := [1, power(exponent(suffix))] if {
	startswith(sign(suffix), "-")
	exponent(suffix) >= 0
}

# `e9`, `E+9` and `e-9` have the exponent 9; `E` alone is a unit.
exponent(suffix) := number if {
	substring(suffix, 0, 1) in {"e", "E"}
	digits := trim_prefix(substring(suffix, 1, -1), sign(suffix))
	count(digits) <= 2
	number := natural(digits)
	number <= 18
}

sign(suffix) := first if {
	first := substring(suffix, 1, 1)
	first in {"+", "-"}
} else := ""

# Each unit as a multiple and a divisor.
units := {
	"": [1, 1],
	"n": [1, 1000000000],
	"u": [1, 1000000],
	"m": [1, 1000],
	"k": [1000, 1],
	"M": [1000000, 1],
	"G": [1000000000, 1],
	"T": [1000000000000, 1],
	"P": [1000000000000000, 1],
	"E": [1000000000000000000, 1],
	"Ki": [1024, 1],
	"Mi": [1048576, 1],
	"Gi": [1073741824, 1],
	"Ti": [1099511627776, 1],
	"Pi": [1125899906842624, 1],
	"Ei": [1152921504606846976, 1],
}
