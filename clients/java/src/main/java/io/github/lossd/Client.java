package io.github.lossd;

import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpTimeoutException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.Supplier;
import java.util.stream.Collectors;

/**
 * A client of one service, for any number of threads. A thread that is interrupted while it waits gets a {@link
 * LossdException.Unreachable}, and stays interrupted.
 */
public final class Client {
  /** The version of this package, which is that of the service it was published with. */
  public static final String VERSION = "0.1.0";

  private static final System.Logger LOG = System.getLogger("lossd");
  private static final Client DEFAULT = builder().build();
  private static final String SAFETENSORS = "application/x-safetensors";

  private final String url;
  private final String apiKey;
  private final Duration timeout;
  private final int retries;
  private final Supplier<String> traceparent;
  private final Cache cache;
  private final HttpClient http;
  private final Map<String, Kernel> kernels = new ConcurrentHashMap<>();

  private Client(Builder builder) {
    url = builder.url.replaceAll("/+$", "");
    apiKey = builder.apiKey;
    timeout = builder.timeout;
    retries = builder.retries;
    traceparent = builder.traceparent;
    cache = new Cache(builder.cache);
    http = builder.http != null ? builder.http : HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).connectTimeout(builder.timeout).build();
  }

  /**
   * The client of losses that are not given one: of the service at {@code $LOSSD_URL}.
   *
   * @return the same every time
   */
  public static Client defaultClient() {
    return DEFAULT;
  }

  /**
   * A client of your own.
   *
   * @return with the defaults
   */
  public static Builder builder() {
    return new Builder();
  }

  /** What a client needs to know. */
  public static final class Builder {
    private String url = fromEnvironment("LOSSD_URL", "http://localhost:8080");
    private String apiKey = fromEnvironment("LOSSD_API_KEY", null);
    private Duration timeout = Duration.ofSeconds(30);
    private int retries = 4;
    private Path cache = Cache.defaultFolder();
    private Supplier<String> traceparent = () -> null;
    private HttpClient http;

    private Builder() {}

    static String fromEnvironment(String name, String otherwise) {
      return Optional.ofNullable(System.getenv(name)).filter(value -> !value.isEmpty()).orElse(otherwise);
    }

    /**
     * The service.
     *
     * @param own by default {@code $LOSSD_URL}, or {@code http://localhost:8080}
     * @return this
     */
    public Builder url(String own) {
      url = own;
      return this;
    }

    /**
     * The key that is sent with every request.
     *
     * @param own by default {@code $LOSSD_API_KEY}
     * @return this
     */
    public Builder apiKey(String own) {
      apiKey = own;
      return this;
    }

    /**
     * The time for a call with all of its attempts.
     *
     * @param own by default 30 seconds
     * @return this
     */
    public Builder timeout(Duration own) {
      timeout = own;
      return this;
    }

    /**
     * How often a request is repeated that the service refuses for the moment.
     *
     * @param own by default 4
     * @return this
     */
    public Builder retries(int own) {
      retries = own;
      return this;
    }

    /**
     * The folder of kernels.
     *
     * @param own by default {@code $LOSSD_CACHE}, or lossd in the user's cache folder
     * @return this
     */
    public Builder cache(Path own) {
      cache = own;
      return this;
    }

    /**
     * The W3C trace context that the current request belongs to.
     *
     * @param own null for none
     * @return this
     */
    public Builder traceparent(Supplier<String> own) {
      traceparent = own;
      return this;
    }

    /**
     * An HTTP client with your own settings, such as a proxy.
     *
     * @param own in place of one with HTTP/1.1
     * @return this
     */
    public Builder http(HttpClient own) {
      http = own;
      return this;
    }

    /**
     * The client.
     *
     * @return with these settings
     */
    public Client build() {
      return new Client(this);
    }
  }

  String url() {
    return url;
  }

  // The service

  /**
   * Keeps a loss of your own under namespace/name.
   *
   * @param definition of the loss, as JSON: maps, lists, strings, numbers
   * @return what was registered
   */
  public Map<String, Object> register(Map<String, ?> definition) {
    return json("POST", "/v1/losses", definition);
  }

  /**
   * What can be proved of a loss.
   *
   * @param question with {@code loss}, {@code formula} or {@code definition}
   * @return the analysis
   */
  public Map<String, Object> analyze(Map<String, ?> question) {
    return json("POST", "/v1/losses:analyze", question);
  }

  /**
   * Checks the gradient of a loss at given inputs, in four ways.
   *
   * @param name of a loss; null with a {@code formula} or a {@code definition} in the body
   * @param body the inputs and the options
   * @return what was found
   */
  public Map<String, Object> check(String name, Map<String, ?> body) {
    return json("POST", (name == null ? "/v1/losses" : path(name)) + ":check", body);
  }

  /**
   * One loss: formula, inputs, parameters, references, examples.
   *
   * @param name of a loss
   * @return its description
   */
  public Map<String, Object> describe(String name) {
    return json("GET", path(name), null);
  }

  /**
   * All losses of the catalog.
   *
   * @return their names, formulas, inputs and parameters
   */
  public List<Map<String, Object>> catalog() {
    return listed("");
  }

  /**
   * The registered losses of a namespace.
   *
   * @param namespace such as {@code acme}
   * @return their names, formulas, inputs and parameters
   */
  public List<Map<String, Object>> catalog(String namespace) {
    return listed("namespace=" + escaped(namespace));
  }

  private List<Map<String, Object>> listed(String query) {
    List<Map<String, Object>> found = new ArrayList<>();
    for (Object after = ""; after != null; ) {
      Map<String, Object> page = json("GET", "/v1/losses?" + query + after, null);
      Json.list(page.get("losses")).forEach(one -> found.add(Json.object(one)));
      after = page.get("next") instanceof String next ? "&after=" + escaped(next) : null;
    }
    return found;
  }

  /**
   * Which loss to choose, and why.
   *
   * @param question such as {@code Map.of("task", "multiclass")}; empty for the whole guide
   * @return the guide
   */
  public Map<String, Object> guide(Map<String, String> question) {
    String query = question.entrySet().stream().map(one -> escaped(one.getKey()) + "=" + escaped(one.getValue())).collect(Collectors.joining("&"));
    return json("GET", "/v1/guide" + (query.isEmpty() ? "" : "?" + query), null);
  }

  /**
   * Any request with JSON.
   *
   * @param method GET, POST or DELETE
   * @param path from {@code /v1} on
   * @param body null for none
   * @return the response
   * @throws ProblemException if the service refuses it
   * @throws LossdException.Unreachable if there is no connection
   */
  public Map<String, Object> json(String method, String path, Object body) {
    byte[] sent = body == null ? null : Json.write(body).getBytes(StandardCharsets.UTF_8);
    byte[] received = send(method, path, sent, "application/json", "application/json").body();
    return Json.object(Json.parse(new String(received, StandardCharsets.UTF_8)));
  }

  SafeTensors evaluate(String path, byte[] body) {
    return SafeTensors.decode(send("POST", path, body, SAFETENSORS, SAFETENSORS).body());
  }

  static String path(String name) {
    String escaped = Arrays.stream(name.split("/")).map(Client::escaped).collect(Collectors.joining("/"));
    return "/v1/losses/" + escaped.replace("%40", "@");
  }

  static String escaped(String text) {
    return URLEncoder.encode(text, StandardCharsets.UTF_8).replace("+", "%20");
  }

  // Attempts

  /** Repeats what the service refuses for the moment, until it succeeds or the deadline passes. */
  HttpResponse<byte[]> send(String method, String path, byte[] body, String contentType, String accept) {
    long deadline = System.nanoTime() + timeout.toNanos();
    for (int attempt = 0; ; attempt++) {
      boolean isLast = attempt >= retries;
      try {
        HttpResponse<byte[]> response = http.send(request(method, path, body, contentType, accept, deadline), HttpResponse.BodyHandlers.ofByteArray());
        if (response.statusCode() < 400) return response;
        ProblemException problem = ProblemException.from(response.statusCode(), new String(response.body(), StandardCharsets.UTF_8));
        boolean isBusy = response.statusCode() == 429 || response.statusCode() == 503;
        if (isLast || !isBusy || !waits(attempt, retryAfter(response), deadline, problem)) throw problem;
      } catch (HttpTimeoutException error) {
        throw ProblemException.of("deadline-exceeded", "no response within " + timeout.toMillis() + " ms", 504);
      } catch (IOException error) {
        if (isLast || !waits(attempt, 0, deadline, error)) throw new LossdException.Unreachable(url + " cannot be reached: " + error, error);
      } catch (InterruptedException error) {
        throw interrupted(error);
      }
    }
  }

  private HttpRequest request(String method, String path, byte[] body, String contentType, String accept, long deadline) {
    Duration left = Duration.ofNanos(Math.max(1_000_000, deadline - System.nanoTime()));
    HttpRequest.BodyPublisher publisher = body == null ? HttpRequest.BodyPublishers.noBody() : HttpRequest.BodyPublishers.ofByteArray(body);
    HttpRequest.Builder made = HttpRequest.newBuilder(URI.create(url + path)).timeout(left).method(method, publisher);
    made.header("Accept", accept).header("X-Request-Timeout-Ms", Long.toString(left.toMillis()));
    if (body != null) made.header("Content-Type", contentType);
    if (apiKey != null) made.header("Authorization", "Bearer " + apiKey);
    String trace = traceparent.get();
    if (trace != null) made.header("Traceparent", trace);
    return made.build();
  }

  private static double retryAfter(HttpResponse<?> response) {
    return response.headers().firstValue("Retry-After").filter(text -> text.matches("\\d+(\\.\\d+)?")).map(Double::valueOf).orElse(0.0);
  }

  /** Waits before the next attempt, unless the deadline comes first. */
  private boolean waits(int attempt, double after, long deadline, Exception why) {
    // Full jitter, so that clients which were refused together do not come back together.
    double jitter = ThreadLocalRandom.current().nextDouble() * Math.min(2, 0.05 * (1 << attempt));
    long pause = Math.round((after + jitter) * 1000);
    if (System.nanoTime() + pause * 1_000_000 >= deadline) return false;
    LOG.log(System.Logger.Level.WARNING, "lossd: {0}; attempt {1} follows in {2} ms", why.getMessage(), attempt + 2, pause);
    try {
      Thread.sleep(pause);
      return true;
    } catch (InterruptedException error) {
      throw interrupted(error);
    }
  }

  private LossdException interrupted(InterruptedException error) {
    Thread.currentThread().interrupt();
    return new LossdException.Unreachable("interrupted while waiting for " + url, error);
  }

  // Kernels

  /** What determines a kernel, and how it is asked for. */
  record KernelRequest(String question, String method, String path, byte[] body) {}

  Kernel kernel(KernelRequest request) {
    return kernels.computeIfAbsent(request.question(), own -> new Kernel(cache.read(own).orElseGet(() -> fetched(request))));
  }

  private byte[] fetched(KernelRequest request) {
    HttpResponse<byte[]> response = send(request.method(), request.path(), request.body(), "application/json", "application/wasm");
    String sha = response.headers().firstValue("ETag").orElse("").replaceAll("^W/|\"", "");
    Cache.verify(response.body(), sha);
    cache.keep(request.question(), response.body());
    return response.body();
  }
}
