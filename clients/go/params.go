package lossd

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Params of a loss by name: numbers, booleans, words.
type Params map[string]any

type schema struct {
	Type             string   `json:"type"`
	Const            any      `json:"const"`
	AnyOf            []schema `json:"anyOf"`
	Default          any      `json:"default"`
	Structural       bool     `json:"structural"`
	Infinite         bool     `json:"infinite"`
	Minimum          *float64 `json:"minimum"`
	Maximum          *float64 `json:"maximum"`
	ExclusiveMinimum *float64 `json:"exclusiveMinimum"`
	ExclusiveMaximum *float64 `json:"exclusiveMaximum"`
}

type bound struct {
	sign  string
	limit *float64
	holds func(x, limit float64) bool
}

func (s schema) bounds() []bound {
	return []bound{
		{">", s.ExclusiveMinimum, func(x, limit float64) bool { return x > limit }},
		{">=", s.Minimum, func(x, limit float64) bool { return x >= limit }},
		{"<", s.ExclusiveMaximum, func(x, limit float64) bool { return x < limit }},
		{"<=", s.Maximum, func(x, limit float64) bool { return x <= limit }},
	}
}

var nouns = map[string]string{
	"number": "a number", "integer": "an integer", "boolean": "true or false", "string": "a string", "null": "null", "array": "a list of names",
}

func (s schema) String() string {
	if len(s.AnyOf) > 0 {
		words := make([]string, len(s.AnyOf))
		for i, part := range s.AnyOf {
			words[i] = part.String()
		}
		last := len(words) - 1
		if last == 0 {
			return words[0]
		}
		return strings.Join(words[:last], ", ") + " or " + words[last]
	}
	if s.Const != nil {
		return spell(s.Const)
	}
	var limits []string
	for _, b := range s.bounds() {
		if b.limit != nil {
			limits = append(limits, b.sign+" "+number(*b.limit, 64))
		}
	}
	noun, known := nouns[s.Type]
	if !known {
		noun = "a valid value"
	}
	return strings.TrimSpace(noun + " " + strings.Join(limits, " and "))
}

func (s schema) fits(value any) bool {
	if len(s.AnyOf) > 0 {
		return slices.ContainsFunc(s.AnyOf, func(part schema) bool { return part.fits(value) })
	}
	if s.Const != nil {
		return s.Const == value
	}
	x, isNumber := asNumber(value)
	switch s.Type {
	case "null":
		return value == nil
	case "boolean":
		_, is := value.(bool)
		return is
	case "string":
		_, is := value.(string)
		return is
	case "array":
		return !isNumber
	case "integer":
		if !isNumber || x != math.Trunc(x) {
			return false
		}
	}
	if !isNumber || math.IsNaN(x) {
		return false
	}
	if math.IsInf(x, 0) {
		return s.Infinite
	}
	for _, b := range s.bounds() {
		if b.limit != nil && !b.holds(x, *b.limit) {
			return false
		}
	}
	return true
}

// isRuntime reports whether a kernel takes the parameter at run time. All others determine its code.
func (s schema) isRuntime(value any) bool {
	if _, is := asNumber(value); !is {
		return false
	}
	parts := s.AnyOf
	if len(parts) == 0 {
		parts = []schema{s}
	}
	return !slices.ContainsFunc(parts, func(part schema) bool { return part.Type == "integer" || part.Structural })
}

func asNumber(value any) (float64, bool) {
	switch x := value.(type) {
	case float64:
		return x, true
	case float32:
		return float64(x), true
	case int:
		return float64(x), true
	case string:
		switch x {
		case "Infinity":
			return math.Inf(1), true
		case "-Infinity":
			return math.Inf(-1), true
		}
	}
	return 0, false
}

func spell(value any) string {
	if x, is := asNumber(value); is {
		return number(x, 64)
	}
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(text)
}

func checkParams(schemas map[string]schema, params Params) *Problem {
	names := make([]string, 0, len(params))
	for name := range params {
		names = append(names, name)
	}
	slices.Sort(names)
	var places []Place
	for _, name := range names {
		own, known := schemas[name]
		if known && !own.fits(params[name]) {
			detail := fmt.Sprintf("must be %s, got %s", own, spell(params[name]))
			places = append(places, Place{Pointer: "/params/" + name, Detail: detail})
		}
	}
	if len(places) == 0 {
		return nil
	}
	p := problemAt("param-invalid", places[0].Pointer, "%s", places[0].Detail)
	p.Places = places
	return p
}

func checkFloat32(name string, value float64) *Problem {
	narrow := float64(float32(value))
	isHeld := !math.IsInf(narrow, 0) || math.IsInf(value, 0)
	if isHeld && (narrow != 0 || value == 0) {
		return nil
	}
	return problemAt("param-invalid", "/params/"+name, "must fit into float32, got %s; or send float64 inputs", number(value, 64))
}
