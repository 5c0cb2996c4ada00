package io.github.lossd;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;

/** Prints microseconds of value and gradient, as JSON lines: npm run bench:clients runs it. */
final class Bench {
  private static final Random RANDOM = new Random(1);

  private Bench() {}

  public static void main(String[] arguments) {
    for (int[] size : new int[][] {{32, 10}, {1024, 10}, {1024, 1000}}) {
      int[] labels = new int[size[0]];
      for (int i = 0; i < labels.length; i++) labels[i] = i % size[1];
      Tensor predictions = random(size);
      measure("huber", size, Map.of("predictions", predictions, "targets", random(size)));
      measure("cross_entropy", size, Map.of("predictions", predictions, "targets", Tensor.of(labels)));
    }
  }

  private static Tensor random(int[] size) {
    float[] numbers = new float[size[0] * size[1]];
    for (int i = 0; i < numbers.length; i++) numbers[i] = RANDOM.nextFloat() - 0.5f;
    return Tensor.of(numbers, size);
  }

  private static void measure(String name, int[] size, Map<String, Tensor> inputs) {
    for (Mode mode : new Mode[] {Mode.LOCAL, Mode.REMOTE}) {
      Loss loss = Loss.named(name).gradients("predictions").mode(mode).build();
      Map<String, Object> line = new LinkedHashMap<>();
      line.put("client", "Java");
      line.put("where", mode.name().toLowerCase(java.util.Locale.ROOT));
      line.put("loss", name);
      line.put("rows", size[0]);
      line.put("columns", size[1]);
      line.put("us", best(loss, inputs) / 1000.0);
      System.out.println(Json.write(line));
    }
  }

  /** Of batches that take about a millisecond each, after the compiler of the machine has done its work. */
  private static double best(Loss loss, Map<String, Tensor> inputs) {
    long start = System.nanoTime();
    int calls = 0;
    for (; System.nanoTime() - start < 1_500_000_000L; calls++) loss.evaluate(inputs);
    int batch = Math.max(1, calls / 1500);
    double least = Double.MAX_VALUE;
    for (long until = System.nanoTime() + 500_000_000L; System.nanoTime() < until; ) {
      long started = System.nanoTime();
      for (int i = 0; i < batch; i++) loss.evaluate(inputs);
      least = Math.min(least, (double) (System.nanoTime() - started) / batch);
    }
    return least;
  }
}
