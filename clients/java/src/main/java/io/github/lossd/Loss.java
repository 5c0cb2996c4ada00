package io.github.lossd;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;

/** A loss of the catalog, a registered one, or a formula. It may be used by any number of threads. */
public final class Loss {
  private final String name;
  private final Map<String, Object> inline;
  private final Map<String, Object> params;
  private final String reduction;
  private final List<String> gradients;
  private final boolean hessian;
  private final Double denominator;
  private final Mode mode;
  private final Client client;
  private final Map<String, Plan> plans = new ConcurrentHashMap<>();
  private final Costs costs = new Costs();

  private Loss(Builder builder) {
    name = builder.name;
    inline = builder.inline;
    params = Map.copyOf(builder.params);
    reduction = builder.reduction;
    gradients = builder.gradients;
    hessian = builder.hessian;
    denominator = builder.denominator;
    mode = builder.mode;
    client = builder.client;
  }

  /**
   * A loss of the catalog, or a registered one.
   *
   * @param name such as {@code huber}, or {@code acme/robust@2}
   * @return a builder with its options
   */
  public static Builder named(String name) {
    return new Builder(name, null);
  }

  /**
   * A loss in the formula language.
   *
   * @param formula such as {@code abs(predictions - targets)}
   * @return a builder with its options
   */
  public static Builder formula(String formula) {
    Map<String, Object> inline = new LinkedHashMap<>();
    inline.put("formula", formula);
    return new Builder(null, inline);
  }

  /**
   * A loss by its definition: a formula with declared inputs and parameters.
   *
   * @param definition as JSON: maps, lists, strings, numbers
   * @return a builder with its options
   */
  public static Builder defined(Map<String, ?> definition) {
    Map<String, Object> inline = new LinkedHashMap<>();
    inline.put("definition", definition);
    return new Builder(null, inline);
  }

  /**
   * A loss that is written as a function. It is called once, with its inputs and parameters by name.
   *
   * <pre>{@code
   * Loss.traced(List.of("predictions", "targets"), Map.of("scale", 1.0),
   *     v -> Expression.call("log1p", v.get("predictions").minus(v.get("targets")).over(v.get("scale")).pow(2))).build();
   * }</pre>
   *
   * @param inputs their names
   * @param defaults parameters with their defaults
   * @param body the function
   * @return a builder with its options
   */
  public static Builder traced(List<String> inputs, Map<String, ?> defaults, Body body) {
    Map<String, Expression> variables = new LinkedHashMap<>();
    Map<String, Object> declared = new LinkedHashMap<>();
    Map<String, Object> parameters = new LinkedHashMap<>();
    for (String input : inputs) {
      variables.put(input, Expression.named(input));
      declared.put(input, Map.of("differentiable", true));
    }
    new TreeMap<>(defaults)
        .forEach(
            (param, value) -> {
              variables.put(param, Expression.named(param));
              parameters.put(param, Map.of("type", value instanceof Boolean ? "boolean" : "number", "default", value));
            });
    Map<String, Object> definition = new LinkedHashMap<>();
    definition.put("inputs", declared);
    definition.put("params", parameters);
    definition.put("formula", body.apply(variables).toString());
    return defined(definition);
  }

  /** A function that is traced. */
  @FunctionalInterface
  public interface Body {
    /**
     * Writes the formula.
     *
     * @param variables inputs and parameters by name
     * @return its result
     */
    Expression apply(Map<String, Expression> variables);
  }

  /** The options of a loss. */
  public static final class Builder {
    private final String name;
    private final Map<String, Object> inline;
    private final Map<String, Object> params = new LinkedHashMap<>();
    private String reduction = "mean";
    private List<String> gradients;
    private boolean hessian;
    private Double denominator;
    private Mode mode = Mode.AUTO;
    private Client client = Client.defaultClient();

    private Builder(String name, Map<String, Object> inline) {
      this.name = name;
      this.inline = inline;
    }

    /**
     * A parameter.
     *
     * @param param its name
     * @param value a number, a boolean or a word
     * @return this
     */
    public Builder param(String param, Object value) {
      params.put(param, value);
      return this;
    }

    /**
     * The axes of an input of a formula.
     *
     * @param input its name
     * @param axes such as {@code rows,classes}
     * @return this
     */
    public Builder axes(String input, String axes) {
      if (inline == null) throw new IllegalStateException("only formulas have axes");
      if (inline.containsKey("definition")) {
        Map<String, Object> inputs = Json.object(Json.object(inline.get("definition")).get("inputs"));
        Map<String, Object> declared = new LinkedHashMap<>(Json.object(inputs.get(input)));
        declared.put("axes", axes);
        inputs.put(input, declared);
        return this;
      }
      Map<String, Object> own = new LinkedHashMap<>(Json.object(inline.get("axes")));
      own.put(input, axes);
      inline.put("axes", own);
      return this;
    }

    /**
     * How values become the loss.
     *
     * @param own {@code mean} (the default), {@code sum}, {@code none}, {@code batchmean}, {@code weighted_mean} or {@code
     *     sum_by_nonzero_weights}
     * @return this
     */
    public Builder reduction(String own) {
      reduction = own;
      return this;
    }

    /**
     * The inputs that are differentiated.
     *
     * @param inputs by default all that can be; none is an empty list
     * @return this
     */
    public Builder gradients(String... inputs) {
      gradients = List.of(inputs);
      return this;
    }

    /**
     * Also computes the diagonal of the second derivative.
     *
     * @return this
     */
    public Builder hessian() {
      hessian = true;
      return this;
    }

    /**
     * Replaces the denominator of the mean.
     *
     * @param own a positive number
     * @return this
     */
    public Builder denominator(double own) {
      denominator = own;
      return this;
    }

    /**
     * Where it is computed.
     *
     * @param own by default {@link Mode#AUTO}
     * @return this
     */
    public Builder mode(Mode own) {
      mode = own;
      return this;
    }

    /**
     * The service.
     *
     * @param own by default {@link Client#defaultClient()}
     * @return this
     */
    public Builder client(Client own) {
      client = own;
      return this;
    }

    /**
     * The loss.
     *
     * @return with these options
     */
    public Loss build() {
      return new Loss(this);
    }
  }

  /**
   * The loss and its gradients.
   *
   * @param inputs by name, with {@code sample_weight} and {@code grad_output} among them
   * @return what was asked for when the loss was built
   * @throws ProblemException if an input or an option is wrong, with the same code, pointer and detail in both places
   * @throws LossdException.Unreachable if the service is needed and there is no connection
   */
  public Result evaluate(Map<String, Tensor> inputs) {
    return switch (mode) {
      case LOCAL -> local(inputs);
      case REMOTE -> remote(inputs);
      case AUTO -> auto(inputs);
    };
  }

  /**
   * The loss.
   *
   * @param inputs as for {@link #evaluate}
   * @return one number
   */
  public double value(Map<String, Tensor> inputs) {
    return evaluate(inputs).loss();
  }

  /**
   * The loss and one gradient.
   *
   * @param loss one number
   * @param gradient in the shape of its input
   */
  public record ValueAndGradient(double loss, Tensor gradient) {}

  /**
   * The loss and the gradient with respect to the first of the inputs that are differentiated.
   *
   * @param inputs as for {@link #evaluate}
   * @return both
   */
  public ValueAndGradient valueAndGradient(Map<String, Tensor> inputs) {
    Result result = evaluate(inputs);
    String first = gradients != null ? gradients.get(0) : result.gradients().keySet().iterator().next();
    return new ValueAndGradient(result.loss(), result.gradients().get(first));
  }

  // Remote

  private Result remote(Map<String, Tensor> inputs) {
    Map<String, Object> options = new LinkedHashMap<>();
    if (gradients != null) options.put("gradients", gradients.isEmpty() ? (Object) false : gradients);
    if (!params.isEmpty()) options.put("params", params);
    if (!reduction.equals("mean")) options.put("reduction", reduction);
    if (hessian) options.put("hessian", "diagonal");
    if (denominator != null) options.put("denominator", denominator);
    if (inline != null) options.putAll(inline);
    String path = inline == null ? Client.path(name) : "/v1/losses:evaluate";
    return resultOf(client.evaluate(path, SafeTensors.encode(inputs, options)));
  }

  private Result resultOf(SafeTensors answer) {
    Map<String, Tensor> first = new LinkedHashMap<>();
    Map<String, Tensor> second = new LinkedHashMap<>();
    answer.tensors.forEach(
        (own, tensor) -> {
          if (own.startsWith("gradients.")) first.put(own.substring("gradients.".length()), tensor);
          if (own.startsWith("hessian.")) second.put(own.substring("hessian.".length()), tensor);
        });
    Tensor loss = answer.tensors.get("loss");
    boolean isReduced = !reduction.equals("none");
    Double divided = answer.number("denominator");
    Double count = answer.number("count");
    return new Result(
        isReduced ? loss.at(0) : Double.NaN,
        isReduced ? null : loss,
        first,
        second,
        divided == null ? Double.NaN : divided,
        count == null ? 0 : count.intValue(),
        false);
  }

  // Local

  private Result local(Map<String, Tensor> inputs) {
    return planFor(inputs).run(inputs);
  }

  /** A kernel for inputs of one structure, with what does not change between calls. */
  private Plan planFor(Map<String, Tensor> inputs) {
    String structure = structureOf(inputs);
    Plan known = plans.get(structure);
    if (known != null) return known;
    Plan made = new Plan(client.kernel(kernelRequest(inputs, structure)));
    plans.put(structure, made);
    return made;
  }

  /** Ranks in place of shapes: a kernel serves all sizes. */
  private static String structureOf(Map<String, Tensor> inputs) {
    StringBuilder text = new StringBuilder();
    for (Map.Entry<String, Tensor> input : kernelInputs(inputs).entrySet()) {
      text.append(input.getKey()).append(':').append(input.getValue().dtype().word).append(input.getValue().sizes().length).append(';');
    }
    return text.toString();
  }

  private static Map<String, Tensor> kernelInputs(Map<String, Tensor> inputs) {
    Map<String, Tensor> own = new TreeMap<>(inputs);
    own.remove("sample_weight");
    own.remove("grad_output");
    return own;
  }

  private Client.KernelRequest kernelRequest(Map<String, Tensor> inputs, String structure) {
    List<String> texts = new ArrayList<>();
    kernelInputs(inputs).forEach((input, tensor) -> texts.add(input + ":" + tensor.dtype().word + Arrays.toString(tensor.sizes()).replace(" ", "")));
    Map<String, Object> query = new LinkedHashMap<>();
    query.put("inputs", String.join(";", texts));
    // No runtime of Java has SIMD.
    query.put("features", "scalar");
    if (gradients != null) query.put("gradients", gradients.isEmpty() ? "false" : String.join(",", gradients));
    if (hessian) query.put("hessian", "diagonal");
    if (!params.isEmpty()) query.put("params", params);
    Map<String, Object> rest = new TreeMap<>(query);
    rest.put("inputs", structure);
    rest.put("params", new TreeMap<>(params));
    boolean isOfService = name == null || name.contains("/");
    List<Object> question = Arrays.asList(1, isOfService ? client.url() : "", name, inline, rest);
    if (inline != null) {
      query.putAll(inline);
      return new Client.KernelRequest(Json.write(question), "POST", "/v1/losses:kernel", Json.write(query).getBytes(StandardCharsets.UTF_8));
    }
    List<String> pairs = new ArrayList<>();
    query.forEach((key, value) -> pairs.add(key + "=" + Client.escaped(value instanceof String text ? text : Json.write(value))));
    return new Client.KernelRequest(Json.write(question), "GET", Client.path(name) + "/kernel.wasm?" + String.join("&", pairs), null);
  }

  private final class Plan {
    private final Kernel kernel;
    private final Manifest manifest;
    private final int place;
    private final double[] numbers;
    private final List<String> first;
    private final List<String> wanted = new ArrayList<>();

    private Plan(Kernel kernel) {
      this.kernel = kernel;
      manifest = kernel.manifest;
      place = placeOfReduction();
      checkDenominator();
      Schema.check(manifest.schema, params);
      numbers = numbers();
      first = gradients == null ? manifest.gradients : gradients;
      first.forEach(input -> wanted.add("gradients." + input));
      if (hessian) manifest.hessians.forEach(input -> wanted.add("hessian." + input));
      if (reduction.equals("none")) wanted.add("values");
    }

    private int placeOfReduction() {
      int found = manifest.reductions.indexOf(reduction);
      if (found >= 0) return found;
      String words = Schema.listed(manifest.reductions.stream().map(Schema::spelled).toList());
      throw ProblemException.at("invalid-value", "/reduction", "must be " + words + ", got " + Schema.spelled(reduction));
    }

    private void checkDenominator() {
      if (denominator == null) return;
      if (!List.of("mean", "weighted_mean", "sum_by_nonzero_weights").contains(reduction)) {
        throw ProblemException.at("invalid-value", "/denominator", "requires reduction mean, got " + reduction);
      }
      if (!(denominator > 0)) {
        throw ProblemException.at("invalid-value", "/denominator", "must be a number > 0, got " + Numbers.text(denominator));
      }
    }

    private double[] numbers() {
      int count = manifest.params.size();
      double[] made = new double[count + 1];
      for (int i = 0; i < count; i++) {
        Manifest.Param param = manifest.params.get(i);
        Schema schema = manifest.schema.get(param.name());
        Object usual = schema == null ? param.value() : schema.defaultOr(param.value());
        Double number = Schema.numberOf(params.getOrDefault(param.name(), usual));
        if (number == null) number = Schema.numberOf(param.value());
        if (!manifest.isFloat64) Schema.checkFloat32(param.name(), number);
        made[i] = number;
      }
      made[count] = denominator == null ? Double.NaN : denominator;
      return made;
    }

    private Result run(Map<String, Tensor> inputs) {
      check(inputs);
      Tensor[] tensors = new Tensor[manifest.inputs.size()];
      for (int i = 0; i < tensors.length; i++) tensors[i] = inputs.get(manifest.inputs.get(i).name());
      Kernel.Output output = kernel.run(tensors, place, numbers, wanted);
      Map<String, Tensor> derivatives = new HashMap<>();
      for (String input : first) derivatives.put(input, output.arrays().get("gradients." + input));
      Map<String, Tensor> second = new HashMap<>();
      if (hessian) for (String input : manifest.hessians) second.put(input, output.arrays().get("hessian." + input));
      Tensor values = output.arrays().get("values");
      return new Result(values == null ? output.value() : Double.NaN, values, derivatives, second, output.denominator(), output.count(), true);
    }

    /** What the service checks beside the numbers of inputs. */
    private void check(Map<String, Tensor> inputs) {
      for (Map.Entry<String, Tensor> input : inputs.entrySet()) {
        Manifest.Check rule = manifest.checks.get(input.getKey());
        if (rule == null) checkCommon(input.getKey());
        String dtype = input.getValue().dtype().word;
        if (rule != null && rule.integers() && dtype.startsWith("float")) {
          throw ProblemException.at("dtype-unsupported", "/" + input.getKey(), "class indices require an integer dtype, got " + dtype);
        }
      }
    }

    private void checkCommon(String input) {
      if (input.equals("grad_output")) {
        if (!reduction.equals("none")) throw ProblemException.at("invalid-value", "/grad_output", "requires reduction none, got " + reduction);
      } else if (input.equals("sample_weight")) {
        if (manifest.takesWeights) return;
        String detail = "cannot be applied: " + manifest.loss + " has one value for all rows; weight the rows in its formula, with an input for the weights";
        throw ProblemException.at("invalid-value", "/sample_weight", detail);
      } else {
        throw ProblemException.at("unknown-name", "/" + input, "is not an input of " + manifest.loss);
      }
    }
  }

  // Auto

  private Result auto(Map<String, Tensor> inputs) {
    long size = 0;
    for (Tensor tensor : inputs.values()) size += tensor.length();
    String key = structureOf(inputs) + (64 - Long.numberOfLeadingZeros(size));
    if (!costs.isLocal(key)) return remoteOrLocal(key, inputs);
    Plan plan;
    try {
      plan = planFor(inputs);
    } catch (ProblemException.KernelUnavailable none) {
      costs.hasNoKernel(key);
      return remote(inputs);
    }
    long started = System.nanoTime();
    Result result = plan.run(inputs);
    costs.learn(key, true, System.nanoTime() - started);
    return result;
  }

  private Result remoteOrLocal(String key, Map<String, Tensor> inputs) {
    long started = System.nanoTime();
    try {
      Result result = remote(inputs);
      costs.learn(key, false, System.nanoTime() - started);
      return result;
    } catch (LossdException.Unreachable gone) {
      costs.isGone();
      return local(inputs);
    }
  }

  @Override
  public String toString() {
    return name != null ? "Loss(" + name + ")" : "Loss(formula)";
  }
}
