package lossd

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// ABI is the version of the binary interface of kernels that this package understands.
const ABI = 1

type arrayInfo struct {
	Name  string   `json:"name"`
	Axes  []string `json:"axes"`
	Dtype string   `json:"dtype"`
}

type check struct {
	Name     string `json:"name"`
	Integers bool   `json:"integers"`
	Words    string `json:"words"`
	Outside  string `json:"outside"`
	Excepted int    `json:"excepted"`
	Indices  *struct {
		Axis    *string `json:"axis"`
		Offset  int     `json:"offset"`
		Ignored *int    `json:"ignored"`
	} `json:"indices"`
}

// manifest is what a kernel says about itself (docs/kernel-abi.md).
type manifest struct {
	Abi       int         `json:"abi"`
	Loss      string      `json:"loss"`
	Precision string      `json:"precision"`
	Sizes     []string    `json:"sizes"`
	Inputs    []arrayInfo `json:"inputs"`
	Outputs   []arrayInfo `json:"outputs"`
	Params    []struct {
		Name  string `json:"name"`
		Value any    `json:"value"`
	} `json:"params"`
	Reductions   []string          `json:"reductions"`
	Statuses     []string          `json:"statuses"`
	Schema       map[string]schema `json:"schema"`
	Checks       []check           `json:"checks"`
	Gradients    []string          `json:"gradients"`
	Hessians     []string          `json:"hessians"`
	SampleWeight bool              `json:"sampleWeight"`
}

func manifestOf(module []byte) (*manifest, error) {
	if len(module) < 8 || string(module[:4]) != "\x00asm" {
		return nil, fmt.Errorf("%w: it is not a WebAssembly module", ErrKernelRejected)
	}
	for at := 8; at < len(module); {
		section := module[at]
		size, n := binary.Uvarint(module[at+1:])
		start := at + 1 + n
		at = start + int(size)
		if section != 0 || at > len(module) {
			continue
		}
		length, n := binary.Uvarint(module[start:])
		name := start + n
		if string(module[name:name+int(length)]) != "lossd" {
			continue
		}
		var m manifest
		if err := json.Unmarshal(module[name+int(length):at], &m); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrKernelRejected, err)
		}
		return &m, checkAbi(m.Abi)
	}
	return nil, fmt.Errorf("%w: it has no section lossd", ErrKernelRejected)
}

func checkAbi(abi int) error {
	if abi == ABI {
		return nil
	}
	remedy := "upgrade the service, or delete the cache"
	if abi > ABI {
		remedy = "upgrade this package: go get -u github.com/lossd/lossd/clients/go"
	}
	return fmt.Errorf("%w: the kernel has %d, this package understands %d; %s", ErrAbi, abi, ABI, remedy)
}

// kernel is a compiled module with instances for as many goroutines as call it at once.
type kernel struct {
	*manifest
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	mutex    sync.Mutex
	idle     []*instance
}

func newKernel(ctx context.Context, module []byte) (*kernel, error) {
	m, err := manifestOf(module)
	if err != nil {
		return nil, err
	}
	runtime := wazero.NewRuntime(ctx)
	host := runtime.NewHostModuleBuilder("env")
	host.NewFunctionBuilder().WithFunc(math.Sin).Export("sin")
	host.NewFunctionBuilder().WithFunc(math.Cos).Export("cos")
	if _, err := host.Instantiate(ctx); err != nil {
		return nil, err
	}
	compiled, err := runtime.CompileModule(ctx, module)
	if err != nil {
		return nil, err
	}
	return &kernel{manifest: m, runtime: runtime, compiled: compiled}, nil
}

func (k *kernel) take(ctx context.Context) (*instance, error) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	if last := len(k.idle) - 1; last >= 0 {
		one := k.idle[last]
		k.idle = k.idle[:last]
		return one, nil
	}
	return newInstance(ctx, k)
}

func (k *kernel) giveBack(one *instance) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	k.idle = append(k.idle, one)
}

func (k *kernel) checkOf(name string) check {
	for _, one := range k.Checks {
		if one.Name == name {
			return one
		}
	}
	return check{}
}

// instance is one memory. It belongs to one goroutine at a time.
type instance struct {
	kernel  *kernel
	memory  api.Memory
	run     api.Function
	prepare api.Function
	input   api.Function
	output  api.Function
	sizes   uint32
	params  uint32
	result  uint32
	stack   [1]uint64
	// For the shapes of the last call.
	key     []int
	inputs  []uint32
	outputs []array
}

type array struct {
	name  string
	shape []int
	at    uint32
}

func newInstance(ctx context.Context, k *kernel) (*instance, error) {
	module, err := k.runtime.InstantiateModule(ctx, k.compiled, wazero.NewModuleConfig().WithName(""))
	if err != nil {
		return nil, err
	}
	one := &instance{
		kernel: k, memory: module.Memory(),
		run: module.ExportedFunction("lossd_run"), prepare: module.ExportedFunction("lossd_prepare"),
		input: module.ExportedFunction("lossd_input"), output: module.ExportedFunction("lossd_output"),
	}
	for name, address := range map[string]*uint32{"lossd_sizes": &one.sizes, "lossd_params": &one.params, "lossd_result": &one.result} {
		found, err := module.ExportedFunction(name).Call(ctx)
		if err != nil {
			return nil, err
		}
		*address = uint32(found[0])
	}
	return one, nil
}

// output of a run.
type output struct {
	value, denominator float64
	count              int
}

// compute leaves the arrays in place. tensors are in the order of the manifest; those that are not given have no shape.
func (i *instance) compute(ctx context.Context, tensors []*Tensor, reduction int, params []float64) (output, error) {
	if !i.isFor(tensors) {
		if err := i.layOut(ctx, tensors); err != nil {
			return output{}, err
		}
	}
	for place, tensor := range tensors {
		if tensor == nil {
			continue
		}
		if err := i.write(place, tensor); err != nil {
			return output{}, err
		}
	}
	numbers, _ := i.memory.Read(i.params, uint32(8*len(params)))
	copy(numbers, bytesOf(params))
	i.stack[0] = uint64(reduction)
	if err := i.run.CallWithStack(ctx, i.stack[:]); err != nil {
		return output{}, err
	}
	result, _ := i.memory.Read(i.result, 36)
	if status := binary.LittleEndian.Uint32(result[24:]); status != 0 {
		place, element := binary.LittleEndian.Uint32(result[28:]), binary.LittleEndian.Uint32(result[32:])
		return output{}, i.kernel.fault(int(status), int(place), int(element), tensors)
	}
	real := func(at int) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(result[at:])) }
	return output{math.Float64frombits(i.stack[0]), real(8), int(real(16))}, nil
}

func (i *instance) isFor(tensors []*Tensor) bool {
	at := 0
	for _, tensor := range tensors {
		if tensor == nil {
			if at >= len(i.key) || i.key[at] != -1 {
				return false
			}
			at++
			continue
		}
		if at+len(tensor.Shape) >= len(i.key) || i.key[at] != len(tensor.Shape) || !slices.Equal(i.key[at+1:at+1+len(tensor.Shape)], tensor.Shape) {
			return false
		}
		at += 1 + len(tensor.Shape)
	}
	return at == len(i.key)
}

func (i *instance) layOut(ctx context.Context, tensors []*Tensor) error {
	sizes, rest, problem := i.kernel.sizesOf(tensors)
	if problem != nil {
		return problem
	}
	i.key = nil
	for place, name := range i.kernel.Sizes {
		size, known := sizes[name]
		if !known {
			size = 1
		}
		i.memory.WriteUint32Le(i.sizes+uint32(4*place), uint32(size))
	}
	last := len(tensors) - 2
	given := uint64(0)
	for bit, tensor := range tensors[last:] {
		if tensor != nil {
			given |= 1 << bit
		}
	}
	status, err := i.prepare.Call(ctx, given)
	if err != nil {
		return err
	}
	if status[0] != 0 {
		return i.kernel.layoutProblem(int(status[0]), sizes)
	}
	i.inputs = i.inputs[:0]
	for place := range tensors {
		at, err := i.input.Call(ctx, uint64(place))
		if err != nil {
			return err
		}
		i.inputs = append(i.inputs, uint32(at[0]))
	}
	i.outputs = i.outputs[:0]
	for place, info := range i.kernel.Outputs {
		at, err := i.output.Call(ctx, uint64(place))
		if err != nil {
			return err
		}
		i.outputs = append(i.outputs, array{info.Name, concrete(info.Axes, sizes, rest), uint32(at[0])})
	}
	for _, tensor := range tensors {
		if tensor == nil {
			i.key = append(i.key, -1)
			continue
		}
		i.key = append(append(i.key, len(tensor.Shape)), tensor.Shape...)
	}
	return nil
}

func (i *instance) write(place int, tensor *Tensor) error {
	info := i.kernel.Inputs[place]
	size := uint32(4)
	if info.Dtype == "float64" {
		size = 8
	}
	count := tensor.len()
	view, _ := i.memory.Read(i.inputs[place], size*uint32(count))
	if tensor.dtype() == info.Dtype {
		copy(view, tensor.bytes())
		return nil
	}
	for element := range count {
		if problem := put(view, info, tensor, element); problem != nil {
			return problem
		}
	}
	return nil
}

func put(view []byte, info arrayInfo, tensor *Tensor, element int) error {
	var value float64
	switch tensor.dtype() {
	case "float32":
		value = float64(tensor.F32[element])
	case "float64":
		value = tensor.F64[element]
	case "int32":
		value = float64(tensor.I32[element])
	default:
		value = float64(tensor.I64[element])
	}
	switch info.Dtype {
	case "float64":
		binary.LittleEndian.PutUint64(view[8*element:], math.Float64bits(value))
	case "float32":
		binary.LittleEndian.PutUint32(view[4*element:], math.Float32bits(float32(value)))
	default:
		if value != float64(int32(value)) {
			return problemAt("invalid-value", "/"+info.Name, "element %d must be an integer from %d to %d, got %s", element, math.MinInt32, math.MaxInt32, tensor.text(element))
		}
		binary.LittleEndian.PutUint32(view[4*element:], uint32(int32(value)))
	}
	return nil
}

// array is a copy of a result.
func (i *instance) array(name string) Tensor {
	for _, one := range i.outputs {
		if one.name != name {
			continue
		}
		count := product(one.shape)
		if i.kernel.Precision == "float64" {
			return Tensor{Shape: one.shape, F64: copied[float64](i.memory, one.at, count)}
		}
		return Tensor{Shape: one.shape, F32: copied[float32](i.memory, one.at, count)}
	}
	return Tensor{}
}

func copied[T float32 | float64](memory api.Memory, at uint32, count int) []T {
	data := make([]T, count)
	var one T
	view, _ := memory.Read(at, uint32(count)*uint32(unsafe.Sizeof(one)))
	copy(bytesOf(data), view)
	return data
}

// Faults, in the words of the service.

func (k *kernel) sizesOf(tensors []*Tensor) (sizes map[string]int, rest []int, problem *Problem) {
	sizes = map[string]int{}
	from := map[string]string{}
	restFrom := ""
	for place, info := range k.Inputs[:len(k.Inputs)-2] {
		tensor := tensors[place]
		if tensor == nil || (len(info.Axes) == 1 && info.Axes[0] == "...[-1]") {
			continue
		}
		width := len(tensor.Shape) - len(info.Axes) + 1
		at := 0
		for _, axis := range info.Axes {
			if axis == "..." {
				own := tensor.Shape[at : at+width]
				at += width
				if restFrom != "" && !slices.Equal(own, rest) {
					return nil, nil, problemAt("shape-mismatch", "/"+info.Name, "has shape %s, but %s has %s; inputs are not broadcast", shapeText(own), restFrom, shapeText(rest))
				}
				if restFrom == "" {
					rest, restFrom = own, info.Name
				}
				continue
			}
			size := tensor.Shape[at]
			at++
			if fixed, err := strconv.Atoi(axis); err == nil && fixed != size {
				return nil, nil, problemAt("shape-mismatch", "/"+info.Name, "has %s along an axis that must have %d", many(size, "elements"), fixed)
			}
			known, isKnown := sizes[axis]
			if isKnown && known != size {
				return nil, nil, problemAt("shape-mismatch", "/"+info.Name, "has %s, but %s has %d", along(axis, size), from[axis], known)
			}
			if !isKnown {
				sizes[axis], from[axis] = size, info.Name
			}
		}
	}
	sizes["..."], sizes["...[0]"], sizes["...[-1]"] = product(rest), 1, 1
	if len(rest) > 0 {
		sizes["...[0]"], sizes["...[-1]"] = rest[0], rest[len(rest)-1]
	}
	return sizes, rest, k.checkOthers(tensors, sizes, rest)
}

// checkOthers checks the inputs that give no axis its size.
func (k *kernel) checkOthers(tensors []*Tensor, sizes map[string]int, rest []int) *Problem {
	for place, info := range k.Inputs {
		tensor := tensors[place]
		isCommon := place >= len(k.Inputs)-2
		isSpread := len(info.Axes) == 1 && info.Axes[0] == "...[-1]"
		if tensor == nil || !(isCommon || isSpread) {
			continue
		}
		wanted := concrete(info.Axes, sizes, rest)
		switch {
		case slices.Equal(wanted, tensor.Shape):
		case isCommon:
			return problemAt("shape-mismatch", "/"+info.Name, "must have shape %s, got %s", shapeText(wanted), shapeText(tensor.Shape))
		default:
			return problemAt("shape-mismatch", "/"+info.Name, "requires shape %s, the last axis of the others; got %s", shapeText(wanted), many(tensor.len(), "numbers"))
		}
	}
	return nil
}

func (k *kernel) layoutProblem(status int, sizes map[string]int) *Problem {
	if status != 2 {
		return &Problem{Code: "too-expensive", Detail: "a kernel has at most 4 GiB of memory; let the service compute it", Status: 422}
	}
	for _, info := range k.Inputs {
		for _, axis := range info.Axes {
			if size, known := sizes[axis]; known && size == 0 {
				return problemAt("shape-mismatch", "/"+info.Name, "the axis %s must not be empty", axis)
			}
		}
	}
	return &Problem{Code: "shape-mismatch", Detail: "an axis must not be empty", Status: 422}
}

func (k *kernel) fault(status, place, element int, tensors []*Tensor) *Problem {
	code := k.Statuses[status]
	if code == "empty-batch" {
		return &Problem{Code: code, Detail: "the mean over an empty batch is undefined; use sum or none, or send a denominator", Status: 422}
	}
	name, tensor := k.Inputs[place].Name, tensors[place]
	rule := k.checkOf(name)
	value, pointer, hint := tensor.text(element), pointerTo(name, tensor.Shape, element), ""
	if rule.Outside != "" {
		hint = "; " + rule.Outside
	}
	switch code {
	case "box-corners":
		far, near := "x2", "x1"
		if element%4 != 2 {
			far, near = "y2", "y1"
		}
		return problemAt("invalid-value", pointer, "%s must be >= %s, got %s after %s", far, near, value, tensor.text(element-2))
	case "excepted-label":
		return problemAt("label-out-of-range", pointer, "must not be the blank, %d", rule.Excepted)
	case "invalid-value":
		return problemAt(code, pointer, "%s, got %s%s", rule.Words, value, hint)
	}
	low, high, exception := math.MinInt32, math.MaxInt32+1, ""
	if rule.Indices != nil {
		low = 0
		if rule.Indices.Axis != nil {
			sizes, _, _ := k.sizesOf(tensors)
			high = sizes[*rule.Indices.Axis] + rule.Indices.Offset
		}
		if rule.Indices.Ignored != nil {
			exception = fmt.Sprintf(" (or %d, which is ignored)", *rule.Indices.Ignored)
		}
	}
	return problemAt(code, pointer, "must be an integer from %d to %d%s, got %s%s", low, high-1, exception, value, hint)
}

func concrete(axes []string, sizes map[string]int, rest []int) []int {
	shape := []int{}
	for _, axis := range axes {
		if axis == "..." {
			shape = append(shape, rest...)
		} else if fixed, err := strconv.Atoi(axis); err == nil {
			shape = append(shape, fixed)
		} else {
			shape = append(shape, sizes[axis])
		}
	}
	return shape
}

func along(axis string, size int) string {
	if strings.HasSuffix(axis, "s") {
		return many(size, axis)
	}
	return fmt.Sprintf("%d along its axis %s", size, axis)
}

func shapeText(shape []int) string {
	texts := make([]string, len(shape))
	for i, size := range shape {
		texts[i] = strconv.Itoa(size)
	}
	return "[" + strings.Join(texts, ", ") + "]"
}

func pointerTo(name string, shape []int, element int) string {
	places := make([]string, len(shape))
	for i := len(shape) - 1; i >= 0; i-- {
		places[i] = strconv.Itoa(element % shape[i])
		element /= shape[i]
	}
	return strings.Join(append([]string{"", name}, places...), "/")
}
