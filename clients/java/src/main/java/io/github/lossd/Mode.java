package io.github.lossd;

/** Where a loss is computed. */
public enum Mode {
  /** Tries both places for each size, and then takes the faster one. */
  AUTO,
  /** In this process. */
  LOCAL,
  /** In the service. */
  REMOTE
}
