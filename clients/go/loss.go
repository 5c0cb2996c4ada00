package lossd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Mode says where a loss is computed.
type Mode int

const (
	// Auto tries both places for each size, and then takes the faster one.
	Auto Mode = iota
	// Local computes in this process.
	Local
	// Remote computes in the service.
	Remote
)

// Options of a loss.
type Options struct {
	Params Params
	// Reduction: mean (the default), sum, none, batchmean, weighted_mean, sum_by_nonzero_weights.
	Reduction string
	// Gradients are the inputs that are differentiated; by default all that can be. An empty list is none.
	Gradients []string
	// Hessian: also the diagonal of the second derivative.
	Hessian bool
	// Denominator replaces that of the mean, if it is not 0.
	Denominator float64
	Mode        Mode
	Client      *Client
}

// Loss of the catalog, a registered one, or a formula. It may be used by any number of goroutines.
type Loss struct {
	name    string
	inline  map[string]any
	options Options

	mutex       sync.Mutex
	plans       map[string]*plan
	costs       map[string]*costs
	leastRemote time.Duration
}

// NewLoss by its name: huber, or acme/robust@2.
func NewLoss(name string, options Options) *Loss {
	return &Loss{name: name, options: options, plans: map[string]*plan{}, costs: map[string]*costs{}}
}

// NewFormula is a loss in the formula language. axes may be nil.
func NewFormula(formula string, axes map[string]string, options Options) *Loss {
	own := NewLoss("", options)
	own.inline = map[string]any{"formula": formula}
	if axes != nil {
		own.inline["axes"] = axes
	}
	return own
}

// NewDefinition is a loss by its definition: a formula with declared inputs and parameters.
func NewDefinition(definition map[string]any, options Options) *Loss {
	own := NewLoss("", options)
	own.inline = map[string]any{"definition": definition}
	return own
}

// Result of a loss.
type Result struct {
	// Loss is NaN with the reduction none, whose results are the Values.
	Loss        float64
	Values      Tensor
	Gradients   map[string]Tensor
	Hessian     map[string]Tensor
	Denominator float64
	Count       int
	// Local reports whether it was computed in this process.
	Local bool
}

func (l *Loss) client() *Client {
	if l.options.Client != nil {
		return l.options.Client
	}
	return DefaultClient
}

// Evaluate computes the loss and its gradients.
func (l *Loss) Evaluate(ctx context.Context, inputs Inputs) (Result, error) {
	switch l.options.Mode {
	case Local:
		return l.local(ctx, inputs)
	case Remote:
		return l.remote(ctx, inputs)
	}
	return l.auto(ctx, inputs)
}

// Remote

func (l *Loss) remote(ctx context.Context, inputs Inputs) (Result, error) {
	options := map[string]any{}
	if l.options.Gradients != nil {
		options["gradients"] = l.options.Gradients
		if len(l.options.Gradients) == 0 {
			options["gradients"] = false
		}
	}
	if len(l.options.Params) > 0 {
		options["params"] = spelledOut(l.options.Params)
	}
	if l.options.Reduction != "" {
		options["reduction"] = l.options.Reduction
	}
	if l.options.Hessian {
		options["hessian"] = "diagonal"
	}
	if l.options.Denominator != 0 {
		options["denominator"] = l.options.Denominator
	}
	path := "/v1/losses:evaluate"
	if l.inline == nil {
		path = lossPath(l.name)
	}
	maps.Copy(options, l.inline)
	body, err := encode(inputs, options)
	if err != nil {
		return Result{}, err
	}
	headers := map[string]string{"Content-Type": "application/x-safetensors", "Accept": "application/x-safetensors"}
	answer, _, err := l.client().do(ctx, request{"POST", path, headers, body})
	if err != nil {
		return Result{}, err
	}
	tensors, members, err := decode(answer)
	if err != nil {
		return Result{}, err
	}
	return l.resultOf(tensors, members), nil
}

func (l *Loss) resultOf(tensors map[string]Tensor, members map[string]string) Result {
	result := Result{Loss: math.NaN(), Gradients: map[string]Tensor{}, Hessian: map[string]Tensor{}}
	for name, tensor := range tensors {
		if own, is := strings.CutPrefix(name, "gradients."); is {
			result.Gradients[own] = tensor
		} else if own, is := strings.CutPrefix(name, "hessian."); is {
			result.Hessian[own] = tensor
		} else if l.options.Reduction == "none" {
			result.Values = tensor
		} else if tensor.F64 != nil {
			result.Loss = tensor.F64[0]
		} else {
			result.Loss = float64(tensor.F32[0])
		}
	}
	_ = json.Unmarshal([]byte(members["denominator"]), &result.Denominator)
	_ = json.Unmarshal([]byte(members["count"]), &result.Count)
	return result
}

// spelledOut has infinities as strings, because JSON cannot represent them.
func spelledOut(params Params) map[string]any {
	spelled := map[string]any{}
	for name, value := range params {
		if x, is := value.(float64); is && math.IsInf(x, 0) {
			value = number(x, 64)
		}
		spelled[name] = value
	}
	return spelled
}

// Local

// plan is a kernel for inputs of one structure, with what does not change between calls.
type plan struct {
	kernel    *kernel
	reduction int
	numbers   []float64
	gradients []string
	hessian   []string
}

func (l *Loss) local(ctx context.Context, inputs Inputs) (Result, error) {
	own, err := l.planFor(ctx, inputs)
	if err != nil {
		return Result{}, err
	}
	return l.run(ctx, own, inputs)
}

func (l *Loss) run(ctx context.Context, own *plan, inputs Inputs) (Result, error) {
	k := own.kernel
	tensors := make([]*Tensor, len(k.Inputs))
	found := 0
	for place, info := range k.Inputs {
		if tensor, is := inputs[info.Name]; is {
			tensors[place] = &tensor
			found++
		}
	}
	if found < len(inputs) {
		for _, name := range slices.Sorted(maps.Keys(inputs)) {
			if !slices.ContainsFunc(k.Inputs, func(info arrayInfo) bool { return info.Name == name }) {
				return Result{}, problemAt("unknown-name", "/"+name, "is not an input of %s", k.Loss)
			}
		}
	}
	if problem := l.check(k, inputs); problem != nil {
		return Result{}, problem
	}
	one, err := k.take(ctx)
	if err != nil {
		return Result{}, err
	}
	defer k.giveBack(one)
	out, err := one.compute(ctx, tensors, own.reduction, own.numbers)
	if err != nil {
		return Result{}, err
	}
	result := Result{Loss: out.value, Denominator: out.denominator, Count: out.count, Local: true, Gradients: make(map[string]Tensor, len(own.gradients))}
	for _, name := range own.gradients {
		result.Gradients[name] = one.array("gradients." + name)
	}
	if len(own.hessian) > 0 {
		result.Hessian = map[string]Tensor{}
	}
	for _, name := range own.hessian {
		result.Hessian[name] = one.array("hessian." + name)
	}
	if l.options.Reduction == "none" {
		result.Loss, result.Values = math.NaN(), one.array("values")
	}
	return result, nil
}

// check of what the service checks beside the numbers of inputs.
func (l *Loss) check(k *kernel, inputs Inputs) *Problem {
	for _, rule := range k.Checks {
		tensor, is := inputs[rule.Name]
		if dtype := tensor.dtype(); is && rule.Integers && (dtype == "float32" || dtype == "float64") {
			return problemAt("dtype-unsupported", "/"+rule.Name, "class indices require an integer dtype, got %s", dtype)
		}
	}
	reduction := l.reduction()
	if _, is := inputs["grad_output"]; is && reduction != "none" {
		return problemAt("invalid-value", "/grad_output", "requires reduction none, got %s", reduction)
	}
	if _, is := inputs["sample_weight"]; is && !k.SampleWeight {
		return problemAt("invalid-value", "/sample_weight", "cannot be applied: %s has one value for all rows; weight the rows in its formula, with an input for the weights", k.Loss)
	}
	return nil
}

func (l *Loss) reduction() string {
	if l.options.Reduction == "" {
		return "mean"
	}
	return l.options.Reduction
}

func (l *Loss) planFor(ctx context.Context, inputs Inputs) (*plan, error) {
	structure := structureOf(inputs)
	l.mutex.Lock()
	known := l.plans[structure]
	l.mutex.Unlock()
	if known != nil {
		return known, nil
	}
	made, err := l.makePlan(ctx, inputs, structure)
	if err != nil {
		return nil, err
	}
	l.mutex.Lock()
	l.plans[structure] = made
	l.mutex.Unlock()
	return made, nil
}

// structureOf has ranks in place of shapes: a kernel serves all sizes.
func structureOf(inputs Inputs) string {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(inputs)) {
		tensor := inputs[name]
		if name != "sample_weight" && name != "grad_output" {
			text.WriteString(name)
			text.WriteByte(':')
			text.WriteString(tensor.dtype())
			text.WriteByte(byte('0' + len(tensor.Shape)))
			text.WriteByte(';')
		}
	}
	return text.String()
}

func (l *Loss) makePlan(ctx context.Context, inputs Inputs, structure string) (*plan, error) {
	query := l.kernelQuery(inputs)
	r, err := l.kernelRequest(query)
	if err != nil {
		return nil, err
	}
	own := []any{1, l.name, l.inline, structure, l.options.Params, l.options.Gradients, l.options.Gradients == nil, l.options.Hessian}
	if l.name == "" || strings.Contains(l.name, "/") {
		own = append(own, l.client().url())
	}
	question := fmt.Sprint(own...)
	k, err := l.client().kernelFor(ctx, question, r)
	if err != nil {
		return nil, err
	}
	return l.planOf(k)
}

func (l *Loss) planOf(k *kernel) (*plan, error) {
	reduction := slices.Index(k.Reductions, l.reduction())
	if reduction < 0 {
		words := make([]string, len(k.Reductions))
		for i, name := range k.Reductions {
			words[i] = spell(name)
		}
		last := len(words) - 1
		return nil, problemAt("invalid-value", "/reduction", "must be %s or %s, got %s", strings.Join(words[:last], ", "), words[last], spell(l.reduction()))
	}
	divides := slices.Contains([]string{"mean", "weighted_mean", "sum_by_nonzero_weights"}, l.reduction())
	denominator := math.NaN()
	if l.options.Denominator != 0 {
		denominator = l.options.Denominator
		if !divides {
			return nil, problemAt("invalid-value", "/denominator", "requires reduction mean, got %s", l.reduction())
		}
	}
	if problem := checkParams(k.Schema, l.options.Params); problem != nil {
		return nil, problem
	}
	made := &plan{kernel: k, reduction: reduction, gradients: l.options.Gradients}
	if made.gradients == nil {
		made.gradients = k.Gradients
	}
	if l.options.Hessian {
		made.hessian = k.Hessians
	}
	for _, param := range k.Params {
		value, given := l.options.Params[param.Name]
		if !given {
			value = param.Value
			if own := k.Schema[param.Name].Default; own != nil {
				value = own
			}
		}
		x, _ := asNumber(value)
		if problem := checkFloat32(param.Name, x); problem != nil && k.Precision == "float32" {
			return nil, problem
		}
		made.numbers = append(made.numbers, x)
	}
	made.numbers = append(made.numbers, denominator)
	return made, nil
}

func (l *Loss) kernelQuery(inputs Inputs) map[string]any {
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(inputs)) {
		tensor := inputs[name]
		if name == "sample_weight" || name == "grad_output" {
			continue
		}
		sizes := strings.Trim(strings.ReplaceAll(fmt.Sprint(tensor.Shape), " ", ","), "[]")
		texts = append(texts, fmt.Sprintf("%s:%s[%s]", name, tensor.dtype(), sizes))
	}
	query := map[string]any{"inputs": strings.Join(texts, ";")}
	if l.options.Gradients != nil {
		query["gradients"] = "false"
	}
	if len(l.options.Gradients) > 0 {
		query["gradients"] = strings.Join(l.options.Gradients, ",")
	}
	if len(l.options.Params) > 0 {
		query["params"] = spelledOut(l.options.Params)
	}
	if l.options.Hessian {
		query["hessian"] = "diagonal"
	}
	return query
}

func (l *Loss) kernelRequest(query map[string]any) (request, error) {
	if l.inline != nil {
		maps.Copy(query, l.inline)
		body, err := json.Marshal(query)
		return request{"POST", "/v1/losses:kernel", map[string]string{"Content-Type": "application/json"}, body}, err
	}
	values := url.Values{}
	for name, value := range query {
		text, isText := value.(string)
		if !isText {
			own, err := json.Marshal(value)
			if err != nil {
				return request{}, err
			}
			text = string(own)
		}
		values.Set(name, text)
	}
	return request{method: "GET", path: lossPath(l.name) + "/kernel.wasm?" + values.Encode()}, nil
}

// Auto

// costs are what calls took, to choose the faster place for the next.
type costs struct {
	local, remote []time.Duration
	isUnavailable bool
}

// trials of a place before it is compared; the first time does not count.
const trials = 3

func (l *Loss) auto(ctx context.Context, inputs Inputs) (Result, error) {
	size := 0
	for _, tensor := range inputs {
		size += tensor.len()
	}
	key := fmt.Sprint(structureOf(inputs), math.Ilogb(float64(size+1)))
	if !l.isLocal(key) {
		started := time.Now()
		result, err := l.remote(ctx, inputs)
		if errors.Is(err, ErrUnreachable) {
			return l.local(ctx, inputs)
		}
		l.learn(key, false, time.Since(started))
		return result, err
	}
	own, err := l.planFor(ctx, inputs)
	if errors.Is(err, ErrKernelUnavailable) {
		l.forbid(key)
		return l.remote(ctx, inputs)
	}
	if err != nil {
		return Result{}, err
	}
	started := time.Now()
	result, err := l.run(ctx, own, inputs)
	l.learn(key, true, time.Since(started))
	return result, err
}

func (l *Loss) costsOf(key string) *costs {
	if l.costs[key] == nil {
		l.costs[key] = &costs{}
	}
	return l.costs[key]
}

func (l *Loss) isLocal(key string) bool {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	own := l.costsOf(key)
	if own.isUnavailable {
		return false
	}
	if len(own.local) < trials {
		return true
	}
	best := slices.Min(own.local[1:])
	floor := l.leastRemote
	if floor == 0 {
		floor = 300 * time.Microsecond
	}
	// Nothing is faster than the fastest answer of the service so far.
	if best <= floor {
		return true
	}
	return len(own.remote) >= trials && best <= slices.Min(own.remote[1:])
}

func (l *Loss) learn(key string, isLocal bool, spent time.Duration) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	own := l.costsOf(key)
	times := &own.remote
	if isLocal {
		times = &own.local
	} else if l.leastRemote == 0 || spent < l.leastRemote {
		l.leastRemote = spent
	}
	*times = append(*times, spent)
	if len(*times) > 16 {
		*times = slices.Delete(*times, 1, 2)
	}
}

func (l *Loss) forbid(key string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.costsOf(key).isUnavailable = true
}
