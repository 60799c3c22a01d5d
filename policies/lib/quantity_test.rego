package cofferdam.quantity_test

import data.cofferdam.quantity
import future.keywords.not

test_bytes if {
	every case in [
		["2Gi", 2147483648],
		["2048Mi", 2147483648],
		["2147483648", 2147483648],
		[2147483648, 2147483648],
		["2e9", 2000000000],
		["2E9", 2000000000],
		["2e+9", 2000000000],
		[2e9, 2000000000],
		["2G", 2000000000],
		["2000M", 2000000000],
		["2000000000000m", 2000000000],
		["2000000000e-0", 2000000000],
		["20000000000e-1", 2000000000],
		["2048000Ki", 2097152000],
		["0.002Ti", 2199023256],
		["1.5Gi", 1610612736],
		["1.Gi", 1073741824],
		[".5Gi", 536870912],
		["+1k", 1000],
		["007k", 7000],
		["0", 0],
		["0Gi", 0],
		["0.000", 0],
		["1n", 1],
		["1P", 1000000000000000],
		["7Pi", 7881299347898368],
		["9007199254740991", 9007199254740991],
	] {
		quantity.bytes(case[0]) == case[1]
	}
}

test_milli if {
	every case in [
		["500m", 500],
		["2", 2000],
		[2, 2000],
		["0.5", 500],
		[0.5, 500],
		["0.1", 100],
		["1500u", 2],
		["1u", 1],
		["1e3", 1000000],
		["1k", 1000000],
	] {
		quantity.milli(case[0]) == case[1]
	}
}

nonsense := [
	"", " ", "2Gi\n", " 2Gi", "2Gi ", "2 Gi", "2gi", "2GI", "2KI", "2ki", "2K", "2GB", "2Gib", "2mi", "2GiGi", "Gi", ".", ".Gi", "1.2.3", "1..2",
	"-1", "-1Gi", "--1", "++1", "+-1", "1e", "1e+", "1e1.5", "1e--3", "1e+-3", "e3", "1e19", "1e999", "1e-19", "0x10", "1_000", "1,000", "1/2", "٣", "NaN",
	"Inf", "1234567890123456789", "${LIMIT}", "{{ .memory }}", null, true, [], {}, ["2Gi"], {"$host": "call_id"}, -1, -0.5, 1e21,
]

test_what_is_no_quantity_is_nothing if {
	every value in nonsense {
		not quantity.bytes(value)
		not quantity.milli(value)
		not quantity.at_most(value, "1Ei")
		not quantity.at_most("0", value)
		not quantity.at_least(value, "0")
		not quantity.at_least("1Ei", value)
	}
}

test_comparisons_are_exact if {
	every case in [
		["1Gi", "1Gi"],
		["1073741823", "1Gi"],
		["0.999999999999999Gi", "1Gi"],
		["999m", "1"],
		["1n", "1u"],
		["1E", "1Ei"],
		["8Ei", "9Ei"],
		["999999999999999999", "1E"],
		["0", "1n"],
	] {
		quantity.at_most(case[0], case[1])
		quantity.at_least(case[1], case[0])
	}
	every case in [
		["1073741825", "1Gi"],
		["1.000000000001Gi", "1Gi"],
		["1000.000001m", "1"],
		["2147483648", "2G"],
		["2048000Ki", "2G"],
		["0.002Ti", "2Gi"],
		["1Ei", "1E"],
		["9Ei", "8Ei"],
		["1n", "0"],
	] {
		not quantity.at_most(case[0], case[1])
		not quantity.at_least(case[1], case[0])
	}
}

# Above 2^53 - 1 there is no number; the comparison still works.
test_what_no_number_of_json_carries if {
	every value in ["9007199254740992", "8Pi", "10P", "1E", "1Ei"] {
		not quantity.bytes(value)
		not quantity.at_most(value, "1Gi")
		quantity.at_least(value, "1Gi")
	}
}
