# METADATA
# title: Quantities of Kubernetes
# description: |
#   Reads amounts of memory and processor time as Kubernetes writes them: `2Gi`, `2G`, `2e9`, `2048000Ki`, `0.002Ti`, `500m`, `2`.
#   A text with another unit, a space or a sign before it is no quantity.
#
#   - `at_most(value, limit)`, `at_least(value, limit)`: exact comparisons. Undefined where one of the two is no quantity.
#   - `bytes(value)`, `milli(value)`: a whole number, rounded up as Kubernetes does. Undefined where the value is no quantity, or
#     where the number is above 9007199254740991 (2^53 - 1), the largest that JSON carries exactly.
#
#   Ask for what is permitted: `not quantity.at_most(change.value, "1Gi")` denies what is too much and what is no quantity.
#   `quantity.bytes(change.value) > 1073741824` would let the second pass.
package cofferdam.quantity

import future.keywords.not

# True where the value is the limit or less. Both are texts or numbers.
at_most(value, limit) if {
	a := parts(value)
	b := parts(limit)
	a.above * b.below <= b.above * a.below
}

# True where the value is the limit or more.
at_least(value, limit) if at_most(limit, value)

# Bytes of memory.
bytes(value) := number if {
	amount := parts(value)
	number := whole(amount.above, amount.below)
}

# Thousandths: of a core, for processor time.
milli(value) := number if {
	amount := parts(value)
	number := whole(amount.above * 1000, amount.below)
}

# Rounded up. Only exact divisions: others print differently in the interpreter and in the module.
whole(above, below) := number if {
	rest := above % below
	number := ((above - rest) / below) + more(rest)
	number <= 9007199254740991
}

more(rest) := 0 if rest == 0

more(rest) := 1 if rest != 0

# A quantity as two whole numbers: it is `above / below`.
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

# At most as many digits as are exact together with the largest unit.
natural(digits) := number if {
	digits != ""
	count(digits) <= 18
	trim(digits, "0123456789") == ""
	number := to_number(significant(digits))
}

significant(digits) := "0" if trim_left(digits, "0") == ""

significant(digits) := trim_left(digits, "0") if trim_left(digits, "0") != ""

# Ten to the power of 0 to 18.
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

# Each unit as a multiple and a part.
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
