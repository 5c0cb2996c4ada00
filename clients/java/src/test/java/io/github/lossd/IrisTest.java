package io.github.lossd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Softmax regression on the measurements of 150 flowers. */
class IrisTest {
  private static final int SPECIES = 3;
  /** About their means, with a 1 for the bias. */
  private static double[][] x;

  private static int[] y;

  @BeforeAll
  static void read() throws IOException {
    List<String> lines = Files.readAllLines(Path.of("../../examples/data/iris.csv"));
    double[][] rows = lines.stream().skip(1).map(line -> List.of(line.split(",")).stream().mapToDouble(Double::parseDouble).toArray()).toArray(double[][]::new);
    y = List.of(rows).stream().mapToInt(row -> (int) row[4]).toArray();
    for (double[] row : rows) row[4] = 1;
    for (int column = 0; column < 4; column++) {
      int own = column;
      double mean = List.of(rows).stream().mapToDouble(row -> row[own]).average().orElseThrow();
      for (double[] row : rows) row[column] -= mean;
    }
    x = rows;
  }

  @ParameterizedTest
  @EnumSource(names = {"LOCAL", "REMOTE"})
  void trainsToTheWeightsOfThePlainFormula(Mode mode) {
    Loss loss = Loss.named("cross_entropy").gradients("predictions").mode(mode).client(Vectors.service()).build();
    double[] want = trained(IrisTest::softmaxGradient);
    double[] got = trained(logits -> loss.valueAndGradient(Map.of("predictions", Tensor.of(logits, y.length, SPECIES), "targets", Tensor.of(y))).gradient().floats());
    assertArrayEquals(want, got, 1e-5);
    assertTrue(Math.abs(want[8]) > 0.1, "nothing was learned");
  }

  /** After a hundred steps along a gradient with respect to the logits. */
  private static double[] trained(UnaryOperator<float[]> gradient) {
    double[] weights = new double[5 * SPECIES];
    for (int step = 0; step < 100; step++) {
      float[] logits = new float[y.length * SPECIES];
      for (int place = 0; place < logits.length; place++) logits[place] = logit(weights, place);
      float[] along = gradient.apply(logits);
      for (int place = 0; place < along.length; place++) {
        for (int j = 0; j < 5; j++) weights[j * SPECIES + place % SPECIES] -= 0.1 * along[place] * x[place / SPECIES][j];
      }
    }
    return weights;
  }

  private static float logit(double[] weights, int place) {
    double sum = 0;
    for (int j = 0; j < 5; j++) sum += x[place / SPECIES][j] * weights[j * SPECIES + place % SPECIES];
    return (float) sum;
  }

  /** Of the mean cross-entropy. */
  private static float[] softmaxGradient(float[] logits) {
    float[] gradient = new float[logits.length];
    for (int row = 0; row < y.length; row++) {
      double sum = 0;
      for (int c = 0; c < SPECIES; c++) sum += Math.exp(logits[row * SPECIES + c]);
      for (int c = 0; c < SPECIES; c++) {
        double probability = Math.exp(logits[row * SPECIES + c]) / sum;
        gradient[row * SPECIES + c] = (float) ((probability - (c == y[row] ? 1 : 0)) / y.length);
      }
    }
    return gradient;
  }
}
