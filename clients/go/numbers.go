package lossd

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// number is a number as JavaScript writes it, in the shortest form of its precision.
func number(value float64, bits int) string {
	switch {
	case math.IsNaN(value):
		return "NaN"
	case math.IsInf(value, 1):
		return "Infinity"
	case math.IsInf(value, -1):
		return "-Infinity"
	case value == 0:
		return "0"
	}
	mantissa, power, _ := strings.Cut(strconv.FormatFloat(math.Abs(value), 'e', -1, bits), "e")
	exponent, _ := strconv.Atoi(power)
	digits := strings.Replace(mantissa, ".", "", 1)
	text := placed(digits, exponent)
	if value < 0 {
		return "-" + text
	}
	return text
}

func placed(digits string, exponent int) string {
	switch {
	case exponent >= 21 || exponent < -6:
		point := digits[:1]
		if len(digits) > 1 {
			point += "." + digits[1:]
		}
		return fmt.Sprintf("%se%+d", point, exponent)
	case exponent < 0:
		return "0." + strings.Repeat("0", -exponent-1) + digits
	case len(digits) <= exponent+1:
		return digits + strings.Repeat("0", exponent+1-len(digits))
	}
	return digits[:exponent+1] + "." + digits[exponent+1:]
}

// many is a count with its noun: 1 class, 2 elements.
func many(count int, things string) string {
	switch {
	case count != 1:
	case strings.HasSuffix(things, "sses") || strings.HasSuffix(things, "xes"):
		things = strings.TrimSuffix(things, "es")
	case strings.HasSuffix(things, "s") && !strings.HasSuffix(things, "ss"):
		things = strings.TrimSuffix(things, "s")
	}
	return fmt.Sprintf("%d %s", count, things)
}
