package io.github.lossd;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/** Prints microseconds of value and gradient or, with auto, where that computes, as JSON lines: npm run bench:clients runs it. */
final class Bench {
  private static final Random RANDOM = new Random(1);

  private Bench() {}

  public static void main(String[] arguments) {
    if (arguments.length > 0 && arguments[0].equals("auto")) sweep();
    else clients();
  }

  private static void clients() {
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

  /** Of batches of about half a millisecond, after the compiler of the machine has done its work. */
  private static double best(Loss loss, Map<String, Tensor> inputs) {
    warmUp(loss, inputs);
    long once = Math.max(1, (long) least(20, loss, inputs));
    int batch = (int) Math.max(1, 500_000 / once);
    double least = Double.MAX_VALUE;
    for (long until = System.nanoTime() + 500_000_000L; System.nanoTime() < until; ) {
      long started = System.nanoTime();
      for (int i = 0; i < batch; i++) loss.evaluate(inputs);
      least = Math.min(least, (double) (System.nanoTime() - started) / batch);
    }
    return least;
  }

  /** The compiler counts calls, and shares the cores with the service. */
  private static void warmUp(Loss loss, Map<String, Tensor> inputs) {
    long started = System.nanoTime();
    for (int calls = 0; calls < 30_000 || System.nanoTime() - started < 1_500_000_000L; calls++) {
      loss.evaluate(inputs);
      if (System.nanoTime() - started > 4_000_000_000L) return;
    }
  }

  private static void sweep() {
    Loss auto = crossEntropy(Mode.AUTO);
    Loss local = crossEntropy(Mode.LOCAL);
    Loss remote = crossEntropy(Mode.REMOTE);
    // A training has the compiler of the machine behind it after seconds.
    for (Loss loss : List.of(local, remote)) warmUp(loss, Map.of("predictions", random(new int[] {32, 100}), "targets", Tensor.of(new int[32])));
    for (int exponent = 0; exponent < 20; exponent++) {
      int rows = (int) Math.pow(2, exponent * 0.75);
      int[] labels = new int[rows];
      for (int i = 0; i < rows; i++) labels[i] = i % 100;
      Map<String, Tensor> inputs = Map.of("predictions", random(new int[] {rows, 100}), "targets", Tensor.of(labels));
      boolean isLocal = false;
      for (int call = 0; call < 40; call++) isLocal = auto.evaluate(inputs).isLocal();
      Map<String, Object> line = new LinkedHashMap<>();
      line.put("client", "Java");
      line.put("size", rows);
      line.put("local", least(20, local, inputs) / 1000.0);
      line.put("remote", least(20, remote, inputs) / 1000.0);
      line.put("chosen", isLocal ? "local" : "remote");
      System.out.println(Json.write(line));
    }
  }

  private static Loss crossEntropy(Mode mode) {
    return Loss.named("cross_entropy").mode(mode).build();
  }

  private static double least(int calls, Loss loss, Map<String, Tensor> inputs) {
    double least = Double.MAX_VALUE;
    for (int call = 0; call < calls; call++) {
      long started = System.nanoTime();
      loss.evaluate(inputs);
      least = Math.min(least, System.nanoTime() - started);
    }
    return least;
  }
}
