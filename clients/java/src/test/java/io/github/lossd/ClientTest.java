package io.github.lossd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class ClientTest {
  private static final Map<String, Tensor> PAIR = Map.of("predictions", Tensor.of(new float[] {1, 5}), "targets", Tensor.of(new float[] {1, 2}));
  private static final String DEAD = "http://127.0.0.1:9";

  private interface Handler {
    void handle(HttpExchange exchange) throws IOException, InterruptedException;
  }

  /** A service that answers as it is told to. */
  private record Fake(HttpServer server, Client.Builder client) implements AutoCloseable {
    static Fake of(Handler handler) throws IOException {
      HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
      server.setExecutor(Executors.newCachedThreadPool(task -> {
        Thread thread = new Thread(task);
        thread.setDaemon(true);
        return thread;
      }));
      server.createContext("/", exchange -> {
        try {
          handler.handle(exchange);
        } catch (InterruptedException error) {
          Thread.currentThread().interrupt();
        }
      });
      server.start();
      return new Fake(server, Client.builder().url("http://127.0.0.1:" + server.getAddress().getPort()).cache(Vectors.temporary()));
    }

    @Override
    public void close() {
      server.stop(0);
    }
  }

  private static void answer(HttpExchange exchange, int status, String body) throws IOException {
    byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
    exchange.sendResponseHeaders(status, bytes.length);
    exchange.getResponseBody().write(bytes);
    exchange.close();
  }

  @Test
  void worksOfflineOnceAKernelIsHere() {
    Path cache = Vectors.temporary();
    Loss.Builder huber = Loss.named("huber").param("delta", 2.0).mode(Mode.LOCAL);
    huber.client(Vectors.service(cache)).build().evaluate(PAIR);
    Client dead = Client.builder().url(DEAD).cache(cache).retries(0).build();
    Result result = huber.client(dead).build().evaluate(PAIR);
    assertEquals(2, result.loss());
    assertArrayEquals(new float[] {0, 1}, result.gradient("predictions").floats());
  }

  @Test
  void refusesAKernelWhoseBytesHaveChanged() throws IOException {
    Path cache = Vectors.temporary();
    Loss.named("huber").mode(Mode.LOCAL).client(Vectors.service(cache)).build().evaluate(PAIR);
    Path file;
    try (var files = Files.list(cache.resolve("kernels"))) {
      file = files.findFirst().orElseThrow();
    }
    byte[] module = Files.readAllBytes(file);
    module[module.length - 1]++;
    Files.write(file, module);
    Loss again = Loss.named("huber").mode(Mode.LOCAL).client(Vectors.service(cache)).build();
    assertThrows(LossdException.KernelRejected.class, () -> again.evaluate(PAIR));
  }

  @Test
  void refusesAKernelThatIsNotWhatTheServiceSaysItIs() throws IOException {
    try (Fake fake = Fake.of(exchange -> {
      exchange.getResponseHeaders().set("ETag", "\"0123\"");
      answer(exchange, 200, "\0asm");
    })) {
      Loss loss = Loss.named("huber").mode(Mode.LOCAL).client(fake.client().build()).build();
      assertThrows(LossdException.KernelRejected.class, () -> loss.evaluate(PAIR));
    }
  }

  @Test
  void saysWhatToInstallForAnotherAbi() {
    String newer = assertThrows(LossdException.AbiMismatch.class, () -> Manifest.checkAbi(Manifest.ABI + 1)).getMessage();
    assertTrue(newer.contains("upgrade io.github.lossd:lossd"), newer);
    String older = assertThrows(LossdException.AbiMismatch.class, () -> Manifest.checkAbi(Manifest.ABI - 1)).getMessage();
    assertTrue(older.contains("upgrade the service"), older);
  }

  @Test
  void computesInSeveralThreads() throws Exception {
    Loss loss = Loss.named("huber").mode(Mode.LOCAL).client(Vectors.service()).build();
    ExecutorService threads = Executors.newFixedThreadPool(8);
    try {
      for (Future<Double> error : IntStream.range(0, 8).mapToObj(worker -> threads.submit(() -> largestError(loss, worker + 2))).toList()) {
        assertEquals(0, error.get(), 1e-6);
      }
    } finally {
      threads.shutdown();
    }
  }

  private static double largestError(Loss loss, float distance) {
    double most = 0;
    for (int rows = 1; rows < 40; rows++) {
      float[] predictions = new float[rows];
      java.util.Arrays.fill(predictions, distance);
      double found = loss.value(Map.of("predictions", Tensor.of(predictions), "targets", Tensor.of(new float[rows])));
      most = Math.max(most, Math.abs(found - (distance - 0.5)));
    }
    return most;
  }

  @Test
  void repeatsWhatIsRefusedForTheMoment() throws IOException {
    AtomicInteger seen = new AtomicInteger();
    AtomicInteger refused = new AtomicInteger(2);
    try (Fake fake = Fake.of(exchange -> {
      exchange.getResponseHeaders().set("Retry-After", "0");
      if (seen.incrementAndGet() <= refused.get()) answer(exchange, 503, "{\"type\":\"urn:lossd:problem:draining\",\"detail\":\"d\",\"errors\":[],\"retryable\":true}");
      else answer(exchange, 200, "{\"name\":\"huber\"}");
    })) {
      Client client = fake.client().retries(2).build();
      assertEquals("huber", client.describe("huber").get("name"));
      assertEquals(3, seen.get());
      refused.set(9);
      seen.set(0);
      ProblemException problem = assertThrows(ProblemException.ServiceFailed.class, () -> client.describe("huber"));
      assertEquals("draining", problem.code());
      assertTrue(problem.isRetryable());
      assertEquals(3, seen.get());
    }
  }

  @Test
  void returnsAfterItsDeadlineAndWhereThereIsNoService() throws IOException {
    try (Fake fake = Fake.of(exchange -> Thread.sleep(5000))) {
      Client client = fake.client().timeout(Duration.ofMillis(200)).build();
      long started = System.nanoTime();
      assertThrows(ProblemException.DeadlineExceeded.class, () -> client.describe("huber"));
      assertTrue(System.nanoTime() - started < 2_000_000_000L);
    }
    Client dead = Client.builder().url(DEAD).retries(0).build();
    assertThrows(LossdException.Unreachable.class, () -> dead.describe("huber"));
  }

  @Test
  void sendsKeyAndTraceContextWithEveryRequest() throws IOException {
    try (Fake fake = Fake.of(exchange -> {
      var headers = exchange.getRequestHeaders();
      answer(exchange, 200, Json.write(Map.of("key", headers.getFirst("Authorization"), "trace", headers.getFirst("Traceparent"))));
    })) {
      Client client = fake.client().apiKey("secret").traceparent(() -> "00-1-2-01").build();
      assertEquals(Map.of("key", "Bearer secret", "trace", "00-1-2-01"), client.describe("huber"));
    }
  }

  @Test
  void mapsUnknownLossesToAnExceptionOfTheirOwn() {
    Loss loss = Loss.named("hubber").mode(Mode.REMOTE).client(Vectors.service()).build();
    ProblemException.UnknownLoss problem = assertThrows(ProblemException.UnknownLoss.class, () -> loss.evaluate(PAIR));
    assertEquals(404, problem.status());
  }

  @Test
  void computesFormulasInBothPlaces() {
    Loss.Builder builder = Loss.formula("log1p(((predictions - targets) / scale)^2)").param("scale", 2.0).gradients("predictions").client(Vectors.service());
    Result local = builder.mode(Mode.LOCAL).build().evaluate(PAIR);
    Result remote = builder.mode(Mode.REMOTE).build().evaluate(PAIR);
    assertEquals(remote.loss(), local.loss(), 1e-6);
    assertEquals(Math.log1p(2.25) / 2, local.loss(), 1e-6);
    assertArrayEquals(remote.gradient("predictions").floats(), local.gradient("predictions").floats(), 1e-6f);
  }

  @Test
  void tracesAFunctionIntoAFormula() {
    Loss.Builder cauchy =
        Loss.traced(
            java.util.List.of("predictions", "targets"),
            Map.of("scale", 1.0),
            v -> Expression.call("log1p", v.get("predictions").minus(v.get("targets")).over(v.get("scale")).pow(2)));
    Loss loss = cauchy.param("scale", 2.0).mode(Mode.LOCAL).client(Vectors.service()).build();
    assertEquals(Math.log1p(2.25) / 2, loss.value(PAIR), 1e-6);
  }

  @Test
  void keepsThePrecedenceOfOperatorsInATrace() {
    Expression x = Expression.named("x");
    Expression y = Expression.named("y");
    assertEquals("(x - y) * (x + 1)", x.minus(y).times(x.plus(1)).toString());
    assertEquals("x - (y - 1)", x.minus(y.minus(1)).toString());
    assertEquals("(-x)^2", x.negated().pow(2).toString());
    assertEquals("x^(-2)", x.pow(-2).toString());
    assertEquals("x < y ? x * 0.5 : y", Expression.where(x.isLess(y), x.times(0.5), y).toString());
    assertThrows(IllegalArgumentException.class, () -> x.plus(Double.NaN));
  }

  @Test
  void computesSecondDerivativesInBothPlaces() {
    Map<String, Tensor> inputs = Map.of("predictions", Tensor.of(new double[] {1, 3}), "targets", Tensor.of(new double[] {0, 0}));
    Loss.Builder builder = Loss.named("mse").hessian().reduction("sum").client(Vectors.service());
    double[] local = builder.mode(Mode.LOCAL).build().evaluate(inputs).hessian().get("predictions").doubles();
    double[] remote = builder.mode(Mode.REMOTE).build().evaluate(inputs).hessian().get("predictions").doubles();
    assertArrayEquals(new double[] {2, 2}, local);
    assertArrayEquals(remote, local);
  }

  @Test
  void takesTheFasterPlace() {
    Costs costs = new Costs();
    for (int i = 0; i < 3; i++) {
      assertTrue(costs.isLocal("k"));
      costs.learn("k", true, 900_000);
    }
    assertFalse(costs.isLocal("k"), "the service may be faster");
    for (int i = 0; i < 3; i++) costs.learn("k", false, 500_000);
    assertFalse(costs.isLocal("k"), "the service is faster");
    costs.learn("k", true, 400_000);
    assertTrue(costs.isLocal("k"), "it is no longer");
    costs.hasNoKernel("k");
    assertFalse(costs.isLocal("k"));
  }

  @Test
  void triesThisProcessAgainBecauseTheCompilerGoesOn() {
    Costs costs = new Costs();
    for (int i = 0; i < 3; i++) costs.learn("k", true, 900_000);
    for (int i = 0; i < 3; i++) costs.learn("k", false, 500_000);
    List<Integer> again = IntStream.rangeClosed(1, 100).filter(call -> costs.isLocal("k")).boxed().toList();
    assertEquals(List.of(16, 32, 64), again);
  }

  @Test
  void goesOnLocallyWhenTheServiceIsGone() throws IOException {
    Path cache = Vectors.temporary();
    Loss.named("huber").mode(Mode.LOCAL).client(Vectors.service(cache)).build().evaluate(PAIR);
    Client dead = Client.builder().url(DEAD).cache(cache).retries(0).build();
    Loss loss = Loss.named("huber").client(dead).build();
    for (int i = 0; i < 10; i++) assertEquals(1.25, loss.value(PAIR));
  }

  @Test
  void trainsToTheWeightsOfAGradientByHand() {
    double[][] x = {{1, 2}, {3, 1}, {0, 4}, {2, 2}};
    double[] y = {5, 5, 8, 6.5};
    double[] want = {0, 0};
    for (int step = 0; step < 200; step++) {
      double[] gradient = predicted(x, want);
      for (int i = 0; i < y.length; i++) gradient[i] = Math.max(-1, Math.min(1, gradient[i] - y[i])) / y.length;
      descend(want, x, gradient);
    }
    for (Mode mode : new Mode[] {Mode.LOCAL, Mode.REMOTE}) {
      Loss huber = Loss.named("huber").gradients("predictions").mode(mode).client(Vectors.service()).build();
      double[] w = {0, 0};
      for (int step = 0; step < 200; step++) {
        Map<String, Tensor> inputs = Map.of("predictions", Tensor.of(predicted(x, w)), "targets", Tensor.of(y));
        descend(w, x, huber.valueAndGradient(inputs).gradient().doubles());
      }
      assertArrayEquals(want, w, 1e-9, mode.toString());
    }
  }

  private static double[] predicted(double[][] x, double[] w) {
    return java.util.Arrays.stream(x).mapToDouble(row -> row[0] * w[0] + row[1] * w[1]).toArray();
  }

  private static void descend(double[] w, double[][] x, double[] gradient) {
    for (int i = 0; i < x.length; i++) {
      w[0] -= 0.1 * gradient[i] * x[i][0];
      w[1] -= 0.1 * gradient[i] * x[i][1];
    }
  }

  @Test
  void followsThePagesOfTheCatalog() throws IOException {
    List<String> asked = new ArrayList<>();
    Handler pages = exchange -> {
      String query = exchange.getRequestURI().getRawQuery();
      asked.add(query);
      answer(exchange, 200, query.contains("after") ? "{\"losses\":[{\"name\":\"a/d\"}]}" : "{\"losses\":[{\"name\":\"a/b c\"}],\"next\":\"b c\"}");
    };
    try (Fake fake = Fake.of(pages)) {
      List<Map<String, Object>> found = fake.client().build().catalog("a");
      assertEquals(List.of("a/b c", "a/d"), found.stream().map(one -> one.get("name")).toList());
      assertEquals(List.of("namespace=a", "namespace=a&after=b%20c"), asked);
    }
  }

  @Test
  void anInterruptedThreadStillComputes() {
    Loss huber = Loss.named("huber").mode(Mode.LOCAL).client(Vectors.service()).build();
    huber.evaluate(PAIR);
    Thread.currentThread().interrupt();
    assertEquals(1.25, huber.evaluate(PAIR).loss());
    assertTrue(Thread.interrupted());
  }
}
