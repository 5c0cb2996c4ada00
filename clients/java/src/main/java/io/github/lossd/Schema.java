package io.github.lossd;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** What a parameter may be: a JSON Schema, in the words of the service. */
final class Schema {
  private static final Map<String, String> NOUNS =
      Map.of("number", "a number", "integer", "an integer", "boolean", "true or false", "string", "a string", "null", "null", "array", "a list of names");

  private final Map<String, Object> members;
  private final List<Schema> parts;
  private final List<Bound> bounds;

  private interface Holds {
    boolean test(double value, double limit);
  }

  private record Bound(String sign, double limit, Holds holds) {}

  Schema(Map<String, Object> members) {
    this.members = members;
    this.parts = Json.list(members.get("anyOf")).stream().map(part -> new Schema(Json.object(part))).toList();
    this.bounds = new ArrayList<>();
    bound(">", "exclusiveMinimum", (x, limit) -> x > limit);
    bound(">=", "minimum", (x, limit) -> x >= limit);
    bound("<", "exclusiveMaximum", (x, limit) -> x < limit);
    bound("<=", "maximum", (x, limit) -> x <= limit);
  }

  private void bound(String sign, String name, Holds holds) {
    if (members.get(name) instanceof Double limit) bounds.add(new Bound(sign, limit, holds));
  }

  Object defaultOr(Object other) {
    return members.getOrDefault("default", other);
  }

  boolean fits(Object value) {
    if (!parts.isEmpty()) return parts.stream().anyMatch(part -> part.fits(value));
    if (members.containsKey("const")) return members.get("const").equals(value);
    Double number = numberOf(value);
    switch (String.valueOf(members.get("type"))) {
      case "null":
        return value == null;
      case "boolean":
        return value instanceof Boolean;
      case "string":
        return value instanceof String;
      case "array":
        return value instanceof Iterable<?>;
      case "integer":
        return number != null && number == Math.rint(number) && holds(number);
      default:
        return number != null && !number.isNaN() && holds(number);
    }
  }

  private boolean holds(double number) {
    if (Double.isInfinite(number)) return Boolean.TRUE.equals(members.get("infinite"));
    return bounds.stream().allMatch(bound -> bound.holds.test(number, bound.limit));
  }

  @Override
  public String toString() {
    if (!parts.isEmpty()) return listed(parts.stream().map(Schema::toString).toList());
    if (members.containsKey("const")) return spelled(members.get("const"));
    List<String> limits = bounds.stream().map(bound -> bound.sign + " " + Numbers.text(bound.limit)).toList();
    String noun = NOUNS.getOrDefault(String.valueOf(members.get("type")), "a valid value");
    return (noun + " " + String.join(" and ", limits)).strip();
  }

  static String listed(List<String> words) {
    int last = words.size() - 1;
    return last == 0 ? words.get(0) : String.join(", ", words.subList(0, last)) + " or " + words.get(last);
  }

  /** A number, also an infinity that is a word; null for anything else. */
  static Double numberOf(Object value) {
    if (value instanceof Number number) return number.doubleValue();
    if ("Infinity".equals(value)) return Double.POSITIVE_INFINITY;
    return "-Infinity".equals(value) ? Double.NEGATIVE_INFINITY : null;
  }

  static String spelled(Object value) {
    Double number = numberOf(value);
    return number == null ? Json.write(value) : Numbers.text(number);
  }

  /**
   * @throws ProblemException with every parameter that does not fit
   */
  static void check(Map<String, Schema> schemas, Map<String, Object> params) {
    List<ProblemException.Place> places = new ArrayList<>();
    new TreeMap<>(params)
        .forEach(
            (name, value) -> {
              Schema schema = schemas.get(name);
              if (schema == null || schema.fits(value)) return;
              String detail = "must be " + schema + ", got " + spelled(value);
              places.add(new ProblemException.Place("/params/" + name, detail));
            });
    if (!places.isEmpty()) throw ProblemException.at("param-invalid", places);
  }

  static void checkFloat32(String name, double value) {
    float narrow = (float) value;
    boolean isHeld = !Float.isInfinite(narrow) || Double.isInfinite(value);
    if (isHeld && (narrow != 0 || value == 0)) return;
    String detail = "must fit into float32, got " + Numbers.text(value) + "; or send float64 inputs";
    throw ProblemException.at("param-invalid", "/params/" + name, detail);
  }
}
