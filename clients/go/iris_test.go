package lossd

import (
	"context"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
)

const species = 3

// iris is the measurements of 150 flowers about their means, with a 1 for the bias, and their species.
func iris(t *testing.T) (x [][]float64, y []int32) {
	t.Helper()
	text, err := os.ReadFile("../../examples/data/iris.csv")
	if err != nil {
		t.Fatal(err)
	}
	means := make([]float64, 4)
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n")[1:] {
		row := []float64{0, 0, 0, 0, 1}
		cells := strings.Split(line, ",")
		for i := range means {
			row[i], _ = strconv.ParseFloat(cells[i], 64)
			means[i] += row[i] / 150
		}
		label, _ := strconv.Atoi(cells[4])
		x, y = append(x, row), append(y, int32(label))
	}
	for _, row := range x {
		for i, mean := range means {
			row[i] -= mean
		}
	}
	return x, y
}

// trained weights, row by row, after a hundred steps along a gradient with respect to the logits.
func trained(x [][]float64, gradient func(logits []float32) []float32) []float64 {
	weights := make([]float64, 5*species)
	for range 100 {
		logits := make([]float32, len(x)*species)
		for i, row := range x {
			for c := range species {
				sum := 0.0
				for j, value := range row {
					sum += value * weights[j*species+c]
				}
				logits[i*species+c] = float32(sum)
			}
		}
		for place, g := range gradient(logits) {
			for j, value := range x[place/species] {
				weights[j*species+place%species] -= 0.1 * float64(g) * value
			}
		}
	}
	return weights
}

// softmaxGradient is that of the mean cross-entropy, by its formula.
func softmaxGradient(logits []float32, y []int32) []float32 {
	gradient := make([]float32, len(logits))
	for i, label := range y {
		row, sum := logits[i*species:(i+1)*species], 0.0
		for _, logit := range row {
			sum += math.Exp(float64(logit))
		}
		for c, logit := range row {
			gradient[i*species+c] = float32(math.Exp(float64(logit)) / sum / float64(len(y)))
		}
		gradient[i*species+int(label)] -= float32(1 / float64(len(y)))
	}
	return gradient
}

func TestTrainsOnIrisToTheWeightsOfThePlainFormula(t *testing.T) {
	client := serviceClient(t)
	x, y := iris(t)
	want := trained(x, func(logits []float32) []float32 { return softmaxGradient(logits, y) })
	for name, mode := range modes {
		loss := NewLoss("cross_entropy", Options{Gradients: []string{"predictions"}, Mode: mode, Client: client})
		got := trained(x, func(logits []float32) []float32 {
			inputs := Inputs{"predictions": Float32(logits, len(x), species), "targets": Int32(y)}
			result, err := loss.Evaluate(context.Background(), inputs)
			if err != nil {
				t.Fatal(err)
			}
			return result.Gradients["predictions"].F32
		})
		for i := range want {
			if math.Abs(got[i]-want[i]) > 1e-5 {
				t.Fatalf("%s: %v, expected %v", name, got, want)
			}
		}
		if math.Abs(want[8]) < 0.1 {
			t.Errorf("nothing was learned: %v", want)
		}
	}
}
