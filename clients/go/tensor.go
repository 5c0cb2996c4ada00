package lossd

import (
	"fmt"
	"unsafe"
)

// Tensor is a dense array in C order. Exactly one of its slices is set.
type Tensor struct {
	Shape []int
	F32   []float32
	F64   []float64
	I32   []int32
	I64   []int64
}

// Inputs by name, with sample_weight and grad_output among them.
type Inputs map[string]Tensor

// Float32 is a tensor of these numbers; without a shape, it has one axis.
func Float32(data []float32, shape ...int) Tensor {
	return Tensor{Shape: shapeOf(len(data), shape), F32: data}
}

// Float64 is a tensor of these numbers; without a shape, it has one axis.
func Float64(data []float64, shape ...int) Tensor {
	return Tensor{Shape: shapeOf(len(data), shape), F64: data}
}

// Int32 is a tensor of these numbers; without a shape, it has one axis.
func Int32(data []int32, shape ...int) Tensor {
	return Tensor{Shape: shapeOf(len(data), shape), I32: data}
}

// Int64 is a tensor of these numbers; without a shape, it has one axis.
func Int64(data []int64, shape ...int) Tensor {
	return Tensor{Shape: shapeOf(len(data), shape), I64: data}
}

func shapeOf(count int, shape []int) []int {
	if len(shape) == 0 {
		return []int{count}
	}
	return shape
}

func (t Tensor) dtype() string {
	switch {
	case t.F32 != nil:
		return "float32"
	case t.F64 != nil:
		return "float64"
	case t.I32 != nil:
		return "int32"
	case t.I64 != nil:
		return "int64"
	}
	return "float32"
}

func (t Tensor) len() int { return max(len(t.F32), len(t.F64), len(t.I32), len(t.I64)) }

func (t Tensor) bytes() []byte {
	switch t.dtype() {
	case "float64":
		return bytesOf(t.F64)
	case "int32":
		return bytesOf(t.I32)
	case "int64":
		return bytesOf(t.I64)
	}
	return bytesOf(t.F32)
}

// text is an element as the messages of the service spell it.
func (t Tensor) text(element int) string {
	switch t.dtype() {
	case "float32":
		return number(float64(t.F32[element]), 32)
	case "float64":
		return number(t.F64[element], 64)
	case "int32":
		return fmt.Sprint(t.I32[element])
	}
	return fmt.Sprint(t.I64[element])
}

// bytesOf is the memory of a slice: WebAssembly and safetensors are little-endian, as all machines that Go's SIMD runtime supports.
func bytesOf[T any](data []T) []byte {
	if len(data) == 0 {
		return nil
	}
	var one T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(data))), len(data)*int(unsafe.Sizeof(one)))
}

func product(shape []int) int {
	count := 1
	for _, size := range shape {
		count *= size
	}
	return count
}
