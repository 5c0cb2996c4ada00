package io.github.lossd;

import java.util.Map;

/**
 * What a loss computes.
 *
 * @param loss the loss; NaN with the reduction {@code none}, whose results are the values
 * @param values the unreduced values with the reduction {@code none}, otherwise null
 * @param gradients by input
 * @param hessian the diagonal of the second derivative by input, if it was asked for
 * @param denominator what the sum was divided by
 * @param count how many values count
 * @param isLocal whether it was computed in this process
 */
public record Result(
    double loss, Tensor values, Map<String, Tensor> gradients, Map<String, Tensor> hessian, double denominator, int count, boolean isLocal) {

  /**
   * The gradient with respect to an input.
   *
   * @param input its name
   * @return null if it was not asked for
   */
  public Tensor gradient(String input) {
    return gradients.get(input);
  }
}
