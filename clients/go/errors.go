package lossd

import (
	"errors"
	"fmt"
	"strings"
)

// Place is one place in a request that is wrong.
type Place struct {
	// Pointer is a JSON pointer, such as /targets/3.
	Pointer string `json:"pointer"`
	Detail  string `json:"detail"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
}

// Problem is what the service refuses, or a local kernel in the same words (RFC 9457).
type Problem struct {
	// Code is stable, such as label-out-of-range.
	Code string
	// Pointer to the first wrong place; empty if there is none.
	Pointer   string
	Detail    string
	Places    []Place
	Status    int
	Retryable bool
	RequestID string
}

func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

// Is reports whether the target is the sentinel of this kind of problem.
func (p *Problem) Is(target error) bool {
	switch target {
	case ErrInvalidRequest:
		return p.Status >= 400 && p.Status < 500 && !errors.Is(p, ErrUnknownLoss) && !errors.Is(p, ErrKernelUnavailable)
	case ErrUnknownLoss:
		return p.Status == 404 || p.Status == 410
	case ErrKernelUnavailable:
		return p.Code == "kernel-unavailable"
	}
	return false
}

var (
	// ErrInvalidRequest: an input, a parameter or an option is wrong. The same request fails again.
	ErrInvalidRequest = errors.New("invalid request")
	// ErrUnknownLoss: no loss has this name.
	ErrUnknownLoss = errors.New("unknown loss")
	// ErrKernelUnavailable: no portable kernel computes this loss. The service does.
	ErrKernelUnavailable = errors.New("no portable kernel")
	// ErrUnreachable: there is no connection to the service.
	ErrUnreachable = errors.New("the service cannot be reached")
	// ErrKernelRejected: the bytes of a kernel are not those that their hash stands for.
	ErrKernelRejected = errors.New("the kernel is not what it was")
	// ErrTrace: a function cannot be written as a formula.
	ErrTrace = errors.New("the function cannot be traced")
	// ErrAbi: a kernel has another version of the binary interface.
	ErrAbi = errors.New("another ABI")
)

func problemAt(code, pointer, format string, args ...any) *Problem {
	detail := fmt.Sprintf(format, args...)
	return &Problem{
		Code: code, Pointer: pointer, Detail: pointer + ": " + detail, Status: 422,
		Places: []Place{{Pointer: pointer, Detail: detail}},
	}
}

type document struct {
	Type      string  `json:"type"`
	Title     string  `json:"title"`
	Detail    string  `json:"detail"`
	Errors    []Place `json:"errors"`
	Retryable bool    `json:"retryable"`
	RequestID string  `json:"requestId"`
}

func (d document) problem(status int) *Problem {
	parts := strings.FieldsFunc(d.Type, func(r rune) bool { return r == ':' || r == '#' })
	p := &Problem{
		Code: "internal", Detail: d.Detail, Places: d.Errors, Status: status, Retryable: d.Retryable, RequestID: d.RequestID,
	}
	if len(parts) > 0 {
		p.Code = parts[len(parts)-1]
	}
	if len(d.Errors) > 0 {
		p.Pointer = d.Errors[0].Pointer
	}
	return p
}
