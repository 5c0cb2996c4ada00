package io.github.lossd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/** The shared vectors, with local kernels and from the service. */
class ConformanceTest {
  private static final List<Mode> MODES = List.of(Mode.LOCAL, Mode.REMOTE);

  @TestFactory
  Stream<DynamicTest> computesWhatTheServiceComputes() {
    Client client = Vectors.service();
    return each("losses", (vector, mode) -> computes(vector, mode, client));
  }

  @TestFactory
  Stream<DynamicTest> refusesInTheSameWords() {
    Client client = Vectors.service();
    return each("problems", (vector, mode) -> refuses(vector, mode, client));
  }

  private interface Check {
    void run(Map<String, Object> vector, Mode mode);
  }

  private static Stream<DynamicTest> each(String name, Check check) {
    List<Map<String, Object>> vectors = Vectors.read(name);
    List<DynamicTest> tests = new ArrayList<>();
    for (Mode mode : MODES) {
      for (int place = 0; place < vectors.size(); place++) {
        Map<String, Object> vector = vectors.get(place);
        tests.add(DynamicTest.dynamicTest(mode + " " + vector.get("loss") + " " + place, () -> check.run(vector, mode)));
      }
    }
    return tests.stream();
  }

  private static void computes(Map<String, Object> vector, Mode mode, Client client) {
    Map<String, Object> want = Json.object(vector.get("want"));
    Map<String, Object> gradients = Json.object(want.get("gradients"));
    Map<String, Tensor> inputs = Vectors.inputs(vector);
    Loss loss = Vectors.loss(vector).gradients(gradients.keySet().toArray(String[]::new)).mode(mode).client(client).build();
    Result result = loss.evaluate(inputs);
    assertEquals(mode == Mode.LOCAL, result.isLocal());
    assertEquals(((Double) want.get("count")).intValue(), result.count());
    assertEquals((Double) want.get("denominator"), result.denominator(), 1e-9);
    boolean isDouble = inputs.values().stream().anyMatch(tensor -> tensor.dtype() == Tensor.Dtype.FLOAT64);
    double tolerance = isDouble ? 1e-9 : 1e-5;
    double[] values = result.values() == null ? new double[] {result.loss()} : Vectors.numbers(result.values());
    same("loss", values, wanted((String) want.get("dtype"), want.get("loss")), tolerance);
    gradients.forEach((name, data) -> same(name, Vectors.numbers(result.gradient(name)), wanted(isDouble ? "float64" : "float32", data), tolerance));
  }

  private static double[] wanted(String dtype, Object data) {
    return Vectors.numbers(Vectors.tensor(dtype, data, (int[]) null));
  }

  /** Kernels without SIMD have sums in another order; the service may use fused arithmetic, where its machine has it. */
  private static void same(String what, double[] got, double[] want, double tolerance) {
    assertEquals(want.length, got.length, what);
    double scale = 1e-3;
    for (double number : want) if (Double.isFinite(number)) scale = Math.max(scale, Math.abs(number));
    for (int i = 0; i < want.length; i++) {
      boolean isSame = got[i] == want[i] || Double.isNaN(got[i]) && Double.isNaN(want[i]);
      assertTrue(isSame || Math.abs(got[i] - want[i]) <= tolerance * scale, what + "[" + i + "] is " + got[i] + ", expected " + want[i]);
    }
  }

  private static void refuses(Map<String, Object> vector, Mode mode, Client client) {
    Loss loss = Vectors.loss(vector).mode(mode).client(client).build();
    Map<String, Object> want = Json.object(vector.get("problem"));
    ProblemException problem = assertThrows(ProblemException.InvalidRequest.class, () -> loss.evaluate(Vectors.inputs(vector)));
    assertEquals(List.of(want.get("code"), want.get("pointer"), want.get("detail")), List.of(problem.code(), problem.pointer(), problem.detail()));
  }
}
