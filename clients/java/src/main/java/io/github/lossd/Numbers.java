package io.github.lossd;

import java.math.BigDecimal;

/** Numbers and counts as the messages of the service have them. */
final class Numbers {
  private Numbers() {}

  /** As JavaScript writes it: the shortest digits that read back as the same number. */
  static String text(double value) {
    if (Double.isNaN(value)) return "NaN";
    if (Double.isInfinite(value)) return value > 0 ? "Infinity" : "-Infinity";
    if (value == 0) return "0";
    return (value < 0 ? "-" : "") + placed(shortest(Math.abs(value)));
  }

  static String text(float value) {
    if (Float.isNaN(value) || Float.isInfinite(value) || value == 0) return text((double) value);
    return (value < 0 ? "-" : "") + placed(shortest(Math.abs(value)));
  }

  /** Java 17 writes more digits than are needed now and then (JDK-4511638). */
  private static BigDecimal shortest(double value) {
    for (int digits = 1; digits < 17; digits++) {
      BigDecimal rounded = new BigDecimal(value).round(new java.math.MathContext(digits));
      if (rounded.doubleValue() == value) return rounded.stripTrailingZeros();
    }
    return new BigDecimal(value).round(new java.math.MathContext(17)).stripTrailingZeros();
  }

  private static BigDecimal shortest(float value) {
    for (int digits = 1; digits < 9; digits++) {
      BigDecimal rounded = new BigDecimal(value).round(new java.math.MathContext(digits));
      if (rounded.floatValue() == value) return rounded.stripTrailingZeros();
    }
    return new BigDecimal(value).round(new java.math.MathContext(9)).stripTrailingZeros();
  }

  private static String placed(BigDecimal number) {
    String digits = number.unscaledValue().toString();
    int exponent = digits.length() - number.scale() - 1;
    if (exponent >= 21 || exponent < -6) {
      String point = digits.length() > 1 ? digits.charAt(0) + "." + digits.substring(1) : digits;
      return point + "e" + (exponent < 0 ? "-" : "+") + Math.abs(exponent);
    }
    return number.toPlainString();
  }

  /** A count with its noun: 1 class, 2 elements. */
  static String many(int count, String things) {
    String noun = things;
    if (count == 1 && (things.endsWith("sses") || things.endsWith("xes"))) {
      noun = things.substring(0, things.length() - 2);
    } else if (count == 1 && things.endsWith("s") && !things.endsWith("ss")) {
      noun = things.substring(0, things.length() - 1);
    }
    return count + " " + noun;
  }
}
