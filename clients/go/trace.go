package lossd

import (
	"fmt"
	"math"
	"strings"
)

// Expression is a tensor, or a parameter, while a function is traced into a formula. It has no numbers.
type Expression struct {
	text  string
	level int
	err   error
}

// How tightly operators bind, as in the formula language.
const (
	bindsChoice = iota
	bindsOr
	bindsAnd
	bindsNot
	bindsComparison
	bindsSum
	bindsProduct
	bindsSign
	bindsPower
	bindsAtom
)

// Add, like the other operators, takes an Expression, a number or a bool.
func (e Expression) Add(other any) Expression { return operation("+", bindsSum, e, other) }

// Sub is e - other.
func (e Expression) Sub(other any) Expression { return operation("-", bindsSum, e, other) }

// Mul is e * other.
func (e Expression) Mul(other any) Expression { return operation("*", bindsProduct, e, other) }

// Div is e / other.
func (e Expression) Div(other any) Expression { return operation("/", bindsProduct, e, other) }

// Pow is e ^ other.
func (e Expression) Pow(other any) Expression {
	base, exponent := within(e, bindsAtom), within(other, bindsAtom)
	return joined(bindsPower, base.text+"^"+exponent.text, base, exponent)
}

// Neg is -e.
func (e Expression) Neg() Expression {
	own := within(e, bindsPower)
	return joined(bindsSign, "-"+own.text, own)
}

// Less is e < other.
func (e Expression) Less(other any) Expression { return operation("<", bindsComparison, e, other) }

// LessEqual is e <= other.
func (e Expression) LessEqual(other any) Expression {
	return operation("<=", bindsComparison, e, other)
}

// Greater is e > other.
func (e Expression) Greater(other any) Expression { return operation(">", bindsComparison, e, other) }

// Equal is e == other.
func (e Expression) Equal(other any) Expression { return operation("==", bindsComparison, e, other) }

// And of two conditions.
func (e Expression) And(other any) Expression { return operation("and", bindsAnd, e, other) }

// Or of two conditions.
func (e Expression) Or(other any) Expression { return operation("or", bindsOr, e, other) }

// Not is the opposite of a condition.
func (e Expression) Not() Expression {
	own := within(e, bindsAtom)
	return joined(bindsNot, "not "+own.text, own)
}

// Where is yes where the condition is true, and no elsewhere.
func Where(condition, yes, no any) Expression {
	test, a, b := within(condition, bindsOr), within(yes, bindsOr), within(no, bindsOr)
	return joined(bindsChoice, test.text+" ? "+a.text+" : "+b.text, test, a, b)
}

// Call is a function of the formula language. Strings among its arguments are names of axes.
func Call(function string, arguments ...any) Expression {
	texts, parts := make([]string, len(arguments)), make([]Expression, len(arguments))
	for i, argument := range arguments {
		if axis, is := argument.(string); is {
			texts[i] = axis
			continue
		}
		parts[i] = spelledAs(argument)
		texts[i] = parts[i].text
	}
	return joined(bindsAtom, function+"("+strings.Join(texts, ", ")+")", parts...)
}

// joined has the first error of its parts.
func joined(level int, text string, parts ...Expression) Expression {
	made := Expression{text: text, level: level}
	for _, part := range parts {
		if made.err == nil {
			made.err = part.err
		}
	}
	return made
}

func spelledAs(value any) Expression {
	if own, is := value.(Expression); is {
		if own.text == "" && own.err == nil {
			own.err = fmt.Errorf("%w: an input or a parameter that is not declared", ErrTrace)
		}
		return own
	}
	if truth, is := value.(bool); is {
		return Expression{text: fmt.Sprint(truth), level: bindsAtom}
	}
	x, is := asNumber(value)
	if _, isWord := value.(string); !is || isWord || math.IsNaN(x) || math.IsInf(x, 0) {
		return Expression{err: fmt.Errorf("%w: %v is neither an expression nor a finite number", ErrTrace, value)}
	}
	level := bindsAtom
	if x < 0 {
		level = bindsSign
	}
	return Expression{text: number(x, 64), level: level}
}

// within puts parentheses around what binds less tightly.
func within(value any, level int) Expression {
	own := spelledAs(value)
	if own.level < level {
		own.text = "(" + own.text + ")"
	}
	return own
}

func operation(operator string, level int, a, b any) Expression {
	left := level
	if level == bindsComparison {
		left++
	}
	x, y := within(a, left), within(b, level+1)
	return joined(level, x.text+" "+operator+" "+y.text, x, y)
}

// Signature of a function that is traced.
type Signature struct {
	Inputs []string
	// Params with their defaults.
	Params Params
	// Axes of inputs, such as rows,classes; by default any, the same for all.
	Axes map[string]string
}

// Trace makes a loss of a function, which is called once, with its inputs and parameters by name.
//
//	cauchy, err := lossd.Trace(lossd.Signature{Inputs: []string{"predictions", "targets"}, Params: lossd.Params{"scale": 1.0}},
//		func(v map[string]lossd.Expression) lossd.Expression {
//			return lossd.Call("log1p", v["predictions"].Sub(v["targets"]).Div(v["scale"]).Pow(2))
//		}, lossd.Options{})
func Trace(signature Signature, body func(map[string]Expression) Expression, options Options) (*Loss, error) {
	variables := map[string]Expression{}
	inputs, params := map[string]any{}, map[string]any{}
	for _, name := range signature.Inputs {
		variables[name] = Expression{text: name, level: bindsAtom}
		input := map[string]any{"differentiable": true}
		if axes, has := signature.Axes[name]; has {
			input["axes"] = axes
		}
		inputs[name] = input
	}
	for name, value := range signature.Params {
		variables[name] = Expression{text: name, level: bindsAtom}
		kind := "number"
		if _, is := value.(bool); is {
			kind = "boolean"
		}
		params[name] = map[string]any{"type": kind, "default": value}
	}
	result := spelledAs(body(variables))
	if result.err != nil {
		return nil, result.err
	}
	definition := map[string]any{"inputs": inputs, "params": params, "formula": result.text}
	return NewDefinition(definition, options), nil
}
