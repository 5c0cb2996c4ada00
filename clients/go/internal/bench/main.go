// Command bench prints microseconds of value and gradient, as JSON lines: npm run bench:clients runs it.
package main

import (
	"context"
	"encoding/json"
	"log"
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

func main() {
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
				if err := json.NewEncoder(os.Stdout).Encode(own); err != nil {
					log.Fatal(err)
				}
			}
		}
	}
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
		if _, err := loss.Evaluate(context.Background(), inputs); err != nil {
			log.Fatal(err)
		}
		return time.Since(started)
	}
	call()
	least := call()
	for until := time.Now().Add(500 * time.Millisecond); time.Now().Before(until); {
		least = min(least, call())
	}
	return least
}
