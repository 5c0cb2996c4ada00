// Command bench prints microseconds of value and gradient or, with auto, where that computes, as JSON lines: npm run bench:clients
// runs it.
package main

import (
	"context"
	"encoding/json"
	"log"
	"math"
	"math/rand/v2"
	"os"
	"time"

	lossd "github.com/lossd/lossd/clients/go"
)

type line struct {
	Client       string  `json:"client"`
	Where        string  `json:"where"`
	Loss         string  `json:"loss"`
	Rows         int     `json:"rows"`
	Columns      int     `json:"columns"`
	Microseconds float64 `json:"us"`
}

type choice struct {
	Client string  `json:"client"`
	Size   int     `json:"size"`
	Local  float64 `json:"local"`
	Remote float64 `json:"remote"`
	Chosen string  `json:"chosen"`
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "auto" {
		sweep()
	} else {
		clients()
	}
}

func clients() {
	for _, size := range [][2]int{{32, 10}, {1024, 10}, {1024, 1000}} {
		rows, columns := size[0], size[1]
		predictions := lossd.Float32(random(rows*columns), rows, columns)
		labels := make([]int32, rows)
		for i := range labels {
			labels[i] = int32(i % columns)
		}
		for name, targets := range map[string]lossd.Tensor{"huber": lossd.Float32(random(rows*columns), rows, columns), "cross_entropy": lossd.Int32(labels)} {
			for where, mode := range map[string]lossd.Mode{"local": lossd.Local, "remote": lossd.Remote} {
				loss := lossd.NewLoss(name, lossd.Options{Gradients: []string{"predictions"}, Mode: mode})
				spent := best(loss, lossd.Inputs{"predictions": predictions, "targets": targets})
				own := line{"Go", where, name, rows, columns, float64(spent.Nanoseconds()) / 1000}
				report(own)
			}
		}
	}
}

// sweep prints where auto computes, beside the times of both places.
func sweep() {
	lossIn := func(mode lossd.Mode) *lossd.Loss { return lossd.NewLoss("cross_entropy", lossd.Options{Mode: mode}) }
	auto, local, remote := lossIn(lossd.Auto), lossIn(lossd.Local), lossIn(lossd.Remote)
	for exponent := range 20 {
		rows := int(math.Pow(2, float64(exponent)*0.75))
		labels := make([]int32, rows)
		for i := range labels {
			labels[i] = int32(i % 100)
		}
		inputs := lossd.Inputs{"predictions": lossd.Float32(random(rows*100), rows, 100), "targets": lossd.Int32(labels)}
		own := choice{Client: "Go", Size: rows}
		for range 10 {
			if own.Chosen = "remote"; evaluated(auto, inputs).Local {
				own.Chosen = "local"
			}
		}
		own.Local, own.Remote = least(20, local, inputs), least(20, remote, inputs)
		report(own)
	}
}

func report(line any) {
	if err := json.NewEncoder(os.Stdout).Encode(line); err != nil {
		log.Fatal(err)
	}
}

func evaluated(loss *lossd.Loss, inputs lossd.Inputs) lossd.Result {
	result, err := loss.Evaluate(context.Background(), inputs)
	if err != nil {
		log.Fatal(err)
	}
	return result
}

// least microseconds of so many calls.
func least(calls int, loss *lossd.Loss, inputs lossd.Inputs) float64 {
	best := math.Inf(1)
	for range calls {
		started := time.Now()
		evaluated(loss, inputs)
		best = min(best, float64(time.Since(started).Nanoseconds())/1000)
	}
	return best
}

func random(count int) []float32 {
	numbers := make([]float32, count)
	for i := range numbers {
		numbers[i] = rand.Float32() - 0.5
	}
	return numbers
}

func best(loss *lossd.Loss, inputs lossd.Inputs) time.Duration {
	call := func() time.Duration {
		started := time.Now()
		evaluated(loss, inputs)
		return time.Since(started)
	}
	call()
	best := call()
	for until := time.Now().Add(500 * time.Millisecond); time.Now().Before(until); {
		best = min(best, call())
	}
	return best
}
