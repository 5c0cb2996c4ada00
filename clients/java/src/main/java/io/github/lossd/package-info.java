/**
 * Loss functions with exact gradients: by a lossd service, or by its kernels in this process.
 *
 * <pre>{@code
 * Loss huber = Loss.named("huber").param("delta", 2.0).build();
 * Result result = huber.evaluate(Map.of("predictions", Tensor.of(p), "targets", Tensor.of(t)));
 * }</pre>
 */
package io.github.lossd;
