package io.github.lossd;

import java.util.Arrays;
import java.util.stream.Collectors;

/**
 * A tensor, or a parameter, while a function is traced into a formula. It has no numbers. Operands are expressions, numbers and booleans.
 *
 * @see Loss#traced
 */
public final class Expression {
  /** How tightly operators bind, as in the formula language. */
  private enum Level {
    CHOICE,
    OR,
    AND,
    NOT,
    COMPARE,
    SUM,
    PRODUCT,
    SIGN,
    POWER,
    ATOM
  }

  private final String text;
  private final Level level;

  private Expression(String text, Level level) {
    this.text = text;
    this.level = level;
  }

  static Expression named(String name) {
    return new Expression(name, Level.ATOM);
  }

  /**
   * A function of the formula language.
   *
   * @param function such as {@code log1p} or {@code sum}
   * @param arguments expressions and numbers; strings are names of axes
   * @return its result
   */
  public static Expression call(String function, Object... arguments) {
    String texts = Arrays.stream(arguments).map(own -> own instanceof String axis ? axis : of(own).text).collect(Collectors.joining(", "));
    return new Expression(function + "(" + texts + ")", Level.ATOM);
  }

  /**
   * One of two.
   *
   * @param condition where it is true, {@code yes} is taken
   * @param yes an operand
   * @param no an operand
   * @return {@code yes} where the condition is true, and {@code no} elsewhere
   */
  public static Expression where(Object condition, Object yes, Object no) {
    return new Expression(within(condition, Level.OR) + " ? " + within(yes, Level.OR) + " : " + within(no, Level.OR), Level.CHOICE);
  }

  /**
   * The sum.
   *
   * @param other an operand
   * @return this + other
   */
  public Expression plus(Object other) {
    return binary("+", Level.SUM, other);
  }

  /**
   * The difference.
   *
   * @param other an operand
   * @return this - other
   */
  public Expression minus(Object other) {
    return binary("-", Level.SUM, other);
  }

  /**
   * The product.
   *
   * @param other an operand
   * @return this * other
   */
  public Expression times(Object other) {
    return binary("*", Level.PRODUCT, other);
  }

  /**
   * The quotient.
   *
   * @param other an operand
   * @return this / other
   */
  public Expression over(Object other) {
    return binary("/", Level.PRODUCT, other);
  }

  /**
   * The power.
   *
   * @param other an operand
   * @return this ^ other
   */
  public Expression pow(Object other) {
    return new Expression(within(this, Level.ATOM) + "^" + within(other, Level.ATOM), Level.POWER);
  }

  /**
   * The negative.
   *
   * @return -this
   */
  public Expression negated() {
    return new Expression("-" + within(this, Level.POWER), Level.SIGN);
  }

  /**
   * A comparison.
   *
   * @param other an operand
   * @return whether this &lt; other
   */
  public Expression isLess(Object other) {
    return compared("<", other);
  }

  /**
   * A comparison.
   *
   * @param other an operand
   * @return whether this &lt;= other
   */
  public Expression isAtMost(Object other) {
    return compared("<=", other);
  }

  /**
   * A comparison.
   *
   * @param other an operand
   * @return whether this &gt; other
   */
  public Expression isGreater(Object other) {
    return compared(">", other);
  }

  /**
   * A comparison.
   *
   * @param other an operand
   * @return whether this == other
   */
  public Expression isEqual(Object other) {
    return compared("==", other);
  }

  /**
   * Both conditions.
   *
   * @param other a condition
   * @return whether both hold
   */
  public Expression and(Object other) {
    return binary("and", Level.AND, other);
  }

  /**
   * Either condition.
   *
   * @param other a condition
   * @return whether one of them holds
   */
  public Expression or(Object other) {
    return binary("or", Level.OR, other);
  }

  /**
   * The opposite of a condition.
   *
   * @return whether it does not hold
   */
  public Expression not() {
    return new Expression("not " + within(this, Level.ATOM), Level.NOT);
  }

  private Expression binary(String sign, Level own, Object other) {
    return new Expression(within(this, own) + " " + sign + " " + within(other, Level.values()[own.ordinal() + 1]), own);
  }

  private Expression compared(String sign, Object other) {
    return new Expression(within(this, Level.SUM) + " " + sign + " " + within(other, Level.SUM), Level.COMPARE);
  }

  private static Expression of(Object operand) {
    if (operand instanceof Expression own) return own;
    if (operand instanceof Boolean truth) return named(truth.toString());
    if (operand instanceof Number number && Double.isFinite(number.doubleValue())) {
      double value = number.doubleValue();
      return new Expression(Numbers.text(value), value < 0 ? Level.SIGN : Level.ATOM);
    }
    throw new IllegalArgumentException(operand + " is neither an expression nor a finite number");
  }

  /** In parentheses if it binds less tightly. */
  private static String within(Object operand, Level level) {
    Expression own = of(operand);
    return own.level.compareTo(level) < 0 ? "(" + own.text + ")" : own.text;
  }

  /** The formula. */
  @Override
  public String toString() {
    return text;
  }
}
