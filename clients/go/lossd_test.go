package lossd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

type encoded struct {
	Dtype string `json:"dtype"`
	Shape []int  `json:"shape"`
	Data  []byte `json:"data"`
}

type vector struct {
	Loss        string             `json:"loss"`
	Params      Params             `json:"params"`
	Reduction   string             `json:"reduction"`
	Denominator float64            `json:"denominator"`
	Tensors     map[string]encoded `json:"tensors"`
	Want        struct {
		Loss        []byte            `json:"loss"`
		Dtype       string            `json:"dtype"`
		Gradients   map[string][]byte `json:"gradients"`
		Denominator float64           `json:"denominator"`
		Count       int               `json:"count"`
	} `json:"want"`
	Problem *struct {
		Code, Pointer, Detail string
	} `json:"problem"`
}

func (e encoded) tensor() Tensor {
	switch e.Dtype {
	case "float64":
		return Float64(numbers[float64](e.Data), e.Shape...).shaped(e.Shape)
	case "int32":
		return Int32(numbers[int32](e.Data), e.Shape...).shaped(e.Shape)
	}
	return Float32(numbers[float32](e.Data), e.Shape...).shaped(e.Shape)
}

func (t Tensor) shaped(shape []int) Tensor { t.Shape = shape; return t }

func numbers[T any](data []byte) []T {
	var one T
	made := make([]T, len(data)/len(bytesOf([]T{one})))
	copy(bytesOf(made), data)
	return made
}

func (v vector) inputs() Inputs {
	inputs := Inputs{}
	for name, one := range v.Tensors {
		inputs[name] = one.tensor()
	}
	return inputs
}

func read(t *testing.T, name string) (vectors []vector) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "conformance", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	return vectors
}

func serviceClient(t *testing.T) *Client {
	t.Helper()
	if os.Getenv("LOSSD_URL") == "" {
		t.Skip("there is no service at $LOSSD_URL: npm run test:clients -- go starts one")
	}
	return &Client{Cache: cacheOf(t)}
}

var cacheOnce sync.Once
var cacheFolder string

func cacheOf(t *testing.T) string {
	cacheOnce.Do(func() { cacheFolder, _ = os.MkdirTemp("", "lossd") })
	return cacheFolder
}

var modes = map[string]Mode{"local": Local, "remote": Remote}

func TestComputesWhatTheServiceComputes(t *testing.T) {
	client := serviceClient(t)
	for name, mode := range modes {
		for place, v := range read(t, "losses") {
			t.Run(fmt.Sprintf("%s/%s/%d", name, v.Loss, place), func(t *testing.T) {
				var wrt []string
				for name := range v.Want.Gradients {
					wrt = append(wrt, name)
				}
				slices.Sort(wrt)
				loss := NewLoss(v.Loss, Options{Params: v.Params, Reduction: v.Reduction, Gradients: append([]string{}, wrt...), Mode: mode, Client: client})
				result, err := loss.Evaluate(context.Background(), v.inputs())
				if err != nil {
					t.Fatal(err)
				}
				if result.Local != (mode == Local) || result.Count != v.Want.Count {
					t.Errorf("local %v, count %d", result.Local, result.Count)
				}
				want := floats(v.Want.Dtype, v.Want.Loss)
				got := []float64{result.Loss}
				if v.Reduction == "none" {
					got = all(result.Values)
				}
				same(t, "loss", got, want, mode, v)
				for _, name := range wrt {
					dtype := "float32"
					if v.isDouble() {
						dtype = "float64"
					}
					same(t, name, all(result.Gradients[name]), floats(dtype, v.Want.Gradients[name]), mode, v)
				}
			})
		}
	}
}

func (v vector) isDouble() bool {
	for _, one := range v.Tensors {
		if one.Dtype == "float64" {
			return true
		}
	}
	return false
}

func floats(dtype string, data []byte) []float64 { return all(encoded{dtype, nil, data}.tensor()) }

func all(t Tensor) []float64 {
	if t.F64 != nil {
		return t.F64
	}
	wide := make([]float64, len(t.F32))
	for i, x := range t.F32 {
		wide[i] = float64(x)
	}
	return wide
}

// same bits for a local kernel; the service may use fused arithmetic, where its machine has it.
func same(t *testing.T, what string, got, want []float64, mode Mode, v vector) {
	t.Helper()
	tolerance, scale := 1e-5, 1e-3
	if v.isDouble() {
		tolerance = 1e-9
	}
	for _, x := range want {
		if !math.IsInf(x, 0) && !math.IsNaN(x) {
			scale = math.Max(scale, math.Abs(x))
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%s has %d numbers, expected %d", what, len(got), len(want))
	}
	for i := range want {
		isSame := got[i] == want[i] || math.IsNaN(got[i]) && math.IsNaN(want[i])
		if !isSame && (mode == Local || !(math.Abs(got[i]-want[i]) <= tolerance*scale)) {
			t.Fatalf("%s[%d] is %v, expected %v", what, i, got[i], want[i])
		}
	}
}

func TestRefusesInTheSameWords(t *testing.T) {
	client := serviceClient(t)
	for name, mode := range modes {
		for place, v := range read(t, "problems") {
			t.Run(fmt.Sprintf("%s/%s/%d", name, v.Loss, place), func(t *testing.T) {
				loss := NewLoss(v.Loss, Options{Params: v.Params, Reduction: v.Reduction, Denominator: v.Denominator, Mode: mode, Client: client})
				_, err := loss.Evaluate(context.Background(), v.inputs())
				var problem *Problem
				if !errors.As(err, &problem) || !errors.Is(err, ErrInvalidRequest) {
					t.Fatalf("got %v", err)
				}
				got := [3]string{problem.Code, problem.Pointer, problem.Detail}
				if got != [3]string{v.Problem.Code, v.Problem.Pointer, v.Problem.Detail} {
					t.Errorf("got %q, expected %q", got, *v.Problem)
				}
			})
		}
	}
}

var pair = Inputs{"predictions": Float32([]float32{1, 5}), "targets": Float32([]float32{1, 2})}

const dead = "http://127.0.0.1:9"

func TestWorksOfflineOnceAKernelIsHere(t *testing.T) {
	client := serviceClient(t)
	options := Options{Params: Params{"delta": 2.0}, Mode: Local, Client: client}
	if _, err := NewLoss("huber", options).Evaluate(context.Background(), pair); err != nil {
		t.Fatal(err)
	}
	options.Client = &Client{URL: dead, Cache: client.Cache, Retries: -1}
	result, err := NewLoss("huber", options).Evaluate(context.Background(), pair)
	if err != nil || result.Loss != 2 || !slices.Equal(result.Gradients["predictions"].F32, []float32{0, 1}) {
		t.Fatalf("%+v, %v", result, err)
	}
}

func TestRefusesAKernelWhoseBytesHaveChanged(t *testing.T) {
	client := &Client{Cache: t.TempDir(), URL: serviceClient(t).URL}
	options := Options{Mode: Local, Client: client}
	if _, err := NewLoss("huber", options).Evaluate(context.Background(), pair); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(client.Cache, "kernels", "*.wasm"))
	content, _ := os.ReadFile(files[0])
	if err := os.WriteFile(files[0], content[:len(content)-1], 0o644); err != nil {
		t.Fatal(err)
	}
	options.Client = &Client{Cache: client.Cache}
	if _, err := NewLoss("huber", options).Evaluate(context.Background(), pair); !errors.Is(err, ErrKernelRejected) {
		t.Errorf("got %v", err)
	}
}

func TestSaysWhatToInstallForAnotherAbi(t *testing.T) {
	if err := checkAbi(ABI + 1); !errors.Is(err, ErrAbi) {
		t.Errorf("got %v", err)
	}
}

func TestComputesInSeveralGoroutines(t *testing.T) {
	loss := NewLoss("huber", Options{Mode: Local, Client: serviceClient(t)})
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for rows := 1; rows < 40; rows++ {
				p, zeros := make([]float32, rows), make([]float32, rows)
				for i := range p {
					p[i] = float32(worker) + 2
				}
				result, err := loss.Evaluate(context.Background(), Inputs{"predictions": Float32(p), "targets": Float32(zeros)})
				if err != nil || math.Abs(result.Loss-(float64(worker)+1.5)) > 1e-6 {
					t.Errorf("%v, %v", result.Loss, err)
				}
			}
		})
	}
	group.Wait()
}

func TestRepeatsWhatIsRefusedForTheMoment(t *testing.T) {
	left, seen := 2, 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen++
		if seen <= left {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(503)
			fmt.Fprint(w, `{"type":"urn:lossd:problem:draining","detail":"d","errors":[],"retryable":true}`)
			return
		}
		fmt.Fprint(w, `{"name":"huber"}`)
	}))
	defer server.Close()
	client := &Client{URL: server.URL, Retries: 2}
	if described, err := client.Describe(context.Background(), "huber"); err != nil || described["name"] != "huber" || seen != 3 {
		t.Errorf("%v, %v after %d", described, err, seen)
	}
	left, seen = 9, 0
	var problem *Problem
	if _, err := client.Describe(context.Background(), "huber"); !errors.As(err, &problem) || problem.Code != "draining" || seen != 3 {
		t.Errorf("%v after %d", err, seen)
	}
}

func TestReturnsAfterItsDeadlineAndWhereThereIsNoService(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer server.Close()
	_, err := (&Client{URL: server.URL, Timeout: 100 * time.Millisecond}).Describe(context.Background(), "huber")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if _, err := (&Client{URL: dead, Retries: -1}).Describe(context.Background(), "huber"); !errors.Is(err, ErrUnreachable) {
		t.Errorf("got %v", err)
	}
}

func TestTrainsToTheWeightsOfAGradientByHand(t *testing.T) {
	client := serviceClient(t)
	x := [][2]float64{{1, 2}, {3, 1}, {0, 4}, {2, 2}}
	y := []float64{5, 5, 8, 6.5}
	train := func(gradient func(p []float64) []float64) (w [2]float64) {
		for range 200 {
			p := make([]float64, len(x))
			for i, row := range x {
				p[i] = row[0]*w[0] + row[1]*w[1]
			}
			for i, g := range gradient(p) {
				w[0] -= 0.1 * g * x[i][0]
				w[1] -= 0.1 * g * x[i][1]
			}
		}
		return w
	}
	want := train(func(p []float64) []float64 {
		g := make([]float64, len(p))
		for i := range p {
			g[i] = math.Max(-1, math.Min(1, p[i]-y[i])) / float64(len(p))
		}
		return g
	})
	for name, mode := range modes {
		loss := NewLoss("huber", Options{Gradients: []string{"predictions"}, Mode: mode, Client: client})
		got := train(func(p []float64) []float64 {
			result, err := loss.Evaluate(context.Background(), Inputs{"predictions": Float64(p), "targets": Float64(y)})
			if err != nil {
				t.Fatal(err)
			}
			return result.Gradients["predictions"].F64
		})
		if math.Abs(got[0]-want[0]) > 1e-9 || math.Abs(got[1]-want[1]) > 1e-9 {
			t.Errorf("%s: %v, expected %v", name, got, want)
		}
	}
}

func BenchmarkLocalHuber32x10(b *testing.B) {
	if os.Getenv("LOSSD_URL") == "" {
		b.Skip("there is no service at $LOSSD_URL")
	}
	inputs := Inputs{"predictions": Float32(make([]float32, 320), 32, 10), "targets": Float32(make([]float32, 320), 32, 10)}
	loss := NewLoss("huber", Options{Gradients: []string{"predictions"}, Mode: Local})
	for b.Loop() {
		if _, err := loss.Evaluate(context.Background(), inputs); err != nil {
			b.Fatal(err)
		}
	}
}

func TestTracesAFunctionIntoAFormula(t *testing.T) {
	client := serviceClient(t)
	signature := Signature{Inputs: []string{"predictions", "targets"}, Params: Params{"scale": 1.0}}
	cauchy, err := Trace(signature, func(v map[string]Expression) Expression {
		return Call("log1p", v["predictions"].Sub(v["targets"]).Div(v["scale"]).Pow(2))
	}, Options{Params: Params{"scale": 2.0}, Client: client})
	if err != nil {
		t.Fatal(err)
	}
	for name, mode := range modes {
		cauchy.options.Mode = mode
		result, err := cauchy.Evaluate(context.Background(), pair)
		if err != nil || math.Abs(result.Loss-math.Log1p(2.25)/2) > 1e-6 {
			t.Errorf("%s: %v, %v", name, result.Loss, err)
		}
	}
}

func TestKeepsThePrecedenceOfOperatorsInATrace(t *testing.T) {
	x, y := Expression{text: "x", level: bindsAtom}, Expression{text: "y", level: bindsAtom}
	for want, got := range map[string]Expression{
		"(x - y) * (x + 1)":     x.Sub(y).Mul(x.Add(1)),
		"x - (y - 1)":           x.Sub(y.Sub(1)),
		"(-x)^2":                x.Neg().Pow(2),
		"x^(-2)":                x.Pow(-2),
		"x < y ? x * 0.5 : y":   Where(x.Less(y), x.Mul(0.5), y),
		"sum(abs(x), rows)":     Call("sum", Call("abs", x), "rows"),
		"not (x < y) or x == y": x.Less(y).Not().Or(x.Equal(y)),
	} {
		if got.err != nil || got.text != want {
			t.Errorf("got %q (%v), expected %q", got.text, got.err, want)
		}
	}
}

func TestRefusesWhatIsNoFormula(t *testing.T) {
	for name, body := range map[string]func(v map[string]Expression) Expression{
		"NaN":        func(v map[string]Expression) Expression { return v["x"].Add(math.NaN()) },
		"undeclared": func(v map[string]Expression) Expression { return v["x"].Add(v["z"]) },
		"a slice":    func(v map[string]Expression) Expression { return v["x"].Mul([]float64{1}) },
	} {
		if _, err := Trace(Signature{Inputs: []string{"x"}}, body, Options{}); !errors.Is(err, ErrTrace) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestTakesTheFasterPlace(t *testing.T) {
	loss := NewLoss("huber", Options{})
	learn := func(isLocal bool, times int, spent time.Duration) {
		for range times {
			loss.learn("k", isLocal, spent)
		}
	}
	if !loss.isLocal("k") {
		t.Error("a kernel is tried first")
	}
	learn(true, trials, 900*time.Microsecond)
	if loss.isLocal("k") {
		t.Error("then the service, if it may be faster")
	}
	learn(false, trials, 500*time.Microsecond)
	if loss.isLocal("k") {
		t.Error("the service is faster")
	}
	learn(true, 1, 400*time.Microsecond)
	if !loss.isLocal("k") {
		t.Error("it is no longer")
	}
	loss.forbid("k")
	if loss.isLocal("k") {
		t.Error("there is no kernel")
	}
}

func TestGuidesAndChecks(t *testing.T) {
	client := serviceClient(t)
	guide, err := client.Guide(context.Background(), nil)
	if err != nil || len(guide) == 0 {
		t.Errorf("%v, %v", guide, err)
	}
	body := map[string]any{"predictions": []float64{1, 5}, "targets": []float64{1, 2}}
	checked, err := client.Check(context.Background(), "huber", body)
	if err != nil || len(checked) == 0 {
		t.Errorf("%v, %v", checked, err)
	}
}

func TestFollowsThePagesOfTheCatalog(t *testing.T) {
	asked := []string{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.RawQuery)
		if r.URL.Query().Get("after") == "" {
			fmt.Fprint(w, `{"losses":[{"name":"a/b c"}],"next":"b c"}`)
			return
		}
		fmt.Fprint(w, `{"losses":[{"name":"a/d"}]}`)
	}))
	defer server.Close()
	found, err := (&Client{URL: server.URL}).Catalog(context.Background(), "a")
	if err != nil || len(found) != 2 || found[1]["name"] != "a/d" || asked[1] != "after=b+c&namespace=a" {
		t.Errorf("%v, %v, asked %q", found, err, asked)
	}
}
